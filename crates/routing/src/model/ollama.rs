//! Ollama: plans under a JSON Schema, answers as a stream.

use std::time::Duration;

use async_trait::async_trait;
use ollama_rs::Ollama as Api;
use ollama_rs::error::OllamaError;
use ollama_rs::generation::chat::ChatMessage;
use ollama_rs::generation::chat::request::ChatMessageRequest;
use ollama_rs::generation::parameters::{FormatType, JsonStructure, KeepAlive, ThinkType, TimeUnit};
use ollama_rs::models::{LocalModel, ModelOptions};
use serde_json::Value;
use url::Url;

use super::stream::{Collector, lines};
use super::{
    Choice, Endpoint, Model, ModelError, Prompt, ROOM_FOR_ANSWER, ROOM_FOR_PLAN, Speaker, Tokens, client,
    fault, json, message_in,
};

/// Windows that a model is run with. Few, since Ollama loads a model anew when the window changes.
const WINDOWS: [u64; 4] = [4_096, 8_192, 16_384, 32_768];
/// How long a model stays loaded: the next question mostly comes within minutes.
const KEEP_MINUTES: u64 = 10;

/// A model that Ollama runs.
#[derive(Debug)]
pub(super) struct Ollama {
    api: Api,
    http: reqwest::Client,
    model: String,
    timeout: Duration,
}

/// An address with the slash at its end that paths are added to.
fn base(url: &str) -> Result<Url, ModelError> {
    let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let with_slash = format!("{}/", with_scheme.trim_end_matches('/'));
    // The address to listen on is no address to call.
    let callable = with_slash.replace("//0.0.0.0", "//127.0.0.1");
    Url::parse(&callable)
        .ok()
        .filter(Url::has_host)
        .ok_or_else(|| ModelError::Offline { url: url.to_owned() })
}

impl Ollama {
    pub(super) fn new(url: &str, model: &str, timeout: Duration) -> Result<Self, ModelError> {
        let http = client(timeout);
        let api = Api::builder().url(base(url)?).reqwest_client(http.clone()).build();
        Ok(Self { api, http, model: model.to_owned(), timeout })
    }

    /// The models that Ollama has, asked with a short deadline.
    pub(super) async fn installed(url: &str, limit: Duration) -> Result<Vec<LocalModel>, ModelError> {
        let api = Api::builder().url(base(url)?).reqwest_client(client(limit)).build();
        match tokio::time::timeout(limit, api.list_local_models()).await {
            Ok(listed) => listed.map_err(|error| meaning(error, url, limit)),
            Err(_) => Err(ModelError::Timeout { limit }),
        }
    }

    fn request(&self, prompt: &Prompt, room: i32) -> ChatMessageRequest {
        let message = |(speaker, text): &(Speaker, String)| match speaker {
            Speaker::System => ChatMessage::system(text.clone()),
            Speaker::User => ChatMessage::user(text.clone()),
            Speaker::Assistant => ChatMessage::assistant(text.clone()),
        };
        let options =
            ModelOptions::default().temperature(0.0).num_ctx(window(prompt, room)).num_predict(room);
        ChatMessageRequest::new(self.model.clone(), prompt.messages.iter().map(message).collect())
            .options(options)
            .keep_alive(KeepAlive::Until { time: KEEP_MINUTES, unit: TimeUnit::Minutes })
    }
}

/// The smallest window that holds prompt and answer. Without it Ollama silently cuts long lists of tools.
fn window(prompt: &Prompt, room: i32) -> u64 {
    // Three bytes a token is on the safe side for English and for JSON.
    let needed = (prompt.bytes() / 3) as u64 + u64::from(room.unsigned_abs());
    WINDOWS.into_iter().find(|window| *window >= needed).unwrap_or(WINDOWS[WINDOWS.len() - 1])
}

/// What a fault of the client library means; it keeps no status.
fn meaning(error: OllamaError, url: &str, limit: Duration) -> ModelError {
    match error {
        OllamaError::ReqwestError(error) => fault(&error, url, limit),
        OllamaError::JsonError(error) => ModelError::Garbage { problem: error.to_string() },
        OllamaError::InternalError(error) => ModelError::Refused { status: None, message: error.message },
        OllamaError::Other(body) => ModelError::Refused { status: None, message: message_in(&body) },
        OllamaError::ToolCallError(error) => ModelError::Garbage { problem: error.to_string() },
    }
}

#[async_trait]
impl Model for Ollama {
    fn name(&self) -> String {
        format!("ollama:{}", self.model)
    }

    fn endpoint(&self) -> Option<Endpoint> {
        Some(Endpoint { url: format!("{}v1", self.api.url_str()), model: self.model.clone() })
    }

    async fn choose(&self, prompt: &Prompt, choice: &Choice) -> Result<Value, ModelError> {
        let schema: JsonStructure = serde_json::from_value(choice.schema.clone())
            .map_err(|error| ModelError::Garbage { problem: error.to_string() })?;
        let request = self
            .request(prompt, ROOM_FOR_PLAN)
            .format(FormatType::StructuredJson(Box::new(schema)))
            .think(ThinkType::False);
        let asked = tokio::time::timeout(self.timeout, self.api.send_chat_messages(request)).await;
        let response = asked
            .map_err(|_| ModelError::Timeout { limit: self.timeout })?
            .map_err(|error| meaning(error, self.api.url_str(), self.timeout))?;
        let message = response.message;
        if !message.tool_calls.is_empty() {
            let calls = message.tool_calls.into_iter().map(
                |call| serde_json::json!({"tool": call.function.name, "arguments": call.function.arguments}),
            );
            return Ok(calls.collect());
        }
        json::from_text(&message.content)
            .ok_or_else(|| ModelError::Garbage { problem: "it holds no JSON".to_owned() })
    }

    /// Not by the client library: its stream drops a character that comes in two chunks.
    async fn write(&self, prompt: &Prompt, tokens: &Tokens<'_>) -> Result<String, ModelError> {
        let url = format!("{}api/chat", self.api.url_str());
        let mut body = serde_json::to_value(self.request(prompt, ROOM_FOR_ANSWER))
            .map_err(|error| ModelError::Garbage { problem: error.to_string() })?;
        body["stream"] = true.into();
        let sent = tokio::time::timeout(self.timeout, self.http.post(&url).json(&body).send()).await;
        let response = sent
            .map_err(|_| ModelError::Timeout { limit: self.timeout })?
            .map_err(|error| fault(&error, self.api.url_str(), self.timeout))?;
        if !response.status().is_success() {
            let status = Some(response.status().as_u16());
            let message = message_in(&response.text().await.unwrap_or_default());
            return Err(ModelError::Refused { status, message });
        }
        let mut collector = Collector::new(tokens);
        lines(response.bytes_stream(), (self.api.url_str(), self.timeout), |line| {
            if line.is_empty() {
                return Ok(false);
            }
            let piece: Value = serde_json::from_str(line)
                .map_err(|_| ModelError::Garbage { problem: "a line of its stream is no JSON".to_owned() })?;
            if let Some(message) = piece["error"].as_str() {
                return Err(ModelError::Refused { status: None, message: message.to_owned() });
            }
            let is_long = collector.push(piece["message"]["content"].as_str().unwrap_or_default());
            Ok(is_long || piece["done"] == true)
        })
        .await?;
        collector.finish()
    }
}
