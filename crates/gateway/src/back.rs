//! The way back from a server to the client for whom it works.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dormouse::{BackChannel, CallEvent, LOG_LEVELS, PeerAnswer, PeerRequest, Scope};
use serde_json::{Map, Number, Value, json};

use crate::caller::{Caller, Life, Outlet};
use crate::message::{Fault, MISSING_CAPABILITY, Request, notification};
use crate::parked::Questions;
use crate::tasks::{self, shape};

/// How far a wake moves the progress: less than what any tool would count, since what it counts must
/// still be more.
const SMALL: f64 = 1e-6;

/// Whether a text is one of MCP's log levels.
pub(crate) fn is_level(level: &str) -> bool {
    LOG_LEVELS.contains(&level)
}

/// Whether a message of this level belongs to the log from another level on. One of a level that
/// nobody knows does not.
pub(crate) fn is_from(level: &str, wanted: &str) -> bool {
    let rank = |level: &str| LOG_LEVELS.iter().position(|known| *known == level);
    rank(level) >= rank(wanted)
}

/// The back channel of one request.
#[derive(Debug)]
pub(crate) struct Back {
    scope: Scope,
    life: Life,
    /// What the client can do, as the server is told.
    capabilities: Arc<Value>,
    log_level: Option<String>,
    /// Where questions of an older server wait for a stateless client to come again.
    questions: Arc<Questions>,
    way: Mutex<Way>,
    /// What the client lacks for a question of the server.
    lacks: Mutex<Option<Value>>,
}

#[derive(Debug)]
struct Way {
    outlet: Arc<dyn Outlet>,
    token: Option<Value>,
    /// The progress last told.
    told: Option<f64>,
}

/// A step of the progress.
struct Step {
    progress: f64,
    total: Option<f64>,
    message: Option<String>,
    rest: Map<String, Value>,
    /// It is the hub's own, of a wake.
    waking: bool,
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
            capabilities: capabilities(caller, request),
            log_level: caller.log_level(),
            questions: Arc::default(),
            way: Mutex::new(way),
            lacks: Mutex::default(),
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

    /// The answer to a call that failed, and may have because its server asked what the client cannot
    /// answer: in 2026-07-28 that has an error of its own. A call that went well all the same is well.
    pub(crate) fn judged(&self, answer: Result<Value, Fault>) -> Result<Value, Fault> {
        let failed = match &answer {
            Ok(result) => result.get("isError").and_then(Value::as_bool) == Some(true),
            Err(_) => true,
        };
        let lacks = self.lacks.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (&self.life, lacks) {
            (Life::Stateless(_), Some(lacks)) if failed => {
                let words = "The server asked what this client did not announce that it can answer";
                let needed = json!({ "requiredCapabilities": lacks });
                Err(Fault::new(MISSING_CAPABILITY, words).with_data(needed))
            }
            _ => answer,
        }
    }

    fn way(&self) -> MutexGuard<'_, Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the client what a server says for this request; of a task, by our name for it.
    pub(crate) fn tell(&self, event: CallEvent, task: Option<&str>) {
        match event {
            CallEvent::Progress { progress, total, message, mut rest } => {
                // It names its request, which is that about the task.
                shape::rename(&mut rest, task);
                self.progress(Step { progress, total, message, rest, waking: false });
            }
            CallEvent::Waking { step } => {
                let message = Some(step);
                self.progress(Step { progress: 0.0, total: None, message, rest: Map::new(), waking: true });
            }
            CallEvent::Log { level, logger, data, mut rest } => {
                if self.wants(&level) {
                    // It may be of another task than the one that the request is about.
                    shape::rename(&mut rest, None);
                    let mut params = Map::new();
                    params.insert("level".to_owned(), Value::String(level));
                    params.extend(logger.map(|logger| ("logger".to_owned(), Value::String(logger))));
                    params.insert("data".to_owned(), data);
                    params.extend(rest);
                    self.way().outlet.send(notification("notifications/message", Value::Object(params)));
                }
            }
            CallEvent::Other { method, mut params } => {
                shape::relate(&mut params, None);
                self.way().outlet.send(notification(&method, params));
            }
        }
    }

    fn progress(&self, step: Step) {
        let Step { progress, total, message, rest, waking } = step;
        let mut way = self.way();
        let Some(token) = way.token.clone() else { return };
        let progress = match way.told {
            None if waking => SMALL,
            Some(told) if waking => told + SMALL,
            // A wake has been told of, and each value must be greater than the one before.
            Some(told) if progress <= told && told < 1.0 => told + SMALL,
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
        params.extend(rest);
        way.outlet.send(notification("notifications/progress", Value::Object(params)));
    }

    fn wants(&self, level: &str) -> bool {
        match (&self.log_level, &self.life) {
            (Some(wanted), _) => is_from(level, wanted),
            // Who did not ask gets what the server sends by itself.
            (None, Life::Session(_)) => true,
            (None, Life::Stateless(_)) => false,
        }
    }
}

/// What the client of a request can do. One with a session asks for a task call by call: a server of
/// 2026-07-28 hears of it as an extension that the client knows for this request.
fn capabilities(caller: &Caller, request: &Request) -> Arc<Value> {
    let session = match &caller.life {
        Life::Stateless(meta) => return Arc::clone(&meta.capabilities),
        Life::Session(session) => session,
    };
    let said = session.capabilities();
    let wants = tasks::are_asked_for(request);
    if !wants && said["extensions"].get(tasks::EXTENSION).is_none() {
        return Arc::clone(said);
    }
    let mut all = (**said).clone();
    let Some(members) = all.as_object_mut() else { return Arc::clone(said) };
    let extensions = members.entry("extensions").or_insert_with(|| json!({}));
    if !extensions.is_object() {
        *extensions = json!({});
    }
    if let Some(extensions) = extensions.as_object_mut() {
        extensions.shift_remove(tasks::EXTENSION);
        if wants {
            extensions.insert(tasks::EXTENSION.to_owned(), json!({}));
        }
    }
    Arc::new(all)
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
        self.tell(event, None);
    }

    async fn ask(&self, request: PeerRequest) -> PeerAnswer {
        if !can_answer(&self.capabilities(), &request) {
            *self.lacks.lock().unwrap_or_else(PoisonError::into_inner) = Some(needed(&request));
            return PeerAnswer::Unsupported;
        }
        match &self.life {
            Life::Session(session) => {
                let outlet = Arc::clone(&self.way().outlet);
                session.elicited().asked(&request, &outlet);
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
        Arc::clone(&self.capabilities)
    }

    fn wants_progress(&self) -> bool {
        self.way().token.is_some()
    }

    fn scope(&self) -> Option<&Scope> {
        Some(&self.scope)
    }

    fn client(&self) -> Option<&str> {
        match &self.life {
            Life::Session(session) => Some(session.id()),
            // Nobody can tell whether two requests are of one.
            Life::Stateless(_) => None,
        }
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

/// What a client must announce to be asked this.
fn needed(request: &PeerRequest) -> Value {
    match request.method.as_str() {
        "elicitation/create" if request.params["mode"] == "url" => json!({ "elicitation": { "url": {} } }),
        "elicitation/create" => json!({ "elicitation": {} }),
        "sampling/createMessage" => json!({ "sampling": {} }),
        _ => json!({ "roots": {} }),
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
