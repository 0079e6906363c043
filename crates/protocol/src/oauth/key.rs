//! What a grant is for.

use std::fmt;

use dormouse_types::Auth;
use serde::{Deserialize, Serialize};
use url::Url;

/// A grant's key: whose it is, where it counts, for which client, and for what.
///
/// Two servers with the same key share one grant, and so one refresh.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct GrantKey {
    /// Who signed in; empty is the hub itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    owner: String,
    /// The server's origin and path: a query may hold what has no place in a key.
    resource: String,
    /// The client's id, if a person configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// What a person asked for, sorted; empty is what the server proposes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<String>,
}

impl GrantKey {
    /// The key of a server, if it signs in at all.
    pub(super) fn of(owner: &str, url: &Url, auth: &Auth) -> Option<Self> {
        let (client_id, scopes) = match auth {
            Auth::Headers => return None,
            Auth::AuthorizationCode { client_id, scopes, .. } => (client_id.clone(), scopes),
            Auth::ClientCredentials { client_id, scopes, .. } => (Some(client_id.clone()), scopes),
        };
        let mut scopes = scopes.clone();
        scopes.sort();
        scopes.dedup();
        Some(Self { owner: owner.to_owned(), resource: resource(url), client_id, scopes })
    }

    /// Whether it is an owner's, for this address.
    pub(super) fn is_at(&self, owner: &str, url: &Url) -> bool {
        self.owner == owner && self.resource == resource(url)
    }

    /// A name for files: the key in 32 letters.
    pub(super) fn short(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let parts = [Some(&self.owner), Some(&self.resource), self.client_id.as_ref()];
        for part in parts
            .into_iter()
            .map(|part| part.map_or("", String::as_str))
            .chain(self.scopes.iter().map(String::as_str))
        {
            // The length keeps `ab`+`c` apart from `a`+`bc`.
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }
}

/// Without the path: some servers put a key there.
impl fmt::Debug for GrantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = Url::parse(&self.resource).map(|url| url.origin().ascii_serialization());
        f.debug_tuple("GrantKey").field(&origin.unwrap_or_default()).finish()
    }
}

/// The origin and path of a server's address.
fn resource(url: &Url) -> String {
    let mut resource = url.clone();
    resource.set_query(None);
    resource.set_fragment(None);
    // Neither fails on an address with a host, and one without has neither.
    let _ = resource.set_username("");
    let _ = resource.set_password(None);
    resource.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(url: &str, client_id: Option<&str>, scopes: &[&str]) -> GrantKey {
        let auth = Auth::AuthorizationCode {
            client_id: client_id.map(str::to_owned),
            client_secret: None,
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        GrantKey::of("", &Url::parse(url).unwrap(), &auth).unwrap()
    }

    #[test]
    fn owners_share_nothing() {
        let (url, auth) = (
            Url::parse("https://a.example/mcp").unwrap(),
            Auth::AuthorizationCode { client_id: None, client_secret: None, scopes: Vec::new() },
        );
        let [hub, ann, bob] = ["", "ann", "bob"].map(|owner| GrantKey::of(owner, &url, &auth).unwrap());
        assert!(hub != ann && ann != bob && hub.short() != ann.short() && ann.short() != bob.short());
        assert!(ann.is_at("ann", &url) && !ann.is_at("bob", &url) && !hub.is_at("ann", &url));
    }

    #[test]
    fn servers_share_a_grant_only_with_the_same_place_client_and_scopes() {
        let base = key("https://a.example/mcp", None, &["read", "write"]);
        assert_eq!(base, key("https://a.example/mcp?token=x#y", None, &["write", "read", "read"]));
        assert_eq!(base, key("https://me:word@A.example:443/mcp", None, &["read", "write"]));
        let others = [
            key("https://a.example/mcp/", None, &["read", "write"]),
            key("https://a.example:8443/mcp", None, &["read", "write"]),
            key("https://a.example/mcp", Some("one"), &["read", "write"]),
            key("https://a.example/mcp", None, &["read"]),
            key("https://a.example/mcp", None, &[]),
        ];
        for other in &others {
            assert_ne!(&base, other);
            assert_ne!(base.short(), other.short());
        }
    }

    #[test]
    fn debug_shows_no_path() {
        let shown = format!("{:?}", key("https://a.example/secret/mcp", Some("one"), &[]));
        assert_eq!(shown, r#"GrantKey("https://a.example")"#);
    }
}
