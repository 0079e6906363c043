//! Questions with a model, over HTTP: scripted ones that speak Ollama's and OpenAI's wire format.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use dormouse_testing::{OllamaDouble, OpenAiDouble, Recorded, Reply};
use dormouse_tests::TestSpace;
use dormouse_tests::shipped::{Balance, QUERIES, ask, shipped};
use serde_json::{Value, json};

/// Two calls whose results a model puts together.
const TWO_THINGS: &str = "calculate 42 * 58 and convert 100 km to miles";
/// Several tools fit it, so that a model is asked for the plan.
const NOTE: &str = "jot down in my notes that bees eat nectar";
/// Characters of one to four bytes; the doubles cut within them.
const WORDS: &str = "Größe: 2436 – 日本語 🐭 fertig.";

fn call(tool: &str, arguments: Value) -> Value {
    json!({ "calls": [{ "tool": tool, "arguments": arguments }], "more": false })
}

/// The schema of the plan that a request asks for, in either API.
fn schema(request: &Recorded) -> &Value {
    match &request.body["format"] {
        Value::Null => &request.body["response_format"]["json_schema"]["schema"],
        format => format,
    }
}

/// The tools that a request offers.
fn offered(request: &Recorded) -> Vec<&str> {
    let calls = schema(request)["properties"]["calls"]["items"]["anyOf"].as_array();
    calls.into_iter().flatten().filter_map(|call| call["properties"]["tool"]["const"].as_str()).collect()
}

/// A model that knows the right tool of every query here, and writes words beyond ASCII.
fn knows_all(request: &Recorded) -> Reply {
    if schema(request).is_null() {
        return Reply::text(WORDS);
    }
    let messages = request.body["messages"].as_array().unwrap();
    let query = messages.last().unwrap()["content"].as_str().unwrap();
    let plan = match QUERIES.iter().find(|(text, _)| query == *text) {
        Some((_, Some("search_web"))) => call("web-research_search_web", json!({ "query": query })),
        Some((_, Some("fetch_url"))) => {
            call("web-research_fetch_url", json!({ "url": "https://example.com" }))
        }
        Some((_, Some("split_bill"))) => {
            call("calculator_split_bill", json!({ "total": 2400, "people": 3, "tip_percent": 15 }))
        }
        Some((_, Some("unit_convert"))) => {
            call("calculator_unit_convert", json!({ "value": 100, "from_unit": "km", "to_unit": "miles" }))
        }
        Some((_, Some("calculate"))) if query.contains('%') => {
            call("calculator_calculate", json!({ "expression": "15% of 8500" }))
        }
        Some((_, Some(_))) => call("calculator_calculate", json!({ "expression": "42 * 58" })),
        Some((_, None)) => call("no_tool", json!({ "reason": "it is talk" })),
        None if query == NOTE => {
            call("notes-creator_create_note", json!({ "title": "Bees", "content": "Bees eat nectar." }))
        }
        None if query == TWO_THINGS => json!({ "more": false, "calls": [
            { "tool": "calculator_calculate", "arguments": { "expression": "42 * 58" } },
            { "tool": "calculator_unit_convert",
              "arguments": { "value": 100, "from_unit": "km", "to_unit": "miles" } },
        ] }),
        None => return Reply::error(500, format!("not scripted: {query}")),
    };
    let tool = plan["calls"][0]["tool"].as_str().unwrap();
    assert!(offered(request).contains(&tool), "{query}: {tool} is not among {:?}", offered(request));
    Reply::json(&plan)
}

fn said(answer: &Value) -> &str {
    answer["answer"].as_str().unwrap()
}

fn notes(answer: &Value) -> String {
    format!("{} {}", answer["notes"], answer["plan"]["reasons"])
}

fn check_twelve(answers: &[Value], model: &str) {
    for ((query, tool), answer) in QUERIES.iter().zip(answers) {
        let expected: Vec<&str> = tool.iter().copied().collect();
        assert_eq!(answer["tools_used"], json!(expected), "{query}: {answer:#}");
        if tool.is_none() {
            assert_eq!((said(answer), &answer["model"]), (WORDS, &json!(model)), "{query}");
        }
    }
    for (place, part) in [(3, "2436"), (7, "1275"), (10, "920"), (11, "62.137")] {
        assert!(said(&answers[place]).contains(part), "{}", said(&answers[place]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twelve_queries_with_ollama_use_the_right_tools_and_leave_nothing() {
    let double = OllamaDouble::start(&["llama3.2"]).await.otherwise(knows_all);
    let space = TestSpace::new();
    let hub = shipped(&space, |config| {
        config.model = "auto".to_owned();
        config.models.ollama_url = double.url();
    })
    .await;
    let balance = Balance::of(&hub);
    let address = dormouse_tests::serve(&hub).await;
    let mut answers = Vec::new();
    for (query, _) in QUERIES {
        answers.push(ask(&address, query).await);
    }
    check_twelve(&answers, "ollama:llama3.2:latest");

    let note = ask(&address, NOTE).await;
    assert_eq!(note["tools_used"], json!(["create_note"]), "{note:#}");
    assert_eq!(note["plan"]["model"], "ollama:llama3.2:latest", "{note:#}");
    let both = ask(&address, TWO_THINGS).await;
    assert_eq!(both["tools_used"], json!(["calculate", "unit_convert"]), "{both:#}");
    assert_eq!((said(&both), &both["model"]), (WORDS, &json!("ollama:llama3.2:latest")));
    assert!(!double.requests().is_empty());
    balance.after(&space, hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twelve_queries_with_an_openai_api_use_the_right_tools_and_leave_nothing() {
    let double = OpenAiDouble::start(&["gpt-5"]).await.otherwise(knows_all);
    let space = TestSpace::new();
    let hub = shipped(&space, |config| {
        config.model = "openai:gpt-5".to_owned();
        config.models.openai_url = double.url();
    })
    .await;
    let balance = Balance::of(&hub);
    let address = dormouse_tests::serve(&hub).await;
    let mut answers = Vec::new();
    for (query, _) in QUERIES {
        answers.push(ask(&address, query).await);
    }
    check_twelve(&answers, "openai:gpt-5");
    let both = ask(&address, TWO_THINGS).await;
    assert_eq!((said(&both), &both["model"]), (WORDS, &json!("openai:gpt-5")));
    balance.after(&space, hub).await;
}

/// Asks these queries of a hub whose model is at this address.
async fn with_model_at(url: &str, timeout: f64, queries: &[&str]) -> Vec<Value> {
    let space = TestSpace::new();
    let hub = shipped(&space, |config| {
        config.model = "ollama:llama3.2".to_owned();
        config.models.ollama_url = url.to_owned();
        config.models.timeout_seconds = timeout;
    })
    .await;
    let balance = Balance::of(&hub);
    let address = dormouse_tests::serve(&hub).await;
    let mut answers = Vec::new();
    for query in queries {
        answers.push(ask(&address, query).await);
    }
    balance.after(&space, hub).await;
    answers
}

/// What every model fault has in common: the tools' results are there, and nothing is claimed.
fn check_without_model(both: &Value, talk: &Value, fault: &str) {
    assert_eq!(both["tools_used"], json!(["calculate", "unit_convert"]), "{both:#}");
    assert!(said(both).contains("2436") && said(both).contains("62.137"), "{both:#}");
    assert!(notes(both).contains(fault), "{both:#}");
    assert_eq!((&both["model"], &talk["model"]), (&Value::Null, &Value::Null));
    assert_eq!(talk["tools_used"], json!([]));
    assert!(said(talk).to_lowercase().contains(fault), "{talk:#}");
    assert!(!said(talk).contains("Paris"), "{talk:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_offline_leaves_truthful_answers() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let [both, talk] =
        &with_model_at(&format!("http://{port}"), 20.0, &[TWO_THINGS, "capital of France"]).await[..]
    else {
        panic!("two answers");
    };
    check_without_model(both, talk, "is offline");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_never_answers_costs_its_time_only() {
    let double = OllamaDouble::start(&["llama3.2"]).await.otherwise(|_| Reply::hang());
    let answers = with_model_at(&double.url(), 0.3, &[TWO_THINGS, "capital of France"]).await;
    check_without_model(&answers[0], &answers[1], "did not answer within 0.3 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_talks_garbage_is_not_believed() {
    let double = OllamaDouble::start(&["llama3.2"]).await.otherwise(|_| Reply::garbage());
    let answers = with_model_at(&double.url(), 20.0, &[TWO_THINGS, "capital of France"]).await;
    check_without_model(&answers[0], &answers[1], "cannot be read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_fails_is_told_even_if_the_model_would_hide_it() {
    let double = OllamaDouble::start(&["llama3.2"]).await.otherwise(|request| {
        if schema(request).is_null() {
            return Reply::text("All went well.");
        }
        let expression =
            |text: &str| json!({ "tool": "calculator_calculate", "arguments": { "expression": text } });
        Reply::json(&json!({ "more": false, "calls": [
            expression("42 * 58"), expression("7 * 6"), expression("1 / 0"),
        ] }))
    });
    let query = "calculate 42 * 58 and calculate 7 * 6 and calculate 1 / 0";
    let answers = with_model_at(&double.url(), 20.0, &["calculate 1 / 0", query]).await;
    assert_eq!(answers[0]["tool_results"][0]["outcome"], "tool_error", "{:#}", answers[0]);
    assert!(said(&answers[0]).contains("reports an error"), "{:#}", answers[0]);
    let outcomes: Vec<&str> =
        answers[1]["tool_results"].as_array().unwrap().iter().filter_map(|r| r["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["ok", "ok", "tool_error"], "{:#}", answers[1]);
    assert!(said(&answers[1]).contains("reports an error"), "{:#}", answers[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synthesis_that_fails_leaves_the_tools_own_words() {
    for fault in [
        Reply::fails_after("It is about", "out of memory"),
        Reply::cut_after("It is about"),
        Reply::error(500, "model runner has unexpectedly stopped"),
    ] {
        let double = OllamaDouble::start(&["llama3.2"]).await.otherwise(move |request| {
            if schema(request).is_null() { fault.clone() } else { knows_all(request) }
        });
        let answers = with_model_at(&double.url(), 20.0, &[TWO_THINGS]).await;
        let answer = &answers[0];
        assert!(said(answer).contains("2436") && said(answer).contains("62.137"), "{answer:#}");
        assert!(!said(answer).contains("It is about"), "{answer:#}");
        assert_ne!(answer["notes"], json!([]), "{answer:#}");
    }
}
