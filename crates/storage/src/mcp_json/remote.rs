//! The part of an entry that names a server at a URL.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dormouse_types::{Auth, Env, Remote, RemoteTransport};
use serde_json::{Map, Value};

use super::ProblemKind;
use super::reader::Reader;

/// What `type` or `transport` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamedTransport {
    Stdio,
    Http(RemoteTransport),
}

/// The transport of a name, in any of the spellings that clients use.
pub(crate) fn named_transport(name: &str) -> Option<NamedTransport> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.to_ascii_lowercase().as_str() {
        "stdio" => Some(NamedTransport::Stdio),
        "http" | "streamablehttp" => Some(NamedTransport::Http(RemoteTransport::StreamableHttp)),
        "sse" | "httpsse" => Some(NamedTransport::Http(RemoteTransport::Sse)),
        _ => None,
    }
}

/// Whether a name is that of a transport which a program brings: the scheme of the URL, said
/// once more. The scheme alone is not enough, since most often it is a slip.
pub(crate) fn names_own(name: &str, url: &str) -> bool {
    let is_scheme = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let of_url = url.split_once("://").filter(|(_, rest)| !rest.is_empty());
    is_scheme
        && named_transport(name).is_none()
        && !["http", "https"].contains(&name)
        && of_url.is_some_and(|(scheme, _)| scheme == name)
}

/// The transport that a URL suggests: SSE when its path holds `/sse`.
pub(crate) fn inferred_transport(url: &str) -> RemoteTransport {
    // Not of the host: `https://sse.example.org/mcp` says nothing about the transport.
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find('/').map_or("", |start| &after_scheme[start..]);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if path.contains("/sse") { RemoteTransport::Sse } else { RemoteTransport::StreamableHttp }
}

/// The header that a short form stands for: `token` and `auth` are bearer tokens unless they
/// name their scheme, `api_key` is `X-API-Key`.
pub(super) fn header_for(field: &str, text: &str) -> (&'static str, String) {
    if field == "api_key" {
        return ("X-API-Key", text.to_owned());
    }
    let scheme = text.split_once(' ').map(|(scheme, _)| scheme);
    let named = scheme.is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_alphanumeric()));
    ("Authorization", if named { text.to_owned() } else { format!("Bearer {text}") })
}

/// The short forms that [`header_for`] knows.
pub(super) const SHORT_FORMS: [&str; 3] = ["auth", "token", "api_key"];

impl Reader<'_> {
    pub(super) fn remote(
        &mut self,
        path: &str,
        entry: &Map<String, Value>,
        ca_file: Option<PathBuf>,
        oauth: Option<Auth>,
    ) -> Option<Remote> {
        let at = |field: &str| format!("{path}.{field}");
        let field = |name: &str| entry.get(name).filter(|value| !value.is_null());
        let url_field = if field("url").is_some() { "url" } else { "serverUrl" };
        let named = ["transport", "type"].into_iter().find(|name| field(name).is_some());
        let words = |name: &str| field(name).and_then(Value::as_str);
        let own = named.and_then(words).zip(words(url_field)).is_some_and(|(name, url)| names_own(name, url));
        let url = self.url(&at(url_field), field(url_field)?, own);
        let transport = match named {
            Some(_) if own => Some(RemoteTransport::Own),
            Some(name) => self.transport(&at(name), field(name)?),
            None => Some(inferred_transport(url.as_deref().unwrap_or_default())),
        };
        let headers = self.headers(path, entry);
        let by_field = (field("auth").and_then(Value::as_str) == Some("oauth"))
            .then_some(Auth::AuthorizationCode { client_id: None, client_secret: None, scopes: Vec::new() });
        for idle in ["args", "env", "cwd", "working_dir"] {
            let empty = |value: &Value| match value {
                Value::Array(items) => items.is_empty(),
                Value::Object(members) => members.is_empty(),
                Value::String(text) => text.is_empty(),
                _ => false,
            };
            if field(idle).is_some_and(|value| !empty(value)) {
                let message = "is for a `command`; this server is at a `url`".to_owned();
                (self.note)(at(idle), ProblemKind::Ignored, message);
            }
        }
        Some(Remote {
            url: url?,
            transport: transport?,
            headers: headers?,
            auth: oauth.or(by_field).unwrap_or_default(),
            ca_file,
        })
    }

    fn url(&mut self, path: &str, value: &Value, own: bool) -> Option<String> {
        let url = self.text(path, value)?;
        let scheme = url.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
        let good = match scheme {
            _ if url.contains(char::is_whitespace) || url.contains(char::is_control) => false,
            _ if own => true,
            Some((scheme, rest)) if scheme == "http" || scheme == "https" => {
                !rest.is_empty() && !rest.starts_with(['/', '?', '#', ':'])
            }
            // Its scheme may be in the variable.
            _ => url.starts_with("${"),
        };
        // Without the text, which may hold a key.
        if good { Some(url) } else { self.unusable(path, "is no URL of http or https") }
    }

    fn transport(&mut self, path: &str, value: &Value) -> Option<RemoteTransport> {
        match named_transport(&self.text(path, value)?) {
            Some(NamedTransport::Http(transport)) => Some(transport),
            Some(NamedTransport::Stdio) => {
                self.unusable(path, "is \"stdio\", which goes with `command`; this server is at a `url`")
            }
            None => self.wrong(path, "\"streamable-http\", \"http\" or \"sse\"", value),
        }
    }

    fn headers(&mut self, path: &str, entry: &Map<String, Value>) -> Option<Env> {
        let mut headers = BTreeMap::new();
        let mut good = true;
        let at = format!("{path}.headers");
        let written = match entry.get("headers").filter(|value| !value.is_null()) {
            None => &Map::new(),
            Some(Value::Object(written)) => written,
            Some(other) => return self.wrong(&at, "an object of texts", other),
        };
        for (name, value) in written {
            match self.header(&format!("{at}.{name}"), name, value) {
                Some(Some(text)) => drop(headers.insert(name.clone(), text)),
                Some(None) => {}
                None => good = false,
            }
        }
        for field in SHORT_FORMS {
            let Some(value) = entry.get(field).filter(|value| !value.is_null()) else { continue };
            let at = format!("{path}.{field}");
            match value {
                Value::String(text) if field == "auth" && text == "oauth" => continue,
                Value::String(text) => {
                    let (name, text) = header_for(field, text);
                    if headers.keys().any(|other| other.eq_ignore_ascii_case(name)) {
                        let message = format!("does nothing beside another `{name}`");
                        (self.note)(at, ProblemKind::Ignored, message);
                    } else if self.header(&at, name, &Value::from(text.as_str())).is_none() {
                        good = false;
                    } else {
                        headers.insert(name.to_owned(), text);
                    }
                }
                // Cursor writes an object there.
                _ if field == "auth" => {
                    let message = "is not understood; signing in stands under `dormouse.oauth`".to_owned();
                    (self.note)(at, ProblemKind::Ignored, message);
                }
                other => good = self.wrong::<()>(&at, "a text", other).is_some(),
            }
        }
        good.then_some(Env(headers))
    }

    /// A header's value; `Some(None)` when it shall not be sent.
    fn header(&mut self, path: &str, name: &str, value: &Value) -> Option<Option<String>> {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(is_token) {
            return self.unusable(path, "is no name for a header");
        }
        let text = match value {
            Value::Null => return Some(None),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            other => self.text(path, other)?,
        };
        // A line break would begin another header.
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return self.unusable(path, "holds a control character, which no header may");
        }
        Some(Some(text))
    }

    /// What stands under `dormouse.oauth`.
    pub(super) fn oauth(&mut self, path: &str, value: &Value) -> Option<Auth> {
        let Value::Object(oauth) = value else {
            return self.wrong(path, "an object", value);
        };
        let at = |field: &str| format!("{path}.{field}");
        for field in oauth.keys() {
            if !["flow", "client_id", "client_secret", "scopes"].contains(&field.as_str()) {
                let message = "is no setting that this version knows".to_owned();
                (self.note)(at(field), ProblemKind::Ignored, message);
            }
        }
        let field = |name: &str| oauth.get(name).filter(|value| !value.is_null());
        let scopes = self.or_default(field("scopes"), |reader, value| match value {
            // As the protocol itself writes them.
            Value::String(text) => Some(text.split_whitespace().map(str::to_owned).collect()),
            other => reader.texts(&at("scopes"), other),
        });
        let mut text = |name: &str| {
            self.or_default(field(name), |reader, value| reader.text(&at(name), value).map(Some))
        };
        let (client_id, client_secret) = (text("client_id"), text("client_secret"));
        match field("flow").map(|flow| flow.as_str().unwrap_or_default()) {
            None | Some("authorization_code") => {
                let (client_id, mut client_secret) = (client_id?, client_secret?);
                if client_id.is_none() && client_secret.take().is_some() {
                    let message = "is the secret of a `client_id`, which is missing".to_owned();
                    (self.note)(at("client_secret"), ProblemKind::Ignored, message);
                }
                Some(Auth::AuthorizationCode { client_id, client_secret, scopes: scopes? })
            }
            Some("client_credentials") => match (client_id?, client_secret?) {
                (Some(client_id), Some(client_secret)) => {
                    Some(Auth::ClientCredentials { client_id, client_secret, scopes: scopes? })
                }
                _ => self.unusable(path, "needs `client_id` and `client_secret` for this flow"),
            },
            Some(_) => {
                let expected = "\"authorization_code\" or \"client_credentials\"";
                self.wrong(&at("flow"), expected, field("flow")?)
            }
        }
    }
}
