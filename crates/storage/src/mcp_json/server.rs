//! One entry: from JSON to a server's configuration, and back without loss.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use dormouse_types::{Env, Idle, Launch, Limits, Origin, ServerConfig, Timing, Wanted};
use serde_json::{Map, Value, json};

use super::ProblemKind;

/// The longest time that a setting may name: a year. Beyond it timers overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A server as its entry describes it. Values still hold their `${VAR}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct McpServer {
    /// The entry's key, where it is no valid name and the server is called otherwise.
    pub title: Option<String>,
    /// The program: a name on `PATH` or a path.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables for its environment.
    pub env: Env,
    /// Its working directory; a relative one is meant from the space's folder.
    pub cwd: Option<PathBuf>,
    /// What Dormouse shall do with it.
    pub settings: Settings,
}

/// What stands under `dormouse` in an entry; `None` is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// Whether it should run unasked. An entry with `"disabled": true` is stopped.
    pub wanted: Option<Wanted>,
    /// How long it stays awake.
    pub idle: Option<Idle>,
    /// How long it may take to start.
    pub start: Option<Duration>,
    /// How long a call may take.
    pub call: Option<Duration>,
}

impl McpServer {
    /// The configuration; what the entry leaves open comes from the defaults.
    pub fn config(&self, defaults: Timing) -> ServerConfig {
        let Settings { wanted, idle, start, call } = self.settings;
        ServerConfig {
            launch: Launch::Command {
                command: self.command.clone(),
                args: self.args.clone(),
                cwd: self.cwd.clone(),
            },
            env: self.env.clone(),
            wanted: wanted.unwrap_or_default(),
            timing: Timing {
                start: start.unwrap_or(defaults.start),
                call: call.unwrap_or(defaults.call),
                idle: idle.unwrap_or(defaults.idle),
                stop: defaults.stop,
            },
            limits: Limits::default(),
            stateless: false,
            origin: Origin::Configured,
        }
    }

    /// This server in an entry that keeps the other fields, and its order.
    pub(super) fn written_over(&self, mut entry: Map<String, Value>) -> Map<String, Value> {
        set(&mut entry, "command", Some(json!(self.command)));
        set(&mut entry, "args", non_empty(!self.args.is_empty(), json!(self.args)));
        set(&mut entry, "env", non_empty(!self.env.0.is_empty(), json!(self.env.0)));
        set(&mut entry, "cwd", self.cwd.as_ref().map(|cwd| json!(cwd)));
        let disabled = entry.get("disabled") == Some(&Value::Bool(true));
        if disabled && self.settings.wanted != Some(Wanted::Stopped) {
            entry.insert("disabled".to_owned(), Value::Bool(false));
        }
        let ours = match entry.get("dormouse") {
            Some(Value::Object(ours)) => ours.clone(),
            _ => Map::new(),
        };
        // What `disabled` says already need not be said twice.
        let wanted = self.settings.wanted.filter(|wanted| !(disabled && *wanted == Wanted::Stopped));
        let ours = Settings { wanted, ..self.settings }.written_over(ours);
        set(&mut entry, "dormouse", non_empty(!ours.is_empty(), Value::Object(ours)));
        entry
    }
}

impl Settings {
    fn written_over(&self, mut ours: Map<String, Value>) -> Map<String, Value> {
        let wanted = |wanted| match wanted {
            Wanted::OnDemand => "on_demand",
            Wanted::Always => "always",
            Wanted::Stopped => "stopped",
        };
        let idle = |idle| match idle {
            Idle::After(time) => seconds(time),
            Idle::Never => json!("never"),
        };
        set(&mut ours, "wanted", self.wanted.map(|it| json!(wanted(it))));
        set(&mut ours, "idle_seconds", self.idle.map(idle));
        set(&mut ours, "start_timeout_seconds", self.start.map(seconds));
        set(&mut ours, "call_timeout_seconds", self.call.map(seconds));
        ours
    }
}

fn seconds(time: Duration) -> Value {
    if time.subsec_nanos() == 0 { json!(time.as_secs()) } else { json!(time.as_secs_f64()) }
}

fn non_empty(there: bool, value: Value) -> Option<Value> {
    there.then_some(value)
}

/// Sets a field where it stands, or at the end; `None` takes it away.
fn set(entry: &mut Map<String, Value>, field: &str, value: Option<Value>) {
    match value {
        Some(value) => {
            entry.insert(field.to_owned(), value);
        }
        // Keeps the order of the others.
        None => {
            entry.shift_remove(field);
        }
    }
}

/// Reads entries and notes what is wrong, with its path.
pub(super) struct Reader<'a> {
    pub(super) note: &'a mut dyn FnMut(String, ProblemKind, String),
}

impl Reader<'_> {
    /// Reads an entry; `None` when it is no server that this version can run.
    pub(super) fn server(&mut self, path: &str, entry: &Value) -> Option<McpServer> {
        let Value::Object(entry) = entry else {
            return self.wrong(path, "an object", entry);
        };
        let at = |field: &str| format!("{path}.{field}");
        let field = |name: &str| entry.get(name).filter(|value| !value.is_null());
        let disabled =
            self.or_default(field("disabled"), |reader, value| reader.flag(&at("disabled"), value));
        let remote = matches!(
            field("type").or_else(|| field("transport")).and_then(Value::as_str),
            Some("http" | "sse" | "streamable-http" | "streamable_http" | "streamableHttp")
        );
        match (field("command"), field("url").or_else(|| field("serverUrl"))) {
            (Some(_), Some(_)) => {
                return self.unusable(path, "has both `command` and `url`; a server is one of them");
            }
            (None, Some(_)) => return self.not_yet(path),
            (None, None) if remote => return self.not_yet(path),
            (None, None) => return self.unusable(path, "has no `command`"),
            (Some(_), None) => {}
        }
        // Everything is read before anything is refused, so that all problems show at once.
        let command = self.command(&at("command"), field("command")?);
        let args = self.or_default(field("args"), |reader, value| reader.texts(&at("args"), value));
        let env = self.or_default(field("env"), |reader, value| reader.env(&at("env"), value));
        let cwd = self.or_default(field("cwd"), |reader, value| {
            reader.text(&at("cwd"), value).map(|cwd| Some(PathBuf::from(cwd)))
        });
        let settings =
            self.or_default(field("dormouse"), |reader, value| reader.settings(&at("dormouse"), value));
        let mut settings = settings?;
        if disabled? {
            settings.wanted = Some(Wanted::Stopped);
        }
        Some(McpServer { title: None, command: command?, args: args?, env: env?, cwd: cwd?, settings })
    }

    fn settings(&mut self, path: &str, value: &Value) -> Option<Settings> {
        let Value::Object(ours) = value else {
            return self.wrong(path, "an object", value);
        };
        let mut settings = Settings::default();
        let mut good = true;
        for (field, value) in ours.iter().filter(|(_, value)| !value.is_null()) {
            let at = format!("{path}.{field}");
            good &= match field.as_str() {
                "wanted" => put(&mut settings.wanted, self.wanted(&at, value)),
                "idle_seconds" if value == "never" => put(&mut settings.idle, Some(Idle::Never)),
                "idle_seconds" => {
                    put(&mut settings.idle, self.time(&at, value, "or \"never\"").map(Idle::After))
                }
                "start_timeout_seconds" => put(&mut settings.start, self.timeout(&at, value)),
                "call_timeout_seconds" => put(&mut settings.call, self.timeout(&at, value)),
                _ => {
                    (self.note)(at, ProblemKind::Ignored, "is no setting that this version knows".into());
                    true
                }
            };
        }
        good.then_some(settings)
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

    fn texts(&mut self, path: &str, value: &Value) -> Option<Vec<String>> {
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

    fn text(&mut self, path: &str, value: &Value) -> Option<String> {
        match value {
            Value::String(text) if text.contains('\0') => {
                self.unusable(path, "holds a NUL character, which no program can be given")
            }
            Value::String(text) => Some(text.clone()),
            other => self.wrong(path, "a text", other),
        }
    }

    /// What a field says; its default where it is missing, `None` where it is wrong.
    fn or_default<T: Default>(
        &mut self,
        field: Option<&Value>,
        read: impl FnOnce(&mut Self, &Value) -> Option<T>,
    ) -> Option<T> {
        match field {
            Some(value) => read(self, value),
            None => Some(T::default()),
        }
    }

    fn wrong<T>(&mut self, path: &str, expected: &str, found: &Value) -> Option<T> {
        self.unusable(path, &format!("expected {expected}, found {}", kind(found)))
    }

    fn unusable<T>(&mut self, path: &str, message: &str) -> Option<T> {
        (self.note)(path.to_owned(), ProblemKind::Unusable, message.to_owned());
        None
    }

    fn not_yet<T>(&mut self, path: &str) -> Option<T> {
        let message = "servers at a URL are not yet supported; the entry is kept";
        (self.note)(path.to_owned(), ProblemKind::NotYetSupported, message.to_owned());
        None
    }
}

/// Keeps a value; says whether there was one.
fn put<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    *place = value;
    place.is_some()
}

/// What a value is, in words; never the value, which may be a secret.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
