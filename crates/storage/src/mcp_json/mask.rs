//! Entries without what may be secret, for whoever only looks; and the way back.
//!
//! # Invariants
//!
//! * A value that may be secret shows as [`MASK`], or as its harmless part with [`MASK`] behind it.
//! * A value that only names variables (`${NAME}`) shows: the secret is elsewhere.
//! * A mask is never stored. Handed in at its place it stands for what is stored there, and
//!   anywhere else it is refused.

use serde_json::{Map, Value};

/// What stands in place of a secret.
pub const MASK: &str = "…";

/// Members that hold servers by their names, which say nothing of what is in them.
const SERVERS: [&str; 3] = ["mcpServers", "servers", "mcp_servers"];
/// Members whose values are all hidden; their names show.
const MAPS: [&str; 3] = ["env", "headers", "http_headers"];
/// How names of secrets end, in small letters and without `_` and `-`.
const ENDS: [&str; 9] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "accesskey",
    "privatekey",
    "credentials",
];
/// Names of secrets.
const NAMES: [&str; 4] = ["auth", "authorization", "key", "credential"];

/// A configuration, or a part of it, without what may be secret:
///
/// * of variables and headers, and of members whose name says it (`token`, `api_key`,
///   `bearer_token`, `client_secret`, `password`, …), the values;
/// * of arguments all but the names of options: `--key=…`, `…`;
/// * of addresses the login and the values of the query.
pub fn masked(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let shown = members.iter().map(|(name, member)| (name.clone(), member_shown(name, member)));
            Value::Object(shown.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(masked).collect()),
        Value::String(text) => Value::from(address_shown(text)),
        other => other.clone(),
    }
}

/// Entries by the names of their servers, without what may be secret.
pub(crate) fn servers_masked(servers: &Value) -> Value {
    match servers {
        Value::Object(servers) => {
            Value::Object(servers.iter().map(|(name, entry)| (name.clone(), masked(entry))).collect())
        }
        other => masked(other),
    }
}

fn member_shown(name: &str, member: &Value) -> Value {
    match member {
        Value::Object(_) if SERVERS.contains(&name) => servers_masked(member),
        Value::Object(map) if MAPS.contains(&name) => {
            Value::Object(map.iter().map(|(name, value)| (name.clone(), hidden(value))).collect())
        }
        Value::Array(arguments) if name == "args" => {
            Value::Array(arguments.iter().map(argument_shown).collect())
        }
        // Says that a person signs in.
        Value::String(text) if name == "auth" && text == "oauth" => member.clone(),
        member if is_secret(name) => hidden(member),
        member => masked(member),
    }
}

fn is_secret(name: &str) -> bool {
    let plain: String = name.chars().filter(|c| !matches!(c, '_' | '-')).collect();
    let plain = plain.to_lowercase();
    NAMES.contains(&plain.as_str()) || ENDS.iter().any(|end| plain.ends_with(end))
}

/// A value of which nothing shows but names of variables; whether there is one shows.
fn hidden(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), hidden(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(hidden).collect()),
        Value::Null | Value::Bool(_) => value.clone(),
        Value::String(text) if only_names(text.strip_prefix("Bearer ").unwrap_or(text)) => value.clone(),
        Value::String(_) | Value::Number(_) => Value::from(MASK),
    }
}

fn argument_shown(argument: &Value) -> Value {
    let Value::String(text) = argument else { return hidden(argument) };
    if only_names(text) {
        return argument.clone();
    }
    let is_option = |name: &str| {
        name.strip_prefix("--").is_some_and(|name| {
            (1..=40).contains(&name.len())
                && name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        })
    };
    let mut letters = text.chars();
    let is_short = letters.next() == Some('-') && letters.next().is_some_and(|c| c.is_ascii_alphabetic());
    let shown = match text.split_once('=') {
        None if text == "-" || text == "--" || is_option(text) => text.clone(),
        Some((name, value)) if is_option(name) && only_names(value) => text.clone(),
        Some((name, _)) if is_option(name) => format!("{name}={MASK}"),
        // `-y` is an option, and `-pword` one with its value.
        _ if is_short && text.len() == 2 => text.clone(),
        _ if is_short => format!("{}{MASK}", &text[..2]),
        _ => MASK.to_owned(),
    };
    Value::from(shown)
}

/// An address without its login, and without the values of its query, of which one is often a key.
/// Any other text is as it was.
fn address_shown(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    if !scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        || text.contains(char::is_whitespace)
    {
        return text.to_owned();
    }
    let (rest, fragment) = match rest.split_once('#') {
        Some((rest, fragment)) if !only_names(fragment) => (rest, format!("#{MASK}")),
        Some((rest, fragment)) => (rest, format!("#{fragment}")),
        None => (rest, String::new()),
    };
    let (address, query) = match rest.split_once('?') {
        Some((address, query)) => (address, format!("?{}", query_shown(query))),
        None => (rest, String::new()),
    };
    let host = address.split('/').next().unwrap_or_default();
    // A password may hold a sign that should have been encoded: then what follows is no port.
    let is_cut = |host: &str| {
        host.split_once(':').is_some_and(|(_, port)| port.chars().any(|c| !c.is_ascii_digit()))
            && !host.starts_with('[')
    };
    let login = if host.contains('@') {
        host.rsplit_once('@')
    } else {
        address.rsplit_once('@').filter(|_| is_cut(host))
    };
    let address = match login {
        Some((login, _)) if !login.split(':').all(only_names) => {
            format!("{MASK}@{}", &address[login.len() + 1..])
        }
        _ => address.to_owned(),
    };
    format!("{scheme}://{address}{query}{fragment}")
}

fn query_shown(query: &str) -> String {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((_, value)) if only_names(value) => pair.to_owned(),
        Some((name, _)) => format!("{name}={MASK}"),
        None if pair.is_empty() || only_names(pair) => pair.to_owned(),
        None => MASK.to_owned(),
    };
    query.split('&').map(pair).collect::<Vec<_>>().join("&")
}

/// Whether a text is nothing but one variable, without a default: `${NAME}`.
fn only_names(text: &str) -> bool {
    text.strip_prefix("${").and_then(|text| text.strip_suffix('}')).is_some_and(|name| {
        !name.is_empty() && !name.contains(":-") && name.chars().all(|c| !matches!(c, '$' | '{' | '}'))
    })
}

/// Whether a text is one that [`masked`] made.
fn is_mask(text: &str) -> bool {
    match text.strip_suffix(MASK) {
        Some("" | "Bearer ") => true,
        Some(before) if before.starts_with('-') && !before.contains(char::is_whitespace) => true,
        _ => {
            let is_address = text.contains("://") && !text.contains(char::is_whitespace);
            is_address && ["…@", "=…", "?…", "&…", "#…"].iter().any(|part| text.contains(part))
        }
    }
}

/// An entry that was handed in, with what is stored in place of each mask; or the places of those
/// that stand for nothing, such as `.env.TOKEN`.
pub(super) fn unmasked(
    entry: &Map<String, Value>,
    stored: Option<&Map<String, Value>>,
) -> Result<Map<String, Value>, Vec<String>> {
    let stored = stored.cloned().map(Value::Object);
    let shown = stored.as_ref().map(masked);
    let mut unmasking = Unmasking::default();
    let members = unmasking.members(entry, stored.as_ref(), shown.as_ref(), "");
    if unmasking.unstored.is_empty() { Ok(members) } else { Err(unmasking.unstored) }
}

#[derive(Default)]
struct Unmasking {
    unstored: Vec<String>,
}

impl Unmasking {
    fn members(
        &mut self,
        members: &Map<String, Value>,
        stored: Option<&Value>,
        shown: Option<&Value>,
        place: &str,
    ) -> Map<String, Value> {
        let of = |value: Option<&Value>, name: &str| value.and_then(|value| value.get(name)).cloned();
        let unmasked = members.iter().map(|(name, value)| {
            let (stored, shown) = (of(stored, name), of(shown, name));
            let value = self.value(value, stored.as_ref(), shown.as_ref(), &format!("{place}.{name}"));
            (name.clone(), value)
        });
        unmasked.collect()
    }

    fn value(&mut self, value: &Value, stored: Option<&Value>, shown: Option<&Value>, place: &str) -> Value {
        match value {
            Value::Object(members) => Value::Object(self.members(members, stored, shown, place)),
            Value::Array(items) => self.items(items, stored, shown, place),
            Value::String(text) if is_mask(text) => match stored {
                // What is stored may look like a mask by itself.
                Some(stored) if shown == Some(value) => stored.clone(),
                _ => self.refused(value, place),
            },
            other => other.clone(),
        }
    }

    /// Values of a list are known by their places and by what stands before them: one that was
    /// moved is not taken for another.
    fn items(
        &mut self,
        items: &[Value],
        stored: Option<&Value>,
        shown: Option<&Value>,
        place: &str,
    ) -> Value {
        let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
        let (stored, shown) = (list(stored), list(shown));
        let same_number = stored.len() == items.len();
        let unmasked = items.iter().enumerate().map(|(index, item)| {
            let is_same = |index: usize| {
                items
                    .get(index)
                    .is_some_and(|item| stored.get(index) == Some(item) || shown.get(index) == Some(item))
            };
            let stays = same_number && (index == 0 || is_same(index - 1));
            let of = |list: &[Value]| list.get(index).filter(|_| stays).cloned();
            self.value(item, of(&stored).as_ref(), of(&shown).as_ref(), &format!("{place}[{index}]"))
        });
        Value::Array(unmasked.collect())
    }

    fn refused(&mut self, value: &Value, place: &str) -> Value {
        self.unstored.push(place.to_owned());
        value.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry() -> Value {
        json!({
            "command": "npx",
            "args": ["-y", "some-server", "--api-key", "s3cret", "--token=s3cret", "-ps3cret", "${DIR}",
                     "--dir=${DIR}", "--s3cret!s3cret", 7],
            "env": {"A": "s3cret", "B": "${B}", "C": "${C:-s3cret}", "D": 7},
            "headers": {"Authorization": "Bearer ${T}", "X-Key": "s3cret"},
            "url": "https://me:s3cret@host:1/mcp?api_key=s3cret&user=${USER}&s3cret#s3cret",
            "bearer_token": "s3cret", "bearer_token_env_var": "TOKEN", "apiKey": "s3cret",
            "auth": {"type": "s3cret"}, "description": "see …, ends in …",
            "dormouse": {"oauth": {"client_id": "me", "client_secret": "s3cret"}, "idle_seconds": 60},
        })
    }

    #[test]
    fn what_may_be_secret_is_masked_and_names_of_variables_are_not() {
        let expected = json!({
            "command": "npx",
            "args": ["-y", "…", "--api-key", "…", "--token=…", "-p…", "${DIR}", "--dir=${DIR}", "…", "…"],
            "env": {"A": "…", "B": "${B}", "C": "…", "D": "…"},
            "headers": {"Authorization": "Bearer ${T}", "X-Key": "…"},
            "url": "https://…@host:1/mcp?api_key=…&user=${USER}&…#…",
            "bearer_token": "…", "bearer_token_env_var": "TOKEN", "apiKey": "…",
            "auth": {"type": "…"}, "description": "see …, ends in …",
            "dormouse": {"oauth": {"client_id": "me", "client_secret": "…"}, "idle_seconds": 60},
        });
        assert_eq!(masked(&entry()), expected);
        assert_eq!(masked(&json!({"auth": "oauth"})), json!({"auth": "oauth"}));
        let named = json!({"mcpServers": {"token": {"command": "x", "token": "s3cret"}}});
        let expected = json!({"mcpServers": {"token": {"command": "x", "token": "…"}}});
        assert_eq!(masked(&named), expected);
        for (address, shown) in [
            ("https://host/@owner/server", "https://host/@owner/server"),
            ("https://host:80/@owner/server", "https://host:80/@owner/server"),
            ("https://me:s3cret/x@host/", "https://…@host/"),
            ("https://me:s3@cret@host/", "https://…@host/"),
            ("https://${ME}:${WORD}@host/", "https://${ME}:${WORD}@host/"),
            ("https://[::1]:80/@x", "https://[::1]:80/@x"),
        ] {
            assert_eq!(masked(&json!(address)), json!(shown));
        }
        assert_eq!(
            masked(&json!({"mcpServers": {"x": {"args": ["s3cret"]}}}))["mcpServers"]["x"]["args"][0],
            "…"
        );
    }

    #[test]
    fn what_was_shown_stands_for_what_is_stored() {
        let stored = entry();
        let shown = masked(&stored);
        let back = unmasked(shown.as_object().unwrap(), stored.as_object()).unwrap();
        assert_eq!(Value::Object(back), stored);
    }

    #[test]
    fn what_is_said_anew_counts_beside_masks() {
        let stored = json!({"args": ["--key", "a", "--user", "b"], "env": {"A": "1", "B": "2"}});
        let given = json!({"args": ["--key", "…", "--user", "c"], "env": {"A": "…", "C": "3"}});
        let back = unmasked(given.as_object().unwrap(), stored.as_object()).unwrap();
        let expected = json!({"args": ["--key", "a", "--user", "c"], "env": {"A": "1", "C": "3"}});
        assert_eq!(Value::Object(back), expected);
    }

    #[test]
    fn a_mask_that_stands_for_nothing_is_refused() {
        let stored = json!({"args": ["--key", "a", "--user", "b"], "url": "https://h/?k=s3cret"});
        for (given, place) in [
            (json!({"env": {"TOKEN": "…"}}), ".env.TOKEN"),
            (json!({"headers": {"Authorization": "Bearer …"}}), ".headers.Authorization"),
            (json!({"args": ["--user", "…", "--key", "b"]}), ".args[1]"),
            (json!({"args": ["…"]}), ".args[0]"),
            (json!({"args": ["--key", "…", "--user"]}), ".args[1]"),
            (json!({"args": ["--token=…"]}), ".args[0]"),
            (json!({"url": "https://elsewhere/?k=…"}), ".url"),
            (json!({"url": "https://…@h/"}), ".url"),
        ] {
            let refused = unmasked(given.as_object().unwrap(), stored.as_object());
            assert_eq!(refused, Err(vec![place.to_owned()]), "{given}");
            assert!(unmasked(given.as_object().unwrap(), None).is_err(), "{given}");
        }
    }

    #[test]
    fn a_text_with_three_dots_is_no_mask() {
        let given =
            json!({"command": "a…", "description": "Loading …", "args": ["a…b"], "env": {"A": "more…"}});
        let back = unmasked(given.as_object().unwrap(), None).unwrap();
        assert_eq!(Value::Object(back), given);
    }
}
