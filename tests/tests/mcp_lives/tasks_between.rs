//! Tasks whose client and server are of different lives of the protocol.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dormouse::Scope;
use dormouse_testing::environment;
use dormouse_tests::mcp_client::STATELESS;
use dormouse_tests::{Served, TestSpace, repository, until};
use serde_json::{Value, json};

use crate::client::{Client, Told, script};
use crate::tasks::{EXTENSION, RELATED, runs, served};

fn knowing() -> Value {
    json!({ "elicitation": {}, "extensions": { EXTENSION: {} } })
}

/// Calls a tool as a task, where the client asks for that itself.
async fn call_as_task(client: &Client, tool: &str, arguments: Value) -> Told {
    let mut params = json!({ "name": tool, "arguments": arguments });
    if !client.is_stateless() {
        params["task"] = json!({ "ttl": 60_000 });
    }
    client.ask("tools/call", params).await
}

async fn begun(client: &Client, tool: &str) -> (String, Value) {
    let told = call_as_task(client, tool, json!({})).await;
    let task = match client.is_stateless() {
        true => told.result(),
        false => &told.result()["task"],
    };
    let name = task["taskId"].as_str().unwrap_or_else(|| panic!("{told:#?}"));
    assert!(!name.starts_with("own-"), "{told:#?}");
    (name.to_owned(), task.clone())
}

async fn ask(client: &Client, method: &str, task: &str) -> Told {
    client.ask(method, json!({ "taskId": task })).await
}

async fn refused(client: &Client, method: &str, task: &str, code: i64) -> Value {
    let told = ask(client, method, task).await;
    assert_eq!(told.answer["error"]["code"], code, "{method}: {told:#?}");
    told.answer["error"].clone()
}

/// Asks after a task until it has come to something.
async fn until_status(client: &Client, task: &str, wanted: &str) -> Value {
    let began = Instant::now();
    loop {
        let told = ask(client, "tasks/get", task).await;
        let said = told.result().clone();
        assert_eq!(said["taskId"], task, "{told:#?}");
        if said["status"] == wanted {
            return said;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "waited in vain for {wanted}: {told:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_a_task_came_to_is_within_an_object_where_its_client_was_told_so() {
    let (served, _web) = served().await;
    let client = Client::of(&served, "/mcp", "2025-11-25", json!({})).await;
    let sour = json!({ "result": { "said": "sour milk" } });
    for server in ["old", "new"] {
        let (task, _) = begun(&client, &format!("{server}_sour")).await;
        let result = ask(&client, "tasks/result", &task).await;
        assert_eq!(result.result()["structuredContent"], sour, "{server}: {result:#?}");
    }
    // One that had its result at once, and is a task for its client only.
    begun(&client, "new_job").await;
    let told = call_as_task(&client, "new_finish", json!({ "number": 1 })).await;
    let task = told.result()["task"]["taskId"].as_str().unwrap().to_owned();
    let result = ask(&client, "tasks/result", &task).await;
    assert_eq!(result.result()["structuredContent"], json!({ "result": { "said": "finished" } }));

    let client = Client::of(&served, "/mcp", STATELESS, knowing()).await;
    for server in ["old", "new"] {
        let (task, _) = begun(&client, &format!("{server}_sour")).await;
        let said = until_status(&client, &task, "completed").await;
        assert_eq!(said["result"]["structuredContent"], json!({ "said": "sour milk" }), "{server}: {said:#}");
    }
    served.end().await;
}

#[tokio::test]
async fn a_session_has_tasks_at_a_server_of_2026() {
    let (served, _web) = served().await;
    let client = Client::of(&served, "/mcp", "2025-11-25", json!({ "elicitation": {} })).await;
    let client = client.answering("elicitation/create", json!({ "action": "decline" }));
    let other = Client::of(&served, "/mcp", "2025-11-25", json!({})).await;
    assert_eq!(client.call("new_job", json!({})).await.text(), "at once", "who asks for no task gets none");

    let (job, seed) = begun(&client, "new_job").await;
    assert_eq!(
        (&seed["ttl"], &seed["pollInterval"], &seed["status"]),
        (&json!(600_000), &json!(50), &json!("working")),
        "{seed}"
    );
    assert!(seed.get("ttlMs").is_none() && seed.get("resultType").is_none(), "{seed}");
    until_status(&client, &job, "working").await;
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        refused(&other, method, &job, -32602).await;
    }
    // Either may be heard first.
    let (result, finished) =
        tokio::join!(ask(&client, "tasks/result", &job), other.call("new_finish", json!({ "number": 0 })));
    assert_eq!(finished.text(), "finished");
    assert_eq!(result.text(), "done 0");
    assert_eq!(result.result()["_meta"][RELATED]["taskId"], job, "{result:#?}");
    assert!(result.result().get("resultType").is_none(), "{result:#?}");
    until_status(&client, &job, "completed").await;

    let (asking, _) = begun(&client, "new_ask").await;
    let said = until_status(&client, &asking, "input_required").await;
    assert!(said.get("inputRequests").is_none(), "{said}");
    let result = ask(&client, "tasks/result", &asking).await;
    assert_eq!((result.text(), result.asked.len()), ("answered decline", 1), "{result:#?}");
    assert_eq!(result.asked[0]["params"]["_meta"][RELATED]["taskId"], asking, "{result:#?}");

    let (sour, _) = begun(&client, "new_sour").await;
    until_status(&client, &sour, "failed").await;
    let result = ask(&client, "tasks/result", &sour).await;
    assert_eq!((result.text(), &result.result()["isError"]), ("sour milk", &json!(true)));

    let (broken, _) = begun(&client, "new_broken").await;
    let said = until_status(&client, &broken, "failed").await;
    assert_eq!((&said["statusMessage"], said.get("error")), (&json!("no ink"), None));
    let error = refused(&client, "tasks/result", &broken, -32050).await;
    assert_eq!((&error["message"], &error["data"]["pages"]), (&json!("no ink"), &json!(3)));

    let (last, _) = begun(&client, "new_job").await;
    let cancelled = ask(&client, "tasks/cancel", &last).await;
    assert_eq!(
        (&cancelled.result()["status"], &cancelled.result()["taskId"]),
        (&json!("cancelled"), &json!(last))
    );
    refused(&client, "tasks/cancel", &last, -32602).await;
    refused(&client, "tasks/result", &last, -32602).await;
    let listed = client.list("tasks/list", "tasks").await;
    assert_eq!(listed.len(), 5, "{listed:#?}");
    assert!(listed.iter().all(|task| task["ttl"] == 600_000 && task.get("result").is_none()), "{listed:#?}");
    assert!(other.list("tasks/list", "tasks").await.is_empty());
    served.end().await;
}

#[tokio::test]
async fn a_session_that_asks_for_a_task_gets_one_also_of_a_call_that_is_done_at_once() {
    let (served, _web) = served().await;
    let client = Client::of(&served, "/mcp?mode=single&server=new", "2025-11-25", json!({})).await;
    begun(&client, "job").await;
    let told = call_as_task(&client, "finish", json!({ "number": 0 })).await;
    let task = told.result()["task"].clone();
    assert_eq!(task["status"], "completed", "{told:#?}");
    let name = task["taskId"].as_str().unwrap();
    assert_eq!(*ask(&client, "tasks/get", name).await.result(), task);
    for _ in 0..2 {
        let result = ask(&client, "tasks/result", name).await;
        assert_eq!(result.text(), "finished");
        assert_eq!(result.result()["_meta"][RELATED]["taskId"], name, "{result:#?}");
    }
    refused(&client, "tasks/cancel", name, -32602).await;
    let other = Client::of(&served, "/mcp?mode=single&server=new", "2025-11-25", json!({})).await;
    refused(&other, "tasks/result", name, -32602).await;
    assert_eq!(client.list("tasks/list", "tasks").await.len(), 2);
    served.end().await;
}

#[tokio::test]
async fn a_stateless_client_has_tasks_at_a_server_of_2025() {
    let (served, _web) = served().await;
    let client = Client::of(&served, "/mcp", STATELESS, knowing()).await;
    let plain = Client::of(&served, "/mcp", STATELESS, json!({})).await;
    let ada = Client::of(&served, "/agents/ada/mcp", STATELESS, knowing()).await;
    until("it sleeps", || !runs(&served, "old")).await;

    let (job, seed) = begun(&client, "old_job").await;
    assert_eq!(
        (&seed["resultType"], &seed["ttlMs"], &seed["pollIntervalMs"], &seed["_meta"]["begun"]),
        (&json!("task"), &json!(600_000), &json!(50), &json!(1)),
        "{seed}"
    );
    assert!(seed.get("ttl").is_none() && seed.get("task").is_none(), "{seed}");
    assert_eq!(until_status(&client, &job, "working").await["xTask"], 1);
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        refused(&ada, method, &job, -32602).await;
        refused(&plain, method, &job, -32021).await;
    }
    assert_eq!(client.call("old_finish", json!({ "number": 0 })).await.text(), "finished");
    let said = until_status(&client, &job, "completed").await;
    assert_eq!(said["result"]["content"][0]["text"], "done 0", "{said}");
    assert!(said["result"].get("_meta").is_none(), "its task is known: {said}");

    let (asking, _) = begun(&client, "old_ask").await;
    let said = until_status(&client, &asking, "input_required").await;
    let open = said["inputRequests"].as_object().unwrap();
    let (name, question) = open.iter().next().unwrap();
    assert_eq!((open.len(), &question["method"]), (1, &json!("elicitation/create")), "{said}");
    assert_eq!(question["params"]["message"], "Which?", "{said}");
    assert!(question["params"].get("_meta").is_none(), "{said}");
    // Another call asks nobody meanwhile, and what the task asks goes to no other call.
    assert_eq!(plain.call("old_job", json!({})).await.text(), "at once");
    let answers = json!({ "taskId": asking, "inputResponses": { name: { "action": "decline" } } });
    let acknowledged = client.ask("tasks/update", answers).await;
    assert_eq!(*acknowledged.result(), json!({ "resultType": "complete" }));
    let said = until_status(&client, &asking, "completed").await;
    assert_eq!(said["result"]["content"][0]["text"], "answered decline", "{said}");

    let (sour, _) = begun(&client, "old_sour").await;
    let said = until_status(&client, &sour, "completed").await;
    assert_eq!(said["result"]["isError"], true, "that a tool says so is a result: {said}");
    let (broken, _) = begun(&client, "old_broken").await;
    let said = until_status(&client, &broken, "failed").await;
    assert_eq!(said["error"], json!({ "code": -32050, "message": "no ink", "data": { "pages": 3 } }));

    let needed = plain.call("old_need", json!({})).await;
    assert_eq!(needed.answer["error"]["code"], -32021, "{needed:#?}");
    let required = &needed.answer["error"]["data"]["requiredCapabilities"];
    assert_eq!(required["extensions"][EXTENSION], json!({}), "{needed:#?}");
    assert_eq!(plain.call("old_job", json!({})).await.text(), "at once");

    let (last, _) = begun(&client, "old_need").await;
    for _ in 0..2 {
        assert_eq!(*ask(&client, "tasks/cancel", &last).await.result(), json!({ "resultType": "complete" }));
    }
    until_status(&client, &last, "cancelled").await;
    until("it sleeps", || !runs(&served, "old")).await;
    served.end().await;
}

#[tokio::test]
async fn a_tool_says_to_sessions_that_it_may_be_a_task_where_its_server_decides() {
    let (served, _web) = served().await;
    for (revision, marked) in [("2025-11-25", true), ("2025-06-18", false), (STATELESS, false)] {
        let client = Client::of(&served, "/mcp", revision, knowing()).await;
        let tools = client.list("tools/list", "tools").await;
        let said = |name: &str| {
            let tool = tools.iter().find(|tool| tool["name"] == name).unwrap();
            tool["execution"]["taskSupport"].clone()
        };
        let optional = if marked { json!("optional") } else { Value::Null };
        assert_eq!((said("new_job"), said("new_finish")), (optional.clone(), optional), "{revision}");
        assert_eq!((said("old_need"), said("old_finish")), (json!("required"), Value::Null), "{revision}");
    }
    served.end().await;
}

/// The server of the conformance suite, as long as this value lives.
struct Fixture(Child);

impl Fixture {
    fn start() -> (Self, String) {
        use std::io::{BufRead, BufReader};
        let mut child = Command::new(environment("mcp2"))
            .args([repository("tests/conformance/fixture/server.py").as_os_str(), "http".as_ref()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        let fixture = Self(child);
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).unwrap();
        (fixture, line.trim().to_owned())
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn tasks_of_the_sdks_are_bridged_both_ways() {
    let (_fixture, url) = Fixture::start();
    let space = TestSpace::new();
    let sdk = json!({ "command": environment("mcp1"), "args": [script("sdk_tasks.py"), "stdio"] });
    let servers = json!({ "sdk": sdk, "fixture": { "url": url } });
    space.write("mcp.json", json!({ "mcpServers": servers }).to_string());
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "sdk", "confirm").await;
    served.knows(&Scope::Store, "fixture", "confirm_delete").await;

    let client = Client::of(&served, "/mcp", STATELESS, knowing()).await;
    let (total, _) = begun(&client, "sdk_sum").await;
    let said = until_status(&client, &total, "completed").await;
    assert_eq!(said["result"]["content"][0]["text"], "3", "{said}");
    let tasks = [begun(&client, "sdk_confirm").await.0, begun(&client, "sdk_confirm").await.0];
    let mut answers = Vec::new();
    for task in &tasks {
        let said = until_status(&client, task, "input_required").await;
        let open = said["inputRequests"].as_object().unwrap();
        answers.push(open.keys().next().unwrap().clone());
    }
    // Both wait for an answer, and each gets its own.
    for ((task, question), confirm) in tasks.iter().zip(answers).zip([true, false]) {
        let answer = json!({ "action": "accept", "content": { "confirm": confirm } });
        let answers = json!({ "taskId": task, "inputResponses": { question: answer } });
        client.ask("tasks/update", answers).await.result();
        let said = until_status(&client, task, "completed").await;
        let expected = format!("accept: {{'confirm': {}}}", if confirm { "True" } else { "False" });
        assert_eq!(said["result"]["content"][0]["text"], expected, "{said}");
    }

    let told = tokio::process::Command::new(environment("mcp1"))
        .arg(script("sdk_tasks.py"))
        .args(["client", &format!("{}/mcp", served.address), "fixture_confirm_delete"])
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let words = String::from_utf8_lossy(&told.stderr);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap_or_else(|_| panic!("{words}"));
    assert_eq!(
        (&told["announced"], &told["status"], &told["asked_for_it"], &told["listed"]),
        (&json!(true), &json!("completed"), &json!(true), &json!(true)),
        "{told}"
    );
    assert!(told["text"].as_str().is_some_and(|text| text.contains("Deletion")), "{told}");
    served.end().await;
}
