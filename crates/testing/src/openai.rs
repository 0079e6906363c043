//! A double of an OpenAI-compatible endpoint.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::double::{Act, Recorded, Reply, Script, Served, Wire, body_streams, count, play, tokens, whole};

/// `/v1/chat/completions` and `/v1/models` with scripted answers.
///
/// Tool calls carry their arguments as a string; streams are server-sent events that end in
/// `[DONE]`. To refuse tools or a response format, look at the request in a closure.
#[derive(Debug)]
pub struct OpenAiDouble {
    script: Arc<Script>,
    served: Served,
}

impl OpenAiDouble {
    /// Starts a double with these models on a free port.
    pub async fn start(models: &[&str]) -> Self {
        let script = Script::new(models);
        let router = Router::new()
            .route("/v1/models", get(list))
            .route("/v1/chat/completions", post(answer))
            .with_state(Arc::clone(&script));
        Self { script, served: Served::start(router).await }
    }

    /// Its base address, as clients of such APIs take it: `http://127.0.0.1:port/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.served.address)
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

async fn list(State(script): State<Arc<Script>>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    script.record(uri.path(), &headers, b"");
    let data: Vec<Value> = script
        .models
        .iter()
        .map(|id| json!({"id": id, "object": "model", "created": 1_763_715_600, "owned_by": "double"}))
        .collect();
    whole(200, &json!({"object": "list", "data": data}))
}

async fn answer(
    State(script): State<Arc<Script>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let request = script.record(uri.path(), &headers, &body);
    let model = request.body["model"].as_str().unwrap_or_default().to_owned();
    if !script.models.contains(&model) {
        return whole(404, &OpenAi::error(404, &format!("The model `{model}` does not exist")));
    }
    let reply = script.next(&request);
    play(&OpenAi { model }, reply, body_streams(&request.body, false)).await
}

struct OpenAi {
    model: String,
}

impl OpenAi {
    fn object(&self, kind: &str, choice: Value) -> Value {
        json!({"id": "chatcmpl-1", "object": kind, "created": 1_763_715_600, "model": self.model, "choices": [choice]})
    }

    fn chunk(&self, delta: Value, finish: Value) -> String {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        format!("data: {}\n\n", self.object("chat.completion.chunk", choice))
    }
}

fn finish(act: &Act) -> Value {
    json!(if matches!(act, Act::Calls(_)) { "tool_calls" } else { "stop" })
}

fn calls_of(act: &Act) -> Option<Value> {
    let Act::Calls(calls) = act else { return None };
    let calls = calls.iter().enumerate().map(|(index, (name, arguments))| {
        let function = json!({"name": name, "arguments": arguments.to_string()});
        json!({"index": index, "id": format!("call_{index}"), "type": "function", "function": function})
    });
    Some(calls.collect())
}

impl Wire for OpenAi {
    const STREAM_TYPE: &'static str = "text/event-stream";

    fn error(status: u16, message: &str) -> Value {
        let kind = if status < 500 { "invalid_request_error" } else { "server_error" };
        json!({"error": {"message": message, "type": kind, "param": null, "code": null}})
    }

    fn whole(&self, act: &Act) -> Value {
        let message = match (act, calls_of(act)) {
            (_, Some(calls)) => json!({"role": "assistant", "content": null, "tool_calls": calls}),
            (Act::Text(text) | Act::FailAfter(text, _) | Act::CutAfter(text), None) => {
                json!({"role": "assistant", "content": text})
            }
            (_, None) => json!({"role": "assistant", "content": ""}),
        };
        let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish(act)});
        let mut object = self.object("chat.completion", choice);
        object["usage"] =
            json!({"prompt_tokens": 26, "completion_tokens": count(act), "total_tokens": 26 + count(act)});
        object
    }

    fn frames(&self, act: &Act) -> Vec<String> {
        let mut frames = vec![self.chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
        match (act, calls_of(act)) {
            (_, Some(calls)) => frames.push(self.chunk(json!({"tool_calls": calls}), Value::Null)),
            (Act::Text(text) | Act::FailAfter(text, _) | Act::CutAfter(text), None) => {
                frames.extend(
                    tokens(text).into_iter().map(|token| self.chunk(json!({"content": token}), Value::Null)),
                );
            }
            (_, None) => {}
        }
        frames
    }

    fn end(&self, act: &Act) -> String {
        self.chunk(json!({}), finish(act)) + "data: [DONE]\n\n"
    }

    fn failure(&self, message: &str) -> String {
        format!("data: {}\n\n", Self::error(500, message))
    }
}
