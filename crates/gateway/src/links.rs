//! The addresses that results named.
//!
//! A result may link to a resource that no list and no template has. Where several servers share an
//! endpoint, the address alone does not say whose it is: the hub remembers which server named it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dormouse::{Scope, ServerKey};
use serde_json::Value;

/// How many addresses are remembered for one context; then the one named longest ago is forgotten.
const MOST: usize = 1_000;
/// How many contexts' addresses are remembered. Anybody can name agents that do not exist.
const MOST_CONTEXTS: usize = 1_000;
/// The longest address that is remembered.
const LONGEST: usize = 4_096;

/// What results named, by context.
#[derive(Debug, Default)]
pub(crate) struct Links {
    kept: Mutex<HashMap<Scope, Named>>,
}

/// The addresses of one context: whose each is, and the how-manieth naming it was.
#[derive(Debug, Default)]
struct Named {
    by_uri: HashMap<String, (ServerKey, u64)>,
    count: u64,
}

impl Links {
    fn kept(&self) -> MutexGuard<'_, HashMap<Scope, Named>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the addresses that a result of a server names.
    pub(crate) fn learn(&self, scope: &Scope, server: &ServerKey, result: &Value) {
        let uris = named(result);
        if uris.is_empty() {
            return;
        }
        let mut kept = self.kept();
        if kept.len() >= MOST_CONTEXTS && !kept.contains_key(scope) {
            kept.clear();
        }
        let named = kept.entry(scope.clone()).or_default();
        for uri in uris {
            named.count += 1;
            named.by_uri.insert(uri.to_owned(), (server.clone(), named.count));
            if named.by_uri.len() > MOST {
                let oldest = named.by_uri.iter().min_by_key(|(_, (_, count))| *count);
                if let Some(oldest) = oldest.map(|(uri, _)| uri.clone()) {
                    named.by_uri.remove(&oldest);
                }
            }
        }
    }

    /// The server that named an address last.
    pub(crate) fn server_of(&self, scope: &Scope, uri: &str) -> Option<ServerKey> {
        Some(self.kept().get(scope)?.by_uri.get(uri)?.0.clone())
    }
}

/// The addresses in the content of a call's result, of a prompt, of what was read.
fn named(result: &Value) -> Vec<&str> {
    let list = |name: &str| result.get(name).and_then(Value::as_array).into_iter().flatten();
    let of_messages = list("messages").filter_map(|message| message.get("content"));
    let blocks = list("content").chain(of_messages.flat_map(|content| match content {
        Value::Array(blocks) => blocks.as_slice(),
        block => std::slice::from_ref(block),
    }));
    let linked = blocks.filter_map(|block| match block.get("type")?.as_str()? {
        "resource_link" => block.get("uri")?.as_str(),
        "resource" => block.get("resource")?.get("uri")?.as_str(),
        _ => None,
    });
    let read = list("contents").filter_map(|content| content.get("uri")?.as_str());
    linked.chain(read).filter(|uri| uri.len() <= LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use dormouse::ServerName;
    use serde_json::json;

    use super::*;

    fn key(name: &str) -> ServerKey {
        ServerKey::store(ServerName::try_new(name).unwrap())
    }

    #[test]
    fn every_form_of_a_result_names_addresses() {
        let link = |uri: &str| json!({ "type": "resource_link", "uri": uri });
        let result = json!({
            "content": [link("a:1"), { "type": "text", "uri": "no" }, { "type": "resource", "resource": { "uri": "a:2" } }],
            "messages": [{ "content": link("a:3") }, { "content": [link("a:4")] }, {}],
            "contents": [{ "uri": "a:5" }, { "uri": "a".repeat(LONGEST + 1) }, 3],
        });
        assert_eq!(named(&result), ["a:1", "a:2", "a:3", "a:4", "a:5"]);
        assert!(named(&json!({ "content": "text", "messages": 1 })).is_empty());
    }

    #[test]
    fn the_address_named_longest_ago_is_forgotten_first() {
        let links = Links::default();
        let name = |number: usize| json!({ "contents": [{ "uri": format!("a:{number}") }] });
        for number in 0..MOST {
            links.learn(&Scope::Store, &key("one"), &name(number));
        }
        links.learn(&Scope::Store, &key("two"), &name(0));
        links.learn(&Scope::Store, &key("one"), &name(MOST));
        assert_eq!(links.server_of(&Scope::Store, "a:0"), Some(key("two")));
        assert_eq!(links.server_of(&Scope::Store, "a:1"), None);
        let ada = Scope::Agent("ada".parse().unwrap());
        assert_eq!(links.server_of(&ada, "a:0"), None);
    }
}
