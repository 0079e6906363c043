//! Where each client keeps its configuration.

use std::path::PathBuf;

use super::Client;

/// Where to look for clients.
#[derive(Debug, Clone)]
pub struct Places {
    /// The person's folder.
    pub home: PathBuf,
    /// The project, where one is meant.
    pub project: Option<PathBuf>,
    /// The system that the paths are for.
    pub platform: Platform,
    /// Folders that the person named.
    pub named: Named,
}

/// Folders that a person named by variables of the environment, instead of the usual ones.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// `XDG_CONFIG_HOME`: for Claude Desktop and VS Code on Linux.
    pub config_home: Option<PathBuf>,
    /// `CODEX_HOME`.
    pub codex: Option<PathBuf>,
    /// `CLAUDE_CONFIG_DIR`: for Claude Code.
    pub claude: Option<PathBuf>,
}

impl Named {
    /// As the variables say; `variable` looks one up. An `XDG_CONFIG_HOME` that is not absolute
    /// counts for nothing, as its specification wants it.
    pub fn by(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        let folder = |name: &str| variable(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Self {
            config_home: folder("XDG_CONFIG_HOME").filter(|path| path.is_absolute()),
            codex: folder("CODEX_HOME"),
            claude: folder("CLAUDE_CONFIG_DIR"),
        }
    }
}

/// A kind of system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// Linux and the like.
    Linux,
    /// macOS.
    Mac,
    /// Windows.
    Windows,
}

impl Platform {
    /// The one that this program runs on.
    pub fn current() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else if cfg!(target_os = "macos") {
            Self::Mac
        } else {
            Self::Linux
        }
    }
}

impl Client {
    /// Where its configuration lies: the project's own first, if a project is meant.
    pub fn files(self, places: &Places) -> Vec<PathBuf> {
        let Places { home, project, platform, named } = places;
        let app = |name: &str| match platform {
            Platform::Linux => named.config_home.clone().unwrap_or_else(|| home.join(".config")).join(name),
            Platform::Mac => home.join("Library/Application Support").join(name),
            Platform::Windows => home.join("AppData/Roaming").join(name),
        };
        let (of_project, of_user) = match self {
            Self::ClaudeDesktop => (None, app("Claude").join("claude_desktop_config.json")),
            Self::ClaudeCode => {
                (Some(".mcp.json"), named.claude.as_ref().unwrap_or(home).join(".claude.json"))
            }
            Self::Cursor => (Some(".cursor/mcp.json"), home.join(".cursor/mcp.json")),
            Self::VsCode => (Some(".vscode/mcp.json"), app("Code").join("User/mcp.json")),
            Self::Codex => {
                let folder = named.codex.clone().unwrap_or_else(|| home.join(".codex"));
                (Some(".codex/config.toml"), folder.join("config.toml"))
            }
        };
        let of_project = project.as_ref().zip(of_project).map(|(project, file)| project.join(file));
        of_project.into_iter().chain([of_user]).collect()
    }
}
