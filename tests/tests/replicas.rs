//! Two hubs on one Redis behave as one.

use std::time::{Duration, Instant};

use dormouse::{Event, Scope, ServerState};
use dormouse_testing::{Fixture, RedisServer};
use dormouse_tests::mcp_client::{self, Events, Mcp, NEWEST_GREETED, message, refused};
use dormouse_tests::{Served, TestSpace, until};
use reqwest::Method;
use serde_json::{Value, json};

/// A hub with a space of its own on a shared Redis.
async fn replica(redis: &RedisServer, prepare: impl FnOnce(&TestSpace)) -> Served {
    let space = TestSpace::new();
    prepare(&space);
    let hub = space
        .hub(|config| {
            config.storage = redis.url();
            config.redis.timeout_seconds = 0.5;
        })
        .await;
    Served::of(space, hub).await
}

/// Waits until a GET answers so.
async fn sees(served: &Served, path: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let (_, answer) = served.get(path).await;
        if holds(&answer) {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain until {what}: {answer:#}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn named(list: &Value, member: &str, name: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|item| item[member] == name))
}

fn fixture(name: &str) -> Value {
    let mut entry = Fixture::new().entry();
    entry["name"] = json!(name);
    entry
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_at_one_hub_is_done_at_both() {
    let redis = RedisServer::start();
    let (one, other) = (replica(&redis, |_| {}).await, replica(&redis, |_| {}).await);

    // Servers, their tools and their names.
    assert_eq!(one.post("/servers", fixture("fix")).await.0, 201);
    other.knows(&Scope::Store, "fix", "echo").await;
    one.knows(&Scope::Store, "fix", "echo").await;
    assert_eq!(one.names("/tools", "tool_name").await, other.names("/tools", "tool_name").await);
    let file =
        |served: &Served| std::fs::read_to_string(served.space.root().join("mcp.json")).unwrap_or_default();
    until("both files show it", || file(&one).contains("\"fix\"") && file(&one) == file(&other)).await;

    // Each hub calls it with a process of its own, and both know of both calls.
    let call = json!({ "arguments": { "text": "hi" } });
    for served in [&one, &other] {
        let (status, answer) = served.post("/tools/fix_echo/call", call.clone()).await;
        assert_eq!((status, &answer["result"]), (200, &json!("hi")), "{answer:#}");
    }
    for served in [&one, &other] {
        sees(served, "/calls", "both calls are known", |calls| calls.as_array().unwrap().len() == 2).await;
    }

    // What is said of tools and servers, in both directions.
    let settings = json!({ "name": "say" });
    let (status, said) = other.send(Method::PUT, "/tools/fix_echo/settings", settings).await;
    assert_eq!(status, 200, "{said:#}");
    sees(&one, "/tools", "the tool has its new name", |tools| named(tools, "full_name", "say")).await;
    assert_eq!(one.send(Method::PUT, "/servers/fix/agents/ada", json!({})).await.0, 200);
    sees(&other, "/agents/ada/servers", "ada has it", |servers| named(servers, "name", "fix")).await;

    // A hand's change in one folder.
    let by_hand = file(&other).replace("\"fix\"", "\"fox\"");
    other.space.write("mcp.json", by_hand);
    sees(&one, "/servers", "the hand's name is there", |servers| {
        named(servers, "name", "fox") && !named(servers, "name", "fix")
    })
    .await;

    // Conversations, and who may come in.
    let asked = json!({ "query": "echo the text hello", "session_id": "s" });
    assert_eq!(one.post("/query", asked).await.0, 200);
    let history = other.see("/chat/history/s").await;
    assert!(history.to_string().contains("echo the text hello"), "{history:#}");
    let token = one.hub.tokens().create("ci", Scope::Store).await.unwrap();
    until("the other takes the token", || other.hub.tokens().verify(&token.secret).is_some()).await;
    other.hub.tokens().revoke("ci").await.unwrap();
    until("one refuses it", || one.hub.tokens().verify(&token.secret).is_none()).await;

    assert_eq!(other.delete("/servers/fox").await.0, 200);
    sees(&one, "/servers", "it is gone", |servers| servers.as_array().unwrap().is_empty()).await;
    one.end().await;
    other.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_is_contacted_by_one_of_them_only() {
    let redis = RedisServer::start();
    let (one, other) = (replica(&redis, |_| {}).await, replica(&redis, |_| {}).await);
    let (mut events, mut others) = (one.hub.events(), other.hub.events());
    for number in 0..5 {
        // Each is another command, or one contact would do for all.
        let name = format!("fix{number}");
        let mut entry = Fixture::new().title(&name).entry();
        entry["name"] = json!(name);
        assert_eq!(one.post("/servers", entry).await.0, 201);
    }
    for served in [&one, &other] {
        for number in 0..5 {
            served.knows(&Scope::Store, &format!("fix{number}"), "echo").await;
        }
    }
    let mut starts = 0;
    while let Ok(event) = events.try_recv() {
        starts += usize::from(matches!(event, Event::Attached { .. }));
    }
    while let Ok(event) = others.try_recv() {
        starts += usize::from(matches!(event, Event::Attached { .. }));
    }
    assert_eq!(starts, 5);
    one.end().await;
    other.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_of_one_hub_is_listed_by_the_other_and_says_where_it_is() {
    let redis = RedisServer::start();
    let one = replica(&redis, |space| {
        space.ship("calculator");
    })
    .await;
    let other = replica(&redis, |_| {}).await;
    other.knows(&Scope::Store, "calculator", "calculate").await;
    let server = other.see("/servers/calculator").await;
    assert_eq!(server["status"], "unreachable", "{server:#}");
    assert!(server["reason"].as_str().unwrap().starts_with("script not here"), "{server:#}");
    let call = json!({ "arguments": { "expression": "1 + 1" } });
    let (status, problem) = other.post("/tools/calculate/call", call).await;
    assert!(status >= 500 && problem["detail"].as_str().unwrap().contains("another hub"), "{problem:#}");
    assert_eq!(one.see("/servers/calculator").await["status"], "dormant");

    // Once it lies here as well, it is a server like any other.
    other.space.ship("calculator");
    sees(&other, "/servers/calculator", "it is here", |server| server["status"] == "dormant").await;
    std::fs::remove_file(one.space.root().join("servers/calculator.py")).unwrap();
    sees(&one, "/servers/calculator", "it lies elsewhere", |server| server["status"] == "unreachable").await;
    std::fs::remove_file(other.space.root().join("servers/calculator.py")).unwrap();
    for served in [&one, &other] {
        sees(served, "/servers", "nobody has it", |servers| servers.as_array().unwrap().is_empty()).await;
    }
    one.end().await;
    other.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn news_and_wishes_of_one_hub_reach_the_other() {
    let redis = RedisServer::start();
    let (one, other) = (replica(&redis, |_| {}).await, replica(&redis, |_| {}).await);
    assert_eq!(one.post("/servers", fixture("fix")).await.0, 201);
    one.knows(&Scope::Store, "fix", "echo").await;
    other.knows(&Scope::Store, "fix", "echo").await;
    let mut news = other.hub.events();
    let call = json!({ "arguments": { "text": "hi" } });
    assert_eq!(one.post("/tools/echo/call", call).await.0, 200);
    let ended = async {
        loop {
            if let Ok(Event::Elsewhere { event, .. }) = news.recv().await
                && matches!(&*event, Event::CallEnded { tool, .. } if tool.as_str() == "echo")
            {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("the end of the call is told");

    let raised = one.hub.store().orchestrator().raise_alert(dormouse::AlertLevel::Warning, "t", "m", None);
    let known = || {
        let alerts = other.hub.store().orchestrator().alerts();
        alerts.iter().any(|alert| alert.title == raised.title)
    };
    until("the alert is known", known).await;

    let name = "fix".parse().unwrap();
    let key = one.hub.store().server(&name).unwrap().entry.key.clone();
    let orchestrator = one.hub.store().orchestrator().clone();
    orchestrator.want(&key, dormouse::Wanted::Stopped, Some("leave it".into())).await.unwrap();
    let state = |served: &Served| served.hub.store().server(&name).unwrap().status.state;
    until("both have it stopped", || {
        state(&one) == ServerState::Disconnected && state(&other) == ServerState::Disconnected
    })
    .await;
    one.end().await;
    other.end().await;
}

/// The same client, which comes to another hub.
fn moved(mcp: &Mcp, to: &Served) -> Mcp {
    Mcp { url: Mcp::new(to, "/mcp").url, ..mcp.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_to_one_hub_reaches_the_call_at_another() {
    let redis = RedisServer::start();
    let (one, other) = (replica(&redis, |_| {}).await, replica(&redis, |_| {}).await);
    assert_eq!(one.post("/servers", fixture("fix")).await.0, 201);
    one.knows(&Scope::Store, "fix", "ask").await;
    other.knows(&Scope::Store, "fix", "ask").await;
    let mcp = Mcp::greeted(&one, "/mcp", NEWEST_GREETED).await;
    let there = moved(&mcp, &other);
    // The other hub has the session in memory too, as after any request that came to it.
    assert_eq!(there.ask("ping", json!({})).await["result"], json!({}));

    let mut stream = mcp.stream(1, "fix_ask", json!({ "question": "which?" })).await;
    let question = loop {
        let message = stream.message().await;
        if message["method"] == "elicitation/create" {
            break message;
        }
    };
    let answer = json!({ "action": "accept", "content": { "answer": "this" } });
    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": answer });
    assert_eq!(there.send(&answer).await.status(), 202);
    let events = stream.rest().await;
    let last = events.last().unwrap();
    assert!(last.message()["result"]["content"][0]["text"].as_str().unwrap().contains("this"), "{last:?}");

    // What only one hub has kept is an error at the other, and no stream that never says anything.
    let resumed = there.request(Method::GET).header("last-event-id", events[0].id.as_ref().unwrap());
    refused(resumed.send().await.unwrap(), 400, -32600, Value::Null).await;
    let begun = mcp.listen(None).await.next().await.unwrap();
    assert!(there.listen(begun.id.as_deref()).await.next().await.unwrap().is_priming());

    let call = message(2, "tools/call", json!({ "name": "fix_pause", "arguments": { "seconds": 600 } }));
    let mut news = one.hub.events();
    let waiting = tokio::spawn(mcp.post(call.to_string()).send());
    while !matches!(news.recv().await.unwrap(), Event::CallStarted { .. }) {}
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 2 } });
    assert_eq!(there.send(&cancel).await.status(), 202);
    let response = waiting.await.unwrap().unwrap();
    match response.headers().get("content-type") {
        // The client heard meanwhile that the server woke.
        Some(_) => assert!(Events::of(response).rest().await.iter().all(mcp_client::Event::is_priming)),
        None => assert_eq!(response.status(), 202),
    }
    // What nobody has is taken, and means nothing.
    assert_eq!(there.send(&cancel).await.status(), 202);
    assert_eq!(there.send(&answer).await.status(), 202);
    one.end().await;
    other.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_lists_answer_and_health_says_degraded() {
    let mut redis = RedisServer::durable();
    let (one, other) = (replica(&redis, |_| {}).await, replica(&redis, |_| {}).await);
    assert_eq!(one.post("/servers", fixture("fix")).await.0, 201);
    one.knows(&Scope::Store, "fix", "echo").await;
    other.knows(&Scope::Store, "fix", "echo").await;
    assert_eq!(one.see("/health").await["redis"], "ok");

    redis.kill();
    sees(&one, "/health", "it is degraded", |health| {
        health["status"] == "degraded" && health["redis"] == "error"
    })
    .await;
    assert_eq!(one.names("/servers", "name").await, ["fix"]);
    let call = json!({ "arguments": { "text": "still" } });
    let (status, answer) = one.post("/tools/echo/call", call).await;
    assert_eq!((status, &answer["result"]), (200, &json!("still")), "{answer:#}");
    let (status, problem) = one.post("/servers", fixture("late")).await;
    assert_eq!((status, &problem["code"]), (503, &json!("storage_unreachable")), "{problem:#}");

    redis.resume();
    for served in [&one, &other] {
        sees(served, "/health", "all is well again", |health| health["status"] == "ok").await;
    }
    assert_eq!(one.post("/servers", fixture("late")).await.0, 201);
    other.knows(&Scope::Store, "late", "echo").await;
    one.end().await;
    other.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spaces_of_other_ids_on_one_redis_share_nothing() {
    let redis = RedisServer::start();
    let one = replica(&redis, |_| {}).await;
    let space = TestSpace::new();
    let hub = space
        .hub(|config| {
            config.storage = redis.url();
            config.redis.space_id = "another".to_owned();
        })
        .await;
    let other = Served::of(space, hub).await;
    let mut news = other.hub.events();
    assert_eq!(one.post("/servers", fixture("fix")).await.0, 201);
    one.knows(&Scope::Store, "fix", "echo").await;
    // What comes later shows that there was time for more.
    assert_eq!(other.post("/servers", fixture("own")).await.0, 201);
    other.knows(&Scope::Store, "own", "echo").await;
    assert_eq!(other.names("/servers", "name").await, ["own"]);
    while let Ok(event) = news.try_recv() {
        assert!(!matches!(event, Event::Elsewhere { .. }), "{event:?}");
    }
    one.end().await;
    other.end().await;
}
