//! Errors as clients see them: RFC 9457 problem documents with a stable code.
//!
//! # Invariants
//!
//! * Each error of the hub chooses its code in `convert`, without a catch-all: a new failure
//!   must choose before it compiles.
//! * The causes of failures of our own (storage, files) stay in the log. Those of a server are
//!   shown, since who dropped a script must see why it does not start.

pub(crate) mod challenge;
mod code;
mod convert;

pub use code::Code;

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// What every problem's `type` begins with; the code follows.
const TYPE: &str = "urn:dormouse:problem:";

/// A problem document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The code as a URI.
    #[serde(rename = "type")]
    #[schema(example = "urn:dormouse:problem:unknown_tool")]
    pub kind: String,
    /// What the code means.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong, for programs.
    pub code: Code,
    /// What went wrong this time, for people.
    pub detail: String,
    /// Further members: `field`, `near`, `candidates`, `outcome`, `problems`, `stderr`, …
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub members: Box<Map<String, Value>>,
}

impl Problem {
    /// A problem with its detail, for people.
    pub fn new(code: Code, detail: impl ToString) -> Self {
        Self {
            kind: format!("{TYPE}{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status().as_u16(),
            code,
            detail: detail.to_string(),
            members: Box::default(),
        }
    }

    /// A request of the wrong shape, with the place that is wrong.
    pub(crate) fn field(code: Code, field: impl Into<String>, detail: impl ToString) -> Self {
        let field: String = field.into();
        Self::new(code, detail).with("field", field)
    }

    /// The same with a further member.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// The same with a list as a further member, unless it is empty.
    #[must_use]
    pub(crate) fn with_list(self, member: &str, list: Vec<String>) -> Self {
        if list.is_empty() { self } else { self.with(member, json!(list)) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.code.status(), Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(challenge) = challenge::of(self.code) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
