//! What a client is told of the token that it lacks (RFC 6750, section 3).

use axum::http::HeaderValue;

use super::Code;

/// It came without a token: then no error is named.
const NO_TOKEN: HeaderValue = HeaderValue::from_static(r#"Bearer realm="dormouse""#);
/// It came with one that opens nothing.
pub(crate) const INVALID_TOKEN: HeaderValue =
    HeaderValue::from_static(r#"Bearer realm="dormouse", error="invalid_token""#);
/// It came with one that opens something else.
const INSUFFICIENT_SCOPE: HeaderValue =
    HeaderValue::from_static(r#"Bearer realm="dormouse", error="insufficient_scope""#);

/// What goes with a code, if it is about a token. Who comes with a wrong one is told by the door.
pub(super) fn of(code: Code) -> Option<HeaderValue> {
    match code {
        Code::Unauthorized => Some(NO_TOKEN),
        Code::Forbidden => Some(INSUFFICIENT_SCOPE),
        _ => None,
    }
}
