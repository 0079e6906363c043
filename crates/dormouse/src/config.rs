//! The settings of a space: `dormouse.toml` under the environment.
//!
//! Every setting has one place in the file and one variable, made of its path: `timing.call_seconds`
//! is `DORMOUSE_TIMING_CALL_SECONDS`. A variable wins over the file; what a program or a flag says
//! wins over both.

mod conversations;
mod mcp;

pub use conversations::Conversations;
pub use mcp::{Mcp, McpMode, McpSection};

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dormouse_orchestrator::Overrides;
use dormouse_types::{Env, Idle, ServerName, Timing, Wanted};
use serde::{Deserialize, Serialize};

/// Everything that can be set for a space.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the hub remembers: `embedded`, `memory`, or the address of a Redis.
    pub storage: String,
    /// How a Redis is used, if the storage is one.
    pub redis: Redis,
    /// Which model chooses tools: `auto`, `none`, `ollama`, `ollama:NAME` or `openai:NAME`.
    pub model: String,
    /// The folders from which scripts are taken, relative to the space.
    pub drop_folders: Vec<PathBuf>,
    /// Whether sign-ins are kept in the system's keyring where there is one, rather than in a file.
    pub keyring: bool,
    /// Whether the best candidate is woken while the model still writes.
    pub wake_ahead: bool,
    /// Addresses of model servers.
    pub models: Models,
    /// Deadlines and linger.
    pub timing: TimingConfig,
    /// How Python environments are made.
    pub python: Python,
    /// How the hub listens.
    pub http: Http,
    /// How long a hub in the background stays.
    pub hub: HubSection,
    /// What is kept of conversations.
    pub conversations: Conversations,
    /// What endpoints for MCP clients show.
    pub mcp: Mcp,
    /// What is said about single servers, by name.
    pub servers: BTreeMap<String, ServerSection>,
}

/// How a Redis is used.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Redis {
    /// The name of the space there: hubs with the same one share it. 1 to 100 of `A-Za-z0-9_-`.
    pub space_id: String,
    /// How long one command may take.
    pub timeout_seconds: f64,
    /// How many replicas of Redis must have a change before it counts as stored.
    pub wait_for_replicas: u32,
}

/// Addresses of model servers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Models {
    /// Ollama's address.
    pub ollama_url: String,
    /// The base of an OpenAI-compatible API.
    pub openai_url: String,
    /// How long a model may take for a plan or the first word of an answer.
    pub timeout_seconds: f64,
}

/// Deadlines and linger, in seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimingConfig {
    /// From spawn to the answered handshake and lists.
    pub start_seconds: f64,
    /// One call.
    pub call_seconds: f64,
    /// From a polite stop to the kill.
    pub stop_seconds: f64,
    /// Linger without a lease; or `never`.
    pub idle_seconds: IdleSetting,
}

/// A linger: seconds, or the word `never`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IdleSetting {
    /// So many seconds; zero is at once.
    Seconds(f64),
    /// The word `never`.
    Word(Never),
}

/// The word `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Never {
    /// Never.
    Never,
}

/// How Python environments are made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Python {
    /// The interpreter to build on; empty: the first that fits on `PATH`.
    pub interpreter: String,
    /// Where environments lie; empty: the user's cache folder.
    pub cache: String,
    /// Requirements, written as in the script, that may name URLs, repositories or paths.
    pub allow_requirements: Vec<String>,
}

/// How the hub listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// The address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Names under which the hub may be called, beside its address and `localhost`.
    pub allowed_hosts: Vec<String>,
    /// Web origins that may call it from a browser.
    pub allowed_origins: Vec<String>,
    /// Issuers of OAuth tokens that MCP clients are told of, where a proxy before the hub takes those.
    pub authorization_servers: Vec<String>,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
}

/// How long a hub in the background stays.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubSection {
    /// How long it stays after its last client has gone. One that nobody came to stays a while.
    pub linger_seconds: f64,
}

/// What is said about one server.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSection {
    /// `on_demand`, `always` or `stopped`.
    pub wanted: Option<WantedSetting>,
    /// Its linger in seconds, or `never`.
    pub idle_seconds: Option<IdleSetting>,
    /// Its start deadline.
    pub start_seconds: Option<f64>,
    /// Its calls' deadline.
    pub call_seconds: Option<f64>,
    /// Its variables; `${VAR}` is expanded when it starts.
    pub env: BTreeMap<String, String>,
}

/// Whether a server should run unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WantedSetting {
    /// It sleeps until a call needs it.
    OnDemand,
    /// It runs as long as the hub does.
    Always,
    /// It does not run.
    Stopped,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            storage: "embedded".to_owned(),
            redis: Redis::default(),
            model: "auto".to_owned(),
            drop_folders: vec![PathBuf::from("servers")],
            keyring: true,
            wake_ahead: true,
            models: Models::default(),
            timing: TimingConfig::default(),
            python: Python::default(),
            http: Http::default(),
            hub: HubSection::default(),
            conversations: Conversations::default(),
            mcp: Mcp::default(),
            servers: BTreeMap::new(),
        }
    }
}

impl Default for Redis {
    fn default() -> Self {
        Self { space_id: "default".to_owned(), timeout_seconds: 2.0, wait_for_replicas: 0 }
    }
}

#[cfg(feature = "redis")]
impl Redis {
    pub(crate) fn timeout(&self) -> Duration {
        seconds(self.timeout_seconds)
    }
}

impl Default for Models {
    fn default() -> Self {
        Self {
            ollama_url: "http://127.0.0.1:11434".to_owned(),
            openai_url: "https://api.openai.com/v1".to_owned(),
            timeout_seconds: 120.0,
        }
    }
}

impl Default for TimingConfig {
    fn default() -> Self {
        let Timing { start, call, stop, idle } = Timing::default();
        Self {
            start_seconds: start.as_secs_f64(),
            call_seconds: call.as_secs_f64(),
            stop_seconds: stop.as_secs_f64(),
            idle_seconds: match idle {
                Idle::After(linger) => IdleSetting::Seconds(linger.as_secs_f64()),
                Idle::Never => IdleSetting::Word(Never::Never),
            },
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 18200,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            authorization_servers: Vec::new(),
            max_body_bytes: 4 * 1024 * 1024,
        }
    }
}

impl Default for HubSection {
    fn default() -> Self {
        Self { linger_seconds: 300.0 }
    }
}

impl HubSection {
    /// How long a hub in the background stays after its last client has gone.
    pub fn linger(&self) -> Duration {
        seconds(self.linger_seconds)
    }
}

/// Why the settings of a space cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file, or a variable over it, is not valid.
    #[error("{place} is not valid: {problem}")]
    Invalid {
        /// The file, or the variable.
        place: String,
        /// What is wrong, with its line.
        problem: String,
    },
}

impl Config {
    /// Reads a space's file, if there is one, and puts the variables over it.
    ///
    /// # Errors
    /// [`ConfigError`] with the place of the fault.
    pub fn read(path: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
        };
        let place = path.display().to_string();
        let invalid =
            |place: &str, problem: String| ConfigError::Invalid { place: place.to_owned(), problem };
        let from_file: Self =
            toml::from_str(&text).map_err(|error| invalid(&place, on_line(&text, &error)))?;
        // Every leaf of the whole settings, so that no setting is without a variable.
        let mut table =
            toml::Table::try_from(&from_file).map_err(|error| invalid(&place, error.to_string()))?;
        let mut said = Vec::new();
        overlay(&mut table, "DORMOUSE", variable, &mut said);
        let config = table.try_into().map_err(|error: toml::de::Error| match &said[..] {
            [] => invalid(&place, error.to_string()),
            variables => invalid(&variables.join(" or "), error.to_string()),
        })?;
        Self::checked(config, &place)
    }

    fn checked(self, place: &str) -> Result<Self, ConfigError> {
        let invalid = |problem: String| Err(ConfigError::Invalid { place: place.to_owned(), problem });
        for name in self.servers.keys() {
            if let Err(error) = ServerName::try_new(name) {
                return invalid(format!("servers.{name}: {error}"));
            }
        }
        if let Some(problem) = self.mcp.problem().or_else(|| self.conversations.problem()) {
            return invalid(problem);
        }
        for issuer in &self.http.authorization_servers {
            let is_address = ["https://", "http://"].iter().any(|scheme| {
                issuer.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
            });
            // As RFC 8414 says of an issuer.
            if !is_address || issuer.contains(['?', '#']) || issuer.contains(char::is_whitespace) {
                return invalid(
                    "http.authorization_servers: an issuer is an address, `https://…`".to_owned(),
                );
            }
        }
        let seconds = [
            ("timing.start_seconds", Some(self.timing.start_seconds)),
            ("timing.call_seconds", Some(self.timing.call_seconds)),
            ("timing.stop_seconds", Some(self.timing.stop_seconds)),
            ("timing.idle_seconds", self.timing.idle_seconds.seconds()),
            ("models.timeout_seconds", Some(self.models.timeout_seconds)),
            ("redis.timeout_seconds", Some(self.redis.timeout_seconds)),
            ("hub.linger_seconds", Some(self.hub.linger_seconds)),
        ];
        let servers = self.servers.iter().flat_map(|(name, said)| {
            [
                (format!("servers.{name}.start_seconds"), said.start_seconds),
                (format!("servers.{name}.call_seconds"), said.call_seconds),
                (
                    format!("servers.{name}.idle_seconds"),
                    said.idle_seconds.as_ref().and_then(IdleSetting::seconds),
                ),
            ]
        });
        for (place, value) in
            seconds.map(|(place, value)| (place.to_owned(), value)).into_iter().chain(servers)
        {
            if value.is_some_and(|seconds| Duration::try_from_secs_f64(seconds).is_err()) {
                return invalid(format!("{place}: not a number of seconds"));
            }
        }
        Ok(self)
    }

    /// Deadlines and linger where nothing else is said.
    pub fn timing(&self) -> Timing {
        Timing {
            start: seconds(self.timing.start_seconds),
            call: seconds(self.timing.call_seconds),
            stop: seconds(self.timing.stop_seconds),
            idle: self.timing.idle_seconds.idle(),
        }
    }

    /// What is said about single servers.
    pub fn overrides(&self) -> BTreeMap<ServerName, Overrides> {
        let said = self.servers.iter().filter_map(|(name, said)| {
            let overrides = Overrides {
                wanted: said.wanted.map(Wanted::from),
                idle: said.idle_seconds.as_ref().map(IdleSetting::idle),
                start: said.start_seconds.map(seconds),
                call: said.call_seconds.map(seconds),
                env: Env(said.env.clone()),
            };
            // Names were checked when the settings were read.
            Some((ServerName::try_new(name).ok()?, overrides))
        });
        said.collect()
    }
}

impl IdleSetting {
    fn seconds(&self) -> Option<f64> {
        match self {
            Self::Seconds(seconds) => Some(*seconds),
            Self::Word(Never::Never) => None,
        }
    }

    fn idle(&self) -> Idle {
        match self {
            Self::Seconds(linger) => Idle::After(seconds(*linger)),
            Self::Word(Never::Never) => Idle::Never,
        }
    }
}

impl From<WantedSetting> for Wanted {
    fn from(setting: WantedSetting) -> Self {
        match setting {
            WantedSetting::OnDemand => Self::OnDemand,
            WantedSetting::Always => Self::Always,
            WantedSetting::Stopped => Self::Stopped,
        }
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Puts `DORMOUSE_A_B` over the leaf `a.b`, for every leaf that is there.
fn overlay(
    table: &mut toml::Table,
    prefix: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    said: &mut Vec<String>,
) {
    for (key, value) in table.iter_mut() {
        let name = format!("{prefix}_{}", key.to_uppercase().replace('-', "_"));
        match value {
            toml::Value::Table(inner) => overlay(inner, &name, variable, said),
            leaf => {
                if let Some(text) = variable(&name) {
                    *leaf = read_as(leaf, &text);
                    said.push(name);
                }
            }
        }
    }
}

/// What is wrong with a text, and in which line. The line itself may hold a password.
fn on_line(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map(|before| format!("line {}: ", before.matches('\n').count() + 1));
    format!("{}{}", line.unwrap_or_default(), error.message())
}

/// Without what may be secret: an address with its password, values of variables.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let storage = self.storage.split(':').next().unwrap_or_default();
        f.debug_struct("Config")
            .field("storage", &storage)
            .field("model", &self.model)
            .field("drop_folders", &self.drop_folders)
            .field("timing", &self.timing)
            .field("http", &self.http)
            .field("hub", &self.hub)
            .field("mcp", &self.mcp)
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

/// Without the values of variables.
impl fmt::Debug for ServerSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: Vec<&String> = self.env.keys().collect();
        f.debug_struct("ServerSection")
            .field("wanted", &self.wanted)
            .field("env", &variables)
            .finish_non_exhaustive()
    }
}

/// The text as a value of the leaf's kind; what does not read as such stays text, and the
/// settings' own types refuse it with its name.
fn read_as(leaf: &toml::Value, text: &str) -> toml::Value {
    use toml::Value as V;
    let word = || V::String(text.to_owned());
    match leaf {
        V::Integer(_) => text.parse().map(V::Integer).unwrap_or_else(|_| word()),
        V::Float(_) => text.parse().map(V::Float).unwrap_or_else(|_| word()),
        V::Boolean(_) => text.parse().map(V::Boolean).unwrap_or_else(|_| word()),
        V::Array(_) => V::Array(text.split(',').map(|part| V::String(part.trim().to_owned())).collect()),
        V::String(_) | V::Datetime(_) | V::Table(_) => word(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dormouse.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path, &|name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_variable_wins_over_the_file_and_the_file_over_the_default() {
        let text = "model = 'none'\n[http]\nport = 1\n[servers.calculator]\nwanted = 'always'\nidle_seconds = 'never'";
        let config =
            read(text, &[("DORMOUSE_HTTP_PORT", "2"), ("DORMOUSE_TIMING_IDLE_SECONDS", "0")]).unwrap();
        assert_eq!((config.model.as_str(), config.http.port), ("none", 2));
        assert_eq!(config.timing().idle, Idle::After(Duration::ZERO));
        let said = &config.overrides()[&ServerName::try_new("calculator").unwrap()];
        assert_eq!((said.wanted, said.idle), (Some(Wanted::Always), Some(Idle::Never)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, variables, named) in [
            ("modell = 'x'", &[][..], "modell"),
            ("[timing]\ncall_seconds = -1", &[], "timing.call_seconds"),
            ("[servers.'a b']", &[], "a b"),
            ("[conversations]\nmessages_kept = 0", &[], "conversations.messages_kept"),
            ("", &[("DORMOUSE_CONVERSATIONS_MESSAGES_KEPT", "1001")], "from 1 to 1000"),
            ("", &[("DORMOUSE_HTTP_PORT", "many")], "DORMOUSE_HTTP_PORT"),
            ("http.authorization_servers = ['auth.example']", &[], "http.authorization_servers"),
            ("", &[("DORMOUSE_HTTP_AUTHORIZATION_SERVERS", "https://a?b")], "http.authorization_servers"),
        ] {
            let error = read(text, variables).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_password_is_in_no_message() {
        let address = "storage = 'redis://u:s3cret@h'";
        for text in
            [format!("{address} x"), format!("\n{address}\n{address}"), format!("{address}\nmodel = 7")]
        {
            let error = read(&text, &[]).unwrap_err().to_string();
            assert!(error.contains("line ") && !error.contains("s3cret"), "{error}");
        }
        let config = read(&format!("{address}\n[servers.x.env]\nT = 's3cret'"), &[]).unwrap();
        let shown = format!("{config:?}");
        assert!(shown.contains("redis") && shown.contains('T') && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn without_a_file_the_defaults_hold() {
        let config = Config::read(Path::new("/nowhere/dormouse.toml"), &|_| None).unwrap();
        assert_eq!(config.http.port, 18200);
    }
}
