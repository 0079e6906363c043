//! Any endpoint that speaks OpenAI's chat completions.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::stream::{Collector, lines};
use super::{
    Choice, Endpoint, MAX_TEXT_BYTES, Model, ModelError, Prompt, ROOM_FOR_ANSWER, ROOM_FOR_PLAN, Speaker,
    Tokens, client, fault, json as found, message_in,
};

/// The ways to ask for a plan. Not every server knows each; what one refuses is not asked again.
const WAYS: [Way; 3] = [Way::Schema, Way::Tools, Way::Words];
/// The largest answer to a plan.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// `response_format` with the schema.
    Schema,
    /// The tools as tools.
    Tools,
    /// The prompt alone, which asks for JSON too.
    Words,
}

/// A model behind an OpenAI-compatible API.
pub(super) struct OpenAi {
    http: reqwest::Client,
    base: String,
    key: Option<String>,
    model: String,
    timeout: Duration,
    /// The place in [`WAYS`] of the first way that was not refused.
    way: AtomicU8,
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenAi({} at {})", self.model, self.base)
    }
}

impl OpenAi {
    pub(super) fn new(base: &str, key: Option<String>, model: &str, timeout: Duration) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        let key = key.filter(|key| !key.is_empty());
        Self { http: client(timeout), base, key, model: model.to_owned(), timeout, way: AtomicU8::new(0) }
    }

    fn body(&self, prompt: &Prompt, room: i32) -> Value {
        let message = |(speaker, text): &(Speaker, String)| {
            let role = match speaker {
                Speaker::System => "system",
                Speaker::User => "user",
                Speaker::Assistant => "assistant",
            };
            json!({"role": role, "content": text})
        };
        let messages: Vec<Value> = prompt.messages.iter().map(message).collect();
        // OpenAI's own newer models refuse the old name, and other servers know only that.
        let limit = if self.base.contains("api.openai.com") { "max_completion_tokens" } else { "max_tokens" };
        json!({"model": self.model, "messages": messages, "temperature": 0, limit: room})
    }

    async fn post(&self, body: &Value) -> Result<reqwest::Response, ModelError> {
        let mut request = self.http.post(format!("{}/chat/completions", self.base)).json(body);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let sent = tokio::time::timeout(self.timeout, request.send()).await;
        let response = sent
            .map_err(|_| ModelError::Timeout { limit: self.timeout })?
            .map_err(|error| fault(&error, &self.base, self.timeout))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = Some(response.status().as_u16());
        let message = message_in(&text_of(response, self.timeout).await.unwrap_or_default());
        Err(ModelError::Refused { status, message })
    }
}

/// A body as text, bounded in size and time.
async fn text_of(response: reqwest::Response, limit: Duration) -> Result<String, ModelError> {
    use futures::StreamExt;
    let url = response.url().to_string();
    let mut body = response.bytes_stream();
    let mut bytes = Vec::new();
    let read = async {
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| fault(&error, &url, limit))?);
            if bytes.len() > MAX_BODY_BYTES {
                return Err(ModelError::Garbage { problem: "it has no end".to_owned() });
            }
        }
        Ok(())
    };
    tokio::time::timeout(limit, read).await.map_err(|_| ModelError::Timeout { limit })??;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn with_way(mut body: Value, way: Way, choice: &Choice) -> Value {
    match way {
        Way::Schema => {
            let schema = json!({"name": "plan", "schema": choice.schema});
            body["response_format"] = json!({"type": "json_schema", "json_schema": schema});
        }
        Way::Tools => {
            let tool = |offer: &super::Offer| {
                json!({"type": "function", "function": {
                    "name": offer.name, "description": offer.description, "parameters": offer.parameters,
                }})
            };
            body["tools"] = choice.offers.iter().map(tool).collect();
            body["tool_choice"] = "auto".into();
        }
        Way::Words => {}
    }
    body
}

/// A plan in the answer: tool calls, JSON in the text, or, where tools were offered, text instead of a call.
fn plan_in(answer: &Value, way: Way) -> Result<Value, ModelError> {
    let message = &answer["choices"][0]["message"];
    let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !calls.is_empty() {
        let call = |call: &Value| {
            let arguments = match &call["function"]["arguments"] {
                Value::String(text) if text.trim().is_empty() => json!({}),
                Value::String(text) => serde_json::from_str(text).map_err(|error| ModelError::Garbage {
                    problem: format!("arguments are no JSON: {error}"),
                })?,
                Value::Null => json!({}),
                other => other.clone(),
            };
            Ok(json!({"tool": call["function"]["name"], "arguments": arguments}))
        };
        return calls.iter().map(call).collect::<Result<Value, ModelError>>();
    }
    let text = message["content"].as_str().unwrap_or_default();
    match found::from_text(text) {
        Some(plan) => Ok(plan),
        None if way == Way::Tools && !text.trim().is_empty() => Ok(json!({"calls": []})),
        None => Err(ModelError::Garbage { problem: "it holds no JSON".to_owned() }),
    }
}

#[async_trait]
impl Model for OpenAi {
    fn name(&self) -> String {
        format!("openai:{}", self.model)
    }

    /// Tools get no key, so what wants one is out of their reach.
    fn endpoint(&self) -> Option<Endpoint> {
        self.key.is_none().then(|| Endpoint { url: self.base.clone(), model: self.model.clone() })
    }

    async fn choose(&self, prompt: &Prompt, choice: &Choice) -> Result<Value, ModelError> {
        let mut refusal = None;
        for (place, way) in WAYS.into_iter().enumerate().skip(usize::from(self.way.load(Ordering::Relaxed))) {
            match self.post(&with_way(self.body(prompt, ROOM_FOR_PLAN), way, choice)).await {
                Ok(response) => {
                    self.way.store(u8::try_from(place).unwrap_or(0), Ordering::Relaxed);
                    let text = text_of(response, self.timeout).await?;
                    let answer: Value = serde_json::from_str(&text).map_err(|_| ModelError::Garbage {
                        problem: "it is no JSON of that API".to_owned(),
                    })?;
                    return plan_in(&answer, way);
                }
                // The server does not know this way, or not this schema.
                Err(ModelError::Refused {
                    status: Some(status @ (400 | 404 | 415 | 422 | 501)),
                    message,
                }) => {
                    refusal = Some(ModelError::Refused { status: Some(status), message });
                }
                Err(error) => return Err(error),
            }
        }
        Err(refusal.unwrap_or(ModelError::CutOff))
    }

    async fn write(&self, prompt: &Prompt, tokens: &Tokens<'_>) -> Result<String, ModelError> {
        let mut body = self.body(prompt, ROOM_FOR_ANSWER);
        body["stream"] = true.into();
        let response = self.post(&body).await?;
        let kind =
            response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let mut collector = Collector::new(tokens);
        // Some servers answer at once although a stream was asked for.
        if kind.starts_with("application/json") {
            let answer: Value = serde_json::from_str(&text_of(response, self.timeout).await?)
                .map_err(|_| ModelError::Garbage { problem: "it is no JSON of that API".to_owned() })?;
            let text = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default();
            collector.push(crate::search::cut(text, MAX_TEXT_BYTES));
            return collector.finish();
        }
        lines(response.bytes_stream(), (&self.base, self.timeout), |line| {
            let Some(data) = line.strip_prefix("data:").map(str::trim) else { return Ok(false) };
            if data == "[DONE]" {
                return Ok(true);
            }
            let piece: Value = serde_json::from_str(data)
                .map_err(|_| ModelError::Garbage { problem: "a line of its stream is no JSON".to_owned() })?;
            if !piece["error"].is_null() {
                return Err(ModelError::Refused { status: None, message: message_in(data) });
            }
            Ok(collector.push(piece["choices"][0]["delta"]["content"].as_str().unwrap_or_default()))
        })
        .await?;
        collector.finish()
    }
}
