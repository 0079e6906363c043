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

use dormouse_types::{Doubt, Features};

use super::family::{Family, Sdk, server_class};
use super::lowlevel;
use super::options::{Options, Reader};
use super::register::{Kind, Registered, Subject, Target, register};
use crate::source::{Argument, Binding, Call, Class, Decorator, Expr, Function, Names, Stmt, bind};

const CALL_DEPTH: usize = 12;
const CALLS: usize = 300;

/// A server that the script builds.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) family: Family,
    pub(super) features: Features,
    pub(super) doubts: Vec<Doubt>,
    /// Whether the script says that this one runs.
    runs: bool,
    /// Of a low-level server: whether its handlers are given as the second generation takes them.
    pub(super) takes_handlers: bool,
    mounts: Vec<(usize, Option<String>)>,
}

/// What a script turned out to be.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) features: Features,
    pub(crate) doubts: Vec<Doubt>,
    pub(crate) sdks: Vec<Sdk>,
}

#[derive(Debug, Clone, Copy)]
enum Object<'a> {
    Server(usize),
    Instance(&'a Class, usize),
}

#[derive(Debug)]
pub(super) struct Walker<'a> {
    pub(super) names: Names<'a>,
    values: Vec<HashMap<String, Object<'a>>>,
    attributes: HashMap<(usize, String), Object<'a>>,
    instances: usize,
    pub(super) servers: Vec<Server>,
    fastmcp: Sdk,
    /// Why the current place is doubtful, the innermost last.
    unsure: Vec<&'static str>,
    calls: usize,
    active: Vec<*const Function>,
    returned: Vec<Option<Object<'a>>>,
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
    fn doubt(&mut self, server: usize, line: usize, reason: impl Into<String>) {
        let doubt = Doubt { line, reason: reason.into() };
        if let Some(server) = self.servers.get_mut(server)
            && !server.doubts.contains(&doubt)
        {
            server.doubts.push(doubt);
        }
    }

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
    fn look_up(&self, expr: &Expr) -> Option<Object<'a>> {
        match expr {
            Expr::Name(name) => self.values.iter().rev().find_map(|frame| frame.get(name)).copied(),
            Expr::Attribute(base, name) => match self.look_up(base)? {
                Object::Instance(_, id) => self.attributes.get(&(id, name.clone())).copied(),
                Object::Server(_) => None,
            },
            _ => None,
        }
    }

    fn server(&self, expr: &Expr) -> Option<usize> {
        match self.look_up(expr)? {
            Object::Server(id) => Some(id),
            Object::Instance(..) => None,
        }
    }

    /// Follows an expression as far as it can build or return a server.
    fn eval(&mut self, expr: &'a Expr) -> Option<Object<'a>> {
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

    /// The kind of server that a callee makes.
    fn family_of(&self, callee: &Expr) -> Option<Family> {
        // `FastMCP[State](…)`.
        let callee = match callee {
            Expr::Subscript(base, _) => base,
            other => other,
        };
        if let Some(family) = self.names.path(callee).and_then(|path| server_class(&path)) {
            return Some(family);
        }
        let mut class = self.names.class(callee)?;
        for _ in 0..8 {
            let base = class.bases.first()?;
            let base = match base {
                Expr::Subscript(base, _) => base,
                other => other,
            };
            if let Some(family) = self.names.path(base).and_then(|path| server_class(&path)) {
                return Some(family);
            }
            class = self.names.class(base)?;
        }
        None
    }

    fn new_server(&mut self, family: Family, call: &'a Call) -> usize {
        let mut reader = Reader::new(&self.names);
        let instructions_at = if matches!(family, Family::Mcp2) { 3 } else { 1 };
        let title = reader.text("name", call.argument("name", 0));
        let instructions = match family {
            Family::LowLevel => reader.text("instructions", call.keyword("instructions")),
            _ => reader.text("instructions", call.argument("instructions", instructions_at)),
        };
        let own_class = self.names.class(&call.func).is_some();
        // A title or instructions that are worked out are left out; nothing that is listed depends on them.
        let mut reasons: Vec<String> = Vec::new();
        if own_class {
            reasons.push("its class is a subclass, which may change what it serves".to_owned());
        }
        for hidden in [
            "transforms",
            "providers",
            "include_tags",
            "exclude_tags",
            "tool_transformations",
            "resources",
            "extensions",
        ] {
            if call.keyword(hidden).is_some_and(|value| *value != Expr::None) {
                reasons.push(format!("`{hidden}` may change what it serves"));
            }
        }
        let features = Features { title, instructions, ..Features::default() };
        self.servers.push(Server {
            family,
            features,
            doubts: Vec::new(),
            runs: false,
            takes_handlers: false,
            mounts: Vec::new(),
        });
        let id = self.servers.len() - 1;
        reasons.into_iter().for_each(|reason| self.doubt(id, call.line, reason));
        if family == Family::LowLevel {
            lowlevel::constructed(self, id, call);
        } else if let Some(tools) = call.keyword("tools") {
            match tools {
                Expr::List(items) | Expr::Tuple(items) => {
                    for item in items {
                        self.register_argument(id, Kind::Tool, Options::none(), Some(item), call.line);
                    }
                }
                Expr::None => {}
                _ => self.doubt(id, call.line, "its `tools` are worked out when it starts"),
            }
        }
        id
    }

    /// A method called on a server.
    fn method(&mut self, server: usize, method: &str, call: &'a Call) {
        match method {
            "run"
            | "run_async"
            | "run_stdio_async"
            | "run_sse_async"
            | "run_streamable_http_async"
            | "run_http_async"
            | "sse_app"
            | "streamable_http_app"
            | "http_app" => self.servers[server].runs = true,
            "tool" | "resource" | "prompt" => {
                let Some(kind) = Kind::of_decorator(method) else { return };
                // With a function in hand the decorator registers at once (fastmcp).
                if call.positional(0).is_some_and(|argument| self.function(argument).is_some()) {
                    self.register_argument(
                        server,
                        kind,
                        Options::after_function(call),
                        call.positional(0),
                        call.line,
                    );
                }
            }
            "add_tool" => {
                self.register_argument(
                    server,
                    Kind::Tool,
                    Options::after_function(call),
                    call.argument("fn", 0),
                    call.line,
                );
            }
            "add_resource" | "add_template" | "add_prompt" | "add_resource_fn" => {
                let kind = if method == "add_prompt" { Kind::Prompt } else { Kind::Resource };
                self.register_argument(server, kind, Options::none(), call.positional(0), call.line);
            }
            "remove_tool" => {
                let name = Reader::new(&self.names).text("name", call.argument("name", 0));
                match name {
                    Some(name) => {
                        self.servers[server].features.tools.retain(|tool| tool.name.as_str() != name)
                    }
                    None => self.doubt(server, call.line, "a tool is removed whose name is not known"),
                }
            }
            "mount" | "import_server" => self.mount(server, call),
            "add_middleware"
            | "add_transform"
            | "add_provider"
            | "enable"
            | "disable"
            | "add_tool_transformation" => {
                self.doubt(server, call.line, format!("`{method}` may change what it serves"));
            }
            _ => {}
        }
    }

    fn mount(&mut self, server: usize, call: &'a Call) {
        let arguments: Vec<&Expr> = call
            .args
            .iter()
            .filter_map(|argument| match argument {
                Argument::Positional(value) => Some(value),
                _ => None,
            })
            .chain(["server", "prefix", "namespace"].into_iter().filter_map(|name| call.keyword(name)))
            .collect();
        let mounted = arguments.iter().find_map(|argument| self.server(argument));
        let prefix = arguments.iter().find_map(|argument| argument.as_str());
        match mounted {
            Some(mounted) if mounted != server => {
                self.servers[server].mounts.push((mounted, prefix.map(str::to_owned)));
                if call.args.len() > 2 || (prefix.is_none() && call.args.len() > 1) {
                    self.doubt(server, call.line, "how a server is mounted is not fully read");
                }
            }
            _ => self.doubt(server, call.line, "a server is mounted that is not made here"),
        }
    }

    /// Registers what an argument names: a function, a method, or a `Tool.from_function(…)`.
    fn register_argument(
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
    fn function(&self, expr: &Expr) -> Option<Subject<'a>> {
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
    fn decorated(&mut self, function: &'a Function, decorators: &'a [Decorator]) {
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

    fn finish(mut self) -> Option<Reading> {
        let mounted: Vec<usize> =
            self.servers.iter().flat_map(|server| server.mounts.iter().map(|(id, _)| *id)).collect();
        for id in 0..self.servers.len() {
            self.merge_mounts(id, 0);
        }
        let running: Vec<usize> = (0..self.servers.len()).filter(|id| self.servers[*id].runs).collect();
        let tops: Vec<usize> = (0..self.servers.len()).filter(|id| !mounted.contains(id)).collect();
        let (chosen, told) = match (&running[..], &tops[..]) {
            ([_], _) => (running, true),
            ([], [_]) => (tops, true),
            ([], _) => (tops, false),
            _ => (running, false),
        };
        let mut sdks: Vec<Sdk> = chosen
            .iter()
            .map(|id| match (self.servers[*id].family, self.servers[*id].takes_handlers) {
                (Family::Mcp1, _) | (Family::LowLevel, false) => Sdk::Mcp1,
                (Family::Mcp2, _) | (Family::LowLevel, true) => Sdk::Mcp2,
                (Family::FastMcp, _) => self.fastmcp,
            })
            .collect();
        sdks.dedup();
        let mut servers =
            std::mem::take(&mut self.servers).into_iter().enumerate().filter(|(id, _)| chosen.contains(id));
        let (_, first) = servers.next()?;
        let mut reading = Reading { features: first.features, doubts: first.doubts, sdks };
        for (_, server) in servers {
            let features = server.features;
            features
                .tools
                .into_iter()
                .for_each(|tool| add(&mut reading.features, Target::Tool(Box::new(tool)), false));
            features
                .resources
                .into_iter()
                .for_each(|it| add(&mut reading.features, Target::Resource(it), false));
            features
                .resource_templates
                .into_iter()
                .for_each(|it| add(&mut reading.features, Target::Template(it), false));
            features
                .prompts
                .into_iter()
                .for_each(|prompt| add(&mut reading.features, Target::Prompt(prompt), false));
            reading.doubts.extend(server.doubts);
        }
        if !told {
            reading.doubts.push(Doubt {
                line: 1,
                reason: "it builds several servers and does not say which one runs".to_owned(),
            });
        }
        reading.doubts.sort_by_key(|doubt| doubt.line);
        Some(reading)
    }

    /// Puts the features of mounted servers into their host's, with their prefix.
    fn merge_mounts(&mut self, id: usize, depth: usize) {
        let mounts = std::mem::take(&mut self.servers[id].mounts);
        for (mounted, prefix) in mounts {
            if depth < 8 {
                self.merge_mounts(mounted, depth + 1);
            }
            let mut features = self.servers[mounted].features.clone();
            let doubts = self.servers[mounted].doubts.clone();
            if let Some(prefix) = &prefix {
                for tool in &mut features.tools {
                    if let Ok(name) = dormouse_types::ToolName::try_new(format!("{prefix}_{}", tool.name)) {
                        // A title that fastmcp makes of the name follows the new one.
                        let made = super::fastmcp::default_title(tool.name.as_str());
                        if tool.title.as_ref() == Some(&made) {
                            tool.title = Some(super::fastmcp::default_title(name.as_str()));
                        }
                        tool.name = name;
                    }
                }
                features
                    .prompts
                    .iter_mut()
                    .for_each(|prompt| prompt.name = format!("{prefix}_{}", prompt.name));
                let path = |uri: &str| uri.replacen("://", &format!("://{prefix}/"), 1);
                features.resources.iter_mut().for_each(|resource| resource.uri = path(&resource.uri));
                features
                    .resource_templates
                    .iter_mut()
                    .for_each(|template| template.uri_template = path(&template.uri_template));
            }
            let host = &mut self.servers[id];
            features
                .tools
                .into_iter()
                .for_each(|tool| add(&mut host.features, Target::Tool(Box::new(tool)), false));
            features
                .resources
                .into_iter()
                .for_each(|it| add(&mut host.features, Target::Resource(it), false));
            features
                .resource_templates
                .into_iter()
                .for_each(|it| add(&mut host.features, Target::Template(it), false));
            features
                .prompts
                .into_iter()
                .for_each(|prompt| add(&mut host.features, Target::Prompt(prompt), false));
            host.doubts.extend(doubts);
        }
    }
}

fn method_of<'a>(class: &'a Class, name: &str) -> Option<&'a Function> {
    class.body.iter().find_map(|statement| match statement {
        Stmt::Function(function) if function.name == name => Some(&**function),
        _ => None,
    })
}

/// Adds a feature; of two with one name the later replaces the earlier, or is dropped.
pub(super) fn add(features: &mut Features, target: Target, replaces: bool) {
    fn put<T>(list: &mut Vec<T>, item: T, replaces: bool, same: impl Fn(&T, &T) -> bool) {
        match list.iter_mut().find(|known| same(known, &item)) {
            Some(known) if replaces => *known = item,
            Some(_) => {}
            None => list.push(item),
        }
    }
    match target {
        Target::Tool(tool) => put(&mut features.tools, *tool, replaces, |a, b| a.name == b.name),
        Target::Resource(resource) => put(&mut features.resources, resource, replaces, |a, b| a.uri == b.uri),
        Target::Template(template) => {
            put(&mut features.resource_templates, template, replaces, |a, b| {
                a.uri_template == b.uri_template
            });
        }
        Target::Prompt(prompt) => put(&mut features.prompts, prompt, replaces, |a, b| a.name == b.name),
    }
}
