//! Messages and headers that are none, or that contradict each other.

use std::time::Duration;

use dormouse_tests::Served;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Answer, Mcp, NEWEST_WITH_SESSIONS, rogue, still_well};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_is_refused_with_the_reason() {
    let served = rogue(&[]).await;
    let (session, stateless) = (Mcp::newest(&served).await, Mcp::stateless(&served, "/mcp"));
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{}1{}}}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    for client in [&session, &stateless] {
        for text in ["", "{", "hello", "{\"jsonrpc\":\"2.0\",\"id\":1,}", "\u{feff}{}", &deep] {
            let answer = Answer::of(client.raw(text.to_owned()).send().await.unwrap()).await;
            answer.refused(400, -32700, Value::Null);
        }
        let no_text = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi\xff\xfeng\"}".to_vec();
        let answer = Answer::of(client.raw(no_text).send().await.unwrap()).await;
        answer.refused(400, -32700, Value::Null);
        for (message, id) in [
            (json!(1), Value::Null),
            (json!("ping"), Value::Null),
            (Value::Null, Value::Null),
            (json!({}), Value::Null),
            (json!({ "id": 1, "method": "ping" }), json!(1)),
            (json!({ "jsonrpc": "1.0", "id": 1, "method": "ping" }), json!(1)),
            (json!({ "jsonrpc": "2.0", "id": null, "method": "ping" }), Value::Null),
            (json!({ "jsonrpc": "2.0", "id": {}, "method": "ping" }), Value::Null),
            (json!({ "jsonrpc": "2.0", "id": 1, "method": 7 }), json!(1)),
            (json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1] }), json!(1)),
            (json!({ "jsonrpc": "2.0", "id": 1 }), json!(1)),
            (json!({ "jsonrpc": "2.0", "id": 1, "result": {}, "error": {} }), json!(1)),
        ] {
            client.post(&message).await.refused(400, -32600, id);
        }
    }
    still_well(served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_nobody_can_answer_say_why() {
    let served = rogue(&[]).await;
    let (session, stateless) = (Mcp::newest(&served).await, Mcp::stateless(&served, "/mcp"));
    for (client, of_no_method) in [(&session, 200), (&stateless, 404)] {
        for method in
            ["", "tools", "tools/list/", "rpc.discover", "initialized", "notifications/initialized", "$"]
        {
            client.ask(1, method, json!({})).await.refused(of_no_method, -32601, json!(1));
        }
        for params in [
            json!({}),
            json!({ "name": 7 }),
            json!({ "name": null }),
            json!({ "name": "rogue_echo", "arguments": [1] }),
            json!({ "name": "rogue_echo", "arguments": "text" }),
        ] {
            let answer = client.ask(1, "tools/call", params.clone()).await;
            let code = answer.last()["error"]["code"].as_i64();
            assert!(matches!(code, Some(-32602 | -32020)), "{params}: {answer:?}");
        }
        client.call(1, "nobody_knows", json!({})).await.refused(200, -32602, json!(1));
        client.call(1, "", json!({})).await.refused(200, -32602, json!(1));
        client.ask(1, "tools/list", json!({ "cursor": "no cursor" })).await.refused(200, -32602, json!(1));
        // Ids of any size and kind come back as they were.
        for id in [json!(0), json!(-5), json!(u64::MAX), json!(1.5), json!(""), json!("x".repeat(10_000))] {
            let answer = client.call(id.clone(), "rogue_echo", json!({ "text": "id" })).await;
            assert_eq!((answer.text(), &answer.last()["id"]), ("id", &id));
        }
    }
    // Before it is greeted, a session's server answers nothing; afterwards it needs no second greeting.
    Mcp::bare(&served, "/mcp").ask(1, "tools/list", json!({})).await.refused(400, -32600, json!(1));
    let noted = session.post(&json!({ "jsonrpc": "2.0", "method": "notifications/of/any/kind" })).await;
    assert_eq!(noted.status, 202);
    let unasked = session.post(&json!({ "jsonrpc": "2.0", "id": 99, "result": {} })).await;
    assert_eq!(unasked.status, 202);
    still_well(served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_for_the_one_revision_that_has_them() {
    let served = rogue(&[]).await;
    let echo = |id: u32| {
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": "rogue_echo", "arguments": { "text": format!("{id}") } } })
    };
    let old = Mcp::session(&served, "/mcp", "2025-03-26").await;
    let odd = json!([echo(1), echo(2), { "jsonrpc": "2.0", "method": "notifications/x" }, 7, echo(3)]);
    let answer = old.post(&odd).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut answers = match answer.messages.as_slice() {
        [Value::Array(all)] => all.clone(),
        several => several.to_vec(),
    };
    assert_eq!(answers.len(), 4, "{answers:?}");
    answers.retain(|message| message["id"] != Value::Null);
    answers.sort_by_key(|message| message["id"].as_u64());
    for (message, text) in answers.iter().zip(["1", "2", "3"]) {
        assert_eq!(message["result"]["content"][0]["text"], text, "{answers:?}");
    }
    let noted = json!([{ "jsonrpc": "2.0", "method": "notifications/x" }]);
    assert_eq!(old.post(&noted).await.status, 202);
    old.post(&json!([])).await.refused(400, -32600, Value::Null);
    let many: Vec<Value> = (0..101).map(echo).collect();
    old.post(&json!(many)).await.refused(400, -32600, Value::Null);
    // One id twice in a batch: one of both is refused, neither is lost.
    let twice = old.post(&json!([echo(5), echo(5)])).await;
    let count = match twice.messages.as_slice() {
        [Value::Array(all)] => all.len(),
        several => several.len(),
    };
    assert_eq!(count, 2, "{twice:?}");
    for client in [
        Mcp::newest(&served).await,
        Mcp::session(&served, "/mcp", "2025-06-18").await,
        Mcp::session(&served, "/mcp", "2024-11-05").await,
        Mcp::stateless(&served, "/mcp"),
        Mcp::bare(&served, "/mcp"),
    ] {
        client.post(&json!([echo(1)])).await.refused(400, -32600, Value::Null);
    }
    still_well(served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_that_are_not_spoken_are_refused_or_talked_over() {
    let served = rogue(&[]).await;
    // Who greets is offered the newest that it can greet in.
    let bare = Mcp::bare(&served, "/mcp");
    for asked in ["2099-01-01", "1.0", "", "2026-07-28"] {
        let (_, answer) = bare.initialize(asked).await;
        assert_eq!(answer.last()["result"]["protocolVersion"], NEWEST_WITH_SESSIONS, "{asked}");
    }
    for params in [
        json!({}),
        json!({ "protocolVersion": 7 }),
        json!({ "protocolVersion": "2025-11-25", "capabilities": 3 }),
    ] {
        bare.ask(0, "initialize", params).await.refused(200, -32602, json!(0));
    }
    let session = Mcp::newest(&served).await;
    let echo = session.calling(1, "rogue_echo", json!({ "text": "x" }));
    for said in ["2025-06-18", "2024-11-05"] {
        session.clone().with("MCP-Protocol-Version", said).post(&echo).await.refused(400, -32600, json!(1));
    }
    let unknown = session.clone().with("MCP-Protocol-Version", "2099-01-01").post(&echo).await;
    assert_eq!((unknown.status, &unknown.last()["id"]), (400, &json!(1)), "{unknown:?}");
    assert!(unknown.last()["error"]["data"]["supported"].is_array(), "{unknown:?}");
    // Without sessions: an error that says what is supported.
    let stateless = Mcp::stateless(&served, "/mcp").with("MCP-Protocol-Version", "2099-01-01");
    let mut later = stateless.calling(2, "rogue_echo", json!({ "text": "x" }));
    later["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");
    let answer = stateless.post(&later).await;
    answer.refused(400, -32022, json!(2));
    assert_eq!(answer.last()["error"]["data"]["requested"], "2099-01-01", "{answer:?}");
    still_well(served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_missing_or_contradict_the_body_are_refused() {
    let served = rogue(&[]).await;
    let client = Mcp::stateless(&served, "/mcp");
    let echo = client.calling(1, "rogue_echo", json!({ "text": "x" }));
    let body = echo.to_string();
    let bare = || client.raw(body.clone());
    let good = || bare().header("Mcp-Method", "tools/call").header("Mcp-Name", "rogue_echo");
    assert_eq!(Answer::of(good().send().await.unwrap()).await.text(), "x");
    for request in [
        bare(),
        bare().header("Mcp-Method", "tools/call"),
        bare().header("Mcp-Name", "rogue_echo"),
        bare().header("Mcp-Method", "tools/list").header("Mcp-Name", "rogue_echo"),
        bare().header("Mcp-Method", "tools/call").header("Mcp-Name", "rogue_never"),
        good().header("Mcp-Name", "rogue_echo"),
        good().header("Mcp-Method", "tools/call"),
        bare().header("Mcp-Method", "tools/call").header("Mcp-Name", "=?base64?%%%?="),
        bare().header("Mcp-Method", "tools/call").header("Mcp-Name", b"r\xf6gue".as_slice()),
    ] {
        Answer::of(request.send().await.unwrap()).await.refused(400, -32020, json!(1));
    }
    // The revision of the header, and that of the body.
    let none = Mcp::bare(&served, "/mcp").raw(body.clone()).header("Mcp-Method", "tools/call");
    let none = none.header("Mcp-Name", "rogue_echo");
    Answer::of(none.send().await.unwrap()).await.refused(400, -32020, json!(1));
    let other = Mcp::bare(&served, "/mcp").with("MCP-Protocol-Version", "2025-11-25").raw(body.clone());
    let other = other.header("Mcp-Method", "tools/call").header("Mcp-Name", "rogue_echo");
    Answer::of(other.send().await.unwrap()).await.refused(400, -32020, json!(1));
    // Without what every request of this life says of its client.
    for without in ["protocolVersion", "clientCapabilities"] {
        let mut message = echo.clone();
        let meta = message["params"]["_meta"].as_object_mut().unwrap();
        meta.remove(&format!("io.modelcontextprotocol/{without}"));
        let answer = client.post(&message).await;
        assert_eq!((answer.status, &answer.last()["error"]["code"]), (400, &json!(-32602)), "{answer:?}");
    }
    still_well(served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_are_not_spoken_are_refused_by_http() {
    let served = rogue(&[]).await;
    let (session, stateless) = (Mcp::newest(&served).await, Mcp::stateless(&served, "/mcp"));
    for client in [&session, &stateless] {
        let echo = client.calling(1, "rogue_echo", json!({ "text": "x" }));
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
            let answer = client.clone().with("content-type", kind).post(&echo).await;
            answer.refused(415, -32600, Value::Null);
        }
        client.clone().with("accept", "text/html").post(&echo).await.refused(406, -32600, Value::Null);
        // One form of two is enough.
        for form in ["application/json", "text/event-stream", "*/*"] {
            assert_eq!(client.clone().with("accept", form).post(&echo).await.text(), "x", "{form}");
        }
    }
    let html = session.clone().with("accept", "application/json").get().send().await.unwrap();
    Answer::of(html).await.refused(406, -32600, Value::Null);
    Answer::of(stateless.get().send().await.unwrap()).await.refused(405, -32600, Value::Null);
    assert_eq!(stateless.end().await, 405);
    for method in [Method::PUT, Method::PATCH, Method::TRACE] {
        let answer = served.http.request(method, format!("{}/mcp", served.address)).send().await.unwrap();
        assert_eq!(answer.status(), 405);
    }
    // A page of somebody else, and a name that leads here without being ours.
    let echo = stateless.calling(1, "rogue_echo", json!({ "text": "x" }));
    for (name, value) in [("Origin", "https://evil.example"), ("Origin", "null"), ("Host", "evil.example")] {
        let answer = stateless.clone().with(name, value).post(&echo).await;
        assert_eq!(answer.status, 403, "{name}: {answer:?}");
        assert!(answer.last()["error"]["message"].is_string(), "{answer:?}");
    }
    for query in ["?mode=none", "?mode=single", "?mode=single&server=nobody", "?mode="] {
        let answer = Mcp::stateless(&served, &format!("/mcp{query}")).post(&echo).await;
        assert!((400..500).contains(&answer.status), "{query}: {answer:?}");
        assert!(answer.last()["error"]["message"].is_string(), "{query}: {answer:?}");
    }
    still_well(served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_known_at_its_own_endpoint_only_and_until_it_ends() {
    let served = rogue(&[]).await;
    let store = Mcp::newest(&served).await;
    let ada = Mcp::session(&served, "/agents/ada/mcp", NEWEST_WITH_SESSIONS).await;
    assert_eq!(ada.call(1, "rogue_echo", json!({ "text": "ada" })).await.text(), "ada");
    let id = ada.header("Mcp-Session-Id").to_owned();
    let told = |client: Mcp, id: &str| client.with("Mcp-Session-Id", id);
    // As of the store, of another agent, of another mode; and ids that never were.
    let bob = Mcp::bare(&served, "/agents/bob/mcp").with("MCP-Protocol-Version", NEWEST_WITH_SESSIONS);
    let search = Mcp::bare(&served, "/agents/ada/mcp?mode=search");
    for client in [told(store.clone(), &id), told(bob, &id), told(search, &id)] {
        client.call(1, "rogue_echo", json!({ "text": "x" })).await.refused(404, -32600, json!(1));
        Answer::of(client.get().send().await.unwrap()).await.refused(404, -32600, Value::Null);
        assert_eq!(client.end().await, 404);
    }
    for id in ["nobody", "0", "../../etc/passwd", "x".repeat(5_000).as_str(), "%00"] {
        told(store.clone(), id).call(1, "rogue_echo", json!({})).await.refused(404, -32600, json!(1));
    }
    told(store.clone(), "").call(1, "rogue_echo", json!({})).await.refused(404, -32600, json!(1));
    let twice = store.request(&store.calling(1, "rogue_echo", json!({}))).header("Mcp-Session-Id", "another");
    Answer::of(twice.send().await.unwrap()).await.refused(400, -32600, json!(1));
    // Its own session goes on, and ends once.
    assert_eq!(ada.call(2, "rogue_echo", json!({ "text": "still" })).await.text(), "still");
    assert!((200..300).contains(&ada.end().await));
    ada.call(3, "rogue_echo", json!({ "text": "x" })).await.refused(404, -32600, json!(3));
    assert_eq!(ada.end().await, 404);
    still_well(served).await;
}

/// What a hub answers to bytes, before or after they are all sent.
async fn answers(served: &Served, head: &str, body: impl IntoIterator<Item = Vec<u8>>) -> String {
    let host = served.address.strip_prefix("http://").unwrap();
    let mut wire = TcpStream::connect(host).await.unwrap();
    let head =
        format!("POST /mcp HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{head}\r\n\r\n");
    wire.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = wire.split();
    let send = async {
        for piece in body {
            // Whoever has refused need not read on.
            if writer.write_all(&piece).await.is_err() {
                break;
            }
        }
    };
    let read = async {
        let mut text = Vec::new();
        let mut piece = [0; 4096];
        while !text.windows(4).any(|window| window == b"\r\n\r\n") {
            match reader.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(count) => text.extend_from_slice(&piece[..count]),
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    };
    let both = async {
        let read = std::pin::pin!(read);
        let send = std::pin::pin!(send);
        match futures::future::select(read, send).await {
            futures::future::Either::Left((text, _)) => text,
            futures::future::Either::Right(((), read)) => read.await,
        }
    };
    tokio::time::timeout(Duration::from_secs(60), both).await.expect("it answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_a_hundred_megabytes_are_refused_before_they_are_read() {
    let served = rogue(&[]).await;
    let hundred = 100 << 20;
    // It says how long it is: nothing of it is asked for.
    let text = answers(&served, &format!("content-length: {hundred}"), []).await;
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
    // It does not say: it is read up to the limit.
    let chunk = |size: usize| {
        let mut chunk = format!("{size:x}\r\n").into_bytes();
        chunk.resize(chunk.len() + size, b' ');
        chunk.extend_from_slice(b"\r\n");
        chunk
    };
    let body = std::iter::repeat_with(|| chunk(1 << 20)).take(100);
    let text = answers(&served, "transfer-encoding: chunked", body).await;
    assert!(text.starts_with("HTTP/1.1 413") || text.is_empty(), "{text}");
    // A client that says more than it sends, and goes.
    let host = served.address.strip_prefix("http://").unwrap();
    for _ in 0..20 {
        let mut wire = TcpStream::connect(host).await.unwrap();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{{\"jsonrpc\""
        );
        wire.write_all(head.as_bytes()).await.unwrap();
    }
    // What is large and allowed, works.
    let client = Mcp::newest(&served).await;
    let large = "x".repeat(2 << 20);
    assert_eq!(client.call(1, "rogue_echo", json!({ "text": large })).await.text().len(), 2 << 20);
    still_well(served).await;
}
