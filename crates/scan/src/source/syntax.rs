//! Our small tree of a Python file: owned, and only what the scan looks at.

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    Name(String),
    Attribute(Box<Expr>, String),
    Subscript(Box<Expr>, Vec<Expr>),
    Call(Box<Call>),
    /// A binary operator by its sign: `|`, `+`, `*`, …
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Negative(Box<Expr>),
    Str(String),
    Bytes(Vec<u8>),
    /// An integer that fits; a longer one is opaque.
    Int(i64),
    Float(f64),
    Bool(bool),
    None,
    Ellipsis,
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Set(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Await(Box<Expr>),
    Lambda,
    /// Whatever else Python can say. Its value is not known.
    Opaque,
}

impl Expr {
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_call(&self) -> Option<&Call> {
        match self {
            Self::Call(call) => Some(call),
            Self::Await(inner) => inner.as_call(),
            _ => None,
        }
    }

    /// A dotted name as its parts, such as `self.mcp`.
    pub(crate) fn dotted(&self) -> Option<String> {
        match self {
            Self::Name(name) => Some(name.clone()),
            Self::Attribute(base, name) => base.dotted().map(|base| format!("{base}.{name}")),
            _ => None,
        }
    }
}

/// A call, with its arguments in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) func: Expr,
    pub(crate) args: Vec<Argument>,
    pub(crate) line: usize,
}

impl Call {
    pub(crate) fn keyword(&self, name: &str) -> Option<&Expr> {
        self.args.iter().find_map(|argument| match argument {
            Argument::Keyword(key, value) if key == name => Some(value),
            _ => None,
        })
    }

    pub(crate) fn positional(&self, index: usize) -> Option<&Expr> {
        self.args
            .iter()
            .filter_map(|argument| match argument {
                Argument::Positional(value) => Some(value),
                _ => None,
            })
            .nth(index)
    }

    /// The argument with this name, or at this place.
    pub(crate) fn argument(&self, name: &str, index: usize) -> Option<&Expr> {
        self.keyword(name).or_else(|| self.positional(index))
    }

    /// Whether `*args` or `**kwargs` hide what is passed.
    pub(crate) fn has_splat(&self) -> bool {
        self.args.iter().any(|argument| matches!(argument, Argument::Splat))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Argument {
    Positional(Expr),
    Keyword(String, Expr),
    Splat,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stmt {
    Import(Import),
    Assign { target: Expr, annotation: Option<Expr>, value: Option<Expr>, line: usize },
    Function(Box<Function>),
    Class(Box<Class>),
    Expr { value: Expr, line: usize },
    Return(Expr),
    If { test: Expr, body: Vec<Stmt>, orelse: Vec<Stmt>, line: usize },
    Loop { body: Vec<Stmt>, line: usize },
    Try { body: Vec<Stmt>, handlers: Vec<Vec<Stmt>>, rest: Vec<Stmt>, catches_import: bool },
    With { items: Vec<(Expr, Option<String>)>, body: Vec<Stmt> },
}

/// One name that an import binds, or one module that it only loads.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Import {
    /// The name that it binds here; `*` for a star import.
    pub(crate) local: String,
    /// What the name stands for, dotted.
    pub(crate) path: String,
    /// The module that is loaded, dotted.
    pub(crate) module: String,
    /// Leading dots of a relative import.
    pub(crate) level: usize,
    pub(crate) line: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decorator {
    pub(crate) value: Expr,
    pub(crate) line: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// From the outermost (the first line) to the innermost.
    pub(crate) decorators: Vec<Decorator>,
    pub(crate) params: Vec<Param>,
    pub(crate) returns: Option<Expr>,
    /// The docstring as written, escapes resolved, indentation kept.
    pub(crate) doc: Option<String>,
    /// Empty where the body was cut out.
    pub(crate) body: Vec<Stmt>,
    pub(crate) line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParamKind {
    PositionalOnly,
    Plain,
    KeywordOnly,
    Args,
    Kwargs,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Param {
    pub(crate) name: String,
    pub(crate) kind: ParamKind,
    pub(crate) annotation: Option<Expr>,
    pub(crate) default: Option<Expr>,
    pub(crate) line: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Class {
    pub(crate) name: String,
    pub(crate) decorators: Vec<Decorator>,
    pub(crate) bases: Vec<Expr>,
    pub(crate) keywords: Vec<(String, Expr)>,
    pub(crate) doc: Option<String>,
    pub(crate) body: Vec<Stmt>,
    pub(crate) line: usize,
}
