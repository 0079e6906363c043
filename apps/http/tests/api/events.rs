//! Streams.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use dormouse::{Event, ServerKey, ServerName};
use futures::StreamExt;
use tower::ServiceExt;

use crate::support::{TestHub, hub};

/// The blocks of a stream, as they come.
struct Blocks {
    body: axum::body::BodyDataStream,
    text: String,
}

async fn listen(router: &Router, path: &str, last_id: Option<&str>) -> Blocks {
    let mut request = Request::builder().uri(path).header("host", "localhost");
    if let Some(id) = last_id {
        request = request.header("last-event-id", id);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    Blocks { body: response.into_body().into_data_stream(), text: String::new() }
}

impl Blocks {
    /// The fields of the next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Vec<(String, String)>> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let fields = block.lines().filter_map(|line| line.split_once(": "));
                let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                self.text = rest.to_owned();
                return Some(fields);
            }
            let piece = self.body.next().await?.unwrap();
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    async fn field(&mut self, name: &str) -> String {
        let fields = self.next().await.unwrap();
        fields.into_iter().find(|(field, _)| field == name).unwrap().1
    }
}

fn tell(hub: &TestHub, name: &str) {
    let server = ServerKey::store(ServerName::try_new(name).unwrap());
    hub.hub.registry().emit(Event::ServerChanged { server });
}

#[tokio::test]
async fn who_comes_back_goes_on_where_it_was() {
    let hub = hub(&[]).await;
    let router = hub.router();
    let mut first = listen(&router, "/events", None).await;
    tell(&hub, "a");
    tell(&hub, "b");
    let event = first.next().await.unwrap();
    let get = |name: &str| event.iter().find(|(field, _)| field == name).unwrap().1.clone();
    assert_eq!(get("event"), "server_changed");
    assert_eq!(get("data"), r#"{"server_name":"a","owner":null}"#);
    let id = get("id");
    assert!(first.field("data").await.contains(r#""b""#));
    drop(first);
    tell(&hub, "c");

    let mut again = listen(&router, "/events", Some(&id)).await;
    assert!(again.field("data").await.contains(r#""b""#));
    assert!(again.field("data").await.contains(r#""c""#));
}

#[tokio::test]
async fn who_comes_from_another_life_is_told_that_events_are_missing() {
    let hub = hub(&[]).await;
    let router = hub.router();
    let mut lost = listen(&router, "/events", Some("0-7")).await;
    assert_eq!(lost.field("event").await, "lagged");
}

#[tokio::test]
async fn a_listener_who_sleeps_is_told_what_it_missed() {
    let hub = hub(&[]).await;
    let router = hub.router();
    let mut slow = listen(&router, "/events", None).await;
    let mut quick = listen(&router, "/events", None).await;
    for _ in 0..2000 {
        tell(&hub, "a");
        // In step with the journal, so that only the slow one lags.
        quick.next().await.unwrap();
    }
    assert_eq!(slow.field("event").await, "lagged");
}

#[tokio::test]
async fn an_agent_hears_of_its_own_servers_only() {
    let hub = hub(&[]).await;
    let router = hub.router();
    let mut agents = listen(&router, "/agents/a1/events", None).await;
    tell(&hub, "of-the-store");
    let agent = dormouse::AgentId::try_new("a1").unwrap();
    let server =
        ServerKey { scope: dormouse::Scope::Agent(agent), name: ServerName::try_new("own").unwrap() };
    hub.hub.registry().emit(Event::ServerChanged { server });
    assert_eq!(agents.field("data").await, r#"{"server_name":"own","owner":"a1"}"#);
}

#[tokio::test]
async fn streams_end_with_the_hub() {
    let hub = hub(&[]).await;
    let router = hub.router();
    let mut events = listen(&router, "/events", None).await;
    hub.settings.ending.cancel();
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_streamed_query_ends_with_the_whole_answer() {
    let hub = hub(&[]).await;
    let request = Request::post("/query")
        .header("host", "localhost")
        .header("accept", "text/event-stream")
        .header("content-type", "application/json")
        .body(Body::from(r#"{"query": "hello"}"#))
        .unwrap();
    let response = hub.router().oneshot(request).await.unwrap();
    let mut blocks = Blocks { body: response.into_body().into_data_stream(), text: String::new() };
    let mut names = Vec::new();
    let mut last = String::new();
    while let Some(fields) = blocks.next().await {
        for (field, value) in fields {
            match field.as_str() {
                "event" => names.push(value),
                "data" => last = value,
                _ => {}
            }
        }
    }
    assert_eq!(names.first().map(String::as_str), Some("candidates"), "{names:?}");
    assert!(names.contains(&"plan".to_owned()), "{names:?}");
    assert_eq!(names.last().map(String::as_str), Some("answer"), "{names:?}");
    let answer: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert_eq!(answer["query"], "hello");
}
