//! Keys of several parts as one text that no other parts can make.

use std::fmt::Write as _;

use dormouse_types::{Scope, SessionId};

use crate::ConversationKey;

/// Joins parts into one key: each stands behind its length in bytes.
///
/// Two different lists of parts never give the same key, whatever characters they hold.
/// The result is for comparing only; what it stands for belongs into the value.
///
/// ```
/// use dormouse_storage::joined_key;
/// assert_ne!(joined_key(["ab", "c"]), joined_key(["a", "bc"]));
/// ```
pub fn joined_key<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut key = String::new();
    for part in parts {
        // Writing into a text cannot fail.
        let _ = write!(key, "{}:{part}", part.len());
    }
    key
}

/// The key of a conversation. No such key is the beginning of another one.
pub(crate) fn conversation_key(scope: &Scope, session: &SessionId) -> String {
    match scope {
        Scope::Store => joined_key(["store", session.as_str()]),
        Scope::Agent(agent) => joined_key(["agent", agent.as_str(), session.as_str()]),
    }
}

/// What [`conversation_key`] made: each part says its own length, so there is one way to read it.
pub(crate) fn conversation_of(key: &str) -> Option<ConversationKey> {
    let mut parts = Vec::new();
    let mut rest = key;
    while !rest.is_empty() {
        let (length, after) = rest.split_once(':')?;
        let (part, after) = after.split_at_checked(length.parse().ok()?)?;
        parts.push(part);
        rest = after;
    }
    let (scope, session) = match parts[..] {
        ["store", session] => (Scope::Store, session),
        ["agent", agent, session] => (Scope::Agent(agent.parse().ok()?), session),
        _ => return None,
    };
    Some(ConversationKey { scope, session: session.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn different_parts_give_different_keys(
            a in prop::collection::vec("[0-9:a]{0,4}", 0..4),
            b in prop::collection::vec("[0-9:a]{0,4}", 0..4),
        ) {
            let key = |parts: &[String]| joined_key(parts.iter().map(String::as_str));
            prop_assert_eq!(key(&a) == key(&b), a == b);
        }

        #[test]
        fn no_conversation_key_begins_another(
            a in ("[0-9a]{1,3}", "[0-9:a]{1,4}"),
            b in ("[0-9a]{1,3}", "[0-9:a]{1,4}"),
        ) {
            let key = |(agent, session): &(String, String)| {
                let agent = Scope::Agent(agent.parse().expect("a valid id"));
                conversation_key(&agent, &session.parse().expect("a valid id"))
            };
            prop_assert_eq!(key(&a).starts_with(&key(&b)), a == b);
        }
    }
}
