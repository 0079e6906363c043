//! A server that answers as its script says and keeps what it was asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What the double does with one request.
pub(crate) enum Reply {
    /// One body with a status.
    Json(u16, Value),
    /// A body in these chunks, each its own write; then it ends.
    Chunks(&'static str, Vec<Vec<u8>>),
    /// Nothing, for ever.
    Hang,
}

pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) body: Value,
}

#[derive(Default)]
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    models: Mutex<Option<Value>>,
    asked: Mutex<Vec<Asked>>,
}

pub(crate) struct Double {
    pub(crate) url: String,
    script: Arc<Script>,
    task: JoinHandle<()>,
}

impl Drop for Double {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Double {
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        let script = Arc::new(Script { replies: Mutex::new(replies.into()), ..Script::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(answer).with_state(Arc::clone(&script));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, script, task }
    }

    /// Has these models, newest first.
    pub(crate) fn with_models(self, names: &[&str]) -> Self {
        let models: Vec<Value> = names
            .iter()
            .enumerate()
            .map(|(age, name)| {
                json!({"name": name, "modified_at": format!("2026-11-{:02}T09:00:00.5+01:00", 20 - age), "size": 1})
            })
            .collect();
        *self.script.models.lock().unwrap() = Some(json!({ "models": models }));
        self
    }

    pub(crate) fn asked(&self) -> std::sync::MutexGuard<'_, Vec<Asked>> {
        self.script.asked.lock().unwrap()
    }
}

async fn answer(
    State(script): State<Arc<Script>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let key = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let body = serde_json::from_slice(&body).unwrap_or_default();
    script.asked.lock().unwrap().push(Asked { path: uri.path().to_owned(), key, body });
    if uri.path() == "/api/tags" {
        let models = script.models.lock().unwrap().clone();
        return whole(200, &models.unwrap_or_else(|| json!({"models": []})));
    }
    let reply = script.replies.lock().unwrap().pop_front();
    match reply {
        Some(Reply::Json(status, body)) => whole(status, &body),
        Some(Reply::Chunks(kind, chunks)) => {
            let stream = futures::stream::unfold(chunks.into_iter(), |mut chunks| async {
                let chunk = chunks.next()?;
                tokio::task::yield_now().await;
                Some((Ok::<_, Infallible>(chunk), chunks))
            });
            Response::builder().header("content-type", kind).body(Body::from_stream(stream)).unwrap()
        }
        Some(Reply::Hang) => std::future::pending().await,
        None => whole(500, &json!({"error": "the script has no more replies"})),
    }
}

fn whole(status: u16, body: &Value) -> Response<Body> {
    let builder =
        Response::builder().status(status).header("content-type", "application/json; charset=utf-8");
    builder.body(Body::from(body.to_string())).unwrap()
}

/// An answer of Ollama's `/api/chat` that is not streamed.
pub(crate) fn ollama_says(text: &str) -> Reply {
    Reply::Json(
        200,
        json!({
            "model": "m", "created_at": "2026-11-21T10:00:00.123456789Z",
            "message": {"role": "assistant", "content": text}, "done": true, "done_reason": "stop",
            "total_duration": 9, "load_duration": 1, "prompt_eval_count": 26, "prompt_eval_duration": 3,
            "eval_count": 5, "eval_duration": 5,
        }),
    )
}

/// A stream of Ollama's, cut into chunks of a few bytes wherever that falls.
pub(crate) fn ollama_streams(pieces: &[&str], is_whole: bool) -> Reply {
    let mut bytes = Vec::new();
    for piece in pieces {
        let line = json!({"model": "m", "created_at": "x", "message": {"role": "assistant", "content": piece}, "done": false});
        bytes.extend(format!("{line}\n").into_bytes());
    }
    if is_whole {
        bytes.extend(b"{\"model\":\"m\",\"created_at\":\"x\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true}\n");
    }
    Reply::Chunks("application/x-ndjson", bytes.chunks(7).map(<[u8]>::to_vec).collect())
}

pub(crate) fn openai_says(message: Value) -> Reply {
    Reply::Json(
        200,
        json!({"id": "c", "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}),
    )
}

pub(crate) fn openai_streams(pieces: &[&str], is_whole: bool) -> Reply {
    let mut text = String::from(": keep-alive\r\n\r\n");
    for piece in pieces {
        let event = json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": piece}}]});
        text.push_str(&format!("data: {event}\r\n\r\n"));
    }
    if is_whole {
        text.push_str("data: [DONE]\r\n\r\n");
    }
    Reply::Chunks("text/event-stream", text.into_bytes().chunks(5).map(<[u8]>::to_vec).collect())
}
