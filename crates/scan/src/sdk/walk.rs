//! Follows a script in the order in which Python would run it, and meets its servers.
//!
//! Only what builds servers is followed: assignments, calls of the script's own functions and
//! classes, decorators. Where the order depends on something that only a run knows (a condition,
//! a loop, another module), what is met there is kept and doubted.
//!
//! # Invariants
//!
//! * It ends: calls are followed at most [`CALL_DEPTH`] deep and [`CALLS`] times in all.
//! * Nothing is registered that no statement registers.

use std::collections::HashMap;

use super::family::{Sdk, server_class};
use super::options::Options;
use super::register::Kind;
use super::servers::{Reading, Server};
use crate::source::{Argument, Binding, Call, Class, Expr, Function, Names, Stmt, bind};

const CALL_DEPTH: usize = 12;
const CALLS: usize = 300;

#[derive(Debug, Clone, Copy)]
pub(super) enum Object<'a> {
    Server(usize),
    Instance(&'a Class, usize),
}

#[derive(Debug)]
pub(super) struct Walker<'a> {
    pub(super) names: Names<'a>,
    pub(super) values: Vec<HashMap<String, Object<'a>>>,
    pub(super) attributes: HashMap<(usize, String), Object<'a>>,
    pub(super) instances: usize,
    pub(super) servers: Vec<Server>,
    pub(super) fastmcp: Sdk,
    /// Why the current place is doubtful, the innermost last.
    pub(super) unsure: Vec<&'static str>,
    pub(super) calls: usize,
    pub(super) active: Vec<*const Function>,
    pub(super) returned: Vec<Option<Object<'a>>>,
}

/// Reads a module. `None` if it builds no server.
pub(crate) fn read(body: &[Stmt], fastmcp: Sdk) -> Option<Reading> {
    let mut walker = Walker {
        names: Names::default(),
        values: vec![HashMap::new()],
        attributes: HashMap::new(),
        instances: 0,
        servers: Vec::new(),
        fastmcp,
        unsure: Vec::new(),
        calls: 0,
        active: Vec::new(),
        returned: Vec::new(),
    };
    walker.names.push(bind(body));
    walker.block(body);
    if walker.servers.is_empty() {
        walker.uncalled(body);
    }
    walker.finish()
}
impl<'a> Walker<'a> {
    fn block(&mut self, statements: &'a [Stmt]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn within(&mut self, reason: &'static str, statements: &'a [Stmt]) {
        self.unsure.push(reason);
        self.block(statements);
        self.unsure.pop();
    }

    fn statement(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Import(_) => {}
            Stmt::Assign { target, value: Some(value), .. } => {
                if let Some(object) = self.eval(value) {
                    self.assign(target, object);
                }
            }
            Stmt::Assign { .. } => {}
            Stmt::Function(function) => self.decorated(function, &function.decorators),
            Stmt::Class(class) => {
                self.names.push(bind(&class.body));
                for inner in &class.body {
                    if let Stmt::Function(function) = inner {
                        self.decorated(function, &function.decorators);
                    }
                }
                self.names.pop();
            }
            Stmt::Expr { value, .. } => {
                self.eval(value);
            }
            Stmt::Return(value) => {
                let object = self.eval(value);
                if let (Some(slot), Some(object)) = (self.returned.last_mut(), object) {
                    *slot = Some(object);
                }
            }
            Stmt::If { test, body, orelse, .. } => match test {
                Expr::Name(name) if name == "__name__" => self.block(body),
                Expr::Bool(true) => self.block(body),
                _ if self.is_type_checking(test) => self.block(orelse),
                _ => {
                    self.within("registered under a condition", body);
                    self.within("registered under a condition", orelse);
                }
            },
            Stmt::Loop { body, .. } => self.within("registered in a loop", body),
            Stmt::Try { body, handlers, rest, .. } => {
                self.block(body);
                for handler in handlers {
                    self.within("registered when something fails", handler);
                }
                self.block(rest);
            }
            Stmt::With { items, body } => {
                for (value, name) in items {
                    if let (Some(object), Some(name)) = (self.eval(value), name) {
                        self.assign(&Expr::Name(name.clone()), object);
                    }
                }
                self.block(body);
            }
        }
    }

    fn is_type_checking(&self, test: &Expr) -> bool {
        *test == Expr::Bool(false)
            || self.names.path(test).is_some_and(|path| path.ends_with(".TYPE_CHECKING"))
    }

    fn assign(&mut self, target: &Expr, object: Object<'a>) {
        match target {
            Expr::Name(name) => {
                if let Some(frame) = self.values.last_mut() {
                    frame.insert(name.clone(), object);
                }
            }
            Expr::Attribute(base, name) => {
                if let Some(Object::Instance(_, id)) = self.look_up(base) {
                    self.attributes.insert((id, name.clone()), object);
                }
            }
            _ => {}
        }
    }

    /// The object that a name or attribute holds; nothing is called.
    pub(super) fn look_up(&self, expr: &Expr) -> Option<Object<'a>> {
        match expr {
            Expr::Name(name) => self.values.iter().rev().find_map(|frame| frame.get(name)).copied(),
            Expr::Attribute(base, name) => match self.look_up(base)? {
                Object::Instance(_, id) => self.attributes.get(&(id, name.clone())).copied(),
                Object::Server(_) => None,
            },
            _ => None,
        }
    }

    pub(super) fn server(&self, expr: &Expr) -> Option<usize> {
        match self.look_up(expr)? {
            Object::Server(id) => Some(id),
            Object::Instance(..) => None,
        }
    }

    /// Follows an expression as far as it can build or return a server.
    pub(super) fn eval(&mut self, expr: &'a Expr) -> Option<Object<'a>> {
        match expr {
            Expr::Name(_) | Expr::Attribute(..) => self.look_up(expr),
            Expr::Await(inner) => self.eval(inner),
            Expr::Call(call) => self.call(call),
            _ => None,
        }
    }

    fn call(&mut self, call: &'a Call) -> Option<Object<'a>> {
        self.calls += 1;
        if self.calls > CALLS {
            return None;
        }
        if let Some(family) = self.family_of(&call.func) {
            return Some(Object::Server(self.new_server(family, call)));
        }
        if let Some(path) = self.names.path(&call.func) {
            // `FastMCP.from_openapi(…)` and the like make their tools of something else.
            if let Some((class, _)) = path.rsplit_once('.')
                && let Some(family) = server_class(class)
            {
                let server = self.new_server(family, call);
                self.doubt(server, call.line, "its features are made from something else when it starts");
                return Some(Object::Server(server));
            }
        }
        if let Expr::Attribute(base, method) = &call.func {
            match self
                .look_up(base)
                .or_else(|| if matches!(**base, Expr::Call(_)) { self.eval(base) } else { None })
            {
                Some(Object::Server(server)) => {
                    self.method(server, method, call);
                    return None;
                }
                Some(Object::Instance(class, id)) => {
                    return match method_of(class, method) {
                        Some(function) => self.enter(function, Some(Object::Instance(class, id)), call),
                        None => None,
                    };
                }
                None => {}
            }
        }
        // `x.tool(…)(function)`.
        if let Expr::Call(inner) = &call.func
            && let Expr::Attribute(base, method) = &inner.func
            && let (Some(server), Some(kind)) = (self.server(base), Kind::of_decorator(method))
        {
            self.register_argument(server, kind, Options::of(inner), call.positional(0), call.line);
            return None;
        }
        if let Expr::Name(name) = &call.func {
            match self.names.get(name) {
                Some(Binding::Function(function)) => return self.enter(function, None, call),
                Some(Binding::Class(class)) => return self.instantiate(class, call),
                _ => {}
            }
        }
        self.foreign_call(call)
    }

    fn instantiate(&mut self, class: &'a Class, call: &'a Call) -> Option<Object<'a>> {
        self.instances += 1;
        let object = Object::Instance(class, self.instances);
        if let Some(init) = method_of(class, "__init__") {
            self.enter(init, Some(object), call);
        }
        Some(object)
    }

    /// Follows a call of one of the script's functions.
    fn enter(
        &mut self,
        function: &'a Function,
        receiver: Option<Object<'a>>,
        call: &'a Call,
    ) -> Option<Object<'a>> {
        let key: *const Function = function;
        if self.active.len() >= CALL_DEPTH || self.active.contains(&key) || self.names.depth() > 64 {
            return None;
        }
        let mut frame = HashMap::new();
        let mut params = function.params.iter();
        if let Some(receiver) = receiver
            && let Some(first) = params.next()
        {
            frame.insert(first.name.clone(), receiver);
        }
        for (index, param) in params.enumerate() {
            if let Some(object) = call.argument(&param.name, index).and_then(|argument| self.eval(argument)) {
                frame.insert(param.name.clone(), object);
            }
        }
        let mut scope = bind(&function.body);
        for param in &function.params {
            scope.entry(&param.name).or_insert(Binding::Unknown);
        }
        self.names.push(scope);
        self.values.push(frame);
        self.active.push(key);
        self.returned.push(None);
        self.block(&function.body);
        self.active.pop();
        self.values.pop();
        self.names.pop();
        self.returned.pop().flatten()
    }

    /// A call of something that is not ours: its arguments may hold calls of ours (`asyncio.run(main())`),
    /// and a server given away may get more features there.
    fn foreign_call(&mut self, call: &'a Call) -> Option<Object<'a>> {
        for argument in &call.args {
            let (Argument::Positional(value) | Argument::Keyword(_, value)) = argument else { continue };
            if let Expr::Call(_) = value {
                self.eval(value);
            } else if let Some(server) = self.server(value) {
                let name = call.func.dotted().unwrap_or_default();
                let harmless = self
                    .names
                    .path(&call.func)
                    .is_some_and(|path| path.starts_with("builtins.") || path.starts_with("logging."));
                if !harmless {
                    self.doubt(
                        server,
                        call.line,
                        format!("the server is passed to `{name}`, which may register more"),
                    );
                }
            } else if let Expr::Name(name) = value
                && let Some(Binding::Function(function)) = self.names.get(name)
                && self.names.path(&call.func).is_some_and(|path| path.ends_with(".run"))
            {
                // `anyio.run(main)`.
                self.enter(function, None, call);
            }
        }
        None
    }

    /// A script whose servers are only built in functions that nothing here calls.
    fn uncalled(&mut self, body: &'a [Stmt]) {
        for statement in body {
            let Stmt::Function(function) = statement else { continue };
            if function.body.is_empty() || !self.servers.is_empty() {
                continue;
            }
            let call = Call { func: Expr::Opaque, args: Vec::new(), line: function.line };
            // The call outlives the walk: it holds nothing.
            let before = self.servers.len();
            self.enter_bare(function);
            if self.servers.len() > before {
                self.doubt(before, call.line, format!("nothing in this file calls `{}`", function.name));
            }
        }
    }

    fn enter_bare(&mut self, function: &'a Function) {
        self.names.push(bind(&function.body));
        self.values.push(HashMap::new());
        self.returned.push(None);
        self.block(&function.body);
        self.returned.pop();
        self.values.pop();
        self.names.pop();
    }
}

pub(super) fn method_of<'a>(class: &'a Class, name: &str) -> Option<&'a Function> {
    class.body.iter().find_map(|statement| match statement {
        Stmt::Function(function) if function.name == name => Some(&**function),
        _ => None,
    })
}
