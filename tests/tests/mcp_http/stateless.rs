//! Clients of 2026-07-28: each request speaks for itself.

use dormouse::Scope;
use dormouse_testing::Fixture;
use dormouse_tests::{Served, TestSpace, until};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Events, Mcp, STATELESS, message, refused, with_meta};

async fn answer(request: reqwest::RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("mcp-session-id"));
    response.json().await.unwrap()
}

#[tokio::test]
async fn a_request_needs_no_greeting() {
    let served = Served::start().await;
    let mcp = Mcp::new(&served, "/mcp");
    let found = answer(mcp.alone("server/discover", json!({}))).await;
    assert!(found["result"]["supportedVersions"].as_array().unwrap().contains(&json!(STATELESS)));
    assert_eq!(found["result"]["resultType"], "complete");
    let listed = answer(mcp.alone("tools/list", json!({}))).await;
    assert!(listed["result"]["ttlMs"].is_u64() && listed["result"]["cacheScope"].is_string());
    let called =
        answer(mcp.alone("tools/call", json!({ "name": "fix_echo", "arguments": { "text": "hi" } }))).await;
    assert_eq!(called["result"]["content"][0]["text"], "hi");
    assert_eq!(called["result"]["resultType"], "complete");
    // A session means nothing here.
    let odd = mcp.alone("tools/list", json!({})).header("mcp-session-id", "nobody");
    assert_eq!(odd.send().await.unwrap().status(), 200);
    served.end().await;
}

#[tokio::test]
async fn what_a_request_does_not_say_is_refused() {
    let served = Served::start().await;
    let mcp = Mcp::new(&served, "/mcp");
    let with = |meta: Value| {
        mcp.post(message(7, "tools/list", json!({ "_meta": meta })).to_string())
            .header("mcp-protocol-version", STATELESS)
            .header("mcp-method", "tools/list")
    };
    let revision = "io.modelcontextprotocol/protocolVersion";
    let capabilities = "io.modelcontextprotocol/clientCapabilities";
    for meta in [
        json!({}),
        json!({ capabilities: {} }),
        json!({ revision: STATELESS }),
        json!({ revision: 7, capabilities: {} }),
    ] {
        refused(with(meta).send().await.unwrap(), 400, -32602, json!(7)).await;
    }
    let whole = json!({ revision: STATELESS, capabilities: {} });
    assert_eq!(with(whole).send().await.unwrap().status(), 200);
    served.end().await;
}

#[tokio::test]
async fn revisions_that_differ_or_are_not_known_are_refused() {
    let served = Served::start().await;
    let mcp = Mcp::new(&served, "/mcp");
    let ask = |header: Option<&str>, said: &str| {
        let mut params = with_meta(json!({}));
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(said);
        let request =
            mcp.post(message(7, "tools/list", params).to_string()).header("mcp-method", "tools/list");
        match header {
            Some(header) => request.header("mcp-protocol-version", header),
            None => request,
        }
    };
    refused(ask(None, STATELESS).send().await.unwrap(), 400, -32020, json!(7)).await;
    refused(ask(Some("2025-11-25"), STATELESS).send().await.unwrap(), 400, -32020, json!(7)).await;
    refused(ask(Some(STATELESS), "2099-01-01").send().await.unwrap(), 400, -32020, json!(7)).await;
    let unknown =
        refused(ask(Some("2099-01-01"), "2099-01-01").send().await.unwrap(), 400, -32022, json!(7)).await;
    assert_eq!(unknown["error"]["data"]["requested"], "2099-01-01");
    assert!(unknown["error"]["data"]["supported"].as_array().unwrap().contains(&json!(STATELESS)));
    let twice = ask(Some(STATELESS), STATELESS).header("mcp-protocol-version", STATELESS);
    refused(twice.send().await.unwrap(), 400, -32600, Value::Null).await;
    served.end().await;
}

#[tokio::test]
async fn methods_of_sessions_do_not_exist() {
    let served = Served::start().await;
    let mcp = Mcp::new(&served, "/mcp");
    for method in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "no/such"] {
        refused(mcp.alone(method, json!({})).send().await.unwrap(), 404, -32601, json!(7)).await;
    }
    for method in [Method::GET, Method::DELETE] {
        let response = mcp.request(method).header("mcp-protocol-version", STATELESS).send().await.unwrap();
        assert_eq!(response.headers()["allow"], "POST");
        refused(response, 405, -32600, Value::Null).await;
    }
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    let response = mcp.post(note.to_string()).header("mcp-protocol-version", STATELESS).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap()), (202, String::new()));
    let said = json!({ "jsonrpc": "2.0", "id": 1, "result": {} });
    let response = mcp.post(said.to_string()).header("mcp-protocol-version", STATELESS).send().await.unwrap();
    refused(response, 400, -32600, Value::Null).await;
    served.end().await;
}

#[tokio::test]
async fn headers_say_what_the_body_says() {
    let space = TestSpace::new();
    let deploy = json!({ "name": "deploy", "inputSchema": { "type": "object", "properties": {
        "region": { "type": "string", "x-mcp-header": "Region" },
        "level": { "type": "integer", "x-mcp-header": "Level" },
        "sure": { "type": "boolean", "x-mcp-header": "Sure" },
    } } });
    space.fixtures(&[("fix", Fixture::new().raw_tools(&[deploy]), json!({}))]);
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "fix", "deploy").await;
    let mcp = Mcp::new(&served, "/mcp");
    let arguments = json!({ "region": "Zürich", "level": 42, "sure": true });
    let call = |headers: &[(&str, &str)]| {
        let params = with_meta(json!({ "name": "fix_deploy", "arguments": arguments }));
        let mut request =
            mcp.post(message(7, "tools/call", params).to_string()).header("mcp-protocol-version", STATELESS);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request
    };
    let all = [
        ("Mcp-Method", "tools/call"),
        ("mcp-name", "=?base64?Zml4X2RlcGxveQ==?="),
        ("Mcp-Param-Region", "=?base64?WsO8cmljaA==?="),
        ("MCP-PARAM-LEVEL", "42.0"),
        ("mcp-param-sure", "true"),
    ];
    let taken = call(&all).send().await.unwrap();
    assert_eq!(taken.status(), 200);
    assert!(taken.json::<Value>().await.unwrap()["error"]["code"] != -32020);
    for missing in 0..all.len() {
        let rest: Vec<_> = all.iter().enumerate().filter(|(n, _)| *n != missing).map(|(_, it)| *it).collect();
        refused(call(&rest).send().await.unwrap(), 400, -32020, json!(7)).await;
        for wrong in ["other", "=?base64?Zm9v?=x", "=?base64?!!!!?=", "=?base64?SGVsbG8?="] {
            let changed: Vec<_> = all
                .iter()
                .enumerate()
                .map(|(n, it)| if n == missing { (it.0, wrong) } else { *it })
                .collect();
            refused(call(&changed).send().await.unwrap(), 400, -32020, json!(7)).await;
        }
        let twice = [&all[..], &[all[missing]]].concat();
        refused(call(&twice).send().await.unwrap(), 400, -32020, json!(7)).await;
    }
    served.end().await;
}

#[tokio::test]
async fn progress_makes_the_answer_a_stream_without_ids() {
    let served = Served::start().await;
    let mcp = Mcp::new(&served, "/mcp");
    let params =
        json!({ "name": "fix_count", "arguments": { "steps": 3 }, "_meta": { "progressToken": "p" } });
    let events = Events::of(mcp.alone("tools/call", params).send().await.unwrap()).rest().await;
    assert!(events.iter().all(|event| event.id.is_none() && event.retry.is_none()), "{events:?}");
    let messages: Vec<Value> = events.iter().map(crate::client::Event::message).collect();
    let (answer, before) = messages.split_last().unwrap();
    assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&json!(7), &json!("counted to 3")));
    assert!(
        before
            .iter()
            .all(|it| it["method"] == "notifications/progress" && it["params"]["progressToken"] == "p")
    );
    assert!(before.iter().any(|it| it["params"]["progress"] == 3), "{before:?}");
    served.end().await;
}

#[tokio::test]
async fn a_client_that_leaves_has_cancelled() {
    let served = Served::start().await;
    let mcp = Mcp::new(&served, "/mcp");
    let pause = |meta: Value| {
        let params = json!({ "name": "fix_pause", "arguments": { "seconds": 600 }, "_meta": meta });
        tokio::spawn(mcp.alone("tools/call", params).send())
    };
    let waiting = pause(json!({}));
    let attached = || served.hub.store().servers().iter().any(|it| it.status.pid.is_some());
    until("the call runs", attached).await;
    waiting.abort();
    until("the server is let go", || !attached()).await;
    served.end().await;
}

#[tokio::test]
async fn a_listener_is_told_what_it_asked_for_until_it_leaves_or_the_hub_ends() {
    let served = Served::start().await;
    let mcp = Mcp::new(&served, "/mcp");
    let params = json!({ "notifications": { "toolsListChanged": true } });
    let mut stream = Events::of(mcp.alone("subscriptions/listen", params.clone()).send().await.unwrap());
    assert_eq!(stream.message().await["method"], "notifications/subscriptions/acknowledged");
    answer(mcp.alone("tools/call", json!({ "name": "fix_grow", "arguments": {} }))).await;
    assert_eq!(stream.message().await["method"], "notifications/tools/list_changed");

    let mut only_json = mcp.alone("subscriptions/listen", params).build().unwrap();
    only_json.headers_mut().insert("accept", "application/json".parse().unwrap());
    refused(mcp.http.execute(only_json).await.unwrap(), 406, -32600, json!(7)).await;
    served.end().await;
}
