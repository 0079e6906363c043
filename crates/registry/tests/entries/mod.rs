//! Servers as the tests of this crate put them.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::sync::Arc;

use dormouse_registry::Entry;
use dormouse_types::{
    Confidence, FeatureSource, Features, Launch, Origin, PythonNeeds, Scope, ServerConfig, ServerKey,
    Timestamp, Tool,
};
use serde_json::json;

pub(crate) fn agent(id: &str) -> Scope {
    Scope::Agent(id.parse().unwrap())
}

pub(crate) fn key(scope: &Scope, name: &str) -> ServerKey {
    ServerKey { scope: scope.clone(), name: name.parse().unwrap() }
}

pub(crate) fn entry(scope: &Scope, name: &str, tools: &[&str]) -> Entry {
    from_file(scope, name, &format!("/drop/{name}.py"), tools)
}

pub(crate) fn from_file(scope: &Scope, name: &str, path: &str, tools: &[&str]) -> Entry {
    let tool = |name: &&str| Tool::new(name.parse().unwrap(), json!({"type": "object"}));
    let launch = Launch::Script { path: path.into(), needs: PythonNeeds::default() };
    Entry {
        key: key(scope, name),
        config: Arc::new(ServerConfig::new(launch, Origin::Dropped)),
        features: Arc::new(Features { tools: tools.iter().map(tool).collect(), ..Features::default() }),
        source: FeatureSource::Static,
        confidence: Confidence::Full,
        drift: Arc::new([]),
        content_hash: format!("{tools:?}"),
        registered_at: Timestamp::UNIX_EPOCH,
    }
}
