//! The doubles of models answer as the real ones do, also when they fail.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use dormouse_testing::{OllamaDouble, OpenAiDouble, Reply};
use futures::StreamExt;
use serde_json::{Value, json};

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap()
}

async fn post(url: &str, body: Value) -> (u16, Value) {
    let response = client().post(url).json(&body).send().await.unwrap();
    (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

/// The pieces of a stream as they arrived, and whether it ended well.
async fn pieces(url: &str, body: Value) -> (Vec<Vec<u8>>, bool) {
    let response = client().post(url).json(&body).send().await.unwrap();
    let mut stream = response.bytes_stream();
    let mut pieces = Vec::new();
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => pieces.push(piece.to_vec()),
            Err(_) => return (pieces, false),
        }
    }
    (pieces, true)
}

fn lines(pieces: &[Vec<u8>]) -> Vec<Value> {
    let text = String::from_utf8(pieces.concat()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn chat() -> Value {
    json!({"model": "llama3.2", "messages": [{"role": "user", "content": "hi"}]})
}

#[tokio::test]
async fn ollama_streams_lines_that_are_cut_within_characters() {
    let text = "Grüße & <Küsse> 日本";
    let ollama = OllamaDouble::start(&["llama3.2"]).await.then(Reply::text(text));
    let (pieces, whole) = pieces(&format!("{}/api/chat", ollama.url()), chat()).await;
    assert!(whole);
    assert!(
        pieces.iter().any(|piece| std::str::from_utf8(piece).is_err()),
        "some piece ends within a character"
    );
    let raw = String::from_utf8(pieces.concat()).unwrap();
    assert!(raw.contains("\\u003cK") && raw.contains("ü"), "{raw}");
    let lines = lines(&pieces);
    let said: String = lines.iter().map(|line| line["message"]["content"].as_str().unwrap()).collect();
    assert_eq!(said, text);
    let (last, before) = lines.split_last().unwrap();
    assert!(last["done"] == json!(true) && last["eval_count"].is_u64());
    assert!(before.iter().all(|line| line["done"] == json!(false)));
}

#[tokio::test]
async fn ollama_answers_at_once_when_not_streaming_and_records_what_it_was_asked() {
    let ollama = OllamaDouble::start(&["llama3.2:latest"])
        .await
        .otherwise(|request| Reply::text(request.text().to_uppercase()));
    let mut body = chat();
    body["stream"] = json!(false);
    body["format"] = json!({"type": "object"});
    let (status, answer) = post(&format!("{}/api/chat", ollama.url()), body).await;
    assert_eq!((status, &answer["message"]["content"]), (200, &json!("HI")));
    assert_eq!(answer["message"].get("tool_calls"), None);
    let (_, generated) = post(
        &format!("{}/api/generate", ollama.url()),
        json!({"model": "llama3.2", "prompt": "x", "stream": false}),
    )
    .await;
    assert_eq!(generated["response"], json!("X"));
    let requests = ollama.requests();
    assert_eq!(requests[0].body["format"], json!({"type": "object"}));
    assert_eq!(requests[1].path, "/api/generate");
}

#[tokio::test]
async fn ollama_calls_tools_with_an_object_of_arguments() {
    let ollama = OllamaDouble::start(&["llama3.2"]).await.then(Reply::calls(&[("add", json!({"a": 1}))]));
    let (pieces, _) = pieces(&format!("{}/api/chat", ollama.url()), chat()).await;
    assert_eq!(lines(&pieces)[0]["message"]["tool_calls"][0]["function"]["arguments"], json!({"a": 1}));
}

#[tokio::test]
async fn ollama_lists_its_models_and_refuses_others() {
    let ollama = OllamaDouble::start(&["llama3.2", "qwen3:0.6b"]).await;
    let tags: Value = serde_json::from_str(
        &client().get(format!("{}/api/tags", ollama.url())).send().await.unwrap().text().await.unwrap(),
    )
    .unwrap();
    let names: Vec<_> =
        tags["models"].as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["llama3.2:latest", "qwen3:0.6b"]);
    let (status, error) = post(&format!("{}/api/chat", ollama.url()), json!({"model": "gone"})).await;
    assert_eq!((status, error), (404, json!({"error": "model 'gone' not found"})));
}

#[tokio::test]
async fn faults_come_as_scripted() {
    let ollama = OllamaDouble::start(&["llama3.2"])
        .await
        .then(Reply::error(503, "server busy"))
        .then(Reply::fails_after("half an ", "out of memory"))
        .then(Reply::cut_after("half an "))
        .then(Reply::garbage());
    let url = format!("{}/api/chat", ollama.url());
    assert_eq!(post(&url, chat()).await, (503, json!({"error": "server busy"})));
    let (failed, whole) = pieces(&url, chat()).await;
    assert!(whole);
    assert_eq!(lines(&failed).last(), Some(&json!({"error": "out of memory"})));
    let (_, whole) = pieces(&url, chat()).await;
    assert!(!whole, "the connection was lost");
    let (garbage, _) = pieces(&url, chat()).await;
    assert!(std::str::from_utf8(&garbage.concat()).is_err());
    assert_eq!(post(&url, chat()).await.0, 500, "the script is over");
}

#[tokio::test]
async fn a_hanging_model_is_left_by_its_client() {
    let ollama = OllamaDouble::start(&["llama3.2"]).await.then(Reply::hang());
    let request =
        client().post(format!("{}/api/chat", ollama.url())).json(&chat()).timeout(Duration::from_millis(50));
    assert!(request.send().await.unwrap_err().is_timeout());
}

#[tokio::test]
async fn openai_says_tools_as_strings_and_text_as_events() {
    let openai = OpenAiDouble::start(&["small"])
        .await
        .then(Reply::calls(&[("add", json!({"a": 1}))]))
        .then(Reply::fenced(&json!({"tool": "añadir"})))
        .then(Reply::error(400, "tools are not supported"));
    let url = format!("{}/chat/completions", openai.url());
    let body = json!({"model": "small", "messages": []});
    let (_, called) = post(&url, body.clone()).await;
    let choice = &called["choices"][0];
    assert_eq!(choice["finish_reason"], json!("tool_calls"));
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["arguments"], json!("{\"a\":1}"));

    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    let (pieces, _) = pieces(&url, streamed).await;
    let text = String::from_utf8(pieces.concat()).unwrap();
    let events: Vec<&str> = text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let said: String = events[..events.len() - 1]
        .iter()
        .map(|event| serde_json::from_str::<Value>(event).unwrap())
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert!(said.contains("```json") && said.contains("añadir"), "{said}");

    let (status, error) = post(&url, body).await;
    assert_eq!((status, &error["error"]["message"]), (400, &json!("tools are not supported")));
    let (status, _) = post(&url, json!({"model": "other"})).await;
    assert_eq!(status, 404);
}
