//! Tools and calls in the forms of other libraries.

use axum::http::StatusCode;
use dormouse_testing::Fixture;
use serde_json::{Value, json};

use crate::support::{GREET, TestHub, hub};

#[tokio::test]
async fn tools_come_in_the_form_that_is_asked_for() {
    let hub = hub(&[("greet.py", GREET)]).await;
    for (format, name, schema) in [
        ("openai", "/0/function/name", "/0/function/parameters"),
        ("openai_responses", "/0/name", "/0/parameters"),
        ("anthropic", "/0/name", "/0/input_schema"),
        ("gemini", "/0/functionDeclarations/0/name", "/0/functionDeclarations/0/parameters"),
        ("ollama", "/0/function/name", "/0/function/parameters"),
        ("langchain", "/0/name", "/0/args_schema"),
    ] {
        let list = hub.get(&format!("/tools?format={format}")).await.json();
        assert_eq!(list.pointer(name), Some(&json!("greet_greet")), "{list}");
        assert_eq!(list.pointer(schema).unwrap()["required"], json!(["name"]), "{list}");
        assert_eq!(hub.get(&format!("/agents/a1/tools?format={format}")).await.json(), json!([]));
    }
    let langchain = hub.get("/tools?format=langchain").await.json();
    assert_eq!(langchain[0]["call"], json!({"method": "POST", "path": "/tools/call?format=langchain"}));

    let one = hub.get("/tools?format=langchain&server_name=greet").await.json();
    assert_eq!(one, langchain);
    assert_eq!(hub.get("/tools?format=langchain&server_name=gret").await.code(), "unknown_server");
    // No model may be told of a tool that it cannot call.
    let disabled = hub.get("/tools?format=langchain&disabled=true").await;
    assert_eq!((disabled.code(), &disabled.json()["field"]), ("invalid_request".into(), &json!("disabled")));

    for request in ["GET /tools?format=xml", "POST /tools/call?format=xml"] {
        let unknown = hub.ask(request, &[("content-type", "application/json")], "[]").await;
        assert_eq!(
            (unknown.status, unknown.code()),
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid_request".into())
        );
        let unknown = unknown.json();
        assert_eq!((&unknown["field"], &unknown["known"][3]), (&json!("format"), &json!("gemini")));
    }
    hub.hub.shutdown().await;
}

async fn call(hub: &TestHub, path: &str, body: &Value) -> Value {
    let answer = hub.post(path, &body.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    answer.json()
}

#[tokio::test]
async fn calls_of_a_list_are_answered_in_their_order_each_for_itself() {
    let hub = hub(&[]).await;
    let mut entry = Fixture::new().entry();
    entry["name"] = json!("fix");
    assert_eq!(hub.post("/servers", &entry.to_string()).await.status, StatusCode::CREATED);
    let made = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let calls = json!([
        made("a", "fix_add", r#"{"a": 2, "b": 3}"#),
        made("b", "fix_add", r#"{"a": 2,"#),
        made("c", "fix_ad", "{}"),
        made("d", "fix_fail", r#"{"message": "no money"}"#),
        made("e", "fix_add", r#"{"a": 2}"#),
    ]);
    let told = call(&hub, "/tools/call", &calls).await;
    let said = |place: usize| told[place]["content"].as_str().unwrap();
    let ids: Vec<&str> =
        told.as_array().unwrap().iter().map(|one| one["tool_call_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a", "b", "c", "d", "e"]);
    assert_eq!(said(0), "5");
    assert!(said(1).starts_with("error: the arguments are no JSON"), "{told}");
    assert!(said(2).contains("did you mean fix_add"), "{told}");
    assert!(said(3).contains("no money") && said(4).contains('b'), "{told}");

    let anthropic = json!({"type": "tool_use", "id": "t1", "name": "fix_fail", "input": {"message": "no"}});
    let told = call(&hub, "/tools/call", &anthropic).await;
    assert_eq!(
        (&told["type"], &told["tool_use_id"], &told["is_error"]),
        (&json!("tool_result"), &json!("t1"), &json!(true))
    );
    let gemini =
        json!({"role": "model", "parts": [{"functionCall": {"name": "fix_add", "args": {"a": 1, "b": 1}}}]});
    let told = call(&hub, "/tools/call?format=gemini", &gemini).await;
    assert_eq!(told[0]["functionResponse"]["name"], "fix_add");
    assert!(told[0]["functionResponse"]["response"]["output"].to_string().contains('2'), "{told}");
    let late = json!({"name": "fix_pause", "args": {"seconds": 600}, "id": "l", "type": "tool_call"});
    let told = call(&hub, "/tools/call?timeout_ms=2000", &late).await;
    assert_eq!(
        (&told["status"], &told["artifact"]["outcome"]),
        (&json!("error"), &json!("unknown")),
        "{told}"
    );
    // An agent calls only what is its own.
    let told = call(&hub, "/agents/a1/tools/call", &calls).await;
    assert!(told[0]["content"].as_str().unwrap().contains("no tool is named"), "{told}");
    hub.hub.shutdown().await;
}

#[tokio::test]
async fn what_is_no_call_is_refused_with_its_place() {
    let hub = hub(&[]).await;
    for (path, body, field) in [
        ("/tools/call", json!([{"type": "text"}]), "[0]"),
        ("/tools/call", json!("x"), "."),
        ("/tools/call?format=openai", json!({"name": "x", "args": {}}), "."),
        ("/tools/call?timeout_ms=0", json!([]), "timeout_ms"),
    ] {
        let refused = hub.post(path, &body.to_string()).await;
        assert_eq!(refused.code(), "invalid_request", "{body}");
        let refused = refused.json();
        assert_eq!((&refused["field"], &refused["outcome"]), (&json!(field), &json!("failed")));
    }
    assert_eq!(hub.post("/tools/call", "{").await.code(), "invalid_json");
    assert_eq!(call(&hub, "/tools/call", &json!([])).await, json!([]));
    // The route does not hide a tool of that name.
    assert_eq!(hub.get("/tools/call").await.code(), "unknown_tool");
    hub.hub.shutdown().await;
}
