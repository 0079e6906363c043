//! The seed's twelve queries over HTTP against the real servers, without a model.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use dormouse::{Config, Event, Hub, IdleSetting, ServerSection, WantedSetting};
use dormouse_tests::TestSpace;
use serde_json::{Value, json};

const SHIPPED: [&str; 4] = ["calculator", "web-research", "notes-creator", "youtube-summary"];

/// The query, the tool that is right for it, and whether the seed's set of sleepers wakes one.
const QUERIES: [(&str, Option<&str>, bool); 12] = [
    ("search latest AI news", Some("search_web"), false),
    ("say hello in three languages", None, false),
    ("fetch https://example.com", Some("fetch_url"), false),
    ("calculate 42 * 58", Some("calculate"), true),
    ("search python tutorials", Some("search_web"), false),
    ("capital of France", None, false),
    ("search docker best practices", Some("search_web"), false),
    ("calculate 15% of 8500", Some("calculate"), true),
    ("explain MCP", None, false),
    ("search streamlit documentation", Some("search_web"), false),
    ("split a bill of 2400 among 3 with 15 percent tip", Some("split_bill"), true),
    ("convert 100 km to miles", Some("unit_convert"), true),
];

const RESULTS: &str = r#"<html><body><div class="result"><a class="result__a" href="https://example.org/a">A result</a>
<a class="result__snippet">What it says.</a></div></body></html>"#;

async fn listen(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// A hub with the four shipped servers, a linger of zero, and a search page of its own.
async fn shipped(space: &TestSpace, wanted: impl Fn(&str) -> WantedSetting) -> Hub {
    let search = listen(Router::new().route("/s", get(|| async { Html(RESULTS) }))).await;
    let sections: BTreeMap<String, ServerSection> = SHIPPED
        .iter()
        .map(|name| {
            space.ship(name);
            let env = BTreeMap::from([("DORMOUSE_SEARCH_URL".to_owned(), format!("{search}/s"))]);
            let section = ServerSection {
                wanted: Some(wanted(name)),
                idle_seconds: Some(IdleSetting::Seconds(0.0)),
                env: if *name == "web-research" { env } else { BTreeMap::new() },
                ..ServerSection::default()
            };
            ((*name).to_owned(), section)
        })
        .collect();
    space.hub(|config: &mut Config| config.servers = sections).await
}

/// Every attach and detach of a hub, as it happens.
fn balance(hub: &Hub) -> Arc<Mutex<BTreeMap<String, (u32, u32)>>> {
    let counts: Arc<Mutex<BTreeMap<String, (u32, u32)>>> = Arc::default();
    let (mut events, seen) = (hub.events(), counts.clone());
    tokio::spawn(async move {
        while let Ok(event) = events.recv().await {
            let mut counts = seen.lock().unwrap();
            match event {
                Event::Attached { server, .. } => counts.entry(server.to_string()).or_default().0 += 1,
                Event::Detached { server, .. } => counts.entry(server.to_string()).or_default().1 += 1,
                _ => {}
            }
        }
    });
    counts
}

async fn ask_all(hub: &Hub) -> Vec<Value> {
    let address = dormouse_tests::serve(hub).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut answers = Vec::new();
    for (query, ..) in QUERIES {
        let body = json!({ "query": query, "session_id": "load-test" });
        let response = client.post(format!("{address}/query")).json(&body).send().await.unwrap();
        assert_eq!(response.status(), 200, "{query}");
        answers.push(response.json().await.unwrap());
    }
    let history: Value =
        client.get(format!("{address}/chat/history/load-test")).send().await.unwrap().json().await.unwrap();
    assert_eq!(history.as_array().unwrap().len(), 24);
    answers
}

fn check(answers: &[Value], plugs: impl Fn(&(&str, Option<&str>, bool)) -> bool) {
    for (case, answer) in QUERIES.iter().zip(answers) {
        let (query, tool, _) = case;
        let expected: Vec<&str> = tool.iter().copied().collect();
        assert_eq!(answer["tools_used"], json!(expected), "{query}: {answer:#}");
        let plugged = !answer["hotplugged_servers"].as_array().unwrap().is_empty();
        assert_eq!(plugged, plugs(case), "{query}: {answer:#}");
        assert!(!answer["answer"].as_str().unwrap().is_empty(), "{query}");
    }
    let said = |n: usize| answers[n]["answer"].as_str().unwrap();
    assert!(said(3).contains("2436"), "{}", said(3));
    assert!(said(7).contains("1275"), "{}", said(7));
    assert!(said(10).contains("920"), "{}", said(10));
    assert!(said(11).contains("62.137"), "{}", said(11));
}

async fn ended_in_balance(space: &TestSpace, hub: Hub, counts: &Mutex<BTreeMap<String, (u32, u32)>>) {
    hub.shutdown().await;
    dormouse_tests::until("attach and detach counts are equal", || {
        counts.lock().unwrap().values().all(|(attached, detached)| attached == detached)
    })
    .await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn twelve_queries_with_the_seeds_set_plug_as_the_seed_does() {
    let space = TestSpace::new();
    let hub = shipped(&space, |name| match name {
        "calculator" => WantedSetting::OnDemand,
        _ => WantedSetting::Always,
    })
    .await;
    let counts = balance(&hub);
    for name in &SHIPPED[1..] {
        let name = dormouse::ServerName::try_new(name).unwrap();
        let minutes = std::time::Duration::from_secs(600);
        hub.store().wait(&name, &[dormouse::ServerState::Healthy], minutes).await.unwrap();
    }
    let answers = ask_all(&hub).await;
    check(&answers, |(_, _, plug)| *plug);
    dormouse_tests::until("the calculator sleeps", || counts.lock().unwrap()["calculator"].1 == 4).await;
    assert_eq!(counts.lock().unwrap()["calculator"], (4, 4));
    ended_in_balance(&space, hub, &counts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twelve_queries_on_demand_wake_just_what_they_need() {
    let space = TestSpace::new();
    let hub = shipped(&space, |_| WantedSetting::OnDemand).await;
    let counts = balance(&hub);
    let answers = ask_all(&hub).await;
    check(&answers, |(_, tool, _)| tool.is_some());
    ended_in_balance(&space, hub, &counts).await;
    let counts = counts.lock().unwrap();
    assert_eq!(counts["calculator"], (4, 4));
    assert_eq!(counts["web-research"], (5, 5));
    assert_eq!(counts.get("notes-creator"), None, "nobody asked for a note");
}
