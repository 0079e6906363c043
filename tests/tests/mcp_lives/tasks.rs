//! Calls that go on after their answer, within one life each; `tasks_between` has the others.

use dormouse::Scope;
use dormouse_testing::python;
use dormouse_tests::mcp_client::STATELESS;
use dormouse_tests::{Served, TestSpace, until};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, Web, script};

pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
pub(crate) const RELATED: &str = "io.modelcontextprotocol/related-task";

/// A hub with a server whose calls may be tasks, in either life; the agent `ada` sees both.
pub(crate) async fn served() -> (Served, Web) {
    let space = TestSpace::new();
    let web = Web::start(python(), "tasks.py", &[]);
    let old = json!({
        "command": python(), "args": [script("tasks.py"), "stdio"], "dormouse": { "idle_seconds": 0 },
    });
    let servers = json!({ "old": old, "new": { "url": web.url } });
    space.write("mcp.json", json!({ "mcpServers": servers }).to_string());
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    for server in ["old", "new"] {
        served.knows(&Scope::Store, server, "job").await;
        let path = format!("/servers/{server}/agents/ada");
        assert_eq!(served.send(Method::PUT, &path, json!({})).await.0, 200);
    }
    (served, web)
}

pub(crate) fn runs(served: &Served, server: &str) -> bool {
    let servers = served.hub.store().servers();
    servers.iter().any(|it| it.name == server && it.status.pid.is_some())
}

/// Begins a job, and returns its name.
async fn begun(client: &Client, tool: &str) -> String {
    let mut params = json!({ "name": tool, "arguments": {} });
    if !client.is_stateless() {
        params["task"] = json!({ "ttl": 600_000 });
    }
    let told = client.ask("tools/call", params).await;
    let task = if client.is_stateless() {
        assert_eq!(told.result()["resultType"], "task", "{told:#?}");
        told.result()
    } else {
        assert_eq!(told.result()["_meta"]["begun"], 1, "{told:#?}");
        &told.result()["task"]
    };
    let name = task["taskId"].as_str().unwrap_or_else(|| panic!("{told:#?}"));
    assert!(!name.starts_with("own-"), "two servers may give the same name: {told:#?}");
    name.to_owned()
}

async fn status(client: &Client, task: &str) -> Value {
    let told = client.ask("tasks/get", json!({ "taskId": task })).await;
    assert_eq!(told.result()["taskId"], task, "{told:#?}");
    told.result()["status"].clone()
}

async fn unknown(client: &Client, method: &str, task: &str) {
    let told = client.ask(method, json!({ "taskId": task })).await;
    assert_eq!(told.answer["error"]["code"], -32602, "{method}: {told:#?}");
}

#[tokio::test]
async fn a_task_of_a_session_keeps_its_server_awake_until_its_result_is_fetched() {
    let (served, _web) = served().await;
    until("it sleeps", || !runs(&served, "old")).await;
    let client = Client::of(&served, "/mcp", "2025-11-25", json!({})).await;
    let one = begun(&client, "old_job").await;
    let other = begun(&client, "old_job").await;
    assert_eq!(client.call("old_job", json!({})).await.text(), "at once", "who asks for no task gets none");
    assert!(runs(&served, "old"));
    assert_eq!(status(&client, &one).await, "working");

    // It is nobody else's: of another context, or of none.
    let ada = Client::of(&served, "/agents/ada/mcp", "2025-11-25", json!({})).await;
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        unknown(&ada, method, &one).await;
        unknown(&client, method, "own-0").await;
    }
    assert!(ada.list("tasks/list", "tasks").await.is_empty());
    let stranger = Client::of(&served, "/mcp", "2025-11-25", json!({})).await;
    unknown(&stranger, "tasks/get", &one).await;
    assert!(stranger.list("tasks/list", "tasks").await.is_empty(), "a task is its session's");
    let listed = client.list("tasks/list", "tasks").await;
    let mut names: Vec<&str> = listed.iter().map(|task| task["taskId"].as_str().unwrap()).collect();
    names.sort_unstable();
    let mut expected = [one.as_str(), other.as_str()];
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert!(listed.iter().all(|task| task["xTask"] == 1 && task["status"] == "working"), "{listed:#?}");

    // Whoever waits for the result gets it when it is there, and hears that it is.
    let mut events = client.mcp.listen(None).await;
    let waiting = client.ask("tasks/result", json!({ "taskId": one }));
    let finished = async {
        let finisher = Client::of(&served, "/mcp", "2025-11-25", json!({})).await;
        finisher.call("old_finish", json!({ "number": 0 })).await.text().to_owned()
    };
    // Either may be heard first.
    let (result, finished) = tokio::join!(waiting, finished);
    assert_eq!(finished, "finished");
    assert_eq!(result.text(), "done 0", "{result:#?}");
    assert_eq!(result.result()["_meta"][RELATED]["taskId"], one, "{result:#?}");
    let note = events.message().await;
    assert_eq!(note["method"], "notifications/tasks/status", "{note}");
    assert_eq!(
        (&note["params"]["taskId"], &note["params"]["status"]),
        (&json!(one), &json!("completed")),
        "{note}"
    );
    assert!(runs(&served, "old"), "the other one still runs");

    // One that has ended is not lost before its result was fetched.
    assert_eq!(client.call("old_finish", json!({ "number": 1 })).await.text(), "finished");
    assert_eq!(status(&client, &other).await, "completed");
    assert!(runs(&served, "old"));
    let result = client.ask("tasks/result", json!({ "taskId": other })).await;
    assert_eq!(result.text(), "done 1", "{result:#?}");
    until("it sleeps", || !runs(&served, "old")).await;
    let listed = client.list("tasks/list", "tasks").await;
    assert_eq!(listed.len(), 2, "{listed:#?}");
    assert!(!runs(&served, "old"), "a list wakes nobody");
    served.end().await;
}

#[tokio::test]
async fn a_cancelled_task_lets_its_server_sleep() {
    let (served, _web) = served().await;
    let client = Client::of(&served, "/mcp?mode=single&server=old", "2025-11-25", json!({})).await;
    let task = begun(&client, "job").await;
    let cancelled = client.ask("tasks/cancel", json!({ "taskId": task })).await;
    assert_eq!(
        (&cancelled.result()["status"], &cancelled.result()["taskId"]),
        (&json!("cancelled"), &json!(task))
    );
    until("it sleeps", || !runs(&served, "old")).await;
    served.end().await;
}

#[tokio::test]
async fn a_task_of_a_stateless_client_is_asked_after_answered_and_cancelled() {
    let (served, _web) = served().await;
    let capabilities = json!({ "elicitation": {}, "extensions": { EXTENSION: {} } });
    let client = Client::of(&served, "/mcp", STATELESS, capabilities.clone()).await;
    let discovered = client.ask("server/discover", json!({})).await;
    assert_eq!(discovered.result()["capabilities"]["extensions"][EXTENSION], json!({}), "{discovered:#?}");

    let task = begun(&client, "new_job").await;
    assert_eq!(status(&client, &task).await, "working");
    let ada = Client::of(&served, "/agents/ada/mcp", STATELESS, capabilities).await;
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        unknown(&ada, method, &task).await;
    }
    let plain = Client::of(&served, "/mcp", STATELESS, json!({})).await;
    assert_eq!(plain.call("new_job", json!({})).await.text(), "at once", "who does not know tasks gets none");
    let refused = plain.ask("tasks/get", json!({ "taskId": task })).await;
    assert_eq!(refused.answer["error"]["code"], -32021, "{refused:#?}");

    assert_eq!(client.call("new_finish", json!({ "number": 0 })).await.text(), "finished");
    let got = client.ask("tasks/get", json!({ "taskId": task })).await;
    assert_eq!(got.result()["result"]["content"][0]["text"], "done 0", "{got:#?}");

    let asking = begun(&client, "new_ask").await;
    let got = client.ask("tasks/get", json!({ "taskId": asking })).await;
    assert_eq!(got.result()["status"], "input_required", "{got:#?}");
    assert_eq!(got.result()["inputRequests"]["q"]["method"], "elicitation/create", "{got:#?}");
    let answers = json!({ "taskId": asking, "inputResponses": { "q": { "action": "decline" } } });
    client.ask("tasks/update", answers).await.result();
    let got = client.ask("tasks/get", json!({ "taskId": asking })).await;
    assert_eq!(got.result()["result"]["content"][0]["text"], "answered decline", "{got:#?}");

    let last = begun(&client, "new_job").await;
    client.ask("tasks/cancel", json!({ "taskId": last })).await.result();
    assert_eq!(status(&client, &last).await, "cancelled");
    served.end().await;
}

#[tokio::test]
async fn tasks_are_announced_to_each_life_in_its_words() {
    let (served, _web) = served().await;
    for path in ["/mcp", "/mcp?mode=single&server=old", "/mcp?mode=single&server=new"] {
        let plain = dormouse_tests::mcp_client::Mcp::new(&served, path);
        let greeting = dormouse_tests::mcp_client::greeting("2025-11-25", json!({}));
        let greeted = plain.send(&greeting).await.json::<Value>().await.unwrap();
        let can = &greeted["result"]["capabilities"];
        assert_eq!(can["tasks"]["requests"]["tools"]["call"], json!({}), "{path}: {can}");
        assert_eq!(can["extensions"][EXTENSION], Value::Null, "{path}: {can}");
        let client = Client::of(&served, path, STATELESS, json!({})).await;
        let discovered = client.ask("server/discover", json!({})).await;
        let can = &discovered.result()["capabilities"];
        assert_eq!(can["extensions"][EXTENSION], json!({}), "{path}: {can}");
        assert_eq!(can["tasks"], Value::Null, "{path}: {can}");
    }
    served.end().await;
}
