//! Calls on a real server, and the ways in which they end.

use std::sync::Arc;
use std::time::Duration;

use dormouse_protocol::{CallError, Exit};
use dormouse_types::{BackChannel, CallEvent, Outcome, PeerAnswer, PeerRequest};
use serde_json::{Value, json};

use crate::shared::{LONG, Listener, arguments, nobody, text, tool};
use crate::support::{keeper, lives, open, until};

#[tokio::test]
async fn a_server_is_launched_listed_called_and_closed() {
    let keeper = keeper();
    let connection = open(&keeper, &["--resources"]).await;
    let features = connection.features();
    let names: Vec<&str> = features.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["echo", "slow"]);
    assert_eq!(features.tools[0].rest["execution"], json!({ "x": 1 }));
    assert_eq!(features.title.as_deref(), Some("A fixture"));
    assert_eq!(features.instructions.as_deref(), Some("Be kind."));
    assert_eq!(features.resources[0].rest["size"], json!(3));
    assert_eq!(features.resource_templates[0].uri_template, "a:{b}");
    assert_eq!(features.prompts[0].name, "greet");
    assert!(connection.list_faults().is_empty());
    let result =
        connection.call(&tool("echo"), &arguments(json!({ "text": "hi" })), LONG, &nobody()).await.unwrap();
    assert_eq!(result.text(), "hi");
    assert_eq!(result.structured_content, Some(json!({ "result": "hi" })));
    assert_eq!(result.outcome(), Outcome::Ok);
    let pid = connection.pid().unwrap();
    assert!(lives(pid));
    assert_eq!(connection.close(Duration::from_secs(20)).await, Exit::Code(0));
    assert!(!lives(pid));
    assert_eq!(connection.close(Duration::ZERO).await, Exit::Code(0));
    keeper.shutdown().await;
}

#[tokio::test]
async fn calls_at_once_each_get_their_own_answer() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let calls = (0..64).map(|number| {
        let connection = connection.clone();
        tokio::spawn(async move {
            let words = "w".repeat(number * 300);
            assert_eq!(text(&connection, "echo", json!({ "text": words })).await, words);
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    keeper.shutdown().await;
}

#[tokio::test]
async fn results_reach_the_caller_unharmed() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let call = async |name: &str| {
        connection.call(&tool(name), &arguments(json!({})), LONG, &nobody()).await.unwrap()
    };
    let strange = call("strange").await;
    assert_eq!(strange.content, [json!({ "type": "hologram", "depth": [1, 2] })]);
    assert_eq!(strange.rest["future"], 7);
    assert_eq!(strange.rest["_meta"], json!({ "a": 1 }));
    assert_eq!(call("fail").await.outcome(), Outcome::ToolError);
    let prompt = connection.get_prompt("greet", &arguments(json!({ "who": "me" })), LONG).await;
    assert_eq!(prompt.unwrap()["for"]["arguments"], json!({ "who": "me" }));
    let resource = connection.read_resource("a:b", LONG).await.unwrap();
    assert_eq!(resource["contents"][0]["uri"], "a:b");
    keeper.shutdown().await;
}

#[tokio::test]
async fn progress_and_log_reach_the_caller_in_order() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let listener = Arc::new(Listener::default());
    let back: Arc<dyn BackChannel> = listener.clone();
    let args = arguments(json!({ "steps": 50 }));
    connection.call(&tool("slow"), &args, LONG, &back).await.unwrap();
    let events = std::mem::take(&mut *listener.events.lock().unwrap());
    let steps: Vec<f64> = events
        .iter()
        .filter_map(|event| match event {
            CallEvent::Progress { progress, total: Some(50.0), .. } => Some(*progress),
            _ => None,
        })
        .collect();
    assert_eq!(steps, (1..=50).map(f64::from).collect::<Vec<_>>());
    let log = CallEvent::Log {
        level: "info".to_owned(),
        logger: None,
        data: json!("working"),
        rest: arguments(json!({})),
    };
    assert_eq!(events.last(), Some(&log));
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_question_goes_to_the_caller_and_his_answer_back() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let answer = json!({ "action": "accept", "content": { "sure": true } });
    let listener = Arc::new(Listener { answer: Some(answer.clone()), ..Listener::default() });
    let back: Arc<dyn BackChannel> = listener.clone();
    for method in ["elicitation/create", "sampling/createMessage", "roots/list"] {
        let args = arguments(json!({ "method": method }));
        let result = connection.call(&tool("ask"), &args, LONG, &back).await.unwrap();
        assert_eq!(serde_json::from_str::<Value>(&result.text()).unwrap(), answer);
        let question = listener.questions.lock().unwrap().pop().unwrap();
        assert_eq!(question.method, method);
        assert_eq!(question.params, json!({ "message": "sure?", "future": [1] }));
    }
    keeper.shutdown().await;
}

/// A person who thinks for longer than a call may take.
#[derive(Debug)]
struct Thinker;

const SHORT: Duration = Duration::from_millis(300);

#[async_trait::async_trait]
impl BackChannel for Thinker {
    fn notify(&self, _event: CallEvent) {}

    async fn ask(&self, _request: PeerRequest) -> PeerAnswer {
        tokio::time::sleep(SHORT * 3).await;
        PeerAnswer::Result(json!({ "action": "decline" }))
    }
}

#[tokio::test]
async fn the_clock_of_a_call_stands_while_its_caller_thinks() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let back: Arc<dyn BackChannel> = Arc::new(Thinker);
    let asked = connection.call(&tool("ask"), &arguments(json!({})), SHORT, &back).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&asked.text()).unwrap(), json!({ "action": "decline" }));
    let silent = connection.call(&tool("never"), &arguments(json!({})), SHORT, &back).await;
    assert!(matches!(silent, Err(CallError::TimedOut { sent: true, .. })), "{silent:?}");
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_question_that_nobody_can_answer_is_method_not_found() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let answer = text(&connection, "ask", json!({})).await;
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["code"], -32601);
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_question_is_refused_when_several_callers_wait() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let other: Arc<Listener> =
        Arc::new(Listener { answer: Some(json!("a stranger's")), ..Listener::default() });
    let waiting = tokio::spawn({
        let (connection, back) = (connection.clone(), other.clone() as Arc<dyn BackChannel>);
        async move { connection.call(&tool("never"), &arguments(json!({})), LONG, &back).await }
    });
    until("the first call", || connection.stderr_tail().iter().any(|l| l.contains("for ever"))).await;
    let answer = text(&connection, "ask", json!({})).await;
    assert!(answer.contains("several calls"), "{answer}");
    assert!(other.questions.lock().unwrap().is_empty());
    waiting.abort();
    keeper.shutdown().await;
}

#[tokio::test]
async fn noise_is_recorded_and_the_call_goes_on() {
    let keeper = keeper();
    let connection = open(&keeper, &["--late-noise"]).await;
    assert_eq!(text(&connection, "noise", json!({})).await, "after the noise");
    let noise = connection.noise();
    assert_eq!((noise.lines, noise.strays), (6, 0));
    assert_eq!(noise.last[..2], ["before the handshake", "42"]);
    assert_eq!(text(&connection, "long-noise", json!({})).await, "after the noise");
    let noise = connection.noise();
    assert_eq!(noise.lines, 7);
    assert!(noise.last[6].len() < 1000);
    keeper.shutdown().await;
}

#[tokio::test]
async fn answers_that_nobody_waits_for_are_recorded() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    assert_eq!(text(&connection, "twice", json!({})).await, "first");
    assert_eq!(text(&connection, "wrong-id", json!({})).await, "right");
    assert_eq!(connection.noise().strays, 2);
    keeper.shutdown().await;
}

#[tokio::test]
async fn an_answer_of_fifteen_mebibytes_passes_and_one_of_twenty_fails_at_once() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let bytes = 15 << 20;
    assert_eq!(text(&connection, "long-answer", json!({ "bytes": bytes })).await.len(), bytes);
    let args = arguments(json!({ "bytes": 20 << 20 }));
    let error = connection.call(&tool("long-answer"), &args, LONG, &nobody()).await.unwrap_err();
    assert!(matches!(&error, CallError::Unreadable { why } if why.contains("20971")), "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(text(&connection, "echo", json!({ "text": "still here" })).await, "still here");
    keeper.shutdown().await;
}

#[tokio::test]
async fn an_answer_that_is_no_json_fails_at_once() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let error = connection.call(&tool("nan"), &arguments(json!({})), LONG, &nobody()).await.unwrap_err();
    assert!(matches!(error, CallError::Unreadable { .. }), "{error}");
    keeper.shutdown().await;
}

#[tokio::test]
async fn errors_say_whether_the_tool_may_have_run() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    for (code, outcome) in [
        (-32601, Outcome::Failed),
        (-32602, Outcome::Failed),
        (-32600, Outcome::Failed),
        (-32603, Outcome::Unknown),
        (-32000, Outcome::Unknown),
    ] {
        let args = arguments(json!({ "code": code }));
        let error = connection.call(&tool("error"), &args, LONG, &nobody()).await.unwrap_err();
        assert_eq!(error.outcome(), outcome, "{error}");
        let CallError::Refused { data, .. } = error else { panic!("{error}") };
        assert_eq!(data, Some(json!({ "why": 1 })));
    }
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_silent_tool_costs_its_deadline_and_is_cancelled() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let short = Duration::from_millis(50);
    let error = connection.call(&tool("never"), &arguments(json!({})), short, &nobody()).await.unwrap_err();
    assert!(matches!(error, CallError::TimedOut { sent: true, .. }), "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    let told = text(&connection, "cancelled", json!({})).await;
    assert_eq!(serde_json::from_str::<Vec<i64>>(&told).unwrap().len(), 1, "{told}");
    keeper.shutdown().await;
}

#[tokio::test]
async fn dropping_a_call_tells_the_server() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let args = arguments(json!({}));
    let (name, back) = (tool("never"), nobody());
    {
        let call = connection.call(&name, &args, LONG, &back);
        tokio::pin!(call);
        let begun = async {
            until("the call", || connection.stderr_tail().iter().any(|l| l.contains("for ever"))).await;
        };
        tokio::select! {
            answer = &mut call => panic!("{answer:?}"),
            () = begun => {}
        }
    }
    let told = text(&connection, "cancelled", json!({})).await;
    assert_eq!(serde_json::from_str::<Vec<i64>>(&told).unwrap().len(), 1, "{told}");
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_call_that_was_never_sent_has_failed_and_is_never_run() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let busy = tokio::spawn({
        let connection = connection.clone();
        async move { text(&connection, "block", json!({ "seconds": 3 })).await }
    });
    until("the block", || connection.stderr_tail().iter().any(|l| l == "blocking")).await;
    // Fills the pipe to the server, which reads nothing; the pipe holds 64 KiB.
    let big = arguments(json!({ "text": "x".repeat(200 << 10) }));
    let short = Duration::from_millis(100);
    let first = connection.call(&tool("echo"), &big, short, &nobody()).await.unwrap_err();
    assert_eq!(first.outcome(), Outcome::Unknown, "a part of it was sent: {first}");
    let args = arguments(json!({ "status": 9 }));
    let second = connection.call(&tool("die"), &args, short, &nobody()).await.unwrap_err();
    assert!(matches!(second, CallError::TimedOut { sent: false, .. }), "{second}");
    assert_eq!(second.outcome(), Outcome::Failed);
    assert_eq!(busy.await.unwrap(), "awake");
    assert_eq!(text(&connection, "echo", json!({ "text": "alive" })).await, "alive");
    keeper.shutdown().await;
}

#[tokio::test]
async fn death_in_the_middle_of_a_call_tells_how_and_what_was_said_last() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let other = tokio::spawn({
        let connection = connection.clone();
        async move { connection.call(&tool("never"), &arguments(json!({})), LONG, &nobody()).await }
    });
    until("the other call", || connection.stderr_tail().iter().any(|l| l.contains("for ever"))).await;
    let error = connection.call(&tool("die"), &arguments(json!({})), LONG, &nobody()).await.unwrap_err();
    let CallError::Died { exit, stderr } = &error else { panic!("{error}") };
    assert_eq!(*exit, Some(Exit::Code(3)));
    assert_eq!(stderr.last().map(String::as_str), Some("I am dying"));
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(matches!(other.await.unwrap(), Err(CallError::Died { .. })));
    assert_eq!(connection.closed().await, Exit::Code(3));
    let late = connection.call(&tool("echo"), &arguments(json!({})), LONG, &nobody()).await.unwrap_err();
    assert!(matches!(late, CallError::NotSent), "{late}");
    assert_eq!(late.outcome(), Outcome::Failed);
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_server_that_closes_its_output_fails_its_call_and_is_ended() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let error =
        connection.call(&tool("close-output"), &arguments(json!({})), LONG, &nobody()).await.unwrap_err();
    assert!(matches!(error, CallError::Died { .. }), "{error}");
    connection.closed().await;
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_flood_of_errors_neither_blocks_nor_fills_memory() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let before = resident_kib();
    assert_eq!(text(&connection, "flood", json!({ "bytes": 1 << 30 })).await, "flooded");
    until("the last line", || connection.stderr_tail().last().is_some_and(|line| line == "the last line"))
        .await;
    assert_eq!(connection.stderr_tail().len(), 50);
    let grown = resident_kib().saturating_sub(before);
    // Other tests of this process need memory too; none of them near this.
    assert!(grown < 256 << 10, "the hub grew by {grown} KiB");
    keeper.shutdown().await;
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_announced_change_is_counted_and_listed_on_request() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let mut changed = connection.list_changed();
    assert_eq!(*changed.borrow_and_update(), 0);
    text(&connection, "change", json!({})).await;
    tokio::time::timeout(LONG, changed.changed()).await.unwrap().unwrap();
    assert_eq!(connection.features().tools.len(), 2);
    assert_eq!(connection.refresh(LONG).await.unwrap().tools.len(), 3);
    assert_eq!(connection.features().tools.len(), 3);
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_deadline_without_end_is_no_panic() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let args = arguments(json!({ "text": "x" }));
    connection.call(&tool("echo"), &args, Duration::MAX, &nobody()).await.unwrap();
    assert_eq!(connection.close(Duration::MAX).await, Exit::Code(0));
    keeper.shutdown().await;
}
