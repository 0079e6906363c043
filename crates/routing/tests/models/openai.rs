//! The side of OpenAI-compatible endpoints.

use serde_json::{Value, json};

use crate::double::{Double, Reply, openai_says, openai_streams};
use crate::{Asked, calls, plan_of, router};

const NOTES: Asked<'static> = Asked {
    query: "jot down in my notes what bees eat",
    tools: &["create_note_from_topic", "create_note", "read_note"],
    history: &[],
    done: &[],
};
const EXPECTED: &str = "create_note_from_topic{\"topic\":\"what bees eat\"}";

fn topic() -> String {
    plan_of(&[("notes-creator_create_note_from_topic", json!({"topic": "what bees eat"}))])
}

fn text(text: &str) -> Reply {
    openai_says(json!({"role": "assistant", "content": text}))
}

fn refusal() -> Reply {
    Reply::Json(
        400,
        json!({"error": {"message": "response_format is not supported", "type": "invalid_request_error"}}),
    )
}

#[tokio::test]
async fn the_schema_is_asked_for_first_and_the_key_is_sent() {
    let double = Double::start(vec![text(&topic())]).await;
    let planned = NOTES.plan(&router("openai:gpt", &double.url)).await;
    assert_eq!(calls(&planned), [EXPECTED]);
    assert_eq!(planned.model.as_deref(), Some("openai:gpt"));
    let asked = double.asked();
    assert_eq!(asked[0].path, "/v1/chat/completions");
    assert_eq!(asked[0].key.as_deref(), Some("Bearer secret-key"));
    assert_eq!(asked[0].body["response_format"]["type"], "json_schema");
}

#[tokio::test]
async fn a_server_without_schemas_is_asked_by_tools_from_then_on() {
    let call = json!({"id": "c", "type": "function", "function": {
        "name": "notes-creator_create_note_from_topic", "arguments": "{\"topic\": \"what bees eat\"}"}});
    let says = || openai_says(json!({"role": "assistant", "content": Value::Null, "tool_calls": [call]}));
    let double = Double::start(vec![refusal(), says(), says()]).await;
    let router = router("openai:gpt", &double.url);
    for _ in 0..2 {
        assert_eq!(calls(&NOTES.plan(&router).await), [EXPECTED]);
    }
    let asked = double.asked();
    assert_eq!(asked.len(), 3, "the refused way is not tried twice");
    assert_eq!(asked[2].body["tools"][0]["function"]["parameters"]["required"], json!(["topic"]));
}

#[tokio::test]
async fn a_server_with_neither_is_read_from_its_words() {
    let fenced = format!("<think>hm</think>Here:\n```json\n{}\n```", topic());
    let double = Double::start(vec![refusal(), refusal(), text(&fenced)]).await;
    assert_eq!(calls(&NOTES.plan(&router("openai:gpt", &double.url)).await), [EXPECTED]);
}

#[tokio::test]
async fn a_wrong_key_is_no_reason_to_try_other_ways() {
    let double = Double::start(vec![Reply::Json(401, json!({"error": {"message": "bad key"}}))]).await;
    let planned = NOTES.plan(&router("openai:gpt", &double.url)).await;
    assert!(planned.reasons[0].contains("bad key"), "{:?}", planned.reasons);
    assert!(!format!("{:?}", router("openai:gpt", &double.url)).contains("secret-key"));
    assert_eq!(double.asked().len(), 1);
}

#[tokio::test]
async fn an_answer_streams_as_events() {
    let pieces = ["Grüße", " aus ", "東京 🦀"];
    let double =
        Double::start(vec![openai_streams(&pieces, true), openai_streams(&pieces, false), text("At once.")])
            .await;
    let router = router("openai:gpt", &double.url);
    let asked = Asked { query: "hello", ..Asked::default() };
    let (answer, streamed) = asked.answer(&router).await;
    assert_eq!((answer.text.as_str(), streamed.as_str()), ("Grüße aus 東京 🦀", "Grüße aus 東京 🦀"));
    assert_eq!(double.asked()[0].body["stream"], true);
    let (answer, _) = asked.answer(&router).await;
    assert!(answer.text.starts_with("The model's answer broke off"), "{}", answer.text);
    let (answer, streamed) = asked.answer(&router).await;
    assert_eq!((answer.text.as_str(), streamed.as_str()), ("At once.", "At once."));
}
