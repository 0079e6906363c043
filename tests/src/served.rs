//! A hub behind its HTTP API, and a client of it.

use dormouse::{Hub, Scope};
use dormouse_testing::Fixture;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{TestSpace, serve, until};

/// A hub that is served over HTTP, with its space and a client.
#[derive(Debug)]
pub struct Served {
    /// Its space.
    pub space: TestSpace,
    /// The hub.
    pub hub: Hub,
    /// The base of its addresses.
    pub address: String,
    /// A client that asks no proxy.
    pub http: Client,
}

impl Served {
    /// Serves a new space whose store has one configured server, `fix`, which behaves and whose
    /// tools are known.
    pub async fn start() -> Self {
        let space = TestSpace::new();
        space.fixtures(&[("fix", Fixture::new(), json!({}))]);
        let hub = space.hub(|_| {}).await;
        let served = Self::of(space, hub).await;
        served.knows(&Scope::Store, "fix", "echo").await;
        served
    }

    /// Serves a hub.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn of(space: TestSpace, hub: Hub) -> Self {
        let address = serve(&hub).await;
        let http = Client::builder().no_proxy().build().expect("a client");
        Self { space, hub, address, http }
    }

    /// Waits until a tool is known.
    pub async fn knows(&self, scope: &Scope, server: &str, tool: &str) {
        let registry = self.hub.registry().clone();
        until(&format!("{tool} of {server} is known"), || {
            registry.snapshot().find_tool(scope, tool, Some(server)).is_ok()
        })
        .await;
    }

    /// A request with a body that says it is JSON, whatever it is.
    pub async fn send(&self, method: Method, path: &str, body: impl ToString) -> (u16, Value) {
        let request = self.http.request(method, format!("{}{path}", self.address));
        answer_of(request.header("content-type", "application/json").body(body.to_string())).await
    }

    /// A POST.
    pub async fn post(&self, path: &str, body: impl ToString) -> (u16, Value) {
        self.send(Method::POST, path, body).await
    }

    /// A GET.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer_of(self.http.get(format!("{}{path}", self.address))).await
    }

    /// A DELETE.
    pub async fn delete(&self, path: &str) -> (u16, Value) {
        answer_of(self.http.delete(format!("{}{path}", self.address))).await
    }

    /// What a GET that succeeds answers.
    ///
    /// # Panics
    /// When it does not succeed.
    pub async fn see(&self, path: &str) -> Value {
        let (status, answer) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {answer:#}");
        answer
    }

    /// What stands under a member of each item of a list, sorted.
    ///
    /// # Panics
    /// When it is no such list.
    pub async fn names(&self, path: &str, member: &str) -> Vec<String> {
        let list = self.see(path).await;
        let items = list.as_array().expect("a list").iter();
        let mut names: Vec<String> =
            items.map(|item| item[member].as_str().expect("a text").to_owned()).collect();
        names.sort();
        names
    }

    /// Ends the hub; then no process of the space is left.
    ///
    /// # Panics
    /// When one is.
    pub async fn end(self) {
        self.hub.shutdown().await;
        assert_eq!(self.space.processes(), Vec::<u32>::new());
    }
}

/// Status and body of an answer.
async fn answer_of(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

/// Checks a problem's status, code, and the field that it names.
///
/// # Panics
/// When the answer is another.
pub fn refused((status, problem): (u16, Value), expected: u16, code: &str, field: Option<&str>) {
    assert_eq!((status, &problem["code"]), (expected, &json!(code)), "{problem:#}");
    assert_eq!(problem["field"], json!(field), "{problem:#}");
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem:#}");
}
