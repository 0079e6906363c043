//! The four shipped servers with a model, the seed's twelve queries, and who woke and slept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use dormouse::{Config, Event, Hub, IdleSetting, ServerSection};
use serde_json::{Value, json};

use crate::TestSpace;

const SERVERS: [&str; 4] = ["calculator", "web-research", "notes-creator", "youtube-summary"];

/// The seed's queries, each with the tool that is right for it.
pub const QUERIES: [(&str, Option<&str>); 12] = [
    ("search latest AI news", Some("search_web")),
    ("say hello in three languages", None),
    ("fetch https://example.com", Some("fetch_url")),
    ("calculate 42 * 58", Some("calculate")),
    ("search python tutorials", Some("search_web")),
    ("capital of France", None),
    ("search docker best practices", Some("search_web")),
    ("calculate 15% of 8500", Some("calculate")),
    ("explain MCP", None),
    ("search streamlit documentation", Some("search_web")),
    ("split a bill of 2400 among 3 with 15 percent tip", Some("split_bill")),
    ("convert 100 km to miles", Some("unit_convert")),
];

const RESULTS: &str = r#"<html><body><div class="result"><a class="result__a" href="https://example.org/a">A result</a>
<a class="result__snippet">What it says.</a></div></body></html>"#;

/// Serves a router on a free port of loopback; its address.
///
/// # Panics
/// When there is no port.
pub async fn listen(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound port has an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// A hub with the shipped servers, all asleep, a linger of zero, and a search page of its own.
pub async fn shipped(space: &TestSpace, change: impl FnOnce(&mut Config)) -> Hub {
    let search = listen(Router::new().route("/s", get(|| async { Html(RESULTS) }))).await;
    let mut sections = BTreeMap::new();
    for name in SERVERS {
        space.ship(name);
        let mut section =
            ServerSection { idle_seconds: Some(IdleSetting::Seconds(0.0)), ..ServerSection::default() };
        if name == "web-research" {
            section.env.insert("DORMOUSE_SEARCH_URL".to_owned(), format!("{search}/s"));
        }
        sections.insert(name.to_owned(), section);
    }
    space
        .hub(|config| {
            config.servers = sections;
            change(config);
        })
        .await
}

/// How often each server of a hub woke and slept.
#[derive(Debug, Clone, Default)]
pub struct Balance(Arc<Mutex<BTreeMap<String, (u32, u32)>>>);

impl Balance {
    /// Counts from now on.
    pub fn of(hub: &Hub) -> Self {
        let (mut events, balance) = (hub.events(), Self::default());
        let counts = balance.0.clone();
        tokio::spawn(async move {
            while let Ok(event) = events.recv().await {
                let mut counts = counts.lock().expect("nobody panics with the counts");
                match event {
                    Event::Attached { server, .. } => counts.entry(server.to_string()).or_default().0 += 1,
                    Event::Detached { server, .. } => counts.entry(server.to_string()).or_default().1 += 1,
                    _ => {}
                }
            }
        });
        balance
    }

    /// How often a server woke.
    ///
    /// # Panics
    /// When a test panicked with the counts.
    pub fn wakes(&self, server: &str) -> u32 {
        self.0.lock().expect("nobody panics with the counts").get(server).map_or(0, |(woke, _)| *woke)
    }

    /// Ends the hub; then everybody who woke sleeps, and no process is left.
    ///
    /// # Panics
    /// When that is not so.
    pub async fn after(&self, space: &TestSpace, hub: Hub) {
        hub.shutdown().await;
        crate::until("attach and detach counts are equal", || {
            self.0.lock().expect("nobody panics with the counts").values().all(|(woke, slept)| woke == slept)
        })
        .await;
        assert_eq!(space.processes(), Vec::<u32>::new());
    }
}

/// Asks a served hub one question; the answer.
///
/// # Panics
/// When the status is not 200.
pub async fn ask(address: &str, query: &str) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let body = json!({ "query": query, "session_id": "e2e" });
    let response = client.post(format!("{address}/query")).json(&body).send().await.expect("an answer");
    assert_eq!(response.status(), 200, "{query}");
    response.json().await.expect("JSON")
}
