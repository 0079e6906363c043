//! What the person hears, whatever happened.

use dormouse_routing::Plan;
use dormouse_types::Outcome;
use serde_json::json;

use crate::double::{Double, Reply, ollama_streams};
use crate::{Asked, no_model, router, step};

#[tokio::test]
async fn one_result_is_the_answer_as_it_is() {
    let done = [step("calc_add", Outcome::Ok, "2 + 2 = 4\n")];
    let asked = Asked { query: "add", done: &done, ..Asked::default() };
    let (answer, streamed) = asked.answer(&no_model()).await;
    assert_eq!((answer.text.as_str(), streamed.as_str(), answer.model), ("2 + 2 = 4\n", "2 + 2 = 4\n", None));
}

#[tokio::test]
async fn faults_of_tools_are_told_as_they_were() {
    for (outcome, expected) in [
        (Outcome::ToolError, "`t` reports an error: division by zero"),
        (Outcome::Failed, "`t` could not be called: division by zero"),
        (Outcome::Unknown, "`t` may or may not have been carried out: division by zero"),
    ] {
        let done = [step("t", outcome, "division by zero")];
        let asked = Asked { query: "q", done: &done, ..Asked::default() };
        assert_eq!(asked.answer(&no_model()).await.0.text, expected);
    }
}

#[tokio::test]
async fn several_results_become_one_text_and_no_fault_is_hidden() {
    let double = Double::start(vec![ollama_streams(&["Über 4 ", "und 3,1 Meilen — 🦀"], true)]).await;
    let done = [
        step("a", Outcome::Ok, "4"),
        step("b", Outcome::Ok, "3.1 miles"),
        step("c", Outcome::ToolError, "no such unit"),
    ];
    let asked = Asked { query: "2+2 und 5 km in Meilen", done: &done, ..Asked::default() };
    let (answer, streamed) = asked.answer(&router("ollama:m", &double.url)).await;
    assert_eq!(answer.text, "Über 4 und 3,1 Meilen — 🦀\n\n`c` reports an error: no such unit");
    assert_eq!(streamed, answer.text);
    assert_eq!(answer.model.as_deref(), Some("ollama:m"));
    let prompt = double.asked()[0].body["messages"].to_string();
    assert!(prompt.contains("3.1 miles") && !prompt.contains("no such unit"));
    assert_eq!(double.asked()[0].body["stream"], true);
}

#[tokio::test]
async fn a_synthesis_that_fails_leaves_the_tools_own_words() {
    let done = [step("a", Outcome::Ok, "4"), step("b", Outcome::ToolError, "bad")];
    let two = [step("a", Outcome::Ok, "4"), step("b", Outcome::Ok, "5")];
    let asked = Asked { query: "q", done: &two, ..Asked::default() };
    for (reply, reason) in [
        (Reply::Json(500, json!({"error": "out of memory"})), "out of memory"),
        (ollama_streams(&["Well, "], false), "broke off"),
        (ollama_streams(&["  "], true), "it is empty"),
        (Reply::Chunks("application/x-ndjson", vec![b"<html>\n".to_vec()]), "no JSON"),
        (
            Reply::Chunks("application/x-ndjson", vec![b"{\"error\": \"model crashed\"}\n".to_vec()]),
            "model crashed",
        ),
    ] {
        let double = Double::start(vec![reply]).await;
        let (answer, streamed) = asked.answer(&router("ollama:m", &double.url)).await;
        assert_eq!(answer.text, "**a**: 4\n\n**b**: 5");
        assert!(streamed.ends_with(&answer.text), "{streamed}");
        assert!(answer.reasons[0].contains(reason), "{:?}", answer.reasons);
        assert_eq!(answer.model, None);
    }
    let asked = Asked { query: "q", done: &done, ..Asked::default() };
    assert_eq!(asked.answer(&no_model()).await.0.text, "**a**: 4\n\n**b**: `b` reports an error: bad");
}

#[tokio::test]
async fn without_tool_the_model_answers_and_without_model_the_hub_says_what_it_can() {
    let asked = Asked { query: "what is the capital of France?", ..Asked::default() };
    let double = Double::start(vec![ollama_streams(&["Par", "is."], true)]).await;
    let (answer, streamed) = asked.answer(&router("ollama:m", &double.url)).await;
    assert_eq!((answer.text.as_str(), streamed.as_str()), ("Paris.", "Paris."));

    let (answer, streamed) = asked.answer(&no_model()).await;
    assert_eq!(answer.text, "No tool here fits this. What I can do:\n- x_do: Does x.");
    assert_eq!(streamed, answer.text);

    let double = Double::start(vec![Reply::Json(500, json!({"error": "out of memory"}))]).await;
    let (answer, _) = asked.answer(&router("ollama:m", &double.url)).await;
    assert!(
        answer.text.starts_with("The model's server refused: out of memory. No tool here fits this."),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn a_question_back_is_asked_also_after_results() {
    let asked_back = Plan::AskBack { question: "Which city?".to_owned(), tool: None, missing: vec![] };
    let done = [step("t", Outcome::Ok, "done")];
    let asked = Asked { query: "q", done: &done, ..Asked::default() };
    let answer = no_model().answer(&asked.question(), &asked_back, &|_| {}).await;
    assert_eq!(answer.text, "done\n\nWhich city?");
    let asked = Asked { query: "q", ..Asked::default() };
    assert_eq!(no_model().answer(&asked.question(), &asked_back, &|_| {}).await.text, "Which city?");
}
