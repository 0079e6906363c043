//! What a server granted: tokens, and the client that they are for.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// At the latest so long before its end a token is renewed, so that it does not end on the way.
const AHEAD: Duration = Duration::from_secs(60);

/// What is kept of a sign-in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Grant {
    pub(super) tokens: Tokens,
    pub(super) client: Client,
    /// The authorisation server; a grant is never shown to another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) issuer: Option<String>,
}

/// Who the hub is to an authorisation server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Client {
    pub(super) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
    /// Where the person came back to.
    pub(super) redirect: String,
}

/// The tokens of one answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tokens {
    pub(super) access: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh: Option<String>,
    /// Milliseconds since 1970, by our clock, from before the request.
    pub(super) since: u64,
    /// How long the access token lives; `None` if the server did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lifetime_ms: Option<u64>,
    #[serde(default)]
    pub(super) scopes: Vec<String>,
}

impl Tokens {
    /// When the access token ends, if that is known.
    pub(super) fn ends(&self) -> Option<SystemTime> {
        let ends = self.since.saturating_add(self.lifetime_ms?);
        UNIX_EPOCH.checked_add(Duration::from_millis(ends))
    }

    /// Whether the access token can be used without a thought for renewing it.
    pub(super) fn is_fresh(&self, now: SystemTime) -> bool {
        let Some(lifetime) = self.lifetime_ms.map(Duration::from_millis) else { return true };
        // A token of two seconds is not renewed from its first moment on.
        let ahead = AHEAD.min(lifetime / 4);
        self.is_alive(now + ahead)
    }

    /// Whether the access token has not ended.
    ///
    /// A clock that was set back to before the token came does not make it live longer.
    pub(super) fn is_alive(&self, now: SystemTime) -> bool {
        let came = UNIX_EPOCH + Duration::from_millis(self.since);
        let skew = Duration::from_secs(300);
        self.ends().is_none_or(|ends| now < ends && now + skew >= came)
    }

    /// How long ago the tokens came.
    pub(super) fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(UNIX_EPOCH + Duration::from_millis(self.since)).unwrap_or_default()
    }
}

/// Now, as tokens write it.
pub(super) fn millis(now: SystemTime) -> u64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Without the tokens and the secret.
impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("ends", &self.tokens.ends())
            .field("renewable", &self.tokens.refresh.is_some())
            .field("scopes", &self.tokens.scopes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(lifetime: Option<u64>) -> Tokens {
        Tokens {
            access: "a".to_owned(),
            refresh: None,
            since: 1_000_000,
            lifetime_ms: lifetime.map(|seconds| seconds * 1000),
            scopes: Vec::new(),
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1000 + seconds)
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        let hour = tokens(Some(3600));
        assert!(hour.is_fresh(at(3539)));
        assert!(!hour.is_fresh(at(3541)) && hour.is_alive(at(3541)));
        assert!(!hour.is_alive(at(3600)));
    }

    #[test]
    fn a_short_token_is_used_for_most_of_its_life() {
        let short = tokens(Some(8));
        assert!(short.is_fresh(at(5)));
        assert!(!short.is_fresh(at(6)) && short.is_alive(at(7)));
    }

    #[test]
    fn a_token_without_an_end_is_used_until_it_is_refused() {
        assert!(tokens(None).is_fresh(at(1_000_000_000)));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_a_token_stale() {
        assert!(!tokens(Some(3600)).is_fresh(UNIX_EPOCH + Duration::from_secs(10)));
    }

    #[test]
    fn absurd_lifetimes_do_not_overflow() {
        assert!(tokens(Some(u64::MAX / 1000)).is_alive(at(0)));
    }
}
