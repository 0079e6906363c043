//! What handlers take from a request, with problems for what cannot be taken.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::domain::Context;
use crate::guard::Access;
use crate::problem::{Code, Problem};

/// The context that a request is about, and as whom it came. Set by the guard.
#[derive(Debug, Clone)]
pub(crate) struct Entered {
    pub(crate) context: Context,
    pub(crate) access: Access,
}

impl<S: Sync> FromRequestParts<S> for Entered {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        // Every route that asks for a context lies behind the guard.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::new(Code::Internal, "no context was chosen"))
    }
}

/// A JSON body.
#[derive(Debug)]
pub(crate) struct ApiJson<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // Also keeps out forms of foreign pages, which browsers send without asking first.
        if !says_json(request.headers()) {
            let detail = "send the body with `Content-Type: application/json`";
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
        let body = body(request, state).await?;
        read(&body).map(Self)
    }
}

/// A JSON body as it was written: in a value, a key that stands there twice stands there once.
#[derive(Debug)]
pub(crate) struct JsonText(pub(crate) String);

impl<S: Send + Sync> FromRequest<S> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let ApiJson(raw) = ApiJson::<Box<serde_json::value::RawValue>>::from_request(request, state).await?;
        Ok(Self(raw.get().to_owned()))
    }
}

/// A JSON body that may be left out where all of its members may.
#[derive(Debug)]
pub(crate) struct MaybeJson<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for MaybeJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.headers().contains_key(header::CONTENT_TYPE) {
            let ApiJson(value) = ApiJson::from_request(request, state).await?;
            return Ok(Self(value));
        }
        match body(request, state).await?.is_empty() {
            true => Ok(Self(T::default())),
            false => Err(Problem::new(Code::UnsupportedMediaType, "the body has no `Content-Type`")),
        }
    }
}

fn says_json(headers: &HeaderMap) -> bool {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(Code::BodyTooLarge, "the body is larger than the hub reads (`http.max_body_bytes`)")
        }
        _ => Problem::new(Code::BadRequest, rejection.body_text()),
    })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        match error.classify() {
            Category::Data => {
                let field = field(&path, &error.to_string());
                Problem::field(Code::InvalidRequest, field, error)
            }
            Category::Syntax | Category::Eof | Category::Io => Problem::new(Code::InvalidJson, error),
        }
    })?;
    reader.end().map_err(|error| Problem::new(Code::InvalidJson, error))?;
    Ok(value)
}

/// The path of the field that is wrong. Of a missing one, serde gives the parent's path and
/// the name only in words.
fn field(path: &str, message: &str) -> String {
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
    match (path, missing) {
        (".", Some((name, _))) => name.to_owned(),
        (path, Some((name, _))) => format!("{path}.{name}"),
        (path, None) => path.to_owned(),
    }
}

/// Parameters of the path.
#[derive(Debug)]
pub(crate) struct ApiPath<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::new(Code::BadRequest, rejection.body_text())),
        }
    }
}

/// Parameters after the `?`.
#[derive(Debug)]
pub(crate) struct ApiQuery<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                let said = text.split_once(": ").map_or(text.as_str(), |(_, said)| said);
                let (path, message) = said.split_once(": ").unwrap_or((".", said));
                Err(Problem::field(Code::InvalidRequest, field(path, message), said))
            }
        }
    }
}

/// Whether the client asks for a stream of events.
pub(crate) fn wants_events(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|kind| {
        kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{CallBody, QueryAsked};

    #[test]
    fn a_wrong_shape_names_the_field() {
        for (body, code, named) in [
            ("{", Code::InvalidJson, None),
            (r#"{"query":"x"} y"#, Code::InvalidJson, None),
            ("[]", Code::InvalidRequest, Some(".")),
            ("{}", Code::InvalidRequest, Some("query")),
            (r#"{"query":7}"#, Code::InvalidRequest, Some("query")),
            (r#"{"query":"x","session_id":[]}"#, Code::InvalidRequest, Some("session_id")),
        ] {
            let problem = read::<QueryAsked>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.code, code, "{body}");
            assert_eq!(problem.members.get("field").and_then(|field| field.as_str()), named, "{body}");
        }
        let problem = read::<CallBody>(br#"{"argumnets":{}}"#).unwrap_err();
        assert_eq!(problem.members["field"], "argumnets");
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let body = format!(r#"{{"arguments":{{"x":{}"#, "[".repeat(100_000));
        assert_eq!(read::<CallBody>(body.as_bytes()).unwrap_err().code, Code::InvalidJson);
    }
}
