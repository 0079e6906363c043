//! Streams of clients whose right to them ends.

use dormouse::Scope;
use dormouse_tests::Served;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::json;

use crate::client::{Events, Mcp, NEWEST_GREETED, message};

/// A client that sends a token with each request, and has greeted.
async fn with_token(served: &Served, name: &str) -> Mcp {
    let secret = served.hub.tokens().create(name, Scope::Store).await.unwrap().secret;
    let bearer = HeaderValue::from_str(&format!("Bearer {secret}")).unwrap();
    let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
    let mut mcp = Mcp::new(served, "/mcp");
    mcp.http = reqwest::Client::builder().no_proxy().default_headers(headers).build().unwrap();
    let hello = crate::client::greeting(NEWEST_GREETED, json!({ "elicitation": {} }));
    let greeted = mcp.send(&hello).await;
    mcp.session = Some(greeted.headers()["mcp-session-id"].to_str().unwrap().to_owned());
    mcp
}

/// A client of the transport of 2024-11-05, whose stream has begun.
async fn two_addresses(mcp: &Mcp) -> reqwest::Response {
    let request = mcp.http.get(&mcp.url).header("accept", "text/event-stream");
    let mut stream = request.send().await.unwrap();
    assert!(stream.chunk().await.unwrap().unwrap().starts_with(b"event: endpoint"));
    stream
}

#[tokio::test]
async fn a_token_that_is_revoked_ends_the_streams_that_it_opened() {
    let served = Served::start().await;
    let (gone, stays) = (with_token(&served, "gone").await, with_token(&served, "stays").await);
    let mut own = gone.listen(None).await;
    assert!(own.next().await.unwrap().is_priming());
    let params = json!({ "notifications": { "toolsListChanged": true } });
    let mut listener = Events::of(gone.alone("subscriptions/listen", params).send().await.unwrap());
    listener.message().await;
    let mut old = two_addresses(&gone).await;
    let mut call = gone.stream(1, "fix_ask", json!({ "question": "still there?" })).await;
    let question = loop {
        let message = call.message().await;
        if message["method"] == "elicitation/create" {
            break message;
        }
    };
    let news = gone.http.get(format!("{}/events", served.address)).send().await.unwrap();
    let mut other = stays.listen(None).await;
    assert!(other.next().await.unwrap().is_priming());

    served.hub.tokens().revoke("gone").await.unwrap();
    assert_eq!(gone.send(&message(2, "ping", json!({}))).await.status(), 401);
    assert_eq!(own.next().await, None);
    assert!(listener.rest().await.is_empty());
    assert_eq!(old.chunk().await.unwrap(), None);
    // Not even the answer comes.
    assert!(call.rest().await.iter().all(|event| event.message().get("id").is_none()));
    news.text().await.unwrap();

    // Who came by another token hears on, and may go on in the session.
    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "action": "decline" } });
    let heir = Mcp { session: gone.session.clone(), ..stays.clone() };
    assert_eq!(heir.send(&answer).await.status(), 202);
    stays.ask("tools/call", json!({ "name": "fix_grow", "arguments": {} })).await;
    assert_eq!(other.message().await["method"], "notifications/tools/list_changed");
    served.end().await;
}

#[tokio::test]
async fn the_first_token_ends_the_streams_of_those_who_have_none() {
    let served = Served::start().await;
    let mcp = Mcp::greeted(&served, "/mcp", NEWEST_GREETED).await;
    let mut own = mcp.listen(None).await;
    assert!(own.next().await.unwrap().is_priming());
    let mut old = two_addresses(&mcp).await;
    served.hub.tokens().create("first", Scope::Store).await.unwrap();
    assert_eq!(own.next().await, None);
    assert_eq!(old.chunk().await.unwrap(), None);
    served.end().await;
}
