//! What a person says about a server: how it starts, and when it may sleep.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// How a server comes to life.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Launch {
    /// A Python script in a drop folder.
    Script {
        /// The file, absolute.
        path: PathBuf,
        /// What its environment must hold.
        needs: PythonNeeds,
    },
    /// Any program that speaks MCP on its standard input and output.
    Command {
        /// The program: a name on `PATH` or a path.
        command: String,
        /// Its arguments, with `${VAR}` not yet expanded.
        args: Vec<String>,
        /// Its working directory; `None` is the space's folder.
        cwd: Option<PathBuf>,
    },
    /// A server that runs elsewhere and is reached at a URL.
    Url(Remote),
    /// A script that lies with another hub of the same space, and not here.
    Elsewhere {
        /// The hash of its source there.
        content_hash: String,
    },
}

/// A server at a URL, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Remote {
    /// Its address, with `${VAR}` not yet expanded.
    pub url: String,
    /// Which transport it speaks.
    pub transport: RemoteTransport,
    /// Headers of every request, with `${VAR}` not yet expanded; a bearer token is one of them.
    pub headers: Env,
    /// How the hub signs in, beyond what the headers say.
    pub auth: Auth,
    /// A file of certificates (PEM) that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// How a server at a URL is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RemoteTransport {
    /// One endpoint for everything, from revision 2025-03-26 on.
    #[default]
    StreamableHttp,
    /// The transport of 2024-11-05: a stream of events, and an address to post to.
    Sse,
    /// None of them: the program that embeds the hub brings one, known by the URL's scheme.
    Own,
}

/// How the hub signs in at a server.
#[derive(Clone, PartialEq, Eq, Default, Hash)]
pub enum Auth {
    /// Not at all, or by the headers that are configured.
    #[default]
    Headers,
    /// OAuth 2.1 with a person at a browser: authorisation code with PKCE.
    AuthorizationCode {
        /// The client's id, where the server does not register clients by itself.
        client_id: Option<String>,
        /// That client's secret, with `${VAR}` not yet expanded.
        client_secret: Option<String>,
        /// What is asked for; empty is what the server proposes.
        scopes: Vec<String>,
    },
    /// OAuth 2.1 without a person.
    ClientCredentials {
        /// The client's id.
        client_id: String,
        /// Its secret, with `${VAR}` not yet expanded.
        client_secret: String,
        /// What is asked for; empty is what the server proposes.
        scopes: Vec<String>,
    },
}

/// Without the secret.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Headers => "Headers",
            Self::AuthorizationCode { .. } => "AuthorizationCode",
            Self::ClientCredentials { .. } => "ClientCredentials",
        })
    }
}

/// What a Python script needs installed before it can start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct PythonNeeds {
    /// PEP 508 requirements, sorted, without doubles.
    pub requirements: Vec<String>,
    /// The script's `requires-python`, such as `>=3.11`.
    pub requires_python: Option<String>,
    /// Why the needs cannot be met, in words for a person: an import whose package nobody knows,
    /// a header that is broken, a requirement that is not allowed. Such a server is `unreachable`.
    pub problem: Option<String>,
}

/// Variables of an environment; their values never show in `Debug`, since many are secrets.
#[derive(Clone, PartialEq, Eq, Default, Hash)]
pub struct Env(pub BTreeMap<String, String>);

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Where the hub knows a server from; decides what removing it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Found in a drop folder. Removing it detaches it; the file stays.
    Dropped,
    /// Registered by a call, on a script of a drop folder.
    Registered,
    /// An entry of `mcp.json`.
    Configured,
}

/// Whether a server should run when nobody calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Wanted {
    /// It sleeps until a call needs it.
    #[default]
    OnDemand,
    /// It runs as long as the hub does.
    Always,
    /// It does not run, and a call to it fails at once.
    Stopped,
}

/// How long an attached server stays awake without a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Idle {
    /// It sleeps this long after its last lease came back; zero is at once.
    After(Duration),
    /// It stays awake until the hub ends or somebody detaches it.
    Never,
}

impl Default for Idle {
    /// Five seconds: a person's next question often needs the same server.
    fn default() -> Self {
        Self::After(Duration::from_secs(5))
    }
}

/// The deadlines and the linger of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From spawn to the answered handshake and lists.
    pub start: Duration,
    /// One call, unless the caller says another.
    pub call: Duration,
    /// From a polite stop to the kill.
    pub stop: Duration,
    /// Linger without a lease.
    pub idle: Idle,
}

impl Default for Timing {
    /// 30 s to start (real servers need up to 20 s), 120 s for a call as in the seed, 3 s to stop.
    fn default() -> Self {
        Self {
            start: Duration::from_secs(30),
            call: Duration::from_secs(120),
            stop: Duration::from_secs(3),
            idle: Idle::default(),
        }
    }
}

/// How much of one server callers may use at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Calls that run at a time; `None` is as many as come.
    pub concurrency: Option<NonZeroU32>,
    /// Calls that may wait for their turn; one more fails at once. `None` is as many as come.
    pub queue: Option<u32>,
}

/// Everything that is configured about one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// How it starts.
    pub launch: Launch,
    /// Variables on top of the short allow-list, with `${VAR}` not yet expanded.
    pub env: Env,
    /// Whether it should run unasked.
    pub wanted: Wanted,
    /// Its deadlines and linger.
    pub timing: Timing,
    /// How much of it callers may use at a time.
    pub limits: Limits,
    /// Whether it keeps nothing between calls, by its owner's word: then servers that start from
    /// the same command, environment and credentials share one process.
    pub stateless: bool,
    /// Where it is known from.
    pub origin: Origin,
}

impl ServerConfig {
    /// What holds for a server of which nothing more is said.
    pub fn new(launch: Launch, origin: Origin) -> Self {
        Self {
            launch,
            env: Env::default(),
            wanted: Wanted::OnDemand,
            timing: Timing::default(),
            limits: Limits::default(),
            stateless: false,
            origin,
        }
    }
}
