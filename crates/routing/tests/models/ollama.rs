//! Ollama's side of the wire, and how it is found.

use dormouse_routing::Router;
use serde_json::json;

use crate::double::{Double, ollama_says};
use crate::{Asked, candidates, no_model, plan_of, router};

#[tokio::test]
async fn a_plan_is_asked_for_under_the_schema_of_the_candidates() {
    let double = Double::start(vec![ollama_says(&plan_of(&[("no_tool", json!({"reason": "x"}))]))]).await;
    let tools = ["create_note", "create_note_from_topic", "read_note", "get_directions"];
    let asked = Asked { query: "jot down in my notes what bees eat", tools: &tools, ..Asked::default() };
    asked.plan(&router("ollama:m", &double.url)).await;
    let asked = double.asked();
    let body = &asked[0].body;
    assert_eq!(asked[0].path, "/api/chat");
    assert_eq!((&body["model"], &body["stream"]), (&json!("m"), &json!(false)));
    assert_eq!((&body["options"]["num_ctx"], &body["options"]["temperature"]), (&json!(4096), &json!(0.0)));
    assert_eq!(body["keep_alive"], "10m");
    let entries = body["format"]["properties"]["calls"]["items"]["anyOf"].as_array().unwrap();
    let names: Vec<&str> =
        entries.iter().map(|e| e["properties"]["tool"]["const"].as_str().unwrap()).collect();
    let mut expected: Vec<String> = candidates(&tools).into_iter().map(|c| c.full_name).collect();
    expected.extend(["no_tool".to_owned(), "ask_back".to_owned()]);
    assert_eq!(names, expected);
    assert_eq!(entries[0]["properties"]["arguments"]["required"], json!(["title", "content"]));
}

#[tokio::test]
async fn the_favourite_is_found_once_and_kept() {
    let double = Double::start(vec![]).await.with_models(&["qwen3:4b", "llama3.2:3b"]);
    let router = router("auto", &double.url);
    for _ in 0..5 {
        assert_eq!(router.model_name().await.as_deref(), Some("ollama:llama3.2:3b"));
    }
    assert_eq!(double.asked().len(), 1);
    let endpoint = router.endpoint().await.unwrap();
    assert_eq!((endpoint.url, endpoint.model), (format!("{}/v1", double.url), "llama3.2:3b".to_owned()));
    assert!(router.expects_model());
}

#[tokio::test]
async fn without_the_favourite_the_newest_is_taken() {
    let double =
        Double::start(vec![]).await.with_models(&["nomic-embed-text:latest", "qwen3:4b", "gemma3:1b"]);
    assert_eq!(router("ollama", &double.url).model_name().await.as_deref(), Some("ollama:qwen3:4b"));
}

#[tokio::test]
async fn an_ollama_without_models_says_how_to_get_one() {
    let double = Double::start(vec![]).await;
    let router = router("auto", &double.url);
    assert_eq!(router.model_name().await, None);
    assert!(router.model_hint().await.unwrap().contains("ollama pull llama3.2"));
    assert_eq!(double.asked().len(), 1, "what is missing is not asked for at each query");
}

#[tokio::test]
async fn none_wanted_is_no_reason_to_complain() {
    let router: Router = no_model();
    assert_eq!(
        (router.model_name().await, router.model_hint().await, router.endpoint().await),
        (None, None, None)
    );
    assert!(!router.expects_model());
}
