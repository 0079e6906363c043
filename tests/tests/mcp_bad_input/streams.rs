//! Clients that read slowly, and clients that vanish while they are answered.

use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Mcp, asleep, events, next_message, rogue, still_well};

fn with_progress(mut call: Value) -> Value {
    call["params"]["_meta"]["progressToken"] = json!("p");
    call
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_session_goes_on_without_its_client_and_waits_for_it() {
    let served = rogue(&[]).await;
    let (client, other) = (Mcp::newest(&served).await, Mcp::newest(&served).await);
    let call = with_progress(client.calling(1, "rogue_nap", json!({})));
    let mut streamed = events(client.request(&call).send().await.unwrap());
    let seen = asleep(&mut streamed).await.id.expect("an event of a session has an id");
    drop(streamed);

    other.call(2, "rogue_wake", json!({})).await;
    // The events of one session are none of another.
    let theirs = other.get().header("Last-Event-ID", &seen).send().await.unwrap();
    assert_eq!(theirs.status(), 400);
    let rest = client.get().header("Last-Event-ID", &seen).send().await.unwrap();
    assert_eq!(rest.status(), 200);
    let mut rest = events(rest);
    let awake = next_message(&mut rest).await.message.unwrap();
    assert_eq!(awake["params"]["message"], "awake", "{awake}");
    let answer = next_message(&mut rest).await;
    assert_eq!(answer.message.unwrap()["result"]["content"][0]["text"], "rested");
    // The stream of a request ends with its answer, and can be read again.
    while let Some(event) = rest.next().await {
        assert!(event.unwrap().message.is_none());
    }
    let again = client.get().header("Last-Event-ID", &seen).send().await.unwrap();
    let again: Vec<_> = events(again).filter_map(|event| async { event.unwrap().message }).collect().await;
    assert_eq!(again.len(), 2, "{again:?}");
    assert_eq!(other.noted("cancelled").await, 0);
    for odd in ["", "1", "nobody", "00000000.1.1", "ffffffff.18446744073709551615.1", "a.b.c.d"] {
        let refused = client.get().header("Last-Event-ID", odd).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{odd}");
    }
    still_well(served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_session_ends_with_its_client() {
    let served = rogue(&[]).await;
    let client = Mcp::stateless(&served, "/mcp");
    // After the tool has said something, and before anything was answered.
    let call = with_progress(client.calling(1, "rogue_nap", json!({})));
    let mut streamed = events(client.request(&call).send().await.unwrap());
    asleep(&mut streamed).await;
    drop(streamed);
    while client.noted("cancelled").await < 1 {}

    let host = served.address.strip_prefix("http://").unwrap();
    let body = client.calling(2, "rogue_nap", json!({})).to_string();
    let mut before = client.noted("cancelled").await;
    while before < 2 {
        let mut wire = TcpStream::connect(host).await.unwrap();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\n\
             mcp-method: tools/call\r\nmcp-name: rogue_nap\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        wire.write_all(head.as_bytes()).await.unwrap();
        // It may not have reached the server when the client goes; then there is nothing to cancel.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        drop(wire);
        before = client.noted("cancelled").await;
    }
    still_well(served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_nothing_loses_the_stream_and_not_the_answer() {
    let served = rogue(&[]).await;
    let (client, other) = (Mcp::newest(&served).await, Mcp::newest(&served).await);
    let host = served.address.strip_prefix("http://").unwrap();
    // 16 MB of messages to somebody who does not read.
    let call = with_progress(client.calling(1, "rogue_flood", json!({ "times": 80, "bytes": 100_000 })));
    let body = call.to_string();
    let mut wire = TcpStream::connect(host).await.unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2025-11-25\r\n\
         mcp-session-id: {}\r\ncontent-length: {}\r\n\r\n{body}",
        client.header("Mcp-Session-Id"),
        body.len()
    );
    wire.write_all(head.as_bytes()).await.unwrap();
    // The first event's id is all that it reads.
    let mut text = Vec::new();
    let seen = loop {
        let mut piece = [0; 512];
        let count = wire.read(&mut piece).await.unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&piece[..count]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        let id = so_far.lines().find_map(|line| line.strip_prefix("id: ").map(str::to_owned));
        if let Some(id) = id.filter(|_| so_far.contains("\ndata:")) {
            break id;
        }
    };
    // Meanwhile others are served, and the flood comes to its end.
    let end = loop {
        let echo = other.call(2, "rogue_echo", json!({ "text": "on" })).await;
        assert_eq!(echo.text(), "on");
        let rest = client.get().header("Last-Event-ID", &seen).send().await.unwrap();
        assert_eq!(rest.status(), 200);
        let mut rest = events(rest);
        let mut last = Value::Null;
        while let Some(Ok(event)) = rest.next().await {
            if let Some(message) = event.message {
                last = message;
            }
        }
        if last["id"] == json!(1) {
            break last;
        }
    };
    assert_eq!(end["result"]["content"][0]["text"], "flooded");
    drop(wire);
    still_well(served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_nothing_without_a_session_is_cut_off_and_nobody_else() {
    let served = rogue(&[]).await;
    let (client, other) = (Mcp::stateless(&served, "/mcp"), Mcp::newest(&served).await);
    let mut call = with_progress(client.calling(1, "rogue_flood", json!({ "times": 80, "bytes": 100_000 })));
    call["params"]["_meta"]["io.modelcontextprotocol/logLevel"] = json!("debug");
    // The response is there, and nobody reads it.
    let unread = client.request(&call).send().await.unwrap();
    assert_eq!(unread.status(), 200);
    for round in 0..50 {
        assert_eq!(other.call(round, "rogue_echo", json!({ "text": "on" })).await.text(), "on");
    }
    // What is left of it ends by itself: with the answer, or broken off.
    let mut rest = events(unread);
    while let Some(event) = rest.next().await {
        if event.is_err() {
            break;
        }
    }
    still_well(served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_a_session_that_is_opened_twice_moves_to_the_last_reader() {
    let served = rogue(&[]).await;
    let client = Mcp::newest(&served).await;
    let streams: Vec<_> = {
        let mut all = Vec::new();
        for _ in 0..5 {
            let stream = client.get().send().await.unwrap();
            assert_eq!(stream.status(), 200);
            all.push(stream);
        }
        all
    };
    assert_eq!(client.call(1, "rogue_echo", json!({ "text": "x" })).await.text(), "x");
    // With the session, all its streams end.
    assert!((200..300).contains(&client.end().await));
    for stream in streams {
        let left: Vec<_> =
            events(stream).filter_map(|event| async { event.unwrap().message }).collect().await;
        assert!(left.is_empty(), "{left:?}");
    }
    still_well(served).await;
}
