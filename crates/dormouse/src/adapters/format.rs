//! The forms that there are.

use std::fmt;
use std::str::FromStr;

/// Whose form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// OpenAI's chat completions, and everything that is compatible with them.
    OpenAi,
    /// OpenAI's responses.
    OpenAiResponses,
    /// Anthropic's messages.
    Anthropic,
    /// Gemini's function declarations.
    Gemini,
    /// Ollama's chat.
    Ollama,
    /// LangChain's tools and tool calls.
    LangChain,
}

impl Format {
    /// Every form.
    pub const ALL: &'static [Self] =
        &[Self::OpenAi, Self::OpenAiResponses, Self::Anthropic, Self::Gemini, Self::Ollama, Self::LangChain];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiResponses => "openai_responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::LangChain => "langchain",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no format; there are {}", .0, known().join(", "))]
pub struct UnknownFormat(String);

fn known() -> Vec<&'static str> {
    Format::ALL.iter().map(|format| format.as_str()).collect()
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let named = Self::ALL.iter().find(|format| format.as_str() == text);
        named.copied().ok_or_else(|| UnknownFormat(text.chars().take(80).collect()))
    }
}
