//! A client with several calls at one server on stdio, which does not say for which of them it speaks.

use std::path::{Path, PathBuf};

use dormouse_tests::mcp_client::{Events, STATELESS};
use dormouse_tests::until;
use reqwest::Response;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::unasked::{beside, curious, heard, talker, words};

const SESSIONS: [&str; 2] = ["2025-06-18", "2025-11-25"];

/// A call that waits for its file; it runs when this returns.
async fn begun(client: &Client, id: i64, tool: &str, arguments: Value) -> JoinHandle<Response> {
    let began = beside(Path::new(arguments["until"].as_str().unwrap()), ".began");
    let request = client.request(id, "tools/call", json!({ "name": tool, "arguments": arguments }));
    let call = tokio::spawn(async { request.send().await.unwrap() });
    until("the call runs", || began.exists()).await;
    call
}

fn can_answer() -> Value {
    json!({ "elicitation": {} })
}

#[tokio::test]
async fn a_server_may_ask_while_another_call_of_the_same_client_runs() {
    let served = talker(&[]).await;
    for revision in SESSIONS {
        let client = Client::of(&served, "/mcp", revision, can_answer()).await;
        let file = |name: &str| -> PathBuf { served.space.root().join(format!("{name} {revision}")) };
        let asking = json!({ "question": "Which colour?", "until": file("ask") });
        let asking = begun(&client, 1, "talker_ask", asking).await;
        let resting = begun(&client, 2, "talker_rest", json!({ "until": file("rest") })).await;
        std::fs::write(file("ask"), "").unwrap();

        // On whose stream it comes does not matter: here on that of the last call.
        let mut events = Events::of(resting.await.unwrap());
        let question = events.message().await;
        assert_eq!(
            (&question["method"], &question["params"]["message"]),
            (&json!("elicitation/create"), &json!("Which colour?")),
            "{question}"
        );
        // That call may end before the answer.
        std::fs::write(file("rest"), "").unwrap();
        let rested = events.message().await;
        assert_eq!(rested["result"]["content"][0]["text"], "rested", "{rested}");
        let red = json!({ "action": "accept", "content": { "answer": "red" } });
        let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": red });
        assert_eq!(client.mcp.send(&answer).await.status(), 202);
        let answer: Value = asking.await.unwrap().json().await.unwrap();
        assert_eq!(answer["id"], 1);
        assert_eq!(answer["result"]["content"][0]["text"], "accept {'answer': 'red'}", "{answer}");
    }
    served.end().await;
}

#[tokio::test]
async fn what_a_server_asks_reaches_no_other_client() {
    let served = talker(&[]).await;
    for (round, revision) in [SESSIONS[0], SESSIONS[1], STATELESS].into_iter().enumerate() {
        let file = |name: &str| served.space.root().join(format!("{name}{round}"));
        let one = Client::of(&served, "/mcp", revision, can_answer()).await;
        let two = Client::of(&served, "/mcp", revision, can_answer()).await;
        // Whether two stateless requests are of one client nobody can tell.
        let three = if one.is_stateless() { &one } else { &two };
        let asking = begun(&one, 1, "talker_ask", json!({ "question": "?", "until": file("ask") })).await;
        let resting = begun(three, 2, "talker_rest", json!({ "until": file("rest") })).await;
        std::fs::write(file("ask"), "").unwrap();
        let refused: Value = asking.await.unwrap().json().await.unwrap();
        assert_eq!(refused["result"]["isError"], true, "{revision}: {refused}");
        let words = refused["result"]["content"][0]["text"].as_str().unwrap();
        assert!(words.contains("several calls"), "{revision}: {words}");
        std::fs::write(file("rest"), "").unwrap();
        let rested: Value = resting.await.unwrap().json().await.unwrap();
        assert_eq!(rested["result"]["content"][0]["text"], "rested", "{revision}: it heard nothing");
    }
    served.end().await;
}

#[tokio::test]
async fn a_line_of_a_log_reaches_a_client_once_however_many_calls_it_has() {
    let served = talker(&[]).await;
    for (round, revision) in [SESSIONS[0], SESSIONS[1], STATELESS].into_iter().enumerate() {
        let client = curious(&served, "/mcp", revision).await;
        let file = |name: &str| served.space.root().join(format!("{name}{round}"));
        let first = begun(&client, 1, "talker_rest", json!({ "until": file("first") })).await;
        let second = begun(&client, 2, "talker_rest", json!({ "until": file("second") })).await;
        let said = client.call("talker_say", json!({ "word": "once" })).await;
        assert_eq!(said.text(), "said");
        let mut all = vec![words(&said).into_iter().map(str::to_owned).collect::<Vec<_>>()];
        for (call, name) in [(first, "first"), (second, "second")] {
            std::fs::write(file(name), "").unwrap();
            all.push(heard(call.await.unwrap()).await);
        }
        if client.is_stateless() {
            // Each of its requests may be that of another client of the context.
            assert_eq!(all, [["once"], ["once"], ["once"]]);
        } else {
            assert_eq!(all.concat(), ["once"], "{revision}: on one stream only");
        }
    }
    served.end().await;
}
