//! Streams of sessions: what makes an answer one, and how they go on.

use dormouse::{IdleSetting, Scope};
use dormouse_testing::Fixture;
use dormouse_tests::{Served, TestSpace, until};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Event, Events, Mcp, NEWEST_GREETED, message, refused};

fn pid_of(served: &Served) -> Option<u32> {
    served.hub.store().servers().iter().find_map(|it| it.status.pid)
}

#[tokio::test]
async fn the_first_message_makes_the_answer_a_stream() {
    let served = Served::start().await;
    for (revision, primed) in [("2025-03-26", false), ("2025-06-18", false), ("2025-11-25", true)] {
        let mcp = Mcp::greeted(&served, "/mcp", revision).await;
        let events = mcp.stream(1, "fix_count", json!({ "steps": 2 })).await.rest().await;
        assert_eq!(events[0].is_priming() && events[0].retry.is_some(), primed, "{events:?}");
        let ids: Vec<&String> = events.iter().map(|event| event.id.as_ref().unwrap()).collect();
        assert!(ids.windows(2).all(|two| two[0] != two[1]));
        let answer = events.last().unwrap().message();
        assert_eq!(
            (&answer["id"], &answer["result"]["content"][0]["text"]),
            (&json!(1), &json!("counted to 2"))
        );
    }
    served.end().await;
}

#[tokio::test]
async fn a_question_to_the_person_goes_over_the_stream_of_its_call() {
    let served = Served::start().await;
    let mcp = Mcp::greeted(&served, "/mcp", NEWEST_GREETED).await;
    let mut stream = mcp.stream(1, "fix_ask", json!({ "question": "which?" })).await;
    let question = loop {
        let message = stream.message().await;
        if message["method"] == "elicitation/create" {
            break message;
        }
    };
    assert_eq!(question["params"]["message"], "which?");
    let answer = json!({ "action": "accept", "content": { "answer": "this" } });
    let sent = mcp.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": answer })).await;
    assert_eq!((sent.status().as_u16(), sent.text().await.unwrap()), (202, String::new()));
    let events = stream.rest().await;
    let answer = events.last().unwrap().message();
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("this"), "{answer}");
    served.end().await;
}

#[tokio::test]
async fn who_loses_its_connection_gets_the_rest() {
    let served = Served::start().await;
    let mcp = Mcp::greeted(&served, "/mcp", NEWEST_GREETED).await;
    let whole = mcp.stream(1, "fix_count", json!({ "steps": 3 })).await.rest().await;
    // From each event on, as often as it is asked for.
    for (n, event) in whole.iter().enumerate() {
        let mut rest = mcp.listen(event.id.as_deref()).await.rest().await;
        rest.retain(|event| !event.is_priming());
        assert_eq!(rest, whole[n + 1..], "from {n}");
    }
    // Another session has no such stream, and its own has another name.
    let other = Mcp::greeted(&served, "/mcp", NEWEST_GREETED).await;
    let foreign = other.request(Method::GET).header("last-event-id", whole[1].id.as_ref().unwrap());
    refused(foreign.send().await.unwrap(), 400, -32600, Value::Null).await;
    for odd in ["", "x", "1.2", "1.2.3.4", "ffffffffff.1.1"] {
        let odd = mcp.request(Method::GET).header("last-event-id", odd);
        refused(odd.send().await.unwrap(), 400, -32600, Value::Null).await;
    }
    served.end().await;
}

#[tokio::test]
async fn a_call_goes_on_without_its_client_and_its_answer_is_fetched_later() {
    let served = Served::start().await;
    let mcp = Mcp::greeted(&served, "/mcp", NEWEST_GREETED).await;
    let mut stream = mcp.stream(1, "fix_ask", json!({ "question": "still there?" })).await;
    let (last, question) = loop {
        let event = stream.next().await.unwrap();
        if !event.is_priming() && event.message()["method"] == "elicitation/create" {
            break (event.id.clone().unwrap(), event.message());
        }
    };
    drop(stream);
    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "action": "decline" } });
    assert_eq!(mcp.send(&answer).await.status(), 202);
    let rest = mcp.listen(Some(&last)).await.rest().await;
    let answer = rest.last().unwrap().message();
    assert_eq!(answer["id"], 1);
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("decline"), "{answer}");
    served.end().await;
}

#[tokio::test]
async fn a_client_that_leaves_before_its_stream_began_has_not_cancelled() {
    let served = Served::start().await;
    let mcp = Mcp::greeted(&served, "/mcp", NEWEST_GREETED).await;
    let call = message(1, "tools/call", json!({ "name": "fix_pause", "arguments": { "seconds": 2 } }));
    let waiting = tokio::spawn(mcp.post(call.to_string()).send());
    until("the call runs", || pid_of(&served).is_some()).await;
    waiting.abort();
    let ended = async || {
        let calls = served.see("/calls?tool_name=pause").await;
        calls.as_array().unwrap().first().map(|call| call["outcome"].clone())
    };
    let outcome = loop {
        if let Some(outcome) = ended().await {
            break outcome;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(outcome, "ok");
    served.end().await;
}

#[tokio::test]
async fn a_cancelled_request_gets_no_answer() {
    let served = Served::start().await;
    let mcp = Mcp::greeted(&served, "/mcp", NEWEST_GREETED).await;
    let call = message(1, "tools/call", json!({ "name": "fix_pause", "arguments": { "seconds": 600 } }));
    let waiting = tokio::spawn(mcp.post(call.to_string()).send());
    until("the call runs", || pid_of(&served).is_some()).await;
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    assert_eq!(mcp.send(&cancel).await.status(), 202);
    let response = waiting.await.unwrap().unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap()), (202, String::new()));
    // After the answer, and for what never was, it means nothing.
    assert_eq!(mcp.send(&cancel).await.status(), 202);
    assert_eq!(mcp.ask("ping", json!({})).await["result"], json!({}));
    served.end().await;
}

#[tokio::test]
async fn changes_are_told_on_the_sessions_stream_once() {
    let space = TestSpace::new();
    space.fixtures(&[("fix", Fixture::new(), json!({}))]);
    // What has grown would be forgotten by a process that slept in between.
    let hub = space.hub(|config| config.timing.idle_seconds = IdleSetting::Seconds(600.0)).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "fix", "echo").await;
    let mcp = Mcp::greeted(&served, "/mcp", NEWEST_GREETED).await;
    let mut old = mcp.listen(None).await;
    let mut new = mcp.listen(None).await;
    assert!(old.next().await.unwrap().is_priming() && new.next().await.unwrap().is_priming());
    mcp.send(&message(1, "tools/call", json!({ "name": "fix_grow", "arguments": {} }))).await;
    let told: Event = new.next().await.unwrap();
    assert_eq!(told.message()["method"], "notifications/tools/list_changed");
    served.knows(&Scope::Store, "fix", "grown_0").await;
    // Who comes back is the newest.
    let mut again = mcp.listen(told.id.as_deref()).await;
    assert!(again.next().await.unwrap().is_priming());
    mcp.send(&message(2, "tools/call", json!({ "name": "fix_grow", "arguments": {} }))).await;
    let second = again.next().await.unwrap();
    assert_eq!(second.message()["method"], "notifications/tools/list_changed");
    assert_ne!(told.id, second.id);
    drop((old, new));
    served.end().await;
}

#[tokio::test]
async fn the_end_of_the_hub_ends_streams() {
    use dormouse_http::{HttpSettings, Listening};
    let served = Served::start().await;
    let listening = Listening::on(&served.hub, "127.0.0.1", 0).await.unwrap();
    let url = format!("http://{}/mcp", listening.address().unwrap());
    let settings = HttpSettings::default();
    let ending = settings.ending.clone();
    let serving = tokio::spawn(listening.serve(served.hub.clone(), settings));
    let mut mcp = Mcp { url, ..Mcp::new(&served, "/mcp") };
    let greeted = mcp.send(&crate::client::greeting(NEWEST_GREETED, json!({}))).await;
    mcp.session = Some(greeted.headers()["mcp-session-id"].to_str().unwrap().to_owned());
    let mut stream = mcp.listen(None).await;
    assert!(stream.next().await.unwrap().is_priming());
    let params = json!({ "notifications": { "toolsListChanged": true } });
    let mut listener = Events::of(mcp.alone("subscriptions/listen", params).send().await.unwrap());
    listener.message().await;
    // A call that runs is not hurt.
    let call = message(1, "tools/call", json!({ "name": "fix_pause", "arguments": { "seconds": 1 } }));
    let call = tokio::spawn(mcp.post(call.to_string()).send());
    until("the call runs", || pid_of(&served).is_some()).await;
    ending.cancel();
    assert_eq!(stream.next().await, None);
    listener.rest().await;
    let answer: Value = call.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "rested");
    serving.await.unwrap().unwrap();
    served.end().await;
}
