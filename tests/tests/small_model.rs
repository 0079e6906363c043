//! A real model, small and often wrong: its plans are valid all the same, and nothing is left.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use dormouse_tests::shipped::{Balance, QUERIES, ask, listen, shipped};
use dormouse_tests::{TestSpace, repository};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// What the search alone does not decide, with the tool that is right.
const FREE: [(&str, Option<&str>); 3] = [
    ("jot down in my notes that bees eat nectar", Some("create_note")),
    ("how far is 26 miles in kilometers", Some("unit_convert")),
    ("what would 17 percent of 240 be", Some("percentage")),
];

/// Where `cargo xtask setup` keeps the model's Python.
fn python() -> std::path::PathBuf {
    dormouse_tests::environments().with_file_name("model").join("bin/python")
}

/// The model's server, and its address. It ends with its standard input.
async fn model() -> (Child, String) {
    let python = python();
    assert!(python.exists(), "{} is missing; run `cargo xtask setup`", python.display());
    let mut child = Command::new(python)
        .arg(repository("tests/model/serve.py"))
        .args(["--threads", "1"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    (child, told["url"].as_str().unwrap().to_owned())
}

#[derive(Clone)]
struct Bounded {
    base: String,
    http: reqwest::Client,
    asked: Arc<Mutex<Vec<bool>>>,
}

/// Passes a request on with a bound: now and then a string of this model never ends.
async fn bounded(State(to): State<Bounded>, body: axum::body::Bytes) -> Response {
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    let plans = body["response_format"].is_object();
    body["max_tokens"] = json!(if plans { 128 } else { 48 });
    to.asked.lock().unwrap().push(plans);
    let answer = to.http.post(format!("{}/chat/completions", to.base)).json(&body).send().await.unwrap();
    let kind = answer.headers()["content-type"].clone();
    Response::builder()
        .status(answer.status())
        .header("content-type", kind)
        .body(Body::from_stream(answer.bytes_stream()))
        .unwrap()
}

/// Every planned call names a tool that exists, and its arguments fit.
fn check_plan(answer: &Value, tools: &[Value]) {
    for plan in std::iter::once(&answer["plan"]).chain(answer["later_plans"].as_array().unwrap()) {
        for call in plan["calls"].as_array().into_iter().flatten() {
            let tool = tools.iter().find(|tool| tool["full_name"] == call["name"]);
            let tool = tool.unwrap_or_else(|| panic!("there is no such tool: {call:#}"));
            let validator = jsonschema::validator_for(&tool["schema"]).unwrap();
            let fault = validator.validate(&call["params"]);
            assert!(fault.is_ok(), "{fault:?} in {call:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_of_a_small_real_model_are_valid_and_nothing_is_left() {
    let (mut model, base) = model().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let bound = Bounded { base, http: http.clone(), asked: Arc::default() };
    let asked = bound.asked.clone();
    let url = listen(Router::new().route("/v1/chat/completions", post(bounded)).with_state(bound)).await;
    let space = TestSpace::new();
    let hub = shipped(&space, |config| {
        config.model = "openai:smollm2-135m".to_owned();
        config.models.openai_url = format!("{url}/v1");
        config.models.timeout_seconds = 30.0;
    })
    .await;
    let balance = Balance::of(&hub);
    let address = dormouse_tests::serve(&hub).await;
    let tools: Vec<Value> = http.get(format!("{address}/tools")).send().await.unwrap().json().await.unwrap();

    let (mut right, mut planned) = (Vec::new(), 0);
    for (query, tool) in QUERIES.into_iter().chain(FREE) {
        let answer = ask(&address, query).await;
        check_plan(&answer, &tools);
        assert!(!answer["answer"].as_str().unwrap().is_empty(), "{query}");
        let expected: Vec<&str> = tool.into_iter().collect();
        let is_right = answer["tools_used"] == json!(expected);
        right.push(is_right);
        planned += u32::from(answer["plan"]["model"].is_string());
        println!(
            "{query}: {} in {} ms, planned by {}, {}; {}",
            answer["tools_used"],
            answer["total_duration_ms"],
            answer["plan"]["model"],
            if is_right { "right" } else { "not right" },
            answer["plan"]["reasons"],
        );
    }
    let (plans, texts): (Vec<bool>, Vec<bool>) = asked.lock().unwrap().iter().partition(|plans| **plans);
    let count = |right: &[bool]| right.iter().filter(|right| **right).count();
    println!(
        "smollm2-135m: right on {} of the 12 queries and {} of {} free ones; asked for {} plans and {} texts; \
         {planned} of its plans were taken",
        count(&right[..QUERIES.len()]),
        count(&right[QUERIES.len()..]),
        FREE.len(),
        plans.len(),
        texts.len(),
    );
    assert!(!plans.is_empty() && !texts.is_empty(), "the model was asked");
    balance.after(&space, hub).await;
    drop(model.stdin.take());
    assert!(model.wait().await.unwrap().success());
}
