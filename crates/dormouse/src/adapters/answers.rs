//! What became of a call, in the form of the library that made it.

use dormouse_context::{CallAnswer, CallError};
use dormouse_types::{Outcome, chain};
use serde_json::{Map, Value, json};

use super::calls::ToolCall;
use super::format::Format;

/// The pictures that Anthropic takes.
const ANTHROPIC_IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// How a call went, in words and more.
struct Told<'a> {
    text: String,
    is_error: bool,
    answer: Option<&'a CallAnswer>,
    outcome: Outcome,
}

/// The answer to a call, for the library that made it; `Err` with words when it was not made.
pub fn answer(format: Format, call: &ToolCall, done: Result<&CallAnswer, &str>) -> Value {
    let told = match done {
        Ok(answer) => Told {
            text: answer.result.text(),
            is_error: answer.result.is_error,
            answer: Some(answer),
            outcome: answer.outcome,
        },
        Err(why) => {
            Told { text: format!("error: {why}"), is_error: true, answer: None, outcome: Outcome::Failed }
        }
    };
    told.answer(format, call)
}

/// The same for a call that failed.
pub(super) fn failed(format: Format, call: &ToolCall, error: &CallError) -> Value {
    let outcome = error.outcome();
    let mut text = format!("error: {}", chain(error));
    if outcome == Outcome::Unknown {
        text.push_str(" (the tool may have run)");
    }
    Told { text, is_error: true, answer: None, outcome }.answer(format, call)
}

impl Told<'_> {
    fn answer(self, format: Format, call: &ToolCall) -> Value {
        let id = json!(call.id);
        match format {
            Format::OpenAi => json!({ "role": "tool", "tool_call_id": id, "content": self.text }),
            Format::OpenAiResponses => {
                json!({ "type": "function_call_output", "call_id": id, "output": self.text })
            }
            Format::Anthropic => json!({
                "type": "tool_result",
                "tool_use_id": id,
                "content": self.blocks(),
                "is_error": self.is_error,
            }),
            Format::Gemini => {
                let mut response = json!({ "name": call.name, "response": self.response() });
                if call.id.is_some() {
                    response["id"] = id;
                }
                json!({ "functionResponse": response })
            }
            Format::Ollama => {
                let mut message = json!({ "role": "tool", "tool_name": call.name, "content": self.text });
                if call.id.is_some() {
                    message["tool_call_id"] = id;
                }
                message
            }
            Format::LangChain => json!({
                "type": "tool",
                "tool_call_id": id,
                "name": call.name,
                "content": self.text,
                "status": if self.is_error { "error" } else { "success" },
                "artifact": self.artifact(),
            }),
        }
    }

    /// Text and pictures as Anthropic's blocks; everything else in words.
    fn blocks(&self) -> Vec<Value> {
        let content = self.answer.map(|answer| &answer.result.content[..]).unwrap_or_default();
        if !content.iter().any(|block| image(block).is_some()) {
            return vec![json!({ "type": "text", "text": self.text })];
        }
        let block = |block: &Value| {
            if let Some((mime, data)) = image(block) {
                let source = json!({ "type": "base64", "media_type": mime, "data": data });
                return Some(json!({ "type": "image", "source": source }));
            }
            let text = block.get("text")?.as_str().filter(|text| !text.is_empty())?;
            Some(json!({ "type": "text", "text": text }))
        };
        content.iter().filter_map(block).collect()
    }

    /// Gemini wants an object: what came out under `output`, a failure under `error`.
    fn response(&self) -> Value {
        if self.is_error {
            return json!({ "error": self.text });
        }
        let structured = self.answer.and_then(|answer| answer.result.structured_content.clone());
        json!({ "output": structured.unwrap_or_else(|| json!(self.text)) })
    }

    /// What a program may want beside the words.
    fn artifact(&self) -> Value {
        let mut artifact = Map::from_iter([("outcome".to_owned(), json!(self.outcome.as_str()))]);
        if let Some(answer) = self.answer {
            artifact.insert("content".to_owned(), json!(answer.result.content));
            artifact.insert("structured_content".to_owned(), json!(answer.result.structured_content));
        }
        Value::Object(artifact)
    }
}

fn image(block: &Value) -> Option<(&str, &str)> {
    let mime = block.get("mimeType")?.as_str().filter(|mime| ANTHROPIC_IMAGES.contains(mime))?;
    let is_image = block.get("type").is_some_and(|kind| kind == "image");
    Some((mime, block.get("data")?.as_str()?)).filter(|_| is_image)
}
