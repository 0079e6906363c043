//! Servers on pipes that speak only 2026-07-28.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_protocol::{CallError, Connection, Keeper, Offers, Program, allowed_env};
use dormouse_types::{BackChannel, CallEvent, PeerAnswer, PeerRequest, Rounds, ServerNote};
use serde_json::{Map, Value, json};

use crate::shared::{LONG, Listener, arguments, nobody, text, tool};
use crate::support::{keeper, python, until};

async fn open(keeper: &Keeper) -> Connection {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/modern.py");
    let args = vec!["-S".into(), script.into_os_string()];
    let program = Program { program: python().into(), args, env: allowed_env(), cwd: std::env::temp_dir() };
    Connection::open_with(keeper, &program, LONG, Offers::ALL).await.unwrap()
}

fn params(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// What a call saw of its own request.
fn seen(result: &Value) -> Value {
    serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap()
}

/// A caller with a name for what it can do.
#[derive(Debug)]
struct Caller;

#[async_trait]
impl BackChannel for Caller {
    fn notify(&self, _: CallEvent) {}

    async fn ask(&self, _: PeerRequest) -> PeerAnswer {
        PeerAnswer::Refused { code: -1, message: "not now".to_owned(), data: Some(json!({ "why": 1 })) }
    }

    fn capabilities(&self) -> Arc<Value> {
        Arc::new(json!({ "elicitation": { "form": {} } }))
    }

    fn wants_progress(&self) -> bool {
        false
    }

    fn log_level(&self) -> Option<String> {
        Some("warning".to_owned())
    }
}

fn caller() -> Arc<dyn BackChannel> {
    Arc::new(Caller)
}

#[tokio::test]
async fn a_server_that_refuses_to_be_greeted_is_discovered() {
    let keeper = keeper();
    let connection = open(&keeper).await;
    assert!(connection.is_modern());
    let features = connection.features();
    assert_eq!(
        (features.title.as_deref(), features.revision.as_deref()),
        (Some("Modern"), Some("2026-07-28"))
    );
    assert_eq!((features.tools.len(), features.resources.len()), (5, 1));
    assert_eq!(features.capabilities.as_ref().unwrap().value()["resources"]["subscribe"], true);
    assert_eq!(features.server_info.as_ref().unwrap().value()["version"], "1");
    connection.ping(LONG).await.unwrap();
    keeper.shutdown().await;
}

#[tokio::test]
async fn each_request_speaks_for_its_caller_and_keeps_what_he_gave() {
    let keeper = keeper();
    let connection = open(&keeper).await;
    let given = json!({ "name": "touch", "_meta": { "trace": [1], "progressToken": "x" }, "new": 1 });
    let given = params(given);
    let result = connection.pass("tools/call", &given, LONG, Rounds::Passed, &caller()).await.unwrap();
    assert_eq!(result["resultType"], "complete", "it is exactly what came");
    let seen = seen(&result);
    assert_eq!(seen["new"], 1);
    let pre = |name: &str| format!("io.modelcontextprotocol/{name}");
    let expected = Map::from_iter([
        ("trace".to_owned(), json!([1])),
        (pre("protocolVersion"), json!("2026-07-28")),
        (pre("clientInfo"), json!({ "name": "dormouse", "version": env!("CARGO_PKG_VERSION") })),
        (pre("clientCapabilities"), json!({ "elicitation": { "form": {} } })),
        (pre("logLevel"), json!("warning")),
    ]);
    assert_eq!(seen["_meta"], Value::Object(expected));
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_question_is_driven_or_passed_as_the_caller_wishes() {
    let keeper = keeper();
    let connection = open(&keeper).await;
    let ask = params(json!({ "name": "ask" }));
    let answer = json!({ "action": "accept", "content": { "name": "Ada" } });
    let listener = Arc::new(Listener { answer: Some(answer.clone()), ..Listener::default() });
    let back: Arc<dyn BackChannel> = listener.clone();
    let driven = connection.pass("tools/call", &ask, LONG, Rounds::Driven, &back).await.unwrap();
    let again = seen(&driven);
    assert_eq!((&again["inputResponses"], &again["requestState"]), (&json!({ "who": answer }), &json!("s1")));
    assert_eq!(listener.questions.lock().unwrap()[0].method, "elicitation/create");

    let passed = connection.pass("tools/call", &ask, LONG, Rounds::Passed, &nobody()).await.unwrap();
    assert_eq!((&passed["resultType"], &passed["requestState"]), (&json!("input_required"), &json!("s1")));
    let with_answers = params(json!({ "name": "ask", "inputResponses": { "who": 7 }, "requestState": "s1" }));
    let passed = connection.pass("tools/call", &with_answers, LONG, Rounds::Passed, &nobody()).await.unwrap();
    assert_eq!(seen(&passed)["inputResponses"], json!({ "who": 7 }));

    let refused = connection.pass("tools/call", &ask, LONG, Rounds::Driven, &caller()).await;
    let Err(CallError::Refused { code: -1, data: Some(data), .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(data, json!({ "why": 1 }));
    keeper.shutdown().await;
}

#[tokio::test]
async fn what_is_told_in_a_call_reaches_its_caller_in_order() {
    let keeper = keeper();
    let connection = open(&keeper).await;
    let listener = Arc::new(Listener::default());
    let back: Arc<dyn BackChannel> = listener.clone();
    connection.call(&tool("progress"), &arguments(json!({})), LONG, &back).await.unwrap();
    let expected = [
        CallEvent::Progress { progress: 1.0, total: Some(2.0), message: None, rest: arguments(json!({})) },
        CallEvent::Log {
            level: "info".to_owned(),
            logger: Some("here".to_owned()),
            data: json!(1),
            rest: arguments(json!({})),
        },
        CallEvent::Other { method: "notifications/odd".to_owned(), params: json!({ "x": [1] }) },
    ];
    assert_eq!(*listener.events.lock().unwrap(), expected);
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_call_that_is_given_up_is_told_to_the_server() {
    let keeper = keeper();
    let connection = open(&keeper).await;
    let short = Duration::from_millis(200);
    let waited = connection.call(&tool("wait"), &arguments(json!({})), short, &nobody()).await;
    assert!(matches!(waited, Err(CallError::TimedOut { sent: true, .. })));
    let cancelled = text(&connection, "cancelled", json!({})).await;
    assert_eq!(serde_json::from_str::<Vec<i64>>(&cancelled).unwrap().len(), 1, "{cancelled}");
    keeper.shutdown().await;
}

#[tokio::test]
async fn subscriptions_are_one_listening_and_are_told_without_its_number() {
    let keeper = keeper();
    let connection = open(&keeper).await;
    let mut notes = connection.notes();
    connection.subscribe("a://1", LONG).await.unwrap();
    connection.subscribe("a://1", LONG).await.unwrap();
    connection.subscribe("a://2", LONG).await.unwrap();
    let refused = connection.subscribe("b://1", LONG).await;
    assert!(matches!(refused, Err(CallError::Refused { code: -32602, .. })), "{refused:?}");
    let mut changed = connection.list_changed();
    text(&connection, "touch", json!({})).await;
    changed.changed().await.unwrap();
    let updated = ServerNote {
        method: "notifications/resources/updated".to_owned(),
        params: json!({ "uri": "a://1" }),
        // Its caller does not say who he is.
        scope: None,
    };
    // A listening that is on its way out may tell it as well.
    let mut told = 0;
    loop {
        let note = notes.recv().await.unwrap();
        if note.method == "notifications/tools/list_changed" {
            break;
        }
        assert_eq!(*note, updated);
        told += 1;
    }
    assert!(told > 0);
    assert_eq!(connection.refresh(LONG).await.unwrap().tools.len(), 6);

    connection.unsubscribe("a://1", LONG).await.unwrap();
    text(&connection, "touch", json!({})).await;
    while *notes.recv().await.unwrap() != updated {}
    connection.unsubscribe("a://1", LONG).await.unwrap();
    connection.unsubscribe("a://2", LONG).await.unwrap();
    // Each that was replaced or refused, and the last one when nobody wanted any.
    let mut given_up = 0;
    while given_up < 4 {
        let cancelled = text(&connection, "cancelled", json!({})).await;
        given_up = serde_json::from_str::<Vec<i64>>(&cancelled).unwrap().len();
    }
    keeper.shutdown().await;
}

#[tokio::test]
async fn dropping_the_last_handle_ends_a_server_that_is_listened_to() {
    let keeper = keeper();
    let connection = open(&keeper).await;
    connection.subscribe("a://1", LONG).await.unwrap();
    let pid = connection.pid().unwrap();
    drop(connection);
    until("the end of the process", || !crate::support::lives(pid)).await;
    keeper.shutdown().await;
}
