//! A double of Ollama.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::double::{
    Act, Recorded, Reply, Script, Served, Wire, body_streams, compact, count, play, tokens, whole,
};

/// Ollama's HTTP API with scripted answers: `/api/chat`, `/api/generate`, `/api/tags`,
/// `/api/show`, `/api/version`.
///
/// A model that it does not have is a 404, as in Ollama. The wire format is Ollama's: streams by
/// default, one JSON object a line, `<`, `>` and `&` escaped, other characters raw.
#[derive(Debug)]
pub struct OllamaDouble {
    script: Arc<Script>,
    served: Served,
}

impl OllamaDouble {
    /// Starts a double with these models on a free port.
    pub async fn start(models: &[&str]) -> Self {
        let script = Script::new(models);
        let router = Router::new()
            .route("/", get(async || "Ollama is running"))
            .route("/api/version", get(async || whole(200, &json!({"version": "0.13.5"}))))
            .route("/api/tags", get(tags))
            .route("/api/show", post(show))
            .route("/api/chat", post(answer))
            .route("/api/generate", post(answer))
            .with_state(Arc::clone(&script));
        Self { script, served: Served::start(router).await }
    }

    /// Its address: `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.served.address)
    }

    /// Gives this reply to the next request that has none yet.
    #[must_use]
    pub fn then(self, reply: Reply) -> Self {
        self.script.push(reply);
        self
    }

    /// Gives this reply to the next request that has none yet.
    pub fn push(&self, reply: Reply) {
        self.script.push(reply);
    }

    /// Answers all other requests by a closure.
    #[must_use]
    pub fn otherwise(self, closure: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        self.script.otherwise(Box::new(closure));
        self
    }

    /// All requests so far, in order.
    pub fn requests(&self) -> Vec<Recorded> {
        self.script.recorded()
    }
}

async fn tags(State(script): State<Arc<Script>>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    script.record(uri.path(), &headers, b"");
    let models: Vec<Value> = script
        .models
        .iter()
        .enumerate()
        .map(|(age, name)| {
            let name = tagged(name);
            json!({
                "name": name, "model": name,
                // Ollama lists the newest first.
                "modified_at": format!("2026-11-{:02}T09:00:00.123456789+01:00", 20 - age.min(19)),
                "size": 2_019_393_189_u64,
                "digest": "a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72",
                "details": details(),
            })
        })
        .collect();
    whole(200, &json!({"models": models}))
}

async fn show(
    State(script): State<Arc<Script>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let request = script.record(uri.path(), &headers, &body);
    match missing(&script, &request.body) {
        Some(refusal) => refusal,
        None => whole(
            200,
            &json!({"modelfile": "", "parameters": "", "template": "", "details": details(), "capabilities": ["completion", "tools"]}),
        ),
    }
}

async fn answer(
    State(script): State<Arc<Script>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let request = script.record(uri.path(), &headers, &body);
    if let Some(refusal) = missing(&script, &request.body) {
        return refusal;
    }
    let reply = script.next(&request);
    let model = request.body["model"].as_str().unwrap_or_default().to_owned();
    let wire = Ollama { model, chat: request.path == "/api/chat" };
    play(&wire, reply, body_streams(&request.body, true)).await
}

fn missing(script: &Script, body: &Value) -> Option<Response<Body>> {
    let Some(model) = body["model"].as_str() else {
        return Some(whole(400, &json!({"error": "model is required"})));
    };
    let known = script.models.iter().any(|known| tagged(known) == tagged(model));
    (!known).then(|| whole(404, &json!({"error": format!("model '{model}' not found")})))
}

fn tagged(name: &str) -> String {
    if name.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

fn details() -> Value {
    json!({"parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"], "parameter_size": "3.2B", "quantization_level": "Q4_K_M"})
}

struct Ollama {
    model: String,
    chat: bool,
}

impl Ollama {
    fn object(&self, text: &str, calls: Option<Value>, done: bool) -> Value {
        let mut object = json!({"model": self.model, "created_at": "2026-11-21T10:00:00.123456789Z"});
        if self.chat {
            object["message"] = compact(json!({"role": "assistant", "content": text, "tool_calls": calls}));
        } else {
            object["response"] = json!(text);
        }
        object["done"] = json!(done);
        object
    }

    fn finished(&self, text: &str, calls: Option<Value>, act: &Act) -> Value {
        let mut object = self.object(text, calls, true);
        for (name, value) in [
            ("done_reason", json!("stop")),
            ("total_duration", json!(983_000_000)),
            ("load_duration", json!(21_000_000)),
            ("prompt_eval_count", json!(26)),
            ("prompt_eval_duration", json!(342_000_000)),
            ("eval_count", json!(count(act))),
            ("eval_duration", json!(535_000_000)),
        ] {
            object[name] = value;
        }
        object
    }
}

fn calls_of(act: &Act) -> Option<Value> {
    let Act::Calls(calls) = act else { return None };
    let calls = calls.iter().enumerate().map(|(index, (name, arguments))| {
        json!({"id": format!("call_{index}"), "function": {"index": index, "name": name, "arguments": arguments}})
    });
    Some(calls.collect())
}

fn text_of(act: &Act) -> &str {
    match act {
        Act::Text(text) | Act::FailAfter(text, _) | Act::CutAfter(text) => text,
        Act::Calls(_) | Act::Error(..) | Act::Raw(_) | Act::Hang => "",
    }
}

/// One line, as Go's encoder writes it.
fn line(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026") + "\n"
}

impl Wire for Ollama {
    const STREAM_TYPE: &'static str = "application/x-ndjson";

    fn error(_status: u16, message: &str) -> Value {
        json!({"error": message})
    }

    fn whole(&self, act: &Act) -> Value {
        self.finished(text_of(act), calls_of(act), act)
    }

    fn frames(&self, act: &Act) -> Vec<String> {
        match calls_of(act) {
            Some(calls) => vec![line(&self.object("", Some(calls), false))],
            None => {
                tokens(text_of(act)).into_iter().map(|token| line(&self.object(token, None, false))).collect()
            }
        }
    }

    fn end(&self, act: &Act) -> String {
        line(&self.finished("", None, act))
    }

    fn failure(&self, message: &str) -> String {
        line(&json!({"error": message}))
    }
}
