//! Reads the fields of one entry, and notes everything that is wrong with it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use dormouse_types::{Auth, Env, Idle, Wanted};
use serde_json::{Map, Value};

use super::ProblemKind;
use super::remote::{NamedTransport, named_transport};
use super::server::{McpLaunch, McpServer, Settings, ecosystem_timeout};

/// The longest time that a setting may name: a year. Beyond it timers overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What stands under `dormouse`.
#[derive(Default)]
struct Ours {
    title: Option<String>,
    settings: Settings,
    ca_file: Option<PathBuf>,
    oauth: Option<Auth>,
}

/// Reads entries and notes what is wrong, with its path.
pub(super) struct Reader<'a> {
    pub(super) note: &'a mut dyn FnMut(String, ProblemKind, String),
}

impl Reader<'_> {
    /// Reads an entry; `None` when it is no server.
    pub(super) fn server(&mut self, path: &str, entry: &Value) -> Option<McpServer> {
        let Value::Object(entry) = entry else {
            return self.wrong(path, "an object", entry);
        };
        let at = |field: &str| format!("{path}.{field}");
        let field = |name: &str| entry.get(name).filter(|value| !value.is_null());
        // Everything is read before anything is refused, so that all problems show at once.
        let disabled =
            self.or_default(field("disabled"), |reader, value| reader.flag(&at("disabled"), value));
        let disabled = disabled.map(|disabled| disabled || field("enabled") == Some(&Value::Bool(false)));
        let timeout = field("timeout").and_then(|value| self.timeout_of_all(&at("timeout"), value));
        let ours = self.or_default(field("dormouse"), |reader, value| reader.ours(&at("dormouse"), value));
        let has_ours = ours.is_some();
        let Ours { title, mut settings, ca_file, oauth } = ours.unwrap_or_default();
        let server = match (field("command"), field("url").or_else(|| field("serverUrl"))) {
            (Some(_), Some(_)) => {
                return self.unusable(path, "has both `command` and `url`; a server is one of them");
            }
            (None, None) => return self.unusable(path, "has neither `command` nor `url`"),
            (None, Some(_)) => {
                let remote = self.remote(path, entry, ca_file, oauth);
                remote.map(|remote| McpServer::new(McpLaunch::Url(remote)))
            }
            (Some(_), None) => {
                let idle = [("ca_file", ca_file.is_some()), ("oauth", oauth.is_some())];
                for (name, _) in idle.into_iter().filter(|(_, is_there)| *is_there) {
                    let message = "is for a `url`; this server is a `command`".to_owned();
                    (self.note)(at(&format!("dormouse.{name}")), ProblemKind::Ignored, message);
                }
                self.program(path, entry)
            }
        };
        if disabled? {
            settings.wanted = Some(Wanted::Stopped);
        }
        settings.call = settings.call.or(timeout);
        server.filter(|_| has_ours).map(|server| McpServer { title, settings, ..server })
    }

    fn program(&mut self, path: &str, entry: &Map<String, Value>) -> Option<McpServer> {
        let at = |field: &str| format!("{path}.{field}");
        let field = |name: &str| entry.get(name).filter(|value| !value.is_null());
        for name in ["transport", "type"] {
            let named = field(name).and_then(Value::as_str).and_then(named_transport);
            if matches!(named, Some(NamedTransport::Http(_))) {
                let message = "goes with a `url`; this server is a `command`".to_owned();
                (self.note)(at(name), ProblemKind::Ignored, message);
            }
        }
        let command = self.command(&at("command"), field("command")?);
        let args = self.or_default(field("args"), |reader, value| reader.texts(&at("args"), value));
        let env = self.or_default(field("env"), |reader, value| reader.env(&at("env"), value));
        let cwd_field = if field("cwd").is_some() { "cwd" } else { "working_dir" };
        let cwd = self.or_default(field(cwd_field), |reader, value| {
            reader.text(&at(cwd_field), value).map(|cwd| Some(PathBuf::from(cwd)))
        });
        let launch = McpLaunch::Command { command: command?, args: args?, cwd: cwd? };
        Some(McpServer { env: env?, ..McpServer::new(launch) })
    }

    fn ours(&mut self, path: &str, value: &Value) -> Option<Ours> {
        let Value::Object(written) = value else {
            return self.wrong(path, "an object", value);
        };
        let mut ours = Ours::default();
        let settings = &mut ours.settings;
        let mut good = true;
        for (field, value) in written.iter().filter(|(_, value)| !value.is_null()) {
            let at = format!("{path}.{field}");
            good &= match field.as_str() {
                // Whose server it is was read before.
                "agent" | "name" => true,
                "title" => put(&mut ours.title, self.text(&at, value)),
                "wanted" => put(&mut settings.wanted, self.wanted(&at, value)),
                "idle_seconds" if value == "never" => put(&mut settings.idle, Some(Idle::Never)),
                "idle_seconds" => {
                    put(&mut settings.idle, self.time(&at, value, "or \"never\"").map(Idle::After))
                }
                "start_timeout_seconds" => put(&mut settings.start, self.timeout(&at, value)),
                "call_timeout_seconds" => put(&mut settings.call, self.timeout(&at, value)),
                "concurrency" => {
                    let number = self.number(&at, value, "from 1").map(NonZeroU32::new);
                    match number {
                        Some(None) => self.wrong::<()>(&at, "a whole number from 1", value).is_some(),
                        number => put(&mut settings.limits.concurrency, number.flatten()),
                    }
                }
                "queue" => put(&mut settings.limits.queue, self.number(&at, value, "from 0")),
                "stateless" => put(&mut settings.stateless, self.flag(&at, value)),
                "ca_file" => put(&mut ours.ca_file, self.text(&at, value).map(PathBuf::from)),
                "oauth" => put(&mut ours.oauth, self.oauth(&at, value)),
                _ => {
                    (self.note)(at, ProblemKind::Ignored, "is no setting that this version knows".into());
                    true
                }
            };
        }
        good.then_some(ours)
    }

    /// The field of other clients, whose units differ: what is no number of seconds is left alone.
    fn timeout_of_all(&mut self, path: &str, value: &Value) -> Option<Duration> {
        let timeout = ecosystem_timeout(value);
        if timeout.is_none() {
            let message = "is no number of seconds from 1 to 300, and does nothing; \
                           see `dormouse.call_timeout_seconds`";
            (self.note)(path.to_owned(), ProblemKind::Ignored, message.to_owned());
        }
        timeout
    }

    fn number(&mut self, path: &str, value: &Value, range: &str) -> Option<u32> {
        match value.as_u64().and_then(|number| u32::try_from(number).ok()) {
            Some(number) => Some(number),
            None => self.wrong(path, &format!("a whole number {range}"), value),
        }
    }

    fn wanted(&mut self, path: &str, value: &Value) -> Option<Wanted> {
        match value.as_str() {
            Some("on_demand") => Some(Wanted::OnDemand),
            Some("always") => Some(Wanted::Always),
            Some("stopped") => Some(Wanted::Stopped),
            _ => self.wrong(path, "\"on_demand\", \"always\" or \"stopped\"", value),
        }
    }

    fn timeout(&mut self, path: &str, value: &Value) -> Option<Duration> {
        match self.time(path, value, "greater than 0")? {
            Duration::ZERO => self.wrong(path, "a number of seconds greater than 0", value),
            time => Some(time),
        }
    }

    fn time(&mut self, path: &str, value: &Value, also: &str) -> Option<Duration> {
        let seconds = value.as_f64().and_then(|it| Duration::try_from_secs_f64(it).ok());
        match seconds.filter(|time| *time <= LONGEST) {
            Some(time) => Some(time),
            None => self.wrong(path, &format!("a number of seconds, at most a year, {also}"), value),
        }
    }

    fn command(&mut self, path: &str, value: &Value) -> Option<String> {
        match self.text(path, value)? {
            empty if empty.trim().is_empty() => self.unusable(path, "is empty"),
            command => Some(command),
        }
    }

    pub(super) fn texts(&mut self, path: &str, value: &Value) -> Option<Vec<String>> {
        let Value::Array(items) = value else {
            return self.wrong(path, "a list of texts", value);
        };
        let texts: Vec<_> = items
            .iter()
            .enumerate()
            .map(|(index, item)| self.text(&format!("{path}[{index}]"), item))
            .collect();
        texts.into_iter().collect()
    }

    fn env(&mut self, path: &str, value: &Value) -> Option<Env> {
        let Value::Object(variables) = value else {
            return self.wrong(path, "an object of texts", value);
        };
        let mut env = BTreeMap::new();
        let mut good = true;
        for (name, value) in variables {
            let at = format!("{path}.{name}");
            let text = match value {
                // People write ports and switches bare; only one text can be meant.
                Value::Number(number) => Some(number.to_string()),
                Value::Bool(flag) => Some(flag.to_string()),
                // VS Code's way to say that it shall not be set.
                Value::Null => continue,
                other => self.text(&at, other),
            };
            if name.is_empty() || name.contains(['=', '\0']) {
                good = self.unusable::<()>(&at, "is no name for a variable").is_some();
            }
            match text {
                Some(text) => drop(env.insert(name.clone(), text)),
                None => good = false,
            }
        }
        good.then_some(Env(env))
    }

    fn flag(&mut self, path: &str, value: &Value) -> Option<bool> {
        match value {
            Value::Bool(flag) => Some(*flag),
            other => self.wrong(path, "true or false", other),
        }
    }

    pub(super) fn text(&mut self, path: &str, value: &Value) -> Option<String> {
        match value {
            Value::String(text) if text.contains('\0') => {
                self.unusable(path, "holds a NUL character, which no program can be given")
            }
            Value::String(text) => Some(text.clone()),
            other => self.wrong(path, "a text", other),
        }
    }

    /// What a field says; its default where it is missing, `None` where it is wrong.
    pub(super) fn or_default<T: Default>(
        &mut self,
        field: Option<&Value>,
        read: impl FnOnce(&mut Self, &Value) -> Option<T>,
    ) -> Option<T> {
        match field {
            Some(value) => read(self, value),
            None => Some(T::default()),
        }
    }

    pub(super) fn wrong<T>(&mut self, path: &str, expected: &str, found: &Value) -> Option<T> {
        self.unusable(path, &format!("expected {expected}, found {}", kind(found)))
    }

    pub(super) fn unusable<T>(&mut self, path: &str, message: &str) -> Option<T> {
        (self.note)(path.to_owned(), ProblemKind::Unusable, message.to_owned());
        None
    }
}

/// Keeps a value; says whether there was one.
fn put<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    *place = value;
    place.is_some()
}

/// What a value is, in words; never the value, which may be a secret.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
