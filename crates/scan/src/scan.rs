//! One script: from its text to what it would serve.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dormouse_types::{Confidence, Doubt, Features, PythonNeeds};

use crate::lazy::Lazy;
use crate::needs::{Header, header, needs};
use crate::sdk::{Reading, read};
use crate::{Sdk, hash, source};

/// The size over which a file is not read: the largest real server among some hundred has 180 kB,
/// and a file this long is data, not a script.
pub const MAX_BYTES: u64 = 1 << 20;

/// What a file turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Scanned {
    /// It builds an MCP server.
    Server(Script),
    /// It does not, and why.
    NoServer {
        /// In words for a person.
        reason: String,
    },
}

/// A script that builds a server, read without running it.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    pub(crate) features: Lazy,
    /// How sure that is.
    pub confidence: Confidence,
    /// What it needs installed.
    pub needs: PythonNeeds,
    /// The SDK that it is written for.
    pub sdk: Sdk,
    /// The modules beside it that it imports, sorted.
    pub local_modules: Vec<PathBuf>,
    /// A hash of the script and those modules: what was learned from one content holds for it only.
    pub content_hash: String,
}

impl Script {
    /// What it would serve. Of a script that a cache file knows it is read when it is first asked for.
    pub fn features(&self) -> &Arc<Features> {
        self.features.get()
    }
}

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// It cannot be opened or read.
    #[error("the file cannot be read: {reason}")]
    Unreadable {
        /// What the system said.
        reason: String,
    },
    /// It is longer than [`MAX_BYTES`].
    #[error("the file has {bytes} bytes; a script may have {MAX_BYTES}")]
    TooLarge {
        /// Its length.
        bytes: u64,
    },
    /// It is no text.
    #[error("the file is not UTF-8 (byte {at})")]
    NotUtf8 {
        /// Where the first wrong byte stands.
        at: usize,
    },
    /// It is a link that leads out of its folder, or no file at all.
    #[error("the file is a link that leads out of its folder, to {target}")]
    LinkOutside {
        /// Where it leads.
        target: String,
    },
    /// It is a folder, a pipe or the like.
    #[error("this is no file")]
    NoFile,
}

/// Reads a script from a file.
///
/// # Errors
/// [`ScanError`] if the file cannot be read as a script at all. A script that is merely broken is a result.
pub fn scan_file(path: &Path) -> Result<Scanned, ScanError> {
    Ok(scan_source(path, &read_file(path)?))
}

pub(crate) fn read_file(path: &Path) -> Result<String, ScanError> {
    let unreadable = |error: std::io::Error| ScanError::Unreadable { reason: error.to_string() };
    let own = fs::symlink_metadata(path).map_err(unreadable)?;
    if own.file_type().is_symlink() {
        let target = path.canonicalize().map_err(unreadable)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !target.starts_with(folder.canonicalize().map_err(unreadable)?) {
            return Err(ScanError::LinkOutside { target: target.display().to_string() });
        }
    }
    let data = fs::metadata(path).map_err(unreadable)?;
    if !data.is_file() {
        return Err(ScanError::NoFile);
    }
    if data.len() > MAX_BYTES {
        return Err(ScanError::TooLarge { bytes: data.len() });
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| ScanError::NotUtf8 { at: error.utf8_error().valid_up_to() })
}

/// Reads a script from its text. Local modules are looked up beside `path`; nothing else is touched.
pub fn scan_source(path: &Path, text: &str) -> Scanned {
    // Whatever builds a server imports it by a path with this in it; other files are not worth a parse.
    if !text.contains("mcp") {
        return no_server("it does not mention an MCP SDK");
    }
    let normal;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = if text.contains('\r') {
        normal = text.replace("\r\n", "\n").replace('\r', "\n");
        &normal
    } else {
        text
    };
    let parsed = source::parse(text);
    let head = header(text);
    let (fastmcp, old_fastmcp) = fastmcp_generation(text, head.as_ref());
    let Some(Reading { features, doubts, sdks }) = read(&parsed.body, fastmcp) else {
        return no_server(&match parsed.broken_at {
            Some(line) => format!("it has a syntax error at line {line}, and no server is seen"),
            None => "it builds no MCP server".to_owned(),
        });
    };
    let mut doubts = doubts;
    if let Some(line) = parsed.broken_at {
        doubts.insert(
            0,
            Doubt { line, reason: "there is a syntax error: the script may not start".to_owned() },
        );
    }
    let found = needs(path, &parsed.body, head, &sdks, old_fastmcp);
    let content_hash = hash::content(text, &found.local_modules);
    Scanned::Server(Script {
        features: Lazy::made(features),
        confidence: if doubts.is_empty() { Confidence::Full } else { Confidence::Partial(doubts) },
        needs: found.python,
        sdk: sdks.first().copied().unwrap_or(Sdk::Mcp1),
        local_modules: found.local_modules,
        content_hash,
    })
}

fn no_server(reason: &str) -> Scanned {
    Scanned::NoServer { reason: reason.to_owned() }
}

/// Which generation of fastmcp a script is for: what its header asks for, else what its calls need.
fn fastmcp_generation(text: &str, head: Option<&Result<Header, String>>) -> (Sdk, bool) {
    if let Some(Ok(header)) = head {
        let generations: [(Sdk, &[&str]); 3] = [
            (Sdk::FastMcp4, &["4.0.0", "4.1.2", "4.999", "5.0.0", "999"]),
            (Sdk::FastMcp3, &["3.0.0", "3.1.0", "3.4.0", "3.999"]),
            (Sdk::FastMcp2, &["2.0.0", "2.10.0", "2.12.0", "2.14.7", "2.999"]),
        ];
        let pinned =
            generations.iter().find(|(_, versions)| header.admits("fastmcp", versions) == Some(true));
        if let Some((sdk, _)) = pinned {
            return (*sdk, *sdk == Sdk::FastMcp2);
        }
    }
    // Only the second generation has these.
    const ONLY_TWO: [&str; 9] = [
        "exclude_args=",
        ".as_proxy(",
        ".import_server(",
        "as_proxy=",
        "tool_serializer=",
        "include_fastmcp_meta=",
        "on_duplicate_tools=",
        "enabled=",
        "stateless_http=",
    ];
    let old = text.contains("fastmcp") && ONLY_TWO.iter().any(|word| text.contains(word));
    (if old { Sdk::FastMcp2 } else { Sdk::FastMcp4 }, old)
}
