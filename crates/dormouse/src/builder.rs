//! The wiring: from settings to a running hub.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use dormouse_context::{Context, Measures, Parts as ContextParts, Wake};
use dormouse_orchestrator::{self as orchestrator, Orchestrator, Parts, Settings, Transports};
use dormouse_protocol::{
    EnvironmentError, EnvironmentSettings, Environments, Keeper, KeeperError, Launcher, Transport,
};
#[cfg(feature = "remote")]
use dormouse_protocol::{Proxies, RemoteClient, RemoteError, RemoteSettings};
use dormouse_registry::{self as registry, Registry};
use dormouse_routing::{Model, ModelChoice, ModelSettings, Router};
use dormouse_storage::{
    ConfigSource, Embedded, FileSource, Memory, MirroredSource, OpenError as StorageOpenError, Storage,
    StorageError,
};
use dormouse_types::Env;
use opentelemetry::metrics::{Meter, MeterProvider, NoopMeterProvider};
use tokio::sync::Mutex;

use crate::config::{Config, ConfigError};
use crate::hub::{Hub, Shared};
use crate::lock::{LockError, SpaceLock};
use crate::observer::{self, Observer};
use crate::space::Space;
use crate::token::Tokens;

/// Why a hub could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The space's folder cannot be used.
    #[error("cannot use the space {}", .path.display())]
    Space {
        /// The folder, as it was given.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The space is locked or cannot be.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A setting has a value that nobody knows.
    #[error("`{value}` is no {what}; there are {known}")]
    Unknown {
        /// The setting.
        what: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        known: &'static str,
    },
    /// What was stored cannot be opened.
    #[error("cannot open what was stored")]
    Storage(#[from] StorageOpenError),
    /// The Redis that holds what was stored cannot be used.
    #[cfg(feature = "redis")]
    #[error("cannot open what was stored")]
    Redis(#[from] dormouse_storage::RedisOpenError),
    /// The tokens cannot be read. A hub that forgot them would be open to all.
    #[error("cannot read the tokens")]
    Tokens(#[source] StorageError),
    /// The records of earlier calls cannot be read.
    #[error("cannot read the records of calls")]
    Records(#[source] StorageError),
    /// The registry cannot be opened.
    #[error(transparent)]
    Registry(#[from] registry::OpenError),
    /// The servers cannot be taken up.
    #[error(transparent)]
    Orchestrator(#[from] orchestrator::OpenError),
    /// Servers at URLs cannot be reached as the proxy variables say.
    #[cfg(feature = "remote")]
    #[error("servers at URLs cannot be reached")]
    Remote(#[from] RemoteError),
    /// There is no Python to keep processes with.
    #[error("there is no usable Python on this machine")]
    Python(#[from] EnvironmentError),
    /// The keeper of processes did not start.
    #[error("the keeper of processes did not start")]
    Keeper(#[from] KeeperError),
}

/// Makes a [`Hub`]. What is said here wins over the space's settings.
#[derive(Debug, Default)]
pub struct HubBuilder {
    space: Option<PathBuf>,
    config: Option<Config>,
    storage: Option<Arc<dyn Storage>>,
    source: Option<Arc<dyn ConfigSource>>,
    launcher: Option<Arc<dyn Launcher>>,
    transports: Transports,
    meter: Option<Meter>,
    model: Option<Arc<dyn Model>>,
    observers: Vec<Arc<dyn Observer>>,
    prepare_ahead: bool,
    watch: Option<bool>,
}

/// The hubs of this process, by their space. A hub lives as long as somebody holds it.
static OPEN: OnceLock<Mutex<BTreeMap<PathBuf, Weak<Shared>>>> = OnceLock::new();

impl HubBuilder {
    /// The folder to work in. Default: the current folder if it is marked as a space, else the
    /// user's own.
    pub fn space(mut self, folder: impl Into<PathBuf>) -> Self {
        self.space = Some(folder.into());
        self
    }

    /// Settings instead of those of the space's `dormouse.toml` and of the environment.
    pub fn config(mut self, config: Config) -> Self {
        self.config = Some(config);
        self
    }

    /// Where to remember, instead of what the settings say.
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = Some(storage);
        self
    }

    /// Where the configured servers stand, instead of the space's `mcp.json`.
    pub fn config_source(mut self, source: Arc<dyn ConfigSource>) -> Self {
        self.source = Some(source);
        self
    }

    /// Who starts processes, instead of a keeper of our own.
    pub fn launcher(mut self, launcher: Arc<dyn Launcher>) -> Self {
        self.launcher = Some(launcher);
        self
    }

    /// How servers are reached whose entry names this transport, as its `type` and as the scheme
    /// of its URL: `{"type": "mem", "url": "mem://clock"}`. `http`, `https`, `stdio` and `sse` are
    /// the hub's own.
    pub fn transport(mut self, scheme: impl Into<String>, transport: Arc<dyn Transport>) -> Self {
        self.transports.insert(scheme.into(), transport);
        self
    }

    /// Where measures go. Default: nowhere.
    pub fn meter(mut self, meter: Meter) -> Self {
        self.meter = Some(meter);
        self
    }

    /// The model to plan and answer with, instead of what the settings say.
    pub fn model(mut self, model: Arc<dyn Model>) -> Self {
        self.model = Some(model);
        self
    }

    /// Adds one who is told of every change and call.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Makes environments as soon as a script shows, so that no wake touches the network.
    /// Default: only when a call needs one.
    pub fn prepare_ahead(mut self, ahead: bool) -> Self {
        self.prepare_ahead = ahead;
        self
    }

    /// Whether files are watched. Default: yes.
    pub fn watch(mut self, watch: bool) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Opens the space's hub, or gives the one that this process has open already; what was
    /// said to this builder is then of no effect.
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn open(self) -> Result<Hub, OpenError> {
        let space = match &self.space {
            Some(path) => Space::at(path),
            None => Space::find(),
        };
        let space = space.map_err(|source| OpenError::Space {
            path: self.space.clone().unwrap_or_else(|| PathBuf::from(".")),
            source,
        })?;
        // Held while opening: two at once would fight for the lock file.
        let mut open = OPEN.get_or_init(Mutex::default).lock().await;
        if let Some(shared) = open.get(space.root()).and_then(Weak::upgrade)
            && !shared.is_ended()
        {
            return Ok(Hub { shared });
        }
        let root = space.root().to_owned();
        let shared = Arc::new(self.build(space).await?);
        open.retain(|_, hub| hub.strong_count() > 0);
        open.insert(root, Arc::downgrade(&shared));
        Ok(Hub { shared })
    }

    async fn build(mut self, space: Space) -> Result<Shared, OpenError> {
        let config = match self.config.take() {
            Some(config) => config,
            None => Config::read(&space.settings(), &|name| std::env::var(name).ok())?,
        };
        let lock = SpaceLock::take(space.root(), &space.state())?;
        let environments = Arc::new(environments(&config));
        let is_ours = self.storage.is_none();
        // To find a Python and start the keeper takes as long as to read what is stored.
        let ((storage, tokens, registry), (launcher, keeper)) = tokio::try_join!(
            remembered(self.storage.take(), &config, &space),
            launcher(self.launcher.take(), environments.clone())
        )?;
        tokens.follow_others();
        match self.wire(&config, &space, &storage, registry, &environments, launcher).await {
            Ok(store) => Ok(Shared::new(space, config, store, storage, tokens, environments, keeper, lock)),
            Err(error) => {
                // So that it is free for the next try, whoever still holds a handle.
                if is_ours {
                    storage.close().await;
                }
                Err(error)
            }
        }
    }

    /// Makes the parts of a hub from what is remembered on, and the store's view of them.
    async fn wire(
        self,
        config: &Config,
        space: &Space,
        storage: &Arc<dyn Storage>,
        registry: Registry,
        environments: &Arc<Environments>,
        launcher: Arc<dyn Launcher>,
    ) -> Result<Context, OpenError> {
        let meter = self.meter.unwrap_or_else(|| NoopMeterProvider::new().meter("dormouse"));
        let source = self.source.unwrap_or_else(|| config_source(storage, space));
        for observer in self.observers {
            observer::watch(observer, registry.events());
        }
        let router = router(config, self.model)?;
        let settings = Settings {
            space: space.root().to_owned(),
            state: space.state(),
            drop_folders: config.drop_folders.iter().map(|folder| space.root().join(folder)).collect(),
            timing: config.timing(),
            servers: config.overrides(),
            shared_env: model_env(&router).await,
            keyring: config.keyring,
            prepare_ahead: self.prepare_ahead,
            watch: self.watch.unwrap_or(true),
        };
        let orchestrator = Orchestrator::open(Parts {
            settings,
            storage: storage.clone(),
            source,
            registry: registry.clone(),
            environments: environments.clone(),
            launcher,
            #[cfg(feature = "remote")]
            remote: remote()?,
            transports: self.transports,
            meter: meter.clone(),
        })
        .await?;
        let store = Context::open(ContextParts {
            registry,
            storage: storage.clone(),
            orchestrator,
            router,
            measures: Measures::new(&meter),
            wake: if config.wake_ahead { Wake::Ahead } else { Wake::Planned },
        })
        .await;
        store.map_err(OpenError::Records)
    }
}

/// What is remembered, and what is made of it first.
async fn remembered(
    given: Option<Arc<dyn Storage>>,
    config: &Config,
    space: &Space,
) -> Result<(Arc<dyn Storage>, Tokens, Registry), OpenError> {
    let storage = match given {
        Some(storage) => storage,
        None => open_storage(config, space).await?,
    };
    let tokens = Tokens::open(storage.clone()).await.map_err(OpenError::Tokens)?;
    let registry = Registry::open(storage.clone()).await?;
    Ok((storage, tokens, registry))
}

/// Who starts processes: what was given, or a keeper of our own.
async fn launcher(
    given: Option<Arc<dyn Launcher>>,
    environments: Arc<Environments>,
) -> Result<(Arc<dyn Launcher>, Option<Arc<Keeper>>), OpenError> {
    if let Some(launcher) = given {
        return Ok((launcher, None));
    }
    let start = move || Ok::<_, OpenError>(Arc::new(Keeper::start(&environments.base_python()?)?));
    let keeper = tokio::task::spawn_blocking(start).await.expect("starting a keeper does not panic")?;
    Ok((keeper.clone(), Some(keeper)))
}

pub(crate) async fn open_storage(config: &Config, space: &Space) -> Result<Arc<dyn Storage>, OpenError> {
    let kept = config.conversations.messages_kept;
    match config.storage.as_str() {
        "embedded" => Ok(Arc::new(Embedded::open(&space.state().join("hub.redb")).await?.keeping(kept))),
        "memory" => Ok(Arc::new(Memory::default().keeping(kept))),
        #[cfg(feature = "redis")]
        url if is_redis(url) => {
            let settings = dormouse_storage::RedisSettings {
                command_timeout: config.redis.timeout(),
                replicas: config.redis.wait_for_replicas,
                messages_kept: kept,
                ..dormouse_storage::RedisSettings::new(url, config.redis.space_id.as_str())
            };
            Ok(Arc::new(dormouse_storage::Redis::open(settings).await?))
        }
        other => Err(OpenError::Unknown {
            what: "storage",
            // An address may hold a password.
            value: other.split(':').next().unwrap_or_default().to_owned(),
            known: STORAGES,
        }),
    }
}

/// The space's `mcp.json`; where hubs share the storage, the document that all of them show in theirs.
fn config_source(storage: &Arc<dyn Storage>, space: &Space) -> Arc<dyn ConfigSource> {
    if storage.is_shared() {
        let copy = space.state().join("mcp.json.shown");
        Arc::new(MirroredSource::new(storage.clone(), space.mcp_json(), copy))
    } else {
        Arc::new(FileSource::new(space.mcp_json()))
    }
}

#[cfg(feature = "redis")]
const STORAGES: &str = "`embedded`, `memory` and addresses such as `redis://127.0.0.1:6379`";
#[cfg(not(feature = "redis"))]
const STORAGES: &str = "`embedded` and `memory`";

#[cfg(feature = "redis")]
fn is_redis(address: &str) -> bool {
    let scheme = address.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.starts_with("redis"))
}

/// The clients for servers at URLs, by the proxies that the usual variables name.
#[cfg(feature = "remote")]
fn remote() -> Result<RemoteClient, RemoteError> {
    let proxies = Proxies::from_vars(|name| std::env::var(name).ok());
    RemoteClient::new(RemoteSettings { proxies, ..RemoteSettings::default() })
}

fn environments(config: &Config) -> Environments {
    let mut settings = EnvironmentSettings::from_variables(std::env::vars_os());
    if !config.python.interpreter.is_empty() {
        settings.python = Some(PathBuf::from(&config.python.interpreter));
    }
    settings.allow_direct = config.python.allow_requirements.iter().cloned().collect::<BTreeSet<_>>();
    let cache = match config.python.cache.as_str() {
        "" => dirs::cache_dir().unwrap_or_else(std::env::temp_dir).join("dormouse").join("python"),
        folder => PathBuf::from(folder),
    };
    Environments::new(cache, settings)
}

fn router(config: &Config, model: Option<Arc<dyn Model>>) -> Result<Router, OpenError> {
    let choice = match model {
        Some(model) => ModelChoice::Given(model),
        None => config.model.parse().map_err(|_| OpenError::Unknown {
            what: "model",
            value: config.model.clone(),
            known: "`auto`, `none`, `ollama`, `ollama:NAME` and `openai:NAME`",
        })?,
    };
    Ok(Router::new(ModelSettings {
        choice,
        ollama_url: config.models.ollama_url.clone(),
        openai_url: config.models.openai_url.clone(),
        openai_key: std::env::var("OPENAI_API_KEY").ok(),
        timeout: Duration::try_from_secs_f64(config.models.timeout_seconds)
            .unwrap_or(Duration::from_secs(120)),
    }))
}

/// What servers need to reach the hub's model, if there is one.
async fn model_env(router: &Router) -> Env {
    let mut env = Env::default();
    if let Some(endpoint) = router.endpoint().await {
        env.0.insert("DORMOUSE_MODEL_URL".to_owned(), endpoint.url);
        env.0.insert("DORMOUSE_MODEL".to_owned(), endpoint.model);
    }
    env
}
