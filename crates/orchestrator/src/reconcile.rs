//! All sources of servers → the entries that the registry should hold. Pure.
//!
//! A reload is a difference: what left is removed, what is new or changed is put, the rest is
//! not touched.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dormouse_registry::{Catalog, Change, Entry};
use dormouse_scan::{Scanned, Script, drift};
use dormouse_types::{
    Auth, Confidence, Drift, FeatureSource, Features, Launch, Origin, RemoteTransport, Scope, ServerConfig,
    ServerKey, ServerName, Timestamp,
};

use crate::configured::Configured;
use crate::finding::Finding;
use crate::folders::Scripts;
use crate::replicas::ScriptOfAnother;
use crate::settings::Settings;

/// What a server said of itself, by the version that said it.
pub(crate) type Live = HashMap<String, Arc<Features>>;

/// Everything that says which servers there are.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    /// What is known already; features that did not change are taken from it, not copied anew.
    pub(crate) catalog: &'a Catalog,
    pub(crate) settings: &'a Settings,
    pub(crate) scripts: &'a Scripts,
    pub(crate) registrations: &'a BTreeMap<ServerKey, PathBuf>,
    pub(crate) configured: &'a Configured,
    pub(crate) live: &'a Live,
    /// Scripts that lie with other hubs, where there are some.
    pub(crate) others: Option<&'a BTreeMap<ServerKey, ScriptOfAnother>>,
}

/// Which servers there should be, and what a person should know of the rest.
#[derive(Debug, Default)]
pub(crate) struct Desired {
    pub(crate) entries: BTreeMap<ServerKey, Entry>,
    pub(crate) findings: Vec<Finding>,
}

impl Sources<'_> {
    pub(crate) fn desired(&self) -> Desired {
        let mut desired = Desired::default();
        for (key, server) in &self.configured.servers {
            let mut config = server.config.clone();
            self.settings.apply(key, &mut config);
            let entry = self.command(key.clone(), config, server.title.clone());
            desired.entries.insert(entry.key.clone(), entry);
        }
        desired.findings.extend(self.configured.findings.iter().cloned());
        for (key, path) in self.registrations {
            match self.scripts.get(path) {
                Some(Ok(scanned)) => {
                    self.script(&mut desired, key.clone(), path, scanned, Origin::Registered)
                }
                Some(Err(problem)) => desired.note(path, problem.clone()),
                None if self.others.is_some_and(|others| others.contains_key(key)) => {}
                None => desired.note(path, format!("registered as `{}`, but not there", key.name)),
            }
        }
        for (path, scanned) in self.scripts {
            let registered =
                self.registrations.iter().any(|(key, of)| key.scope == Scope::Store && of == path);
            match scanned {
                Ok(_) if registered => {}
                Ok(scanned) => match name_of(path) {
                    Some(name) => {
                        self.script(&mut desired, ServerKey::store(name), path, scanned, Origin::Dropped);
                    }
                    None => {
                        desired.note(path, "its file name holds nothing that could name a server".to_owned())
                    }
                },
                Err(problem) => desired.note(path, problem.clone()),
            }
        }
        for (key, other) in self.others.into_iter().flatten() {
            match desired.entries.get(key).map(|entry| (&entry.config.launch, &entry.content_hash)) {
                None => drop(desired.entries.insert(key.clone(), self.elsewhere(key.clone(), other))),
                Some((Launch::Script { path, .. }, ours)) if *ours != other.content_hash => {
                    let path = path.clone();
                    desired.note(&path, format!("another hub of this space has another `{}`", key.name));
                }
                Some(_) => {}
            }
        }
        desired
    }

    /// The configuration of a script: what the space says of it.
    fn config(&self, key: &ServerKey, launch: Launch, origin: Origin) -> ServerConfig {
        let timing = self.settings.timing;
        let mut config = ServerConfig { timing, ..ServerConfig::new(launch, origin) };
        self.settings.apply(key, &mut config);
        config
    }

    fn elsewhere(&self, key: ServerKey, other: &ScriptOfAnother) -> Entry {
        let content_hash = other.content_hash.clone();
        let launch = Launch::Elsewhere { content_hash: content_hash.clone() };
        let origin = if other.registered { Origin::Registered } else { Origin::Dropped };
        let config = self.config(&key, launch, origin);
        let served = self.live.get(&content_hash);
        Entry {
            key,
            config: Arc::new(config),
            features: served.unwrap_or(&other.features).clone(),
            source: if served.is_some() { FeatureSource::Live } else { FeatureSource::Static },
            confidence: if served.is_some() { Confidence::Full } else { other.confidence.clone() },
            drift: Arc::default(),
            content_hash,
            registered_at: Timestamp::now(),
        }
    }

    fn script(&self, desired: &mut Desired, key: ServerKey, path: &Path, scanned: &Scanned, origin: Origin) {
        let script = match scanned {
            Scanned::Server(script) => script,
            Scanned::NoServer { reason } => return desired.note(path, format!("no server: {reason}")),
        };
        if let Some(other) = desired.entries.get(&key) {
            let other = source_of(&other.config.launch);
            return desired.note(path, format!("left aside: the name `{}` is taken by {other}", key.name));
        }
        let entry = self.entry_of_script(key, path, script, origin);
        desired.entries.insert(entry.key.clone(), entry);
    }

    pub(crate) fn entry_of_script(
        &self,
        key: ServerKey,
        path: &Path,
        script: &Script,
        origin: Origin,
    ) -> Entry {
        let launch = Launch::Script { path: path.to_owned(), needs: script.needs.clone() };
        let config = self.config(&key, launch, origin);
        let known = self.catalog.get(&key).filter(|known| known.content_hash == script.content_hash);
        let (features, source, confidence, drift) = match (self.live.get(&script.content_hash), known) {
            (Some(served), Some(known)) if Arc::ptr_eq(&known.features, served) => {
                (served.clone(), FeatureSource::Live, Confidence::Full, known.drift.clone())
            }
            (Some(served), _) => {
                let drift: Arc<[Drift]> = drift(script.features(), served).into();
                (served.clone(), FeatureSource::Live, Confidence::Full, drift)
            }
            (None, Some(known)) if known.source == FeatureSource::Static => {
                (known.features.clone(), FeatureSource::Static, script.confidence.clone(), Arc::default())
            }
            (None, _) => {
                let promised = script.features().clone();
                (promised, FeatureSource::Static, script.confidence.clone(), Arc::default())
            }
        };
        Entry {
            key,
            config: Arc::new(config),
            features,
            source,
            confidence,
            drift,
            content_hash: script.content_hash.clone(),
            registered_at: Timestamp::now(),
        }
    }

    fn command(&self, key: ServerKey, config: ServerConfig, title: Option<String>) -> Entry {
        let version = version_of(&key, &config);
        let (features, source) = match self.live.get(&version) {
            Some(served) => (served.clone(), FeatureSource::Live),
            None => (Arc::new(Features { title, ..Features::default() }), FeatureSource::Unknown),
        };
        Entry {
            key,
            config: Arc::new(config),
            features,
            source,
            confidence: Confidence::Full,
            drift: Arc::default(),
            content_hash: version,
            registered_at: Timestamp::now(),
        }
    }
}

impl Desired {
    fn note(&mut self, path: &Path, problem: String) {
        self.findings.push(Finding { path: path.to_owned(), problem });
    }

    /// The changes that make the catalog so.
    pub(crate) fn difference(self, catalog: &Catalog) -> Vec<Change> {
        let gone = catalog
            .servers(&Scope::Store)
            .filter(|entry| !self.entries.contains_key(&entry.key))
            .map(|entry| Change::Remove(entry.key.clone()));
        let mut changes: Vec<Change> = gone.collect();
        changes.extend(self.entries.into_values().filter_map(|entry| match catalog.get(&entry.key) {
            Some(known) if same(known, &entry) => None,
            _ => Some(Change::Put(entry)),
        }));
        changes
    }
}

/// Whether both say the same, whenever they were made.
fn same(known: &Entry, entry: &Entry) -> bool {
    known.content_hash == entry.content_hash
        && known.source == entry.source
        && known.config == entry.config
        && known.confidence == entry.confidence
        && (Arc::ptr_eq(&known.features, &entry.features) || known.features == entry.features)
}

/// The version of a configured server: the hash of what starts it. Its environment belongs to
/// it, since servers offer other tools with other variables; only its hash is kept.
pub(crate) fn version_of(server: &ServerKey, config: &ServerConfig) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut part = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    match &config.launch {
        Launch::Command { command, args, cwd } => {
            part(command);
            args.iter().for_each(|arg| part(arg));
            part(&cwd.as_deref().unwrap_or(Path::new("")).to_string_lossy());
        }
        Launch::Url(remote) => {
            part(&remote.url);
            part(match remote.transport {
                RemoteTransport::StreamableHttp => "streamable-http",
                RemoteTransport::Sse => "sse",
                RemoteTransport::Own => "own",
            });
            for (name, value) in &remote.headers.0 {
                part(name);
                part(value);
            }
            // What a server shows depends on who signed in.
            if let (Scope::Agent(agent), false) = (&server.scope, remote.auth == Auth::Headers) {
                part(agent.as_str());
            }
        }
        Launch::Script { .. } | Launch::Elsewhere { .. } => {}
    }
    for (name, value) in &config.env.0 {
        part(name);
        part(value);
    }
    format!("command-{}", hasher.finalize().to_hex())
}

fn name_of(path: &Path) -> Option<ServerName> {
    ServerName::slug(path.file_stem()?.to_str()?).ok()
}

/// What a server starts from, in words.
pub(crate) fn source_of(launch: &Launch) -> String {
    match launch {
        Launch::Script { path, .. } => path.display().to_string(),
        Launch::Command { command, .. } => format!("the command `{command}` of mcp.json"),
        Launch::Url(_) => "a URL of mcp.json".to_owned(),
        Launch::Elsewhere { .. } => "a script that lies with another hub".to_owned(),
    }
}
