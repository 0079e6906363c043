//! Clients that greet.

use dormouse::Scope;
use dormouse_testing::Fixture;
use dormouse_tests::{Served, TestSpace};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{BOTH, Events, Mcp, NEWEST_GREETED, greeting, message, refused};

#[tokio::test]
async fn a_dropped_script_is_listed_asleep_and_a_call_wakes_it() {
    let space = TestSpace::new();
    space.ship("calculator");
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    let mcp = Mcp::greeted(&served, "/mcp", NEWEST_GREETED).await;
    let listed = mcp.ask("tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().unwrap();
    assert!(tools.iter().any(|tool| tool["name"] == "calculator_calculate"), "{listed}");
    assert_eq!(served.space.processes(), Vec::<u32>::new());
    let called = mcp
        .send(&message(
            2,
            "tools/call",
            json!({ "name": "calculator_calculate", "arguments": { "expression": "6*7" } }),
        ))
        .await;
    // It may take so long to make the environment that the answer becomes a stream.
    let answer = match called.headers()["content-type"].to_str().unwrap() {
        "text/event-stream" => Events::of(called).rest().await.last().unwrap().message(),
        _ => called.json().await.unwrap(),
    };
    assert_eq!(answer["id"], 2);
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("42"), "{answer}");
    served.end().await;
}

#[tokio::test]
async fn every_revision_with_sessions_is_greeted_as_it_asks() {
    let served = Served::start().await;
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mcp = Mcp::greeted(&served, "/mcp", revision).await;
        assert_eq!(mcp.revision, revision);
        let answer =
            mcp.ask("tools/call", json!({ "name": "fix_echo", "arguments": { "text": revision } })).await;
        assert_eq!(answer["result"]["content"][0]["text"], revision);
        assert_eq!(mcp.ask("ping", json!({})).await["result"], json!({}));
    }
    for unknown in ["2026-07-28", "1999-01-01"] {
        assert_eq!(Mcp::greeted(&served, "/mcp", unknown).await.revision, NEWEST_GREETED);
    }
    served.end().await;
}

#[tokio::test]
async fn an_error_of_a_session_is_an_answer_like_another() {
    let served = Served::start().await;
    let mcp = Mcp::greeted(&served, "/mcp", NEWEST_GREETED).await;
    assert_eq!(mcp.ask("no/such", json!({})).await["error"]["code"], -32601);
    assert_eq!(mcp.ask("tools/call", json!({ "name": "no_such" })).await["error"]["code"], -32602);
    served.end().await;
}

#[tokio::test]
async fn a_session_is_needed_known_and_ended() {
    let served = Served::start().await;
    let mcp = Mcp::greeted(&served, "/mcp", NEWEST_GREETED).await;
    let list = message(3, "tools/list", json!({}));
    let stranger = |session: Option<&str>| Mcp { session: session.map(str::to_owned), ..mcp.clone() };

    refused(stranger(None).send(&list).await, 400, -32600, json!(3)).await;
    refused(stranger(Some("nobody")).send(&list).await, 404, -32600, json!(3)).await;
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    refused(stranger(None).send(&note).await, 400, -32600, Value::Null).await;
    refused(stranger(Some("nobody")).send(&note).await, 404, -32600, Value::Null).await;
    for method in [Method::GET, Method::DELETE] {
        let ask = async |mcp: Mcp| mcp.request(method.clone()).send().await.unwrap();
        refused(ask(stranger(None)).await, 400, -32600, Value::Null).await;
        refused(ask(stranger(Some("nobody"))).await, 404, -32600, Value::Null).await;
    }
    let twice = mcp.post(list.to_string()).header("mcp-session-id", "another");
    refused(twice.send().await.unwrap(), 400, -32600, json!(3)).await;

    let mut stream = mcp.listen(None).await;
    assert!(stream.next().await.unwrap().is_priming());
    let ended = mcp.request(Method::DELETE).send().await.unwrap();
    assert_eq!((ended.status().as_u16(), ended.text().await.unwrap()), (204, String::new()));
    assert_eq!(stream.next().await, None);
    refused(mcp.send(&list).await, 404, -32600, json!(3)).await;
    refused(mcp.request(Method::DELETE).send().await.unwrap(), 404, -32600, Value::Null).await;
    served.end().await;
}

#[tokio::test]
async fn a_revision_that_is_not_the_sessions_is_refused() {
    let served = Served::start().await;
    let mcp = Mcp::greeted(&served, "/mcp", "2025-06-18").await;
    let said = |revision: &str| Mcp { revision: revision.to_owned(), ..mcp.clone() };
    let ping = message(4, "ping", json!({}));
    for tolerated in ["", "2025-03-26"] {
        assert_eq!(said(tolerated).send(&ping).await.status(), 200);
    }
    refused(said("2025-11-25").send(&ping).await, 400, -32600, json!(4)).await;
    let unknown = refused(said("2099-01-01").send(&ping).await, 400, -32022, json!(4)).await;
    assert_eq!(unknown["error"]["data"]["requested"], "2099-01-01");
    refused(said("2025-11-25").request(Method::GET).send().await.unwrap(), 400, -32600, Value::Null).await;
    refused(said("2025-11-25").request(Method::DELETE).send().await.unwrap(), 400, -32600, Value::Null).await;

    let contradicting = Mcp { session: None, ..said("2025-11-25") };
    refused(contradicting.send(&greeting("2025-06-18", json!({}))).await, 400, -32600, json!(1)).await;
    served.end().await;
}

#[tokio::test]
async fn a_client_gets_the_form_that_it_takes() {
    let served = Served::start().await;
    let mcp = Mcp::greeted(&served, "/mcp", NEWEST_GREETED).await;
    let ping = message(5, "ping", json!({})).to_string();
    let accepting = async |accept: &str| {
        let mut request = mcp.post(ping.clone()).build().unwrap();
        request.headers_mut().insert("accept", accept.parse().unwrap());
        mcp.http.execute(request).await.unwrap()
    };
    for accept in [BOTH, "application/json", "*/*", "text/event-stream;q=0.1, application/json"] {
        let answer = accepting(accept).await;
        assert_eq!(answer.headers()["content-type"], "application/json", "{accept}");
        assert_eq!(answer.json::<Value>().await.unwrap()["result"], json!({}));
    }
    let events = Events::of(accepting("text/event-stream").await).rest().await;
    assert!(events[0].is_priming() && events[0].retry.is_some());
    assert_eq!((events.len(), events[1].message()["result"].clone()), (2, json!({})));
    refused(accepting("text/html").await, 406, -32600, Value::Null).await;

    let get = mcp.request(Method::GET).build().unwrap();
    let mut plain = get.try_clone().unwrap();
    plain.headers_mut().insert("accept", "application/json".parse().unwrap());
    refused(mcp.http.execute(plain).await.unwrap(), 406, -32600, Value::Null).await;
    served.end().await;
}

#[tokio::test]
async fn batches_are_taken_in_the_one_revision_that_has_them() {
    let served = Served::start().await;
    let batch = json!([
        message(1, "ping", json!({})),
        { "jsonrpc": "2.0", "method": "notifications/roots/list_changed" },
        message(2, "tools/call", json!({ "name": "fix_echo", "arguments": { "text": "two" } })),
        message(3, "no/such", json!({})),
        message(4, "initialize", json!({})),
        7,
    ]);
    let mcp = Mcp { revision: String::new(), ..Mcp::greeted(&served, "/mcp", "2025-03-26").await };
    let answer: Value = mcp.send(&batch).await.json().await.unwrap();
    let of = |id: i64| answer.as_array().unwrap().iter().find(|it| it["id"] == id).unwrap().clone();
    assert_eq!(answer.as_array().unwrap().len(), 5, "{answer}");
    assert_eq!(of(1)["result"], json!({}));
    assert_eq!(of(2)["result"]["content"][0]["text"], "two");
    assert_eq!(of(3)["error"]["code"], -32601);
    assert_eq!(of(4)["error"]["code"], -32600);
    let notes = json!([{ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" }]);
    assert_eq!(mcp.send(&notes).await.status(), 202);
    refused(mcp.send(&json!([])).await, 400, -32600, Value::Null).await;
    let many: Value = (0..101).map(|id| message(id, "ping", json!({}))).collect();
    refused(mcp.send(&many).await, 400, -32600, Value::Null).await;

    for revision in ["2024-11-05", "2025-06-18", NEWEST_GREETED] {
        let other = Mcp::greeted(&served, "/mcp", revision).await;
        refused(other.send(&batch).await, 400, -32600, Value::Null).await;
    }
    refused(Mcp::new(&served, "/mcp").send(&batch).await, 400, -32600, Value::Null).await;
    served.end().await;
}

#[tokio::test]
async fn a_session_goes_on_after_a_restart_of_the_hub() {
    let space = TestSpace::new();
    space.fixtures(&[("fix", Fixture::new(), json!({}))]);
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "fix", "echo").await;
    let mcp = Mcp::greeted(&served, "/mcp", NEWEST_GREETED).await;
    let mut stream = mcp.listen(None).await;
    let primed = stream.next().await.unwrap().id.unwrap();
    drop(stream);
    let Served { space, hub, .. } = served;
    hub.shutdown().await;
    drop(hub);

    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    let mcp = Mcp { url: format!("{}/mcp", served.address), ..mcp };
    let answer = mcp.ask("tools/call", json!({ "name": "fix_echo", "arguments": { "text": "again" } })).await;
    assert_eq!(answer["result"]["content"][0]["text"], "again");
    // Its stream goes on from now, and a stream of a request of before is gone.
    let mut stream = mcp.listen(Some(&primed)).await;
    assert!(stream.next().await.unwrap().is_priming());
    let gone = primed.replace(".0.", ".1.");
    let gone = mcp.request(Method::GET).header("last-event-id", gone).send().await.unwrap();
    refused(gone, 400, -32600, Value::Null).await;
    served.end().await;
}
