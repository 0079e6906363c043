//! Registrations as the walker meets them: decorators, calls, and the functions that they name.

use super::family::Family;
use super::lowlevel;
use super::options::Options;
use super::register::{Kind, Registered, Subject, register};
use super::servers::add;
use super::walk::{Object, Walker, method_of};
use crate::source::{Binding, Decorator, Expr, Function, Stmt};

impl<'a> Walker<'a> {
    /// Registers what an argument names: a function, a method, or a `Tool.from_function(…)`.
    pub(super) fn register_argument(
        &mut self,
        server: usize,
        kind: Kind,
        options: Options<'a>,
        argument: Option<&'a Expr>,
        line: usize,
    ) {
        let from_function = argument.and_then(Expr::as_call).filter(|call| match &call.func {
            Expr::Attribute(_, name) => name == "from_function" || name == "from_tool",
            _ => false,
        });
        if let Some(call) = from_function
            && let Some(subject) = call.argument("fn", 0).and_then(|function| self.function(function))
        {
            self.register(server, kind, subject, Options::after_function(call), line);
            return;
        }
        match argument.and_then(|argument| self.function(argument)) {
            Some(subject) => self.register(server, kind, subject, options, line),
            None => self.doubt(server, line, "something is registered here that is not defined in this file"),
        }
    }

    /// The function that an expression names.
    pub(super) fn function(&self, expr: &Expr) -> Option<Subject<'a>> {
        match expr {
            Expr::Name(name) => match self.names.get(name)? {
                Binding::Function(function) => Some(Subject { function, is_bound: false }),
                Binding::Value(value @ (Expr::Name(_) | Expr::Attribute(..))) if value != expr => {
                    self.function(value)
                }
                _ => None,
            },
            Expr::Attribute(base, name) => {
                let (class, on_instance) = match self.look_up(base) {
                    Some(Object::Instance(class, _)) => (class, true),
                    _ => match base.as_call().and_then(|call| self.names.class(&call.func)) {
                        Some(class) => (class, true),
                        None => match &**base {
                            // `x = Tools()` of a class that builds no server.
                            Expr::Name(name) => match self.names.get(name)? {
                                Binding::Value(Expr::Call(call)) => (self.names.class(&call.func)?, true),
                                _ => (self.names.class(base)?, false),
                            },
                            _ => (self.names.class(base)?, false),
                        },
                    },
                };
                let function = method_of(class, name)?;
                let marked = |marker: &str| {
                    function
                        .decorators
                        .iter()
                        .any(|decorator| matches!(&decorator.value, Expr::Name(name) if name == marker))
                };
                let is_bound = marked("classmethod") || (on_instance && !marked("staticmethod"));
                Some(Subject { function, is_bound })
            }
            _ => None,
        }
    }

    /// The registrations that a definition's decorators make, from the innermost outwards.
    pub(super) fn decorated(&mut self, function: &'a Function, decorators: &'a [Decorator]) {
        for (index, decorator) in decorators.iter().enumerate().rev() {
            let (callee, options) = match &decorator.value {
                Expr::Call(call) => (&call.func, Options::of(call)),
                other => (other, Options::none()),
            };
            let Expr::Attribute(base, method) = callee else { continue };
            let Some(server) = self.server(base) else { continue };
            if self.servers[server].family == Family::LowLevel {
                lowlevel::decorated(self, server, method, function);
                continue;
            }
            let Some(kind) = Kind::of_decorator(method) else { continue };
            let inner = &decorators[index + 1..];
            let is_bound =
                inner.iter().any(|inner| matches!(&inner.value, Expr::Name(name) if name == "classmethod"));
            let changed = inner.iter().find(|inner| !self.keeps_signature(&inner.value));
            if let Some(changed) = changed {
                let name = changed.value.as_call().map_or(&changed.value, |call| &call.func).dotted();
                self.doubt(
                    server,
                    changed.line,
                    format!("the decorator `{}` may change `{}`", name.unwrap_or_default(), function.name),
                );
            }
            self.register(server, kind, Subject { function, is_bound }, options, decorator.line);
        }
    }

    /// Whether a decorator leaves name, parameters and docstring as they are.
    fn keeps_signature(&self, decorator: &Expr) -> bool {
        let callee = decorator.as_call().map_or(decorator, |call| &call.func);
        if let Expr::Attribute(base, method) = callee
            && self.server(base).is_some()
            && Kind::of_decorator(method).is_some()
        {
            return true;
        }
        if let Some(path) = self.names.path(callee) {
            return matches!(
                path.as_str(),
                "builtins.staticmethod"
                    | "builtins.classmethod"
                    | "functools.wraps"
                    | "functools.lru_cache"
                    | "functools.cache"
                    | "typing.no_type_check"
                    | "typing.final"
            );
        }
        match callee {
            Expr::Name(name) => match self.names.get(name) {
                Some(Binding::Function(function)) => self.wraps(&function.body, 0),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether a decorator's body uses `functools.wraps`, which copies what we read.
    fn wraps(&self, body: &[Stmt], depth: usize) -> bool {
        depth < 4
            && body.iter().any(|statement| match statement {
                Stmt::Function(inner) => {
                    inner.decorators.iter().any(|decorator| {
                        decorator
                            .value
                            .as_call()
                            .and_then(|call| self.names.path(&call.func))
                            .is_some_and(|path| path.ends_with("wraps"))
                    }) || self.wraps(&inner.body, depth + 1)
                }
                _ => false,
            })
    }

    fn register(
        &mut self,
        server: usize,
        kind: Kind,
        subject: Subject<'a>,
        options: Options<'_>,
        line: usize,
    ) {
        let family = self.servers[server].family;
        let Registered { target, doubts } =
            register(kind, subject, options, family, self.fastmcp, &self.names);
        for reason in doubts {
            self.doubt(server, line, format!("`{}`: {reason}", subject.name()));
        }
        if let Some(reason) = self.unsure.last() {
            self.doubt(server, line, format!("`{}` is {reason}", subject.name()));
        }
        if let Some(target) = target {
            // fastmcp's later registration replaces the earlier one, mcp keeps the first.
            let replaces = family == Family::FastMcp;
            add(&mut self.servers[server].features, target, replaces);
        }
    }
}
