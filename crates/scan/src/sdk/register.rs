//! One registration: a function that becomes a tool, a resource or a prompt.

use dormouse_types::{Prompt, Resource, ResourceTemplate, Tool};

use super::family::{Family, Sdk};
use super::options::{Options, Reader};
use super::{fastmcp, mcp};
use crate::source::{Expr, Function, Names, Param};

/// What a function is registered as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tool,
    Resource,
    Prompt,
}

impl Kind {
    /// The kind of a decorator by its name.
    pub(crate) fn of_decorator(name: &str) -> Option<Self> {
        match name {
            "tool" => Some(Self::Tool),
            "resource" => Some(Self::Resource),
            "prompt" => Some(Self::Prompt),
            _ => None,
        }
    }
}

/// The function behind a registration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) function: &'a Function,
    /// Whether its first parameter is bound already (`self`).
    pub(crate) is_bound: bool,
}

impl<'a> Subject<'a> {
    pub(crate) fn name(&self) -> &'a str {
        &self.function.name
    }

    pub(crate) fn params(&self) -> &'a [Param] {
        let params = &self.function.params[..];
        if self.is_bound { params.get(1..).unwrap_or_default() } else { params }
    }

    pub(crate) fn returns(&self) -> Option<&'a Expr> {
        self.function.returns.as_ref()
    }

    pub(crate) fn doc(&self) -> Option<&'a str> {
        self.function.doc.as_deref()
    }
}

/// What a registration adds to a server.
#[derive(Debug)]
pub(crate) enum Target {
    Tool(Box<Tool>),
    Resource(Resource),
    Template(ResourceTemplate),
    Prompt(Prompt),
}

/// What a registration came to.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) target: Option<Target>,
    pub(crate) doubts: Vec<String>,
}

/// Works out what a server serves for a function.
pub(crate) fn register<'a>(
    kind: Kind,
    subject: Subject<'a>,
    options: Options<'_>,
    family: Family,
    fastmcp_sdk: Sdk,
    names: &Names<'a>,
) -> Registered {
    let mut reader = Reader::new(names);
    if options.has_splat() {
        reader.doubt("some of its options are passed with `*`");
    }
    let sdk = match family {
        Family::Mcp1 => Sdk::Mcp1,
        Family::Mcp2 | Family::LowLevel => Sdk::Mcp2,
        Family::FastMcp => fastmcp_sdk,
    };
    let target = match (kind, sdk.is_fastmcp()) {
        (Kind::Tool, false) => {
            mcp::tool(&subject, options, sdk, &mut reader).map(|tool| Target::Tool(Box::new(tool)))
        }
        (Kind::Tool, true) => {
            fastmcp::tool(&subject, options, sdk, &mut reader).map(|tool| Target::Tool(Box::new(tool)))
        }
        (Kind::Resource, false) => mcp::resource(&subject, options, sdk, &mut reader),
        (Kind::Resource, true) => fastmcp::resource(&subject, options, sdk, &mut reader),
        (Kind::Prompt, false) => mcp::prompt(&subject, options, sdk, &mut reader).map(Target::Prompt),
        (Kind::Prompt, true) => fastmcp::prompt(&subject, options, sdk, &mut reader).map(Target::Prompt),
    };
    Registered { target, doubts: reader.doubts }
}
