//! The entry of the hub in a client's file: what it says, and how it is known again.
//!
//! # Invariants
//!
//! * An entry is ours by what it starts or where it leads, never by its name alone.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use hyper::Uri;
use serde_json::{Map, Value, json};

use super::super::or_stdin;
use crate::args::{Connect, Mode};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::place::Place;

/// Options of ours that have a value; others stand alone.
const WITH_VALUE: [&str; 6] = ["--space", "--storage", "--model", "--agent", "--mode", "--server"];

/// What is known of the hub that shall be in the client's file.
#[derive(Debug)]
pub(super) struct Us {
    program: PathBuf,
    space: PathBuf,
    /// Where it listens, by the settings.
    base: String,
    /// Hosts and ports that are this hub's.
    origins: Vec<String>,
}

/// An entry that leads to a hub of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ours {
    /// Whether it is the hub of this space.
    pub(super) is_here: bool,
    /// The space that it names.
    pub(super) space: Option<String>,
    /// Its address, without what may be secret.
    pub(super) url: Option<String>,
    pub(super) agent: Option<String>,
    /// Whether something stands around it, such as `env`.
    pub(super) is_wrapped: bool,
}

impl Us {
    pub(super) fn of(place: &Place, http: Option<&str>) -> Result<Self, Failure> {
        let space = place.space()?;
        let config = place.config(&space)?;
        let host = match config.http.host.as_str() {
            "0.0.0.0" => "127.0.0.1".to_owned(),
            "::" | "[::]" => "[::1]".to_owned(),
            host if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
            host => host.to_owned(),
        };
        let base = format!("http://{host}:{}", config.http.port);
        let origins = [Some(base.as_str()), http].into_iter().flatten();
        let origins = origins.filter_map(|url| Some(origin(&url.parse().ok()?))).collect();
        Ok(Self { program: program()?, space: space.root().to_owned(), base, origins })
    }

    /// The entry that is asked for, in the form of `mcp.json`.
    pub(super) fn entry(&self, asked: &Connect) -> Result<Map<String, Value>, Failure> {
        let mode = match (asked.mode.map(Mode::as_str), &asked.server) {
            (Some("single"), None) => {
                return Err(usage("the mode single needs --server NAME"));
            }
            (Some(mode @ ("all" | "search")), Some(_)) => {
                return Err(usage(&format!("--server goes with the mode single, not with {mode}")));
            }
            (None, Some(_)) => Some("single"),
            (mode, _) => mode,
        };
        let entry = match &asked.http {
            None => {
                let mut args = vec!["mcp", "--space", text_of(&self.space)?];
                let agent = asked.view.agent.as_ref().map(|agent| agent.as_str());
                let server = asked.server.as_ref().map(|server| server.as_str());
                for (option, value) in [("--agent", agent), ("--mode", mode), ("--server", server)] {
                    args.extend(value.into_iter().flat_map(|value| [option, value]));
                }
                json!({ "command": text_of(&self.program)?, "args": args })
            }
            Some(url) => {
                let mut entry = json!({ "url": self.url(url.as_deref(), asked, mode)? });
                if let Some(credential) = credential(asked)? {
                    entry["headers"] = json!({ "Authorization": format!("Bearer {credential}") });
                }
                entry
            }
        };
        match entry {
            Value::Object(entry) => Ok(entry),
            _ => Ok(Map::new()),
        }
    }

    /// The command line of such an entry, which holds no secret; `None` for an address.
    pub(super) fn runs(&self, asked: &Connect) -> Option<String> {
        let entry = self.entry(asked).ok()?;
        let args = entry.get("args")?.as_array()?.iter();
        let words: Option<Vec<&str>> =
            entry.get("command").into_iter().chain(args).map(Value::as_str).collect();
        Some(words?.join(" "))
    }

    fn url(&self, named: Option<&str>, asked: &Connect, mode: Option<&str>) -> Result<String, Failure> {
        if named.is_none() && self.base.ends_with(":0") {
            let failure = usage("the settings leave the port open");
            return Err(failure.hint("name the address: --http http://127.0.0.1:PORT"));
        }
        let (address, query) = match named.unwrap_or(&self.base).split_once('?') {
            Some((address, query)) => (address, Some(query)),
            None => (named.unwrap_or(&self.base), None),
        };
        let address = address.trim_end_matches('/');
        let of_agent = asked.view.agent.as_ref().map(|agent| format!("/agents/{}/mcp", agent));
        let is_endpoint = address.ends_with("/mcp");
        let path = match (is_endpoint, &of_agent) {
            (false, Some(path)) => path,
            (false, None) => "/mcp",
            (true, Some(path)) if !address.ends_with(path.as_str()) => {
                return Err(usage("the address is that of another endpoint than the agent's"));
            }
            (true, _) => "",
        };
        let mut queries: Vec<String> = query.into_iter().map(str::to_owned).collect();
        queries.extend(mode.map(|mode| format!("mode={mode}")));
        queries.extend(asked.server.as_ref().map(|server| format!("server={server}")));
        let query = if queries.is_empty() { String::new() } else { format!("?{}", queries.join("&")) };
        Ok(format!("{address}{path}{query}"))
    }

    /// What an entry says of a hub, if it leads to one.
    pub(super) fn ours(&self, entry: &Value) -> Option<Ours> {
        let text = |field: &str| entry.get(field).and_then(Value::as_str);
        if let Some(url) = text("url").or_else(|| text("serverUrl")) {
            let uri: Uri = url.parse().ok()?;
            let agent = endpoint(uri.path())?;
            let is_here = self.origins.contains(&origin(&uri));
            let shown = format!("{}{}", shown_origin(&uri), uri.path());
            return is_here.then_some(Ours {
                is_here,
                space: None,
                url: Some(shown),
                agent,
                is_wrapped: false,
            });
        }
        let args = entry.get("args").and_then(Value::as_array).into_iter().flatten();
        let words: Vec<&str> = text("command").into_iter().chain(args.filter_map(Value::as_str)).collect();
        let is_program = |word: &&str| {
            let path = Path::new(word);
            path.file_name() == Some(OsStr::new("dormouse")) || path == self.program
        };
        let at = words.iter().position(is_program)?;
        let mut space = None;
        let mut agent = None;
        let mut is_mcp = false;
        let mut rest = words[at + 1..].iter();
        while let Some(word) = rest.next() {
            let (option, value) = match word.split_once('=') {
                Some((option, value)) => (option, Some(value)),
                None if WITH_VALUE.contains(word) => (*word, rest.next().copied()),
                None => (*word, None),
            };
            match option {
                "--space" => space = value,
                "--agent" => agent = value,
                "mcp" => is_mcp = true,
                option if option.starts_with('-') => {}
                // Another command of ours is no server.
                _ if !is_mcp => return None,
                _ => {}
            }
        }
        let of_env = || entry.get("env")?.get("DORMOUSE_SPACE")?.as_str();
        let space = space.or_else(of_env);
        let is_here = space.is_some_and(|space| {
            Path::new(space) == self.space || Path::new(space).canonicalize().is_ok_and(|it| it == self.space)
        });
        let (space, agent) = (space.map(str::to_owned), agent.map(str::to_owned));
        is_mcp.then_some(Ours { is_here, space, url: None, agent, is_wrapped: at > 0 })
    }
}

/// What stands behind `Bearer`.
fn credential(asked: &Connect) -> Result<Option<String>, Failure> {
    Ok(match (&asked.token_env, &asked.token) {
        (Some(variable), _) => Some(format!("${{{variable}}}")),
        (None, Some(token)) => {
            let token = or_stdin(token.clone())?.trim().to_owned();
            if token.is_empty() || token.contains(|c: char| c.is_whitespace() || c.is_control()) {
                return Err(Failure::new(Exit::Usage, "this is no token"));
            }
            Some(token)
        }
        (None, None) => None,
    })
}

/// The agent of an endpoint's path, if it is one.
fn endpoint(path: &str) -> Option<Option<String>> {
    let path = path.trim_end_matches('/').strip_suffix("/mcp")?;
    let mut parts = path.rsplit('/');
    match (parts.next(), parts.next()) {
        (Some(agent), Some("agents")) if !agent.is_empty() => Some(Some(agent.to_owned())),
        _ => Some(None),
    }
}

/// Host and port of an address; all names of this machine are one.
fn origin(uri: &Uri) -> String {
    let host = match uri.host().unwrap_or_default() {
        "localhost" | "127.0.0.1" | "[::1]" => "localhost",
        host => host,
    };
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    format!("{}:{port}", host.to_ascii_lowercase())
}

fn shown_origin(uri: &Uri) -> String {
    let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", uri.scheme_str().unwrap_or("http"), uri.host().unwrap_or_default())
}

/// This program, as the client shall start it: by the name under which it is found, since what a
/// link leads to may be gone after an update.
fn program() -> Result<PathBuf, Failure> {
    let program = env::current_exe().map_err(|error| {
        Failure::new(Exit::Unexpected, "cannot tell where this program lies").caused_by(&error)
    })?;
    let name = program.file_name().unwrap_or(OsStr::new("dormouse"));
    let found = env::var_os("PATH").and_then(|path| {
        let mut places = env::split_paths(&path).filter(|folder| folder.is_absolute());
        places.find_map(|folder| {
            let place = folder.join(name);
            place.canonicalize().is_ok_and(|it| it == program).then_some(place)
        })
    });
    Ok(found.unwrap_or(program))
}

fn text_of(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| {
        let message = format!("{} cannot stand in a client's file: it is no text", path.display());
        Failure::new(Exit::Configuration, message)
    })
}

fn usage(message: &str) -> Failure {
    Failure::new(Exit::Usage, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us() -> Us {
        Us {
            program: PathBuf::from("/opt/mouse"),
            space: PathBuf::from("/space"),
            base: "http://127.0.0.1:18200".to_owned(),
            origins: vec!["localhost:18200".to_owned()],
        }
    }

    #[test]
    fn an_entry_is_ours_by_what_it_does() {
        let ours = |entry: Value| us().ours(&entry);
        for entry in [
            json!({"command": "/opt/mouse", "args": ["mcp", "--space", "/space"]}),
            json!({"command": "dormouse", "args": ["--space=/space", "mcp", "--agent", "a"]}),
            json!({"command": "/x/dormouse", "args": ["mcp"], "env": {"DORMOUSE_SPACE": "/space"}}),
            json!({"url": "http://localhost:18200/mcp?mode=search"}),
            json!({"serverUrl": "http://[::1]:18200/agents/a/mcp/"}),
        ] {
            assert!(ours(entry.clone()).is_some_and(|it| it.is_here), "{entry}");
        }
        for (entry, is_here, agent, is_wrapped) in [
            (json!({"command": "env", "args": ["A=b", "dormouse", "mcp"]}), false, None, true),
            (
                json!({"command": "dormouse", "args": ["mcp", "--space", "/o", "--agent", "a"]}),
                false,
                Some("a"),
                false,
            ),
        ] {
            let ours = ours(entry).unwrap();
            assert_eq!((ours.is_here, ours.agent.as_deref(), ours.is_wrapped), (is_here, agent, is_wrapped));
        }
        for entry in [
            json!({"command": "dormouse", "args": ["serve"]}),
            json!({"command": "npx", "args": ["-y", "mcp"]}),
            json!({"url": "http://localhost:18201/mcp"}),
            json!({"url": "http://localhost:18200/other"}),
            json!({"url": 7}),
            json!("dormouse"),
        ] {
            assert_eq!(ours(entry.clone()), None, "{entry}");
        }
    }
}
