//! Which SDK a class or function belongs to.

/// The SDK that a script is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sdk {
    /// The official SDK, first generation (`mcp.server.fastmcp`, decorators on `Server`).
    Mcp1,
    /// The official SDK, second generation (`MCPServer`, `Server(on_…=)`).
    Mcp2,
    /// The independent fastmcp, second generation.
    FastMcp2,
    /// The independent fastmcp, third generation.
    FastMcp3,
    /// The independent fastmcp, fourth generation and later.
    FastMcp4,
}

impl Sdk {
    /// Its name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mcp1 => "mcp 1",
            Self::Mcp2 => "mcp 2",
            Self::FastMcp2 => "fastmcp 2",
            Self::FastMcp3 => "fastmcp 3",
            Self::FastMcp4 => "fastmcp 4",
        }
    }

    pub(crate) fn is_fastmcp(self) -> bool {
        matches!(self, Self::FastMcp2 | Self::FastMcp3 | Self::FastMcp4)
    }
}

/// A kind of server class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// `mcp.server.fastmcp.FastMCP`.
    Mcp1,
    /// `MCPServer`.
    Mcp2,
    /// fastmcp's `FastMCP`; which generation is decided for the whole file.
    FastMcp,
    /// The low-level `Server`; which generation shows in its use.
    LowLevel,
}

/// The family of a server class by its dotted path.
pub(crate) fn server_class(path: &str) -> Option<Family> {
    let (module, name) = path.rsplit_once('.')?;
    match (module, name) {
        ("mcp.server.fastmcp" | "mcp.server.fastmcp.server" | "mcp.server", "FastMCP") => Some(Family::Mcp1),
        ("mcp.server.mcpserver" | "mcp.server.mcpserver.server" | "mcp.server" | "mcp", "MCPServer") => {
            Some(Family::Mcp2)
        }
        ("fastmcp" | "fastmcp.server" | "fastmcp.server.server", "FastMCP") => Some(Family::FastMcp),
        ("mcp.server" | "mcp.server.lowlevel" | "mcp.server.lowlevel.server", "Server") => {
            Some(Family::LowLevel)
        }
        _ => None,
    }
}

/// Whether a path names the SDKs' `Context`, which tools get and clients do not see.
pub(crate) fn is_context(path: &str) -> bool {
    let Some((module, "Context")) = path.rsplit_once('.') else { return false };
    let root = module.split('.').next();
    matches!(root, Some("mcp" | "fastmcp"))
}
