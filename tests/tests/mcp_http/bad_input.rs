//! What no client should send.

use std::time::Duration;

use dormouse_tests::Served;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Mcp, NEWEST_GREETED, message, refused};

#[tokio::test]
async fn what_is_no_message_is_refused_in_words() {
    let served = Served::start().await;
    let mcp = Mcp::new(&served, "/mcp");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (body, code, id) in [
        ("", -32700, Value::Null),
        ("{", -32700, Value::Null),
        ("{} {}", -32700, Value::Null),
        ("\u{feff}{}", -32700, Value::Null),
        (deep.as_str(), -32700, Value::Null),
        ("7", -32600, Value::Null),
        ("{}", -32600, Value::Null),
        (r#"{"jsonrpc":"2.0","id":7}"#, -32600, json!(7)),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600, Value::Null),
        (r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":[]}"#, -32600, json!(7)),
        (r#"{"id":7,"method":"ping"}"#, -32600, json!(7)),
    ] {
        refused(mcp.post(body.to_owned()).send().await.unwrap(), 400, code, id).await;
    }
    refused(mcp.post(vec![b'"', 0xff, b'"']).send().await.unwrap(), 400, -32700, Value::Null).await;
    served.end().await;
}

#[tokio::test]
async fn only_json_is_read() {
    let served = Served::start().await;
    let mcp = Mcp::new(&served, "/mcp");
    let body = message(1, "ping", json!({})).to_string();
    let send = async |kind: Option<&str>| {
        let mut request = mcp.request(Method::POST).body(body.clone());
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        request.send().await.unwrap()
    };
    for kind in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonx")]
    {
        refused(send(kind).await, 415, -32600, Value::Null).await;
    }
    // It is read, and has no session.
    refused(send(Some("Application/JSON; charset=utf-8")).await, 400, -32600, json!(1)).await;
    served.end().await;
}

#[tokio::test]
async fn other_methods_are_refused_with_those_that_there_are() {
    let served = Served::start().await;
    let mcp = Mcp::new(&served, "/mcp");
    for method in [Method::PUT, Method::PATCH] {
        let response = mcp.request(method).send().await.unwrap();
        let allow = response.headers()["allow"].to_str().unwrap().to_owned();
        assert!(["POST", "GET", "DELETE"].iter().all(|it| allow.contains(it)), "{allow}");
        refused(response, 405, -32600, Value::Null).await;
    }
    assert_eq!(mcp.request(Method::HEAD).send().await.unwrap().status(), 405);
    served.end().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_unread() {
    let served = Served::start().await;
    let address = served.address.strip_prefix("http://").unwrap().to_owned();
    for (length, sent) in [
        // It says so itself: nothing of it is sent, and the answer is there all the same.
        ("content-length: 104857600", Vec::new()),
        // It does not say: it is read up to the limit.
        ("transfer-encoding: chunked", vec![b"200000\r\n".to_vec(), vec![b' '; 0x20_0000], b"\r\n".to_vec()]),
    ] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n{length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..3 {
            for part in &sent {
                // It may be closed while we write: that is the point.
                let _ = stream.write_all(part).await;
            }
        }
        let mut answer = Vec::new();
        let mut some = [0; 4096];
        while !String::from_utf8_lossy(&answer).contains("max_body_bytes") {
            let read =
                tokio::time::timeout(Duration::from_secs(60), stream.read(&mut some)).await.unwrap().unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&some[..read]);
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains(r#""id":null"#) && answer.contains("-32600"), "{answer}");
    }
    served.end().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_costs_no_memory_and_no_neighbour() {
    let served = Served::start().await;
    let mcp = Mcp::greeted(&served, "/mcp", NEWEST_GREETED).await;
    // Some megabytes of progress, which nobody reads.
    let params =
        json!({ "name": "fix_count", "arguments": { "steps": 40_000 }, "_meta": { "progressToken": 1 } });
    let stuck = mcp.send(&message(1, "tools/call", params)).await;
    assert_eq!(mcp.ask("ping", json!({})).await["result"], json!({}));
    assert!(mcp.ask("tools/list", json!({})).await["result"]["tools"].is_array());
    // It ends early, at a place where the client can come back to, as often as it must.
    let mut text = stuck.text().await.unwrap();
    while !text.contains("counted to 40000") {
        let last = text.rsplit("id: ").next().unwrap().lines().next().unwrap().to_owned();
        let rest = mcp.request(Method::GET).header("last-event-id", last).send().await.unwrap();
        assert_eq!(rest.status(), 200);
        text = rest.text().await.unwrap();
    }
    served.end().await;
}
