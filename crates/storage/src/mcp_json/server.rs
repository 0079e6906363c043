//! One server as its entry describes it, and how it is written back without loss.

use std::path::PathBuf;
use std::time::Duration;

use dormouse_types::{
    Auth, Env, Idle, Launch, Limits, Origin, Remote, RemoteTransport, ServerConfig, Timing, Wanted,
};
use serde_json::{Map, Value, json};

use super::remote;

/// A server as its entry describes it. Values still hold their `${VAR}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpServer {
    /// What a person called it, where that is no valid name: `dormouse.title`, or the entry's key.
    pub title: Option<String>,
    /// A program or a URL.
    pub launch: McpLaunch,
    /// Variables for the environment of a program.
    pub env: Env,
    /// What Dormouse shall do with it.
    pub settings: Settings,
}

/// How a configured server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum McpLaunch {
    /// A program that speaks MCP on its standard input and output.
    Command {
        /// The program: a name on `PATH` or a path.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Its working directory; a relative one is meant from the space's folder.
        cwd: Option<PathBuf>,
    },
    /// A server that runs elsewhere.
    Url(Remote),
}

/// What an entry says about the server's life, most of it under `dormouse`; `None` is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// Whether it should run unasked. An entry with `"disabled": true` is stopped.
    pub wanted: Option<Wanted>,
    /// How long it stays awake.
    pub idle: Option<Idle>,
    /// How long it may take to start.
    pub start: Option<Duration>,
    /// How long a call may take; also the entry's own `timeout`, where it names 1 to 300 seconds.
    pub call: Option<Duration>,
    /// How much of it callers may use at a time.
    pub limits: Limits,
    /// Whether it keeps nothing between calls.
    pub stateless: Option<bool>,
}

impl McpServer {
    /// A server with nothing but its launch.
    pub fn new(launch: McpLaunch) -> Self {
        Self { title: None, launch, env: Env::default(), settings: Settings::default() }
    }

    /// The configuration; what the entry leaves open comes from the defaults.
    ///
    /// A server at a URL is wanted `always` unless its entry says otherwise: it costs no process.
    pub fn config(&self, defaults: Timing) -> ServerConfig {
        let Settings { wanted, idle, start, call, limits, stateless } = self.settings;
        let (launch, default_wanted) = match &self.launch {
            McpLaunch::Command { command, args, cwd } => (
                Launch::Command { command: command.clone(), args: args.clone(), cwd: cwd.clone() },
                Wanted::default(),
            ),
            McpLaunch::Url(remote) => (Launch::Url(remote.clone()), Wanted::Always),
        };
        ServerConfig {
            launch,
            env: self.env.clone(),
            wanted: wanted.unwrap_or(default_wanted),
            timing: Timing {
                start: start.unwrap_or(defaults.start),
                call: call.unwrap_or(defaults.call),
                idle: idle.unwrap_or(defaults.idle),
                stop: defaults.stop,
            },
            limits,
            stateless: stateless.unwrap_or_default(),
            origin: Origin::Configured,
        }
    }

    /// This server in an entry that keeps the other fields, and its order. `before` is what the
    /// entry means as it stands.
    pub(super) fn written_over(
        &self,
        mut entry: Map<String, Value>,
        before: Option<&Self>,
    ) -> Map<String, Value> {
        // What means the same already stays in its own words.
        if before.is_none_or(|before| before.launch != self.launch) {
            self.launch.write_over(&mut entry);
        }
        if before.is_none_or(|before| before.env != self.env) {
            set(&mut entry, "env", non_empty(!self.env.0.is_empty(), json!(self.env.0)));
        }
        let disabled = entry.get("disabled") == Some(&Value::Bool(true));
        if self.settings.wanted != Some(Wanted::Stopped) {
            if disabled {
                entry.insert("disabled".to_owned(), Value::Bool(false));
            }
            if entry.get("enabled") == Some(&Value::Bool(false)) {
                entry.insert("enabled".to_owned(), Value::Bool(true));
            }
        }
        let timeout = entry.get("timeout").and_then(ecosystem_timeout);
        if self.settings.call.is_none() && timeout.is_some() {
            entry.shift_remove("timeout");
        }
        let ours = match entry.get("dormouse") {
            Some(Value::Object(ours)) => ours.clone(),
            _ => Map::new(),
        };
        // What the ecosystem's fields say already need not be said twice.
        let wanted = self.settings.wanted.filter(|wanted| !(disabled && *wanted == Wanted::Stopped));
        let call = self.settings.call.filter(|call| timeout != Some(*call));
        let mut ours = Settings { wanted, call, ..self.settings }.written_over(ours);
        if let McpLaunch::Url(remote) = &self.launch {
            set(&mut ours, "ca_file", remote.ca_file.as_ref().map(|file| json!(file)));
            if before.is_none_or(|before| before.launch != self.launch) {
                set(&mut ours, "oauth", oauth(&remote.auth));
            }
        }
        set(&mut entry, "dormouse", non_empty(!ours.is_empty(), Value::Object(ours)));
        entry
    }
}

impl McpLaunch {
    fn write_over(&self, entry: &mut Map<String, Value>) {
        match self {
            Self::Command { command, args, cwd } => {
                for field in ["url", "serverUrl", "headers", "auth", "token", "api_key", "transport"] {
                    entry.shift_remove(field);
                }
                if entry.get("type").is_some_and(|kind| kind != "stdio") {
                    entry.shift_remove("type");
                }
                set(entry, "command", Some(json!(command)));
                set(entry, "args", non_empty(!args.is_empty(), json!(args)));
                if cwd.is_none() {
                    entry.shift_remove("working_dir");
                }
                set(entry, "cwd", cwd.as_ref().map(|cwd| json!(cwd)));
            }
            Self::Url(Remote { url, transport, headers, .. }) => {
                // They are all in `headers` now, or under `dormouse.oauth`.
                let gone = ["command", "args", "cwd", "working_dir", "auth", "token", "api_key"];
                gone.into_iter().for_each(|field| drop(entry.shift_remove(field)));
                let field = if entry.contains_key("serverUrl") { "serverUrl" } else { "url" };
                set(entry, field, Some(json!(url)));
                let field = if entry.contains_key("transport") { "transport" } else { "type" };
                let said = entry.contains_key(field) || remote::inferred_transport(url) != *transport;
                let name = match transport {
                    RemoteTransport::StreamableHttp => "http",
                    RemoteTransport::Sse => "sse",
                    RemoteTransport::Own => url.split_once("://").map_or("", |(scheme, _)| scheme),
                };
                set(entry, field, non_empty(said, json!(name)));
                set(entry, "headers", non_empty(!headers.0.is_empty(), json!(headers.0)));
            }
        }
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
        set(&mut ours, "concurrency", self.limits.concurrency.map(|it| json!(it)));
        set(&mut ours, "queue", self.limits.queue.map(|it| json!(it)));
        set(&mut ours, "stateless", self.stateless.map(|it| json!(it)));
        ours
    }
}

/// The entry's own `timeout`: 1 to 300 seconds. Some clients write milliseconds there; a larger
/// number is not guessed to be that, and means nothing.
pub(super) fn ecosystem_timeout(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().filter(|seconds| (1.0..=300.0).contains(seconds))?;
    Some(Duration::from_secs_f64(seconds))
}

fn oauth(auth: &Auth) -> Option<Value> {
    let mut oauth = Map::new();
    match auth {
        Auth::Headers => return None,
        Auth::AuthorizationCode { client_id, client_secret, scopes } => {
            set(&mut oauth, "flow", Some(json!("authorization_code")));
            set(&mut oauth, "client_id", client_id.as_ref().map(|id| json!(id)));
            set(&mut oauth, "client_secret", client_secret.as_ref().map(|secret| json!(secret)));
            set(&mut oauth, "scopes", non_empty(!scopes.is_empty(), json!(scopes)));
        }
        Auth::ClientCredentials { client_id, client_secret, scopes } => {
            set(&mut oauth, "flow", Some(json!("client_credentials")));
            set(&mut oauth, "client_id", Some(json!(client_id)));
            set(&mut oauth, "client_secret", Some(json!(client_secret)));
            set(&mut oauth, "scopes", non_empty(!scopes.is_empty(), json!(scopes)));
        }
    }
    Some(Value::Object(oauth))
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
