//! The HTTP requests of a sign-in, under the rule of addresses.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest_rmcp::{Client, Method, Request, Response, StatusCode, Url, header};
use rmcp::transport::auth::{OAuthHttpClient, OAuthHttpClientError, OAuthHttpClientFuture, OAuthHttpRequest};
use serde_json::Value;

use super::address::{AddressRule, Forbidden};

/// No answer of a sign-in is larger.
const LARGEST: usize = 1 << 20;
const LONGEST: Duration = Duration::from_secs(30);
/// For so long a server's own word on where to sign in is waited for.
const TO_CHALLENGE: Duration = Duration::from_secs(5);

/// An HTTP client for one server's sign-in. It follows no redirects: rmcp follows those of
/// discovery by itself, within one origin, and no request with a secret goes anywhere else.
pub(super) struct Web {
    client: Client,
    rule: AddressRule,
    trouble: Mutex<Option<String>>,
}

/// Why a request got no answer, in words without secrets.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Trouble(String);

impl Web {
    /// `client` resolves names by the same rule.
    pub(super) fn new(client: Client, rule: AddressRule) -> Self {
        Self { client, rule, trouble: Mutex::default() }
    }

    pub(super) fn objection(&self, url: &Url) -> Option<&'static str> {
        self.rule.objection(url)
    }

    /// What went wrong with the latest request. rmcp passes some of it on as text that may hold
    /// anything that a server wrote; this is what we read ourselves.
    pub(super) fn take_trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What the server says to a message without a token: where to sign in, and for what. `None` if it
    /// says nothing; then both are looked for where they usually are.
    pub(super) async fn challenge(&self, resource: &Url) -> Option<String> {
        let message = r#"{"jsonrpc":"2.0","id":"sign-in","method":"tools/list","params":{}}"#;
        let request = hyper::Request::post(resource.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream")
            .body(message.as_bytes().to_vec())
            .ok()?;
        let request = Request::try_from(request).ok()?;
        if self.rule.objection(request.url()).is_some() {
            return None;
        }
        let answer = tokio::time::timeout(TO_CHALLENGE, self.client.execute(request)).await.ok()?.ok()?;
        let challenge = answer.headers().get(header::WWW_AUTHENTICATE)?.to_str().ok()?;
        (answer.status() == StatusCode::UNAUTHORIZED).then(|| challenge.to_owned())
    }

    fn note(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    async fn ask(&self, asked: OAuthHttpRequest) -> Result<hyper::Response<Vec<u8>>, OAuthHttpClientError> {
        self.note(None);
        let wait = asked.timeout.unwrap_or(LONGEST).min(LONGEST);
        let outcome = async {
            let request = Request::try_from(asked.request).map_err(|_| "its address is broken".to_owned())?;
            let host = request.url().host_str().unwrap_or_default().to_owned();
            if let Some(objection) = self.rule.objection(request.url()) {
                return Err(format!("`{host}` is not asked: {objection}"));
            }
            let late = |_| format!("`{host}` did not answer within {} s", wait.as_secs());
            tokio::time::timeout(wait, self.answered(request, &host)).await.map_err(late)?
        };
        outcome.await.map_err(|why| {
            self.note(Some(why.clone()));
            Box::new(Trouble(why)) as OAuthHttpClientError
        })
    }

    async fn answered(&self, request: Request, host: &str) -> Result<hyper::Response<Vec<u8>>, String> {
        let secrets = secrets(&request);
        let posted = request.method() == Method::POST;
        let response = self.client.execute(request).await.map_err(|error| unreached(host, &error))?;
        let mut answer = hyper::Response::builder().status(response.status());
        for (name, value) in response.headers() {
            answer = answer.header(name, value);
        }
        let status = response.status();
        let body = body(response, host).await?;
        if posted && !status.is_success() {
            self.note(Some(refusal(host, status.as_u16(), &body, &secrets)));
        }
        answer.body(body).map_err(|_| format!("`{host}` answered no HTTP"))
    }
}

impl OAuthHttpClient for Web {
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(self.ask(request))
    }
}

async fn body(mut response: Response, host: &str) -> Result<Vec<u8>, String> {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    // A server that lets everybody in answers the first look at it by a stream without an end.
    if kind.is_some_and(|kind| kind.trim_start().starts_with("text/event-stream")) {
        return Ok(Vec::new());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreached(host, &error))? {
        if body.len() + chunk.len() > LARGEST {
            return Err(format!("`{host}` answered more than {} KiB", LARGEST >> 10));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn unreached(host: &str, error: &reqwest_rmcp::Error) -> String {
    let mut innermost: &(dyn std::error::Error + 'static) = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    if innermost.is::<Forbidden>() {
        format!("`{host}` is not asked: {Forbidden}")
    } else if innermost.is::<reqwest_rmcp::Error>() {
        // Its own words hold the address.
        format!("`{host}` cannot be reached")
    } else {
        // What happened: `Connection refused`, `invalid peer certificate`.
        format!("`{host}` cannot be reached: {innermost}")
    }
}

/// The values of a form that a server must not be quoted with.
fn secrets(request: &Request) -> Vec<String> {
    let form = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
    url::form_urlencoded::parse(form)
        .filter(|(name, _)| matches!(&**name, "code" | "code_verifier" | "refresh_token" | "client_secret"))
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// What an authorisation server says about a refusal, as far as it can be repeated.
fn refusal(host: &str, status: u16, body: &[u8], secrets: &[String]) -> String {
    let told: Option<Value> = serde_json::from_slice(body).ok();
    let field = |name| {
        let text = told.as_ref()?.get(name)?.as_str()?;
        let text: String = text.chars().filter(|letter| !letter.is_control()).take(200).collect();
        let quotes_us = secrets.iter().any(|secret| !secret.is_empty() && text.contains(secret.as_str()));
        (!text.is_empty() && !quotes_us).then_some(text)
    };
    match (field("error"), field("error_description")) {
        (Some(code), Some(words)) => format!("`{host}` answered {code}: {words}"),
        (Some(code), None) => format!("`{host}` answered {code}"),
        (None, _) => format!("`{host}` answered with HTTP status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_never_quotes_what_we_sent() {
        let said = |words: &str| {
            let body = serde_json::json!({"error": "invalid_grant", "error_description": words}).to_string();
            refusal("a.example", 400, body.as_bytes(), &["s3cret".to_owned()])
        };
        assert_eq!(said("it ended"), "`a.example` answered invalid_grant: it ended");
        assert_eq!(said("token s3cret is unknown"), "`a.example` answered invalid_grant");
        assert_eq!(said("a\n\u{1b}[31mb"), "`a.example` answered invalid_grant: a[31mb");
        assert_eq!(refusal("a.example", 502, b"<html>", &[]), "`a.example` answered with HTTP status 502");
    }
}
