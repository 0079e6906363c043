//! What the router makes of plans that models write, good and bad.

use dormouse_routing::{Plan, Rule};
use dormouse_types::{Message, Outcome, Role, Timestamp};
use serde_json::{Value, json};

use crate::double::{Double, Reply, ollama_says};
use crate::{Asked, calls, no_model, plan_of, router, step};

/// Unclear for the search: two tools fit, and the words are free.
const NOTES: Asked<'static> = Asked {
    query: "jot down in my notes what bees eat",
    tools: &["create_note_from_topic", "create_note", "read_note"],
    history: &[],
    done: &[],
};

fn topic() -> String {
    plan_of(&[("notes-creator_create_note_from_topic", json!({"topic": "what bees eat"}))])
}

#[tokio::test]
async fn what_the_query_says_in_full_needs_no_model() {
    let double = Double::start(vec![]).await;
    let router = router("ollama:m", &double.url);
    let asked = Asked { query: "calculate 42 * 58", tools: &["calculate", "percentage"], ..Asked::default() };
    let planned = asked.plan(&router).await;
    assert_eq!(calls(&planned), ["calculate{\"expression\":\"42 * 58\"}"]);
    assert_eq!(planned.model, None);
    assert!(double.asked().is_empty());
}

#[tokio::test]
async fn a_query_that_no_tool_comes_near_is_offered_none() {
    let double = Double::start(vec![]).await;
    let router = router("ollama:m", &double.url);
    let asked =
        Asked { query: "what is the capital of France", tools: &["get_forecast"], ..Asked::default() };
    assert!(matches!(asked.plan(&router).await.plan, Plan::NoTool { .. }));
    assert!(double.asked().is_empty());
}

#[tokio::test]
async fn where_the_search_is_clear_the_model_fills_arguments_only() {
    let said = plan_of(&[("music_play_song", json!({"title": "Imagine", "artist": "John Lennon"}))]);
    let double = Double::start(vec![ollama_says(&said)]).await;
    let asked = Asked {
        query: "play the song Imagine by John Lennon",
        tools: &["play_song", "set_volume", "search_web"],
        ..Asked::default()
    };
    let planned = asked.plan(&router("ollama:m", &double.url)).await;
    assert_eq!(calls(&planned), ["play_song{\"title\":\"Imagine\",\"artist\":\"John Lennon\"}"]);
    let format = double.asked()[0].body["format"].to_string();
    assert!(format.contains("music_play_song") && format.contains("ask_back"));
    assert!(!format.contains("set_volume") && !format.contains("no_tool"));
}

#[tokio::test]
async fn a_model_that_overrules_a_clear_search_is_not_heard() {
    let other = plan_of(&[("web-research_search_web", json!({"query": "Imagine"}))]);
    let double = Double::start(vec![ollama_says(&other), ollama_says(&other)]).await;
    let asked = Asked {
        query: "play the song Imagine by John Lennon",
        tools: &["play_song", "set_volume", "search_web"],
        ..Asked::default()
    };
    let planned = asked.plan(&router("ollama:m", &double.url)).await;
    assert_eq!(calls(&planned), ["play_song{\"title\":\"Imagine\",\"artist\":\"John Lennon\"}"]);
    assert_eq!(planned.model, None);
    assert!(
        planned.reasons[0].contains("there is no tool `web-research_search_web`"),
        "{:?}",
        planned.reasons
    );
}

#[tokio::test]
async fn garbage_is_answered_with_what_is_wrong_and_then_replaced_by_the_search() {
    let double = Double::start(vec![ollama_says("I would use a tool!"), ollama_says(&topic())]).await;
    let planned = NOTES.plan(&router("ollama:m", &double.url)).await;
    assert_eq!(calls(&planned), ["create_note_from_topic{\"topic\":\"what bees eat\"}"]);
    assert_eq!(planned.model.as_deref(), Some("ollama:m"));
    let last = double.asked()[1].body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
    assert!(last.as_str().unwrap().contains("it holds no JSON"), "{last}");

    for garbage in [
        "",
        "{\"calls\": 7}",
        "[[1], [2]]",
        "{\"calls\": [[]], \"more\": true}",
        "{\"calls\": [{\"tool\": 3}]}",
    ] {
        let double = Double::start(vec![ollama_says(garbage), ollama_says(garbage)]).await;
        let planned = NOTES.plan(&router("ollama:m", &double.url)).await;
        assert_eq!(planned.model, None, "{garbage}");
        assert!(planned.reasons[0].ends_with("planned without it"), "{garbage}: {:?}", planned.reasons);
        assert_eq!(double.asked().len(), 2, "{garbage}");
    }
}

#[tokio::test]
async fn an_offline_model_leaves_the_plan_to_the_search_with_the_reason() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let planned = NOTES.plan(&router("ollama:m", &url)).await;
    assert_eq!(planned.model, None);
    assert!(planned.reasons[0].contains("is offline; planned without it"), "{:?}", planned.reasons);
    assert_eq!(calls(&planned), calls(&NOTES.plan(&no_model()).await));
}

#[tokio::test]
async fn a_silent_model_costs_its_time_limit_only() {
    let double = Double::start(vec![Reply::Hang]).await;
    let router = dormouse_routing::Router::new(dormouse_routing::ModelSettings {
        choice: "ollama:m".parse().unwrap(),
        ollama_url: double.url.clone(),
        timeout: std::time::Duration::from_millis(50),
        ..Default::default()
    });
    let planned = NOTES.plan(&router).await;
    assert!(
        planned.reasons[0].starts_with("the model did not answer within 0.05 s"),
        "{:?}",
        planned.reasons
    );
}

#[tokio::test]
async fn a_refusing_model_is_told_in_its_own_words() {
    let double = Double::start(vec![Reply::Json(404, json!({"error": "model 'm' not found"}))]).await;
    let planned = NOTES.plan(&router("ollama:m", &double.url)).await;
    assert!(planned.reasons[0].contains("model 'm' not found"), "{:?}", planned.reasons);
    assert_eq!(double.asked().len(), 1);
}

#[tokio::test]
async fn wrong_arguments_are_repaired_or_asked_for_again_with_the_errors() {
    let wrong = plan_of(&[("notes-creator_create_note", json!({"title": "Bees"}))]);
    let double = Double::start(vec![ollama_says(&wrong), ollama_says(&topic())]).await;
    let planned = NOTES.plan(&router("ollama:m", &double.url)).await;
    assert_eq!(calls(&planned), ["create_note_from_topic{\"topic\":\"what bees eat\"}"]);
    assert!(double.asked()[1].body["messages"].to_string().contains("/content: is required"));

    let renamed = plan_of(&[("notes-creator_create_note_from_topic", json!({"subject_topic": "bees"}))]);
    let double = Double::start(vec![ollama_says(&renamed)]).await;
    let planned = NOTES.plan(&router("ollama:m", &double.url)).await;
    let Plan::Calls(calls) = &planned.plan else { panic!("{planned:?}") };
    assert_eq!(calls[0].receipts[0].rule, Rule::Similar);
}

#[tokio::test]
async fn what_nobody_asked_for_is_dropped_with_a_receipt() {
    let eager = plan_of(&[(
        "notes-creator_create_note",
        json!({"title": "Bees", "content": "what bees eat", "overwrite": true}),
    )]);
    let double = Double::start(vec![ollama_says(&eager)]).await;
    let planned = NOTES.plan(&router("ollama:m", &double.url)).await;
    assert_eq!(calls(&planned), ["create_note{\"title\":\"Bees\",\"content\":\"what bees eat\"}"]);
    let Plan::Calls(calls) = &planned.plan else { unreachable!() };
    assert_eq!((calls[0].receipts[0].rule, calls[0].receipts[0].from.clone()), (Rule::Unasked, json!(true)));

    let asked = Asked { query: "jot down in my notes what bees eat and replace the old note", ..NOTES };
    let double = Double::start(vec![ollama_says(&eager)]).await;
    let planned = asked.plan(&router("ollama:m", &double.url)).await;
    let Plan::Calls(calls) = &planned.plan else { panic!("{planned:?}") };
    assert_eq!(calls[0].arguments["overwrite"], true);
}

#[tokio::test]
async fn plans_in_other_shapes_are_read() {
    let arguments = json!({"topic": "what bees eat"});
    let name = "notes-creator_create_note_from_topic";
    for said in [
        json!([{"tool": name, "params": arguments}]).to_string(),
        json!({"tool": "create_note_from_topic", "arguments": arguments}).to_string(),
        json!({"tool_calls": [{"function": {"name": name, "arguments": arguments.to_string()}}]}).to_string(),
        json!({"calls": [{"name": "createNoteFromTopic", "parameters": arguments}]}).to_string(),
        format!("Sure!\n```json\n{}\n```", topic()),
        format!("<think>[{{\"tool\": \"x\"}}]</think>{}", topic()),
    ] {
        let double = Double::start(vec![ollama_says(&said)]).await;
        let planned = NOTES.plan(&router("ollama:m", &double.url)).await;
        assert_eq!(calls(&planned), ["create_note_from_topic{\"topic\":\"what bees eat\"}"], "{said}");
    }
}

#[tokio::test]
async fn a_hundred_calls_are_cut_and_doubles_are_one() {
    let many: Vec<(&str, Value)> =
        (0..100).map(|n| ("notes-creator_read_note", json!({"title": format!("n{n}")}))).collect();
    let double = Double::start(vec![ollama_says(&plan_of(&many))]).await;
    assert_eq!(calls(&NOTES.plan(&router("ollama:m", &double.url)).await).len(), 8);
    let same: Vec<(&str, Value)> =
        (0..100).map(|_| ("notes-creator_read_note", json!({"title": "a"}))).collect();
    let double = Double::start(vec![ollama_says(&plan_of(&same))]).await;
    assert_eq!(calls(&NOTES.plan(&router("ollama:m", &double.url)).await).len(), 1);
}

#[tokio::test]
async fn no_tool_and_ask_back_are_plans_too() {
    let double =
        Double::start(vec![ollama_says(&plan_of(&[("no_tool", json!({"reason": "just chat"}))]))]).await;
    let planned = NOTES.plan(&router("ollama:m", &double.url)).await;
    assert_eq!(planned.plan, Plan::NoTool { reason: "just chat".to_owned() });
    let double =
        Double::start(vec![ollama_says(&plan_of(&[("ask_back", json!({"question": "Which bees?"}))]))]).await;
    let planned = NOTES.plan(&router("ollama:m", &double.url)).await;
    assert!(matches!(planned.plan, Plan::AskBack { question, .. } if question == "Which bees?"));
}

#[tokio::test]
async fn results_and_the_end_of_the_conversation_go_into_the_next_prompt() {
    let history: Vec<Message> = (0..50)
        .map(|n| Message {
            role: if n % 2 == 0 { Role::User } else { Role::Assistant },
            content: format!("message {n} {}", "x".repeat(900)),
            timestamp: Timestamp::UNIX_EPOCH,
        })
        .collect();
    let done = [step("notes-creator_list_notes", Outcome::Ok, "bees.md")];
    let said =
        json!({"calls": [{"tool": "notes-creator_read_note", "arguments": {"title": "bees"}}], "more": true});
    let double = Double::start(vec![ollama_says(&said.to_string())]).await;
    let asked = Asked {
        query: "list my notes and read the first",
        tools: &["list_notes", "read_note"],
        history: &history,
        done: &done,
    };
    let planned = asked.plan(&router("ollama:m", &double.url)).await;
    assert_eq!(calls(&planned), ["read_note{\"title\":\"bees\"}"]);
    assert!(planned.more);
    let messages = double.asked()[0].body["messages"].to_string();
    assert!(
        messages.contains("bees.md") && messages.contains("message 49") && !messages.contains("message 40")
    );

    let planned = asked.plan(&no_model()).await;
    assert!(matches!(planned.plan, Plan::NoTool { .. }), "without a model one round is all");
}
