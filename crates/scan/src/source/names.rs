//! What a name stands for in its scope.

use std::collections::HashMap;

use super::syntax::{Class, Expr, Function, Stmt};

/// What a name is bound to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Binding<'a> {
    /// Something imported, by its dotted path.
    Import(&'a str),
    /// Something imported relative to the script.
    Relative,
    Function(&'a Function),
    Class(&'a Class),
    Value(&'a Expr),
    /// Bound more than once to different things, or in a way that we do not follow.
    Unknown,
}

/// The bindings of one scope.
pub(crate) type Scope<'a> = HashMap<&'a str, Binding<'a>>;

/// Collects what the statements of one scope bind, before any of them is followed: an annotation
/// in quotes and a function's body may name what comes later.
pub(crate) fn bind<'a>(statements: &'a [Stmt]) -> Scope<'a> {
    let mut scope = Scope::new();
    collect(statements, &mut scope, false);
    scope
}

fn collect<'a>(statements: &'a [Stmt], scope: &mut Scope<'a>, second_choice: bool) {
    let put = |name: &'a str, binding: Binding<'a>, scope: &mut Scope<'a>| {
        if second_choice && scope.contains_key(name) {
            return;
        }
        scope.insert(name, binding);
    };
    for statement in statements {
        match statement {
            Stmt::Import(import) if import.local != "*" => {
                let binding =
                    if import.level > 0 { Binding::Relative } else { Binding::Import(&import.path) };
                put(&import.local, binding, scope);
            }
            Stmt::Assign { target: Expr::Name(name), value, .. } => {
                let binding = match (value, scope.get(name.as_str())) {
                    // A bare annotation binds nothing.
                    (None, _) => continue,
                    (Some(value), Some(Binding::Value(earlier))) if *earlier != value => Binding::Unknown,
                    (Some(value), _) => Binding::Value(value),
                };
                put(name, binding, scope);
            }
            Stmt::Assign { target: Expr::Tuple(names), .. } => {
                for name in names {
                    if let Expr::Name(name) = name {
                        put(name, Binding::Unknown, scope);
                    }
                }
            }
            Stmt::Function(function) => put(&function.name, Binding::Function(function), scope),
            Stmt::Class(class) => put(&class.name, Binding::Class(class), scope),
            // Of two branches the first counts, unless it does not bind the name.
            Stmt::If { body, orelse, .. } => {
                collect(body, scope, second_choice);
                collect(orelse, scope, true);
            }
            Stmt::Try { body, handlers, rest, .. } => {
                collect(body, scope, second_choice);
                for handler in handlers {
                    collect(handler, scope, true);
                }
                collect(rest, scope, second_choice);
            }
            Stmt::With { body, items } => {
                for (_, name) in items {
                    if let Some(name) = name {
                        put(name, Binding::Unknown, scope);
                    }
                }
                collect(body, scope, second_choice);
            }
            Stmt::Loop { body, .. } => collect(body, scope, second_choice),
            Stmt::Import(_) | Stmt::Assign { .. } | Stmt::Expr { .. } | Stmt::Return(_) => {}
        }
    }
}

/// The scopes around a place, the innermost last.
#[derive(Debug, Default)]
pub(crate) struct Names<'a> {
    scopes: Vec<Scope<'a>>,
}

impl<'a> Names<'a> {
    pub(crate) fn push(&mut self, scope: Scope<'a>) {
        self.scopes.push(scope);
    }

    pub(crate) fn pop(&mut self) {
        self.scopes.pop();
    }

    pub(crate) fn depth(&self) -> usize {
        self.scopes.len()
    }

    pub(crate) fn get(&self, name: &str) -> Option<Binding<'a>> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name)).copied()
    }

    /// The dotted path of what an expression names: imports are followed, aliases of imports too,
    /// and an unbound name is a builtin.
    pub(crate) fn path(&self, expr: &Expr) -> Option<String> {
        self.path_within(expr, 0)
    }

    fn path_within(&self, expr: &Expr, hops: usize) -> Option<String> {
        if hops > 16 {
            return None;
        }
        match expr {
            Expr::Name(name) => match self.get(name) {
                Some(Binding::Import(path)) => Some(path.to_owned()),
                Some(Binding::Value(value @ (Expr::Name(_) | Expr::Attribute(..)))) => {
                    self.path_within(value, hops + 1)
                }
                Some(_) => None,
                None => Some(format!("builtins.{name}")),
            },
            Expr::Attribute(base, name) => {
                self.path_within(base, hops + 1).map(|base| format!("{base}.{name}"))
            }
            _ => None,
        }
    }

    /// The class of this file that an expression names.
    pub(crate) fn class(&self, expr: &Expr) -> Option<&'a Class> {
        let mut expr = expr;
        for _ in 0..16 {
            match expr {
                Expr::Name(name) => match self.get(name)? {
                    Binding::Class(class) => return Some(class),
                    Binding::Value(value) => expr = value,
                    _ => return None,
                },
                // A class inside a class.
                Expr::Attribute(base, name) => {
                    let outer = match &**base {
                        Expr::Name(outer) => self.get(outer)?,
                        _ => return None,
                    };
                    let Binding::Class(outer) = outer else { return None };
                    return outer.body.iter().find_map(|statement| match statement {
                        Stmt::Class(class) if class.name == *name => Some(&**class),
                        _ => None,
                    });
                }
                _ => return None,
            }
        }
        None
    }
}
