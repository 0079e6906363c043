//! What a script needs installed: its PEP 723 header, else what its imports tell.

mod header;
mod imports;
mod packages;

use std::path::{Path, PathBuf};

use dormouse_types::PythonNeeds;

pub(crate) use header::{Header, header};

use crate::sdk::Sdk;
use crate::source::Stmt;

/// The needs of a script, and the modules beside it that it imports.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    pub(crate) python: PythonNeeds,
    pub(crate) local_modules: Vec<PathBuf>,
}

/// Works out the needs of a script.
pub(crate) fn needs(
    path: &Path,
    body: &[Stmt],
    header: Option<Result<Header, String>>,
    sdks: &[Sdk],
    pinned_fastmcp: bool,
) -> Needs {
    let found = imports::follow(path, body);
    let python = match header {
        Some(Ok(header)) => header.into_needs(),
        Some(Err(problem)) => PythonNeeds { problem: Some(problem), ..PythonNeeds::default() },
        None => from_imports(&found, sdks, pinned_fastmcp),
    };
    Needs { python, local_modules: found.local_modules }
}

fn from_imports(found: &imports::Found, sdks: &[Sdk], old_fastmcp: bool) -> PythonNeeds {
    let mut requirements = Vec::new();
    let mut unknown: Vec<(&str, usize)> = Vec::new();
    let has_fastmcp = sdks.iter().any(|sdk| sdk.is_fastmcp())
        || found.modules.iter().any(|import| import.top() == "fastmcp");
    for import in &found.modules {
        match import.top() {
            // fastmcp brings the `mcp` that it was made for.
            "mcp" | "mcp_types" if has_fastmcp => {}
            "mcp" | "fastmcp" | "mcp_types" => {}
            top if packages::is_standard(top) => {}
            top => match packages::package(&import.module) {
                Some(package) => requirements.push(package.to_owned()),
                None if import.optional => {}
                None => unknown.push((top, import.line)),
            },
        }
    }
    if has_fastmcp {
        requirements.push(if old_fastmcp { "fastmcp<3" } else { "fastmcp" }.to_owned());
    }
    let mut problem = None;
    match (sdks.contains(&Sdk::Mcp1), sdks.contains(&Sdk::Mcp2)) {
        (true, true) => {
            problem = Some("it uses `mcp` of both generations, which cannot be installed together".to_owned())
        }
        (true, false) if !has_fastmcp => requirements.push("mcp<2".to_owned()),
        (false, true) if !has_fastmcp => requirements.push("mcp>=2".to_owned()),
        _ => {}
    }
    requirements.sort();
    requirements.dedup();
    unknown.sort_unstable();
    unknown.dedup_by_key(|(name, _)| *name);
    if !unknown.is_empty() {
        problem = Some(unknown_imports(&requirements, &unknown));
    }
    PythonNeeds { requirements, requires_python: None, problem }
}

/// Says which imports are not known, and how the script can tell.
fn unknown_imports(known: &[String], unknown: &[(&str, usize)]) -> String {
    let names: Vec<String> = unknown.iter().map(|(name, line)| format!("`{name}` (line {line})")).collect();
    let listed: Vec<String> = known
        .iter()
        .cloned()
        .chain(unknown.iter().map(|(name, _)| format!("the package of {name}")))
        .map(|requirement| format!("\"{requirement}\""))
        .collect();
    format!(
        "no package is known for the import of {}; put the right names into this header at the top of the script:\n# /// script\n# dependencies = [{}]\n# ///",
        names.join(", "),
        listed.join(", ")
    )
}
