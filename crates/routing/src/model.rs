//! Language models behind one trait: Ollama, any OpenAI-compatible endpoint, or none.
//!
//! # Invariants
//!
//! * Every request has a deadline, and nothing is read without a bound.
//! * Streams are decoded by us, on bytes: a line is cut at `\n` before it is read as UTF-8, so a
//!   character that arrives in two chunks is one character.
//! * Nothing here reads the process environment: addresses and keys are settings.

mod choice;
mod json;
mod ollama;
mod openai;
mod stream;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

pub(crate) use choice::Models;
pub use choice::{ModelChoice, UnknownModel};

/// How many tokens a plan or an answer may have: a small model whose text never ends must not
/// write until the timeout.
const ROOM_FOR_PLAN: i32 = 768;
const ROOM_FOR_ANSWER: i32 = 2_048;

/// Where models are found, and which one is wanted.
#[derive(Clone)]
pub struct ModelSettings {
    /// Which model.
    pub choice: ModelChoice,
    /// Ollama's address, such as `http://127.0.0.1:11434`.
    pub ollama_url: String,
    /// The base of an OpenAI-compatible API, such as `https://api.openai.com/v1`.
    pub openai_url: String,
    /// The key for that API, if it wants one.
    pub openai_key: Option<String>,
    /// How long a plan, or the next piece of an answer, may take.
    pub timeout: Duration,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            choice: ModelChoice::Auto,
            ollama_url: "http://127.0.0.1:11434".to_owned(),
            openai_url: "https://api.openai.com/v1".to_owned(),
            openai_key: None,
            timeout: Duration::from_secs(120),
        }
    }
}

impl fmt::Debug for ModelSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelSettings")
            .field("choice", &self.choice)
            .field("ollama_url", &self.ollama_url)
            .field("openai_url", &self.openai_url)
            .field("openai_key", &self.openai_key.as_ref().map(|_| "set"))
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// How a tool can reach the hub's model by itself: an OpenAI-compatible base and a model's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The base, to which `/chat/completions` is added.
    pub url: String,
    /// The model's name there.
    pub model: String,
}

/// Who says a part of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The hub, which gives the rules.
    System,
    /// The person.
    User,
    /// The model, earlier.
    Assistant,
}

/// What a model is asked.
#[derive(Debug, Clone, Default)]
pub struct Prompt {
    /// The conversation, in order.
    pub messages: Vec<(Speaker, String)>,
}

impl Prompt {
    fn bytes(&self) -> usize {
        self.messages.iter().map(|(_, text)| text.len()).sum()
    }
}

/// A tool as it is offered to a model.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Its full name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The schema of its arguments, without references.
    pub parameters: Value,
}

/// What a model may choose from.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The tools.
    pub offers: Vec<Offer>,
    /// The schema of a plan over exactly these tools.
    pub schema: Value,
}

/// Why a model did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Nobody answers at its address.
    #[error("the model at {url} is offline")]
    Offline {
        /// The address.
        url: String,
    },
    /// It took too long.
    #[error("the model did not answer within {} s", .limit.as_secs_f64())]
    Timeout {
        /// The limit.
        limit: Duration,
    },
    /// It answered with an error.
    #[error("the model's server refused: {message}")]
    Refused {
        /// The HTTP status, where it is known.
        status: Option<u16>,
        /// What it said.
        message: String,
    },
    /// Its answer is not what was asked for.
    #[error("the model's answer cannot be read: {problem}")]
    Garbage {
        /// What is wrong with it.
        problem: String,
    },
    /// Its answer broke off.
    #[error("the model's answer broke off")]
    CutOff,
}

impl ModelError {
    /// Whether asking again in another way may help.
    pub(crate) fn is_garbage(&self) -> bool {
        matches!(self, Self::Garbage { .. })
    }
}

/// Takes the pieces of a text while it is written.
pub type Tokens<'t> = dyn Fn(&str) + Send + Sync + 't;

/// A language model.
#[async_trait]
pub trait Model: Send + Sync + fmt::Debug {
    /// Its name for people, such as `ollama:llama3.2`.
    fn name(&self) -> String;

    /// How others can reach it, if they can.
    fn endpoint(&self) -> Option<Endpoint>;

    /// Makes a plan: JSON by the choice's schema, or as near to it as the model comes.
    async fn choose(&self, prompt: &Prompt, choice: &Choice) -> Result<Value, ModelError>;

    /// Writes a text, and gives its pieces as they come.
    async fn write(&self, prompt: &Prompt, tokens: &Tokens<'_>) -> Result<String, ModelError>;
}

/// The longest text that is taken from a model.
const MAX_TEXT_BYTES: usize = 64 * 1024;
/// What a refused connection or a black hole may cost.
const CONNECT: Duration = Duration::from_secs(1);

/// A client with deadlines. Without proxies: those would come from the process environment.
fn client(timeout: Duration) -> reqwest::Client {
    reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(timeout)
        .no_proxy()
        .build()
        .expect("a client with these settings builds")
}

/// What an HTTP fault means.
fn fault(error: &reqwest::Error, url: &str, limit: Duration) -> ModelError {
    match () {
        () if error.is_connect() => ModelError::Offline { url: url.to_owned() },
        () if error.is_timeout() => ModelError::Timeout { limit },
        () if error.is_decode() => ModelError::Garbage { problem: "it is no JSON of that API".to_owned() },
        () => ModelError::CutOff,
    }
}

/// The message in an error body: `{"error": "…"}` or `{"error": {"message": "…"}}`, else its beginning.
fn message_in(body: &str) -> String {
    let parsed: Value = serde_json::from_str(body).unwrap_or_default();
    let error = &parsed["error"];
    let said = error.as_str().or_else(|| error["message"].as_str()).unwrap_or(body).trim();
    match said {
        "" => "no reason given".to_owned(),
        text => crate::search::cut(text, 300).to_owned(),
    }
}
