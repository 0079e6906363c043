//! What answers at a URL and is no good: told in its status, and of no harm to others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dormouse::{Hub, Outcome, ServerState};
use dormouse_testing::scripted::{Asked, Scripted, page};
use dormouse_tests::{TestSpace, call};
use serde_json::json;

use crate::support::{comes, configure, fails, status, tools, well};

/// A hub with a bad server `bad` and a good one.
async fn beside(bad: &Scripted) -> (TestSpace, Hub, Scripted) {
    let (space, good) = (TestSpace::new(), well());
    let entry = |server: &Scripted| json!({ "url": server.url() });
    configure(&space, &[("bad", entry(bad)), ("good", entry(&good))]);
    let hub = space.hub(|_| {}).await;
    (space, hub, good)
}

async fn good_is_well(hub: &Hub) {
    comes(hub, "good").await;
    assert_eq!(call(hub, "good_act", json!({})).await.unwrap().result.text(), "well");
}

/// The reason that the hub gives for a server that answers everything so.
async fn told(answer: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> String {
    let bad = Scripted::start(answer);
    let (_space, hub, _good) = beside(&bad).await;
    good_is_well(&hub).await;
    let why = fails(&hub, "bad").await;
    assert!(!why.contains("hidden"), "{why}");
    // It is listed all the while, and a call of what it has not says so.
    assert_eq!(hub.store().servers().len(), 2);
    assert!(!call(&hub, "bad_act", json!({})).await.unwrap_err().to_string().contains("hidden"));
    good_is_well(&hub).await;
    hub.shutdown().await;
    why
}

fn writes(text: impl Fn(&Asked) -> String + Send + Sync) -> impl Fn(&Asked, &mut TcpStream) + Send + Sync {
    move |asked, stream| drop(stream.write_all(text(asked).as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_no_server() {
    let why = told(writes(|_| page("200 OK", "text/html; charset=utf-8", "<html>"))).await;
    assert!(why.contains("it is `text/html`, not MCP"), "{why}");
    let why = told(writes(|_| page("404 Not Found", "text/html", "<html>"))).await;
    assert!(why.contains("HTTP status 404: a page of `text/html`"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_have_an_end_and_stay_at_home() {
    let to = |place: &'static str| {
        writes(move |_| page(&format!("307 Temporary Redirect\r\nlocation: {place}"), "", ""))
    };
    let why = told(to("/mcp?key=hidden")).await;
    assert!(why.contains("it redirects again and again"), "{why}");
    let why = told(to("http://127.0.0.2/mcp?key=hidden")).await;
    assert!(why.contains("do not leave their origin"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_revision_is_named() {
    let why = told(writes(|asked| match asked.method() {
        "initialize" => asked.result(&json!({ "protocolVersion": "2031-01-01", "capabilities": {} })),
        _ => asked.usual(),
    }))
    .await;
    assert!(why.contains("it speaks the revision `2031-01-01`, which the hub does not"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_told() {
    let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let why = told(writes(move |_| half.to_owned())).await;
    assert!(why.contains("cannot be reached"), "{why}");
    let why = told(writes(|_| String::new())).await;
    assert!(why.contains("cannot be reached"), "{why}");

    // In the midst of a call: what became of it nobody knows, and it is not sent twice.
    let bad = Scripted::calls(move |_| half.to_owned());
    let (_space, hub, _good) = beside(&bad).await;
    comes(&hub, "bad").await;
    let error = call(&hub, "bad_act", json!({})).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert_eq!(bad.count("tools/call"), 1);
    good_is_well(&hub).await;
    hub.shutdown().await;
}

/// The most memory that this process ever had, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().unwrap() << 10
}

/// Sends a gigabyte where `at` says, and counts what was taken.
fn flood(at: &'static str, kind: &'static str, sent: Arc<AtomicUsize>) -> Scripted {
    Scripted::start(move |asked, stream| {
        if asked.method() != at {
            let _ = stream.write_all(asked.usual().as_bytes());
            return;
        }
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\ndata: \"");
        let _ = stream.write_all(head.as_bytes());
        let chunk = vec![b'x'; 1 << 20];
        while sent.load(Ordering::Relaxed) < 1 << 30 && stream.write_all(&chunk).is_ok() {
            sent.fetch_add(chunk.len(), Ordering::Relaxed);
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gigabyte_is_cut_off_wherever_it_comes() {
    for kind in ["application/json", "text/event-stream"] {
        for at in ["initialize", "tools/list", "tools/call"] {
            let (before, sent) = (peak(), Arc::new(AtomicUsize::new(0)));
            let bad = flood(at, kind, Arc::clone(&sent));
            let (_space, hub, _good) = beside(&bad).await;
            if at == "tools/call" {
                comes(&hub, "bad").await;
                let error = call(&hub, "bad_act", json!({})).await.unwrap_err();
                assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
                assert!(format!("{:?}", error).contains("bytes"), "{error:?}");
            } else {
                let why = fails(&hub, "bad").await;
                assert!(why.contains("has more than") && why.contains("bytes"), "{at}: {why}");
            }
            good_is_well(&hub).await;
            hub.shutdown().await;
            assert!(sent.load(Ordering::Relaxed) < 256 << 20, "{at}: {sent:?} were taken");
            assert!(peak() < before + (256 << 20), "{at}: from {before} to {}", peak());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_delays_nobody_and_is_told_as_connecting() {
    let bad = Scripted::start(|_, stream| drop(stream.read(&mut [0])));
    let (_space, hub, _good) = beside(&bad).await;
    good_is_well(&hub).await;
    assert_eq!(status(&hub, "bad").state, ServerState::Initializing);
    assert_eq!(hub.store().connecting(), 1);
    assert_eq!((tools(&hub, "good").len(), tools(&hub, "bad").len()), (1, 0));
    hub.shutdown().await;
}
