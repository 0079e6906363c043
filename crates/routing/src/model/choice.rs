//! Which model is used: the one that is named, or the one that is found.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ollama_rs::models::LocalModel;

use super::ollama::Ollama;
use super::openai::OpenAi;
use super::{Model, ModelError, ModelSettings};

/// Which model is wanted.
#[derive(Debug, Clone, Default)]
pub enum ModelChoice {
    /// Ollama's `llama3.2` if it is there, else the newest one there, else none.
    #[default]
    Auto,
    /// None: the search plans alone.
    None,
    /// One of Ollama's; `None` is the same as the automatic choice.
    Ollama(Option<String>),
    /// One behind an OpenAI-compatible API.
    OpenAi(String),
    /// This one; for programs that bring their own.
    Given(Arc<dyn Model>),
}

/// A text that names no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no model; known are auto, none, ollama, ollama:NAME and openai:NAME")]
pub struct UnknownModel(pub String);

impl FromStr for ModelChoice {
    type Err = UnknownModel;

    fn from_str(text: &str) -> Result<Self, UnknownModel> {
        let text = text.trim();
        match text.split_once(':') {
            None if text.is_empty() || text == "auto" => Ok(Self::Auto),
            None if text == "none" => Ok(Self::None),
            None if text == "ollama" => Ok(Self::Ollama(None)),
            Some(("ollama", name)) if !name.is_empty() => Ok(Self::Ollama(Some(name.to_owned()))),
            Some(("openai", name)) if !name.is_empty() => Ok(Self::OpenAi(name.to_owned())),
            _ => Err(UnknownModel(text.chars().take(80).collect())),
        }
    }
}

/// What Ollama's list may take, so that a hub without Ollama answers at once.
const DETECTION: Duration = Duration::from_secs(1);
/// How long a found model counts as found, and a missing one as missing.
const FOUND_FOR: Duration = Duration::from_secs(60);
const MISSING_FOR: Duration = Duration::from_secs(30);
/// How long a model that nobody reached is left alone.
const OFFLINE_FOR: Duration = Duration::from_secs(15);
/// The model that is taken before all others.
const FAVOURITE: &str = "llama3.2";

/// Gives the model that is to be used now.
#[derive(Debug)]
pub(crate) struct Models {
    settings: ModelSettings,
    /// One detection at a time: whoever comes meanwhile waits for it.
    detection: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    model: Option<Arc<dyn Model>>,
    /// Why there is none.
    reason: Option<String>,
    until: Option<Instant>,
}

impl Models {
    pub(crate) fn new(settings: ModelSettings) -> Self {
        let (model, reason, until) = match &settings.choice {
            ModelChoice::None => (None, None, far()),
            ModelChoice::Given(model) => (Some(Arc::clone(model)), None, far()),
            ModelChoice::OpenAi(name) => {
                let model =
                    OpenAi::new(&settings.openai_url, settings.openai_key.clone(), name, settings.timeout);
                (Some(Arc::new(model) as Arc<dyn Model>), None, far())
            }
            ModelChoice::Ollama(Some(name)) => {
                match Ollama::new(&settings.ollama_url, name, settings.timeout) {
                    Ok(model) => (Some(Arc::new(model) as Arc<dyn Model>), None, far()),
                    Err(error) => (None, Some(error.to_string()), far()),
                }
            }
            ModelChoice::Auto | ModelChoice::Ollama(None) => (None, None, None),
        };
        let known = Mutex::new(Known { model, reason, until });
        Self { settings, detection: tokio::sync::Mutex::new(()), known }
    }

    /// The model to use now, or why there is none; no reason when none is wanted.
    pub(crate) async fn get(&self) -> Result<Arc<dyn Model>, Option<String>> {
        if let Some(known) = self.fresh() {
            return known;
        }
        let _alone = self.detection.lock().await;
        if let Some(known) = self.fresh() {
            return known;
        }
        let found = self.detect().await;
        let mut known = self.lock();
        *known = match found {
            Ok(model) => Known { model: Some(model), reason: None, until: Some(Instant::now() + FOUND_FOR) },
            Err(reason) => {
                Known { model: None, reason: Some(reason), until: Some(Instant::now() + MISSING_FOR) }
            }
        };
        known.answer()
    }

    /// Whether a model will probably take part, from what is known without asking.
    pub(crate) fn expects_one(&self) -> bool {
        self.lock().model.is_some()
    }

    /// Notes that nobody reached the model, so that the next queries do not wait for it.
    pub(crate) fn is_offline(&self, error: &ModelError) {
        let ModelError::Offline { .. } = error else { return };
        let mut known = self.lock();
        let is_found = matches!(self.settings.choice, ModelChoice::Auto | ModelChoice::Ollama(None));
        if is_found {
            *known = Known {
                model: None,
                reason: Some(error.to_string()),
                until: Some(Instant::now() + OFFLINE_FOR),
            };
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self) -> Option<Result<Arc<dyn Model>, Option<String>>> {
        let known = self.lock();
        known.until.is_some_and(|until| Instant::now() < until).then(|| known.answer())
    }

    async fn detect(&self) -> Result<Arc<dyn Model>, String> {
        let url = &self.settings.ollama_url;
        let hint = format!("for answers in words install Ollama and run `ollama pull {FAVOURITE}`");
        let installed = match Ollama::installed(url, DETECTION).await {
            Ok(installed) => installed,
            Err(ModelError::Offline { .. } | ModelError::Timeout { .. }) => {
                return Err(format!("no model: Ollama does not answer at {url}; {hint}"));
            }
            Err(error) => return Err(format!("no model: {error}")),
        };
        let Some(name) = best(&installed) else {
            return Err(format!("no model: Ollama has none that can chat; run `ollama pull {FAVOURITE}`"));
        };
        match Ollama::new(url, name, self.settings.timeout) {
            Ok(model) => Ok(Arc::new(model)),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Known {
    fn answer(&self) -> Result<Arc<dyn Model>, Option<String>> {
        self.model.clone().ok_or_else(|| self.reason.clone())
    }
}

/// Never, as far as a process can tell.
fn far() -> Option<Instant> {
    Instant::now().checked_add(Duration::from_secs(10 * 365 * 86_400))
}

/// The favourite, or the newest that is no mere embedder.
fn best(installed: &[LocalModel]) -> Option<&str> {
    let is_favourite = |model: &&LocalModel| {
        model.name == FAVOURITE || model.name.strip_prefix(FAVOURITE).is_some_and(|tag| tag.starts_with(':'))
    };
    let embeds = |name: &str| ["embed", "bge-", "minilm", "e5-"].iter().any(|mark| name.contains(mark));
    let when = |model: &&LocalModel| model.modified_at.parse::<jiff::Timestamp>().ok();
    installed
        .iter()
        .find(is_favourite)
        .or_else(|| installed.iter().filter(|model| !embeds(&model.name)).max_by_key(when))
        .map(|model| model.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, modified_at: &str) -> LocalModel {
        LocalModel { name: name.to_owned(), modified_at: modified_at.to_owned(), size: 1 }
    }

    #[test]
    fn the_favourite_goes_before_the_newest_and_embedders_never() {
        let older = model("qwen3:4b", "2026-10-01T09:00:00.123456789+02:00");
        let newer = model("gemma3:1b", "2026-10-01T09:00:00Z");
        let embedder = model("nomic-embed-text:latest", "2026-11-01T09:00:00Z");
        let favourite = model("llama3.2:1b", "2025-01-01T00:00:00Z");
        assert_eq!(best(&[older.clone(), newer.clone(), embedder.clone()]), Some("gemma3:1b"));
        assert_eq!(best(&[older, newer, favourite]), Some("llama3.2:1b"));
        assert_eq!(best(&[embedder]), None);
    }

    #[test]
    fn choices_are_read_as_on_the_command_line() {
        for (text, expected) in [
            ("auto", "Auto"),
            ("none", "None"),
            ("ollama", "Ollama(None)"),
            ("ollama:qwen3:4b", "Ollama(Some(\"qwen3:4b\"))"),
            ("openai:gpt-5", "OpenAi(\"gpt-5\")"),
        ] {
            assert_eq!(format!("{:?}", text.parse::<ModelChoice>().unwrap()), expected);
        }
        for bad in ["openai", "openai:", "claude:x", "Ollama:"] {
            assert!(bad.parse::<ModelChoice>().is_err(), "{bad}");
        }
    }
}
