//! Servers that misbehave, and that nothing which they say is lost.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dormouse_protocol::{
    CallError, Connection, Exit, Phase, Proxies, RemoteClient, RemoteSettings, SignInError, Signer,
    StartFault,
};
use dormouse_testing::scripted::{Asked, Scripted, events, page};
use dormouse_types::{BackChannel, CallEvent, CallResult, Outcome, RemoteTransport};
use serde_json::{Value, json};

use crate::shared::{LONG, Listener, arguments, nobody, tool};
use crate::support::{At, endpoint, open, open_error};

async fn call(server: &Scripted) -> Result<CallResult, CallError> {
    let connection = open(&server.endpoint()).await;
    connection.call(&tool("act"), &arguments(json!({})), LONG, &nobody()).await
}

/// How a server fails to start that answers everything so.
async fn start(answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> String {
    let server = Scripted::start(move |asked, stream| {
        let _ = stream.write_all(answer(asked).as_bytes());
    });
    let error = open_error(&server.endpoint(), LONG).await;
    let told = dormouse_types::chain(&error);
    assert!(!told.contains("hidden"), "{told}");
    told
}

/// Says nothing until the other side hangs up.
fn silence(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0]);
}

fn odd() -> Value {
    json!({
        "content": [{ "type": "hologram", "x": 1 }, { "type": "text", "text": "a", "unknown": { "b": null } }],
        "structuredContent": [1, "two", null],
        "isError": false,
        "_meta": { "m": 1 },
        "extra": { "deep": [true] },
    })
}

#[tokio::test]
async fn nothing_is_lost_over_json_and_events() {
    let as_json = Scripted::calls(|asked| asked.result(&odd()));
    let as_events = Scripted::calls(|asked| events(&[&asked.message(&odd())]));
    for server in [as_json, as_events] {
        let result = call(&server).await.unwrap();
        assert_eq!(Value::Array(result.content.clone()), odd()["content"]);
        assert_eq!(result.structured_content, Some(odd()["structuredContent"].clone()));
        assert_eq!(Value::Object(result.rest), json!({ "_meta": { "m": 1 }, "extra": { "deep": [true] } }));
        let connection = open(&server.endpoint()).await;
        assert_eq!(connection.features().tools[0].rest["unknown"], json!([1]));
    }
}

#[tokio::test]
async fn what_comes_before_the_answer_reaches_its_caller() {
    let server = Scripted::calls(|asked| {
        let token = &asked.body["params"]["_meta"]["progressToken"];
        let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress",
            "params": { "progressToken": token, "progress": 0.5, "_meta": { "p": [1] }, "more": null } });
        let log = json!({ "jsonrpc": "2.0", "method": "notifications/message",
            "params": { "level": "warning", "data": { "odd": 1 }, "_meta": { "l": [1] } } });
        events(&[&progress.to_string(), &log.to_string(), &asked.message(&json!({ "content": [] }))])
    });
    let connection = open(&server.endpoint()).await;
    let listener = Arc::new(Listener::default());
    let back: Arc<dyn BackChannel> = listener.clone();
    connection.call(&tool("act"), &arguments(json!({})), LONG, &back).await.unwrap();
    let expected = [
        CallEvent::Progress {
            progress: 0.5,
            total: None,
            message: None,
            rest: arguments(json!({ "_meta": { "p": [1] }, "more": null })),
        },
        CallEvent::Log {
            level: "warning".to_owned(),
            logger: None,
            data: json!({ "odd": 1 }),
            rest: arguments(json!({ "_meta": { "l": [1] } })),
        },
    ];
    assert_eq!(*listener.events.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_question_reaches_the_call_on_whose_stream_it_comes() {
    let answers = Arc::new((Mutex::new(Vec::<Value>::new()), Condvar::new()));
    let heard = Arc::clone(&answers);
    let server = Scripted::start(move |asked, stream| {
        if asked.method() != "tools/call" {
            if asked.body["id"].as_str().is_some_and(|id| id.starts_with('q')) {
                heard.0.lock().unwrap().push(asked.body.clone());
                heard.1.notify_all();
            }
            let _ = stream.write_all(asked.usual().as_bytes());
            return;
        }
        let id = format!("q{}", asked.body["id"]);
        let question = json!({ "jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": {} });
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let _ = stream.write_all(format!("{head}data: {question}\n\n").as_bytes());
        let _ = stream.flush();
        let unheard = |answers: &mut Vec<Value>| !answers.iter().any(|answer| answer["id"] == id);
        drop(heard.1.wait_while(heard.0.lock().unwrap(), unheard).unwrap());
        let answer = asked.message(&json!({ "content": [] }));
        let _ = stream.write_all(format!("data: {answer}\n\n").as_bytes());
    });
    let connection = open(&server.endpoint()).await;
    let other: Arc<dyn BackChannel> = Arc::new(Listener::default());
    let asked: Arc<dyn BackChannel> =
        Arc::new(Listener { answer: Some(json!({ "action": "accept" })), ..Listener::default() });
    let (act, none) = (tool("act"), arguments(json!({})));
    let (one, two) =
        tokio::join!(connection.call(&act, &none, LONG, &asked), connection.call(&act, &none, LONG, &other));
    assert!(one.is_ok() && two.is_ok());
    let answers = answers.0.lock().unwrap();
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().any(|answer| answer["result"]["action"] == "accept"));
    assert!(answers.iter().any(|answer| answer["error"]["code"] == -32601));
}

#[tokio::test]
async fn a_page_is_no_server() {
    let told = start(|_| page("200 OK", "text/html; charset=utf-8", "<html>")).await;
    assert!(told.contains("`text/html`, not MCP"), "{told}");
    let told = start(|_| page("404 Not Found", "text/html", "<html>secret")).await;
    assert!(told.contains("404") && told.contains("`text/html`") && !told.contains("secret"), "{told}");
    let told = start(|_| page("200 OK", "application/json", "{]")).await;
    assert!(told.contains("no JSON"), "{told}");
}

#[tokio::test]
async fn redirects_stay_at_home_and_have_an_end() {
    let to = |place: &str| page(&format!("307 Temporary Redirect\r\nlocation: {place}"), "", "");
    let told = start(move |_| to("/mcp?key=hidden")).await;
    assert!(told.contains("again and again"), "{told}");
    let told = start(move |_| to("http://127.0.0.2/mcp?key=hidden")).await;
    assert!(told.contains("do not leave their origin"), "{told}");
    let server = Scripted::start(move |asked, stream| {
        let answer = if asked.path.starts_with("/mcp/") { asked.usual() } else { to("/mcp/") };
        let _ = stream.write_all(answer.as_bytes());
    });
    assert_eq!(open(&server.endpoint()).await.features().tools.len(), 1);
}

#[tokio::test]
async fn another_revision_is_named() {
    let told = start(|asked| match asked.method() {
        "initialize" => asked.result(&json!({ "protocolVersion": "2031-01-01", "capabilities": {} })),
        _ => asked.usual(),
    })
    .await;
    assert!(told.contains("`2031-01-01`"), "{told}");
}

#[tokio::test]
async fn nothing_there_is_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = open_error(&endpoint(&format!("http://127.0.0.1:{port}/?key=hidden")), LONG).await;
    assert_eq!(error.phase, Phase::Handshake);
    let StartFault::Unreachable { why } = &error.fault else { panic!("{error:?}") };
    assert!(why.contains("refused") && !why.contains("hidden"), "{why}");
}

#[tokio::test]
async fn a_server_that_is_silent_at_first_is_greeted_as_before() {
    let server = Scripted::start(|asked, stream| match asked.method() {
        "server/discover" => silence(stream),
        _ => drop(stream.write_all(asked.usual().as_bytes())),
    });
    let connection = open(&server.endpoint()).await;
    assert_eq!(connection.features().title.as_deref(), Some("Scripted"));
    let silent = Scripted::start(|_, stream| silence(stream));
    let error = open_error(&silent.endpoint(), Duration::from_millis(200)).await;
    assert!(matches!(error.fault, StartFault::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_leaves_the_outcome_unknown() {
    let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {\n";
    for answer in [half, stream, ""] {
        let server = Scripted::calls(move |_| answer.to_owned());
        let error = call(&server).await.unwrap_err();
        assert!(matches!(error, CallError::Broken { .. }), "{error}");
        assert_eq!(error.outcome(), Outcome::Unknown);
        assert_eq!(server.count("tools/call"), 1, "it is not sent twice");
    }
}

#[tokio::test]
async fn a_gigabyte_is_cut_off() {
    for kind in ["application/json", "text/event-stream"] {
        let written = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&written);
        let server = Scripted::start(move |asked, stream| {
            if asked.method() != "tools/call" {
                let _ = stream.write_all(asked.usual().as_bytes());
                return;
            }
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\ndata: \"");
            let _ = stream.write_all(head.as_bytes());
            let chunk = vec![b'x'; 1 << 20];
            while counted.load(Ordering::Relaxed) < 1 << 30 && stream.write_all(&chunk).is_ok() {
                counted.fetch_add(chunk.len(), Ordering::Relaxed);
            }
        });
        let error = call(&server).await.unwrap_err();
        assert!(matches!(error, CallError::Unreadable { .. }), "{error}");
        assert!(written.load(Ordering::Relaxed) < 64 << 20);
    }
    let server = Scripted::calls(|_| {
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1073741824\r\n\r\n{".to_owned()
    });
    assert!(matches!(call(&server).await.unwrap_err(), CallError::Unreadable { .. }));
}

#[tokio::test]
async fn a_lost_session_is_replaced_once_and_the_call_sent_again() {
    let greeted = Arc::new(AtomicUsize::new(0));
    let forgetful = |forgets: usize| {
        let greeted = Arc::clone(&greeted);
        greeted.store(0, Ordering::Relaxed);
        Scripted::start(move |asked, stream| {
            if asked.method() == "initialize" {
                greeted.fetch_add(1, Ordering::Relaxed);
            }
            let lost = asked.method() == "tools/call" && greeted.load(Ordering::Relaxed) <= forgets;
            let answer = match asked.method() {
                "tools/call" if lost => page("404 Not Found", "", ""),
                "tools/call" => asked.result(&json!({ "content": [] })),
                "resources/subscribe" => asked.result(&json!({})),
                _ => asked.usual(),
            };
            let _ = stream.write_all(answer.as_bytes());
        })
    };
    let server = forgetful(1);
    let connection = open(&server.endpoint()).await;
    connection.subscribe("a://1", LONG).await.unwrap();
    let mut notes = connection.notes();
    let heard = *connection.list_changed().borrow();
    connection.call(&tool("act"), &arguments(json!({})), LONG, &nobody()).await.unwrap();
    assert_eq!((server.count("initialize"), server.count("tools/call")), (2, 2));
    assert!(*connection.list_changed().borrow() > heard, "the lists are read again");
    assert_eq!(server.count("resources/subscribe"), 2, "the new session is asked what the lost one was");
    assert_eq!(notes.recv().await.unwrap().params, json!({ "uri": "a://1" }));
    let server = forgetful(9);
    let error = call(&server).await.unwrap_err();
    assert!(matches!(error, CallError::Status { status: 404, .. }), "{error}");
    assert_eq!((error.outcome(), server.count("tools/call")), (Outcome::Failed, 2));
}

#[tokio::test]
async fn a_status_says_what_may_have_happened() {
    let answer = |status: &'static str| Scripted::calls(move |_| page(status, "text/plain", "busy"));
    let error = call(&answer("503 Service Unavailable")).await.unwrap_err();
    assert_eq!(error.to_string(), "the server answered with HTTP status 503: busy");
    assert_eq!(error.outcome(), Outcome::Unknown);
    let error = call(&answer("429 Too Many Requests")).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Failed);
    let refused = Scripted::calls(|asked| {
        let error = json!({ "code": -32602, "message": "no", "data": 1 });
        let body = json!({ "jsonrpc": "2.0", "id": asked.body["id"], "error": error });
        page("400 Bad Request", "application/json", &body.to_string())
    });
    let error = call(&refused).await.unwrap_err();
    assert!(matches!(error, CallError::Refused { code: -32602, .. }), "{error}");
}

#[derive(Debug, Default)]
struct Keys {
    given: AtomicUsize,
}

#[async_trait]
impl Signer for Keys {
    async fn token(&self) -> Result<Option<String>, SignInError> {
        Ok(Some(format!("key-{}", self.given.load(Ordering::Relaxed))))
    }

    async fn refused(&self, token: Option<&str>, challenge: Option<&str>) -> Result<bool, SignInError> {
        assert_eq!((token, challenge), (Some("key-0"), Some("Bearer scope=\"x\"")));
        self.given.store(1, Ordering::Relaxed);
        Ok(true)
    }
}

#[tokio::test]
async fn a_demand_to_sign_in_goes_through_the_signer() {
    let guarded = || {
        Scripted::start(|asked, stream| {
            let answer = match asked.header("authorization") {
                Some("Bearer key-1") => asked.usual(),
                _ => page("401 Unauthorized\r\nwww-authenticate: Bearer scope=\"x\"", "", ""),
            };
            let _ = stream.write_all(answer.as_bytes());
        })
    };
    let server = guarded();
    let error = open_error(&server.endpoint(), LONG).await;
    assert!(matches!(error.fault, StartFault::SignIn(SignInError::Refused { status: 401 })), "{error:?}");
    assert_eq!(server.seen.lock().unwrap().len(), 1, "it is not asked again");
    let mut signed = guarded().endpoint();
    signed.signer = Some(Arc::new(Keys::default()));
    assert_eq!(open(&signed).await.features().tools.len(), 1);
}

#[tokio::test]
async fn headers_go_with_every_request_and_show_nowhere() {
    let server = Scripted::start(|asked, stream| {
        let _ = stream.write_all(asked.usual().as_bytes());
    });
    let mut endpoint = server.endpoint();
    endpoint.headers.0.insert("X-Key".to_owned(), "hidden".to_owned());
    let connection = open(&endpoint).await;
    assert_eq!(connection.close(Duration::from_secs(20)).await, Exit::Closed);
    let seen = server.seen.lock().unwrap();
    assert!(seen.iter().all(|asked| asked.header("x-key") == Some("hidden")));
    assert!(seen.iter().any(|asked| asked.verb == "DELETE"), "the session is given back");
    assert!(!format!("{endpoint:?} {connection:?}").contains("hidden"));
}

#[tokio::test]
async fn an_address_elsewhere_is_not_posted_to() {
    let server = Scripted::start(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let event = "event: endpoint\ndata: http://127.0.0.2/m\n\n";
        let _ = stream.write_all(format!("{head}{event}").as_bytes());
    });
    let mut endpoint = server.endpoint();
    endpoint.transport = RemoteTransport::Sse;
    let begun = Instant::now();
    let told = dormouse_types::chain(&open_error(&endpoint, LONG).await);
    assert!(told.contains("another origin"), "{told}");
    assert!(begun.elapsed() < LONG);
}

#[tokio::test]
async fn a_proxy_is_asked_unless_the_host_is_reached_without() {
    let proxy = Scripted::start(|asked, stream| {
        let _ = stream.write_all(asked.usual().as_bytes());
    });
    let address = format!("http://127.0.0.1:{}", proxy.port);
    let vars = |name: &str| match name {
        "http_proxy" => Some(address.clone()),
        "HTTP_PROXY" => Some("http://127.0.0.1:1".to_owned()),
        "NO_PROXY" => Some("home.test".to_owned()),
        _ => None,
    };
    let settings = RemoteSettings { proxies: Proxies::from_vars(vars), ..RemoteSettings::default() };
    let client = RemoteClient::new(settings).unwrap();
    let away = endpoint("http://away.test/mcp");
    let connection = Connection::open_url(&client, &away, LONG).await.unwrap();
    assert_eq!(connection.features().tools.len(), 1);
    assert!(proxy.seen.lock().unwrap().iter().all(|asked| asked.path == "http://away.test/mcp"));
    let home = endpoint("http://home.test/mcp");
    let error = Connection::open_url(&client, &home, LONG).await.unwrap_err();
    assert!(matches!(error.fault, StartFault::Unreachable { .. }), "{error:?}");
    let odd = Proxies { https: Some("http://[".to_owned()), ..Proxies::default() };
    let settings = RemoteSettings { proxies: odd, ..RemoteSettings::default() };
    let told = RemoteClient::new(settings).unwrap_err().to_string();
    assert_eq!(told, "the variable HTTPS_PROXY names no proxy");
}

#[tokio::test]
async fn a_file_of_certificates_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let mut endpoint = endpoint("https://127.0.0.1:1/");
    endpoint.ca_file = Some(path.clone());
    for text in [None, Some(""), Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")] {
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let told = dormouse_types::chain(&open_error(&endpoint, LONG).await);
        assert!(told.contains("ca.pem"), "{told}");
    }
}

#[tokio::test]
async fn a_server_of_2026_07_28_asks_by_its_answer() {
    let server = Scripted::start(|asked, stream| {
        let params = &asked.body["params"];
        let answer = match asked.method() {
            "server/discover" => asked.result(&json!({ "supportedVersions": ["2026-07-28"] })),
            "subscriptions/listen" => page("404 Not Found", "", ""),
            "tools/call" if params["requestState"] == "s" => asked.result(
                &json!({ "resultType": "complete", "content": [], "seen": params["inputResponses"] }),
            ),
            "tools/call" => asked.result(&json!({
                "resultType": "input_required",
                "inputRequests": { "name": { "method": "elicitation/create", "params": {} } },
                "requestState": "s",
            })),
            _ => asked.usual(),
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    let connection = open(&server.endpoint()).await;
    let answer = Some(json!({ "action": "accept" }));
    let back: Arc<dyn BackChannel> = Arc::new(Listener { answer, ..Listener::default() });
    let (act, none) = (tool("act"), arguments(json!({})));
    let result = connection.call(&act, &none, LONG, &back).await.unwrap();
    assert_eq!(result.rest["seen"], json!({ "name": { "action": "accept" } }));
    let error = connection.call(&act, &none, LONG, &nobody()).await.unwrap_err();
    assert!(matches!(error, CallError::Refused { code: -32601, .. }), "{error}");
    let seen = server.seen.lock().unwrap();
    let call = seen.iter().find(|asked| asked.method() == "tools/call").unwrap();
    assert_eq!((call.header("mcp-method"), call.header("mcp-name")), (Some("tools/call"), Some("act")));
    let meta = &call.body["params"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
}
