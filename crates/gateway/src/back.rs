//! The way back from a server to the client for whom it works.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dormouse::{BackChannel, CallEvent, PeerAnswer, PeerRequest, Scope};
use serde_json::{Map, Number, Value, json};

use crate::caller::{Caller, Life, Outlet};
use crate::message::{Request, notification};
use crate::parked::Questions;

/// MCP's levels of log messages (RFC 5424), lowest first.
const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
/// How far a wake moves the progress: less than what any tool would count, since what it counts must
/// still be more.
const STEP: f64 = 1e-6;

/// Whether a text is one of MCP's log levels.
pub(crate) fn is_level(level: &str) -> bool {
    LEVELS.contains(&level)
}

/// The back channel of one request.
#[derive(Debug)]
pub(crate) struct Back {
    scope: Scope,
    life: Life,
    log_level: Option<String>,
    /// Where questions of an older server wait for a stateless client to come again.
    questions: Arc<Questions>,
    way: Mutex<Way>,
}

#[derive(Debug)]
struct Way {
    outlet: Arc<dyn Outlet>,
    token: Option<Value>,
    /// The progress last told.
    told: Option<f64>,
}

impl Back {
    pub(crate) fn new(scope: &Scope, caller: &Caller, request: &Request) -> Arc<Self> {
        let way = Way {
            outlet: Arc::clone(&caller.outlet),
            token: request.meta("progressToken").filter(|token| !token.is_null()).cloned(),
            told: None,
        };
        Arc::new(Self {
            scope: scope.clone(),
            life: caller.life.clone(),
            log_level: caller.log_level(),
            questions: Arc::default(),
            way: Mutex::new(way),
        })
    }

    pub(crate) fn questions(&self) -> &Arc<Questions> {
        &self.questions
    }

    /// The request has come again: what follows goes to the new one.
    pub(crate) fn redirect(&self, caller: &Caller, request: &Request) {
        let mut way = self.way();
        way.outlet = Arc::clone(&caller.outlet);
        way.token = request.meta("progressToken").filter(|token| !token.is_null()).cloned();
        way.told = None;
    }

    fn way(&self) -> MutexGuard<'_, Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self, progress: f64, total: Option<f64>, message: Option<String>, waking: bool) {
        let mut way = self.way();
        let Some(token) = way.token.clone() else { return };
        let progress = match way.told {
            None if waking => STEP,
            Some(told) if waking => told + STEP,
            // A wake has been told of, and each value must be greater than the one before.
            Some(told) if progress <= told && told < 1.0 => told + STEP,
            _ => progress,
        };
        way.told = Some(progress);
        let mut params = Map::new();
        params.insert("progressToken".to_owned(), token);
        params.insert("progress".to_owned(), number(progress));
        if let Some(total) = total {
            params.insert("total".to_owned(), number(total));
        }
        if let Some(message) = message {
            params.insert("message".to_owned(), Value::String(message));
        }
        way.outlet.send(notification("notifications/progress", Value::Object(params)));
    }

    fn wants(&self, level: &str) -> bool {
        let rank = |level: &str| LEVELS.iter().position(|known| *known == level);
        match (&self.log_level, &self.life) {
            (Some(wanted), _) => rank(level) >= rank(wanted),
            // Who did not ask gets what the server sends by itself.
            (None, Life::Session(_)) => true,
            (None, Life::Stateless(_)) => false,
        }
    }
}

/// A number that is whole stays so in JSON.
fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and small enough")]
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[async_trait]
impl BackChannel for Back {
    fn notify(&self, event: CallEvent) {
        match event {
            CallEvent::Progress { progress, total, message } => {
                self.progress(progress, total, message, false);
            }
            CallEvent::Waking { step } => self.progress(0.0, None, Some(step), true),
            CallEvent::Log { level, logger, data } => {
                if self.wants(&level) {
                    let mut params = json!({ "level": level, "data": data });
                    if let Some(logger) = logger {
                        params["logger"] = Value::String(logger);
                    }
                    self.way().outlet.send(notification("notifications/message", params));
                }
            }
            CallEvent::Other { method, params } => {
                self.way().outlet.send(notification(&method, params));
            }
        }
    }

    async fn ask(&self, request: PeerRequest) -> PeerAnswer {
        if !can_answer(&self.capabilities(), &request) {
            return PeerAnswer::Unsupported;
        }
        match &self.life {
            Life::Session(session) => {
                let outlet = Arc::clone(&self.way().outlet);
                match session.ask(&outlet, &request.method, request.params).await {
                    Ok(result) => PeerAnswer::Result(result),
                    Err(fault) => {
                        PeerAnswer::Refused { code: fault.code, message: fault.message, data: fault.data }
                    }
                }
            }
            Life::Stateless(_) => self.questions.ask(request).await,
        }
    }

    fn capabilities(&self) -> Arc<Value> {
        match &self.life {
            Life::Session(session) => Arc::clone(session.capabilities()),
            Life::Stateless(meta) => Arc::clone(&meta.capabilities),
        }
    }

    fn wants_progress(&self) -> bool {
        self.way().token.is_some()
    }

    fn scope(&self) -> Option<&Scope> {
        Some(&self.scope)
    }

    fn log_level(&self) -> Option<String> {
        self.log_level.clone()
    }
}

/// Whether a client with these capabilities can answer a question.
fn can_answer(capabilities: &Value, request: &PeerRequest) -> bool {
    match request.method.as_str() {
        "elicitation/create" => {
            let by_url = request.params.get("mode").and_then(Value::as_str) == Some("url");
            match capabilities.get("elicitation") {
                Some(Value::Object(offered)) if by_url => offered.contains_key("url"),
                // An empty object is the form of 2025-06-18, which knew no other.
                Some(Value::Object(offered)) => offered.is_empty() || offered.contains_key("form"),
                _ => false,
            }
        }
        "sampling/createMessage" => capabilities.get("sampling").is_some_and(Value::is_object),
        "roots/list" => capabilities.get("roots").is_some_and(Value::is_object),
        "ping" => true,
        // What we do not know the client may.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_goes_only_to_who_can_answer_it() {
        let asked = |method: &str, params: Value| PeerRequest { method: method.to_owned(), params };
        let form = asked("elicitation/create", json!({ "message": "?" }));
        let url = asked("elicitation/create", json!({ "mode": "url" }));
        for (capabilities, by_form, by_url) in [
            (json!({}), false, false),
            (json!({ "elicitation": {} }), true, false),
            (json!({ "elicitation": { "form": {} } }), true, false),
            (json!({ "elicitation": { "url": {} } }), false, true),
            (json!({ "elicitation": { "url": {}, "form": {} } }), true, true),
        ] {
            assert_eq!(can_answer(&capabilities, &form), by_form, "{capabilities}");
            assert_eq!(can_answer(&capabilities, &url), by_url, "{capabilities}");
        }
        assert!(!can_answer(&json!({}), &asked("sampling/createMessage", Value::Null)));
        assert!(can_answer(&json!({ "roots": {} }), &asked("roots/list", Value::Null)));
    }

    #[test]
    fn whole_numbers_stay_whole() {
        assert_eq!(number(50.0), json!(50));
        assert_eq!(number(0.5), json!(0.5));
        assert_eq!(number(f64::NAN), Value::Null);
    }
}
