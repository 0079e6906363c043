//! What the end-to-end tests share: spaces on disk, hubs over them, and a look at what is left.

pub mod gauge;
pub mod mcp_client;
pub mod peers;
mod program;
mod served;
pub mod shipped;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dormouse::{Arguments, BackChannel, CallAnswer, CallError, CallRequest, Config, Hub, NoBackChannel};
use dormouse_http::{HttpSettings, Listening};
use dormouse_testing::Fixture;
use serde_json::{Map, Value, json};

pub use program::{binary, dormouse, serving};
pub use served::{Served, refused};

/// A folder of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Where tests keep Python environments between runs.
pub fn environments() -> PathBuf {
    match std::env::var_os("DORMOUSE_TEST_CACHE") {
        Some(cache) => PathBuf::from(cache).join("hub"),
        None => repository("target/test-envs/hub"),
    }
}

/// A space in a temporary folder. What lives in it is found by its path.
#[derive(Debug)]
pub struct TestSpace {
    folder: tempfile::TempDir,
}

impl TestSpace {
    /// An empty space.
    ///
    /// # Panics
    /// When the folder cannot be made.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("dormouse-e2e-").tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("servers")).expect("a folder in it");
        Self { folder }
    }

    /// Its folder, without links.
    ///
    /// # Panics
    /// When it is gone.
    pub fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("the folder is there")
    }

    /// Writes a file in it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(path);
        std::fs::write(&path, text).expect("a file in the space");
        path
    }

    /// Copies a shipped server into its drop folder.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub fn ship(&self, name: &str) -> &Self {
        let script = std::fs::read(repository(&format!("servers/{name}.py"))).expect("a shipped server");
        self.write(&format!("servers/{name}.py"), script);
        self
    }

    /// Writes an `mcp.json` of these fixtures, each with settings of ours.
    pub fn fixtures(&self, servers: &[(&str, Fixture, Value)]) -> &Self {
        let entries = servers.iter().map(|(name, fixture, settings)| {
            let mut entry = fixture.entry();
            entry["dormouse"] = settings.clone();
            ((*name).to_owned(), entry)
        });
        let file = json!({ "mcpServers": entries.collect::<Map<_, _>>() });
        self.write("mcp.json", file.to_string());
        self
    }

    /// Opens its hub, without a model.
    ///
    /// # Panics
    /// When it does not open.
    pub async fn hub(&self, change: impl FnOnce(&mut Config)) -> Hub {
        // Tests leave nothing in the keyring of whoever runs them.
        let mut config = Config { model: "none".to_owned(), keyring: false, ..Config::default() };
        config.python.cache = environments().to_string_lossy().into_owned();
        config.timing.idle_seconds = dormouse::IdleSetting::Seconds(0.0);
        change(&mut config);
        Hub::builder().space(self.root()).config(config).open().await.expect("a hub")
    }

    /// The living processes that were started for this space, by the variable that each gets.
    pub fn processes(&self) -> Vec<u32> {
        let mark = format!("DORMOUSE_SPACE={}", self.root().display());
        let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
        all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| {
                let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
            })
            .collect()
    }
}

impl Default for TestSpace {
    fn default() -> Self {
        Self::new()
    }
}

/// Serves a hub over HTTP on a free port of loopback, as long as the runtime lives; the base of
/// its addresses.
///
/// # Panics
/// When there is no port.
pub async fn serve(hub: &Hub) -> String {
    let listening = Listening::on(hub, "127.0.0.1", 0).await.expect("a port");
    let address = listening.address().expect("an address");
    tokio::spawn(listening.serve(hub.clone(), HttpSettings::default()));
    format!("http://{address}")
}

/// Waits for a condition, looking often; fails the test when it does not come in half a minute.
///
/// # Panics
/// When the condition does not come.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Calls a tool of the store.
///
/// # Errors
/// As [`dormouse::Context::call`].
pub async fn call(hub: &Hub, tool: &str, arguments: Value) -> Result<CallAnswer, CallError> {
    let back: Arc<dyn BackChannel> = Arc::new(NoBackChannel);
    let arguments: Arguments = arguments.as_object().cloned().unwrap_or_default();
    let request = CallRequest { tool: tool.to_owned(), server: None, arguments, deadline: None };
    hub.store().call(request, back).await
}
