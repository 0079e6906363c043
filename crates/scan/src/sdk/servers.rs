//! The servers that a script builds, and what the one that runs would serve.

use dormouse_types::{Doubt, Features};

use super::family::{Family, Sdk, server_class};
use super::lowlevel;
use super::options::{Options, Reader};
use super::register::{Kind, Target};
use super::walk::Walker;
use crate::source::{Argument, Call, Expr};

/// A server that the script builds.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) family: Family,
    pub(super) features: Features,
    pub(super) doubts: Vec<Doubt>,
    /// Whether the script says that this one runs.
    pub(super) runs: bool,
    /// Of a low-level server: whether its handlers are given as the second generation takes them.
    pub(super) takes_handlers: bool,
    pub(super) mounts: Vec<(usize, Option<String>)>,
}

/// What a script turned out to be.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) features: Features,
    pub(crate) doubts: Vec<Doubt>,
    pub(crate) sdks: Vec<Sdk>,
}

impl<'a> Walker<'a> {
    pub(super) fn doubt(&mut self, server: usize, line: usize, reason: impl Into<String>) {
        let doubt = Doubt { line, reason: reason.into() };
        if let Some(server) = self.servers.get_mut(server)
            && !server.doubts.contains(&doubt)
        {
            server.doubts.push(doubt);
        }
    }

    /// The kind of server that a callee makes.
    pub(super) fn family_of(&self, callee: &Expr) -> Option<Family> {
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

    pub(super) fn new_server(&mut self, family: Family, call: &'a Call) -> usize {
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
    pub(super) fn method(&mut self, server: usize, method: &str, call: &'a Call) {
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

    pub(super) fn finish(mut self) -> Option<Reading> {
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
