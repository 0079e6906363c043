//! A hub over a temporary space, and requests to it.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use dormouse::{Config, Hub, Memory, Scope};
use dormouse_http::{Door, HttpSettings, router};
use dormouse_telemetry::Telemetry;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

pub(crate) const GREET: &str = r#"
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("Greeter")


@mcp.tool()
def greet(name: str, times: int = 1) -> str:
    """Say hello to somebody."""
    return f"Hello, {name}! " * times
"#;

pub(crate) struct TestHub {
    pub(crate) hub: Hub,
    pub(crate) settings: HttpSettings,
    pub(crate) space: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The code of a problem, checked to be one.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.status);
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// A hub without a model whose drop folder holds these scripts.
pub(crate) async fn hub(scripts: &[(&str, &str)]) -> TestHub {
    let space = TempDir::new().unwrap();
    std::fs::create_dir(space.path().join("servers")).unwrap();
    for (name, source) in scripts {
        std::fs::write(space.path().join("servers").join(name), source).unwrap();
    }
    let telemetry = Telemetry::new().unwrap();
    let config = Config { model: "none".to_owned(), ..Config::default() };
    let hub = Hub::builder()
        .space(space.path())
        .config(config)
        .storage(Arc::new(Memory::new()))
        .meter(telemetry.meter())
        .watch(false)
        .open()
        .await
        .unwrap();
    let settings = HttpSettings { telemetry: Some(Arc::new(telemetry)), ..HttpSettings::default() };
    TestHub { hub, settings, space }
}

impl TestHub {
    /// The routes behind a port on loopback.
    pub(crate) fn router(&self) -> Router {
        router(self.hub.clone(), self.settings.clone(), Door::Tcp("127.0.0.1:18200".parse().unwrap()))
    }

    /// A request as a program on this machine sends it: `method path`, headers, body.
    pub(crate) async fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        send(self.router(), line, headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.ask(&format!("POST {path}"), &[("content-type", "application/json")], body).await
    }

    pub(crate) async fn token(&self, name: &str, scope: Scope) -> String {
        let made = self.hub.tokens().create(name, scope).await.unwrap();
        format!("Bearer {}", made.secret)
    }
}

pub(crate) async fn send(router: Router, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "127.0.0.1:18200");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}
