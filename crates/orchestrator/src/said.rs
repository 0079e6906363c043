//! What is said about servers and tools beside their configuration: which agents share a server
//! of the store, and how tools show in a context. Kept in storage, applied to the registry.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_registry::{ApplyError, Change, Registry};
use dormouse_storage::{Storage, StorageError, Table, Write, joined_key};
use dormouse_types::{AgentId, Scope, ServerKey, ToolKey, ToolSettings};
use serde::{Deserialize, Serialize};
use tracing::warn;

/// Why something was not said.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// Only the store's own servers can be shared.
    #[error("`{server}` belongs to an agent already; only servers of the store can be shared")]
    NotTheStores {
        /// The server.
        server: ServerKey,
    },
    /// The registry refuses it, such as a name that is taken.
    #[error(transparent)]
    Refused(ApplyError),
    /// The storage failed; nothing was changed.
    #[error("it could not be stored")]
    Storage(#[from] StorageError),
    /// The hub is ending.
    #[error("the hub is ending")]
    Ending,
}

impl From<ApplyError> for ShareError {
    fn from(error: ApplyError) -> Self {
        match error {
            // Nothing is wrong with what was said.
            ApplyError::Storage(error) => Self::Storage(error),
            ApplyError::Closed => Self::Ending,
            refused @ (ApplyError::Conflict { .. }
            | ApplyError::NotOfStore { .. }
            | ApplyError::NameTaken { .. }
            | ApplyError::NameRule { .. }) => Self::Refused(refused),
        }
    }
}

/// Everything that is said.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) shared: BTreeSet<Shared>,
    pub(crate) tools: BTreeMap<(Scope, ToolKey), ToolSettings>,
}

/// A server of the store that an agent may use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Shared {
    pub(crate) server: ServerKey,
    pub(crate) agent: AgentId,
}

/// How a tool shows in a context, as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Shown {
    scope: Scope,
    tool: ToolKey,
    settings: ToolSettings,
}

impl Said {
    pub(crate) async fn load(storage: &dyn Storage) -> Result<Self, StorageError> {
        let mut said = Self::default();
        for (key, value) in storage.all(Table::Assignments).await? {
            match serde_json::from_value(value) {
                Ok(shared) => drop(said.shared.insert(shared)),
                Err(error) => warn!(key, %error, "a stored assignment cannot be read and is left aside"),
            }
        }
        for (key, value) in storage.all(Table::ToolSettings).await? {
            match serde_json::from_value(value) {
                Ok(Shown { scope, tool, settings }) => drop(said.tools.insert((scope, tool), settings)),
                Err(error) => {
                    warn!(key, %error, "stored settings of a tool cannot be read and are left aside")
                }
            }
        }
        Ok(said)
    }

    /// The changes of the registry that lead from `before` to here.
    pub(crate) fn since(&self, before: &Self) -> Vec<Change> {
        let gone = before.shared.difference(&self.shared).map(unassign);
        let come = self.shared.difference(&before.shared).map(assign);
        let silent = before.tools.keys().filter(|key| !self.tools.contains_key(*key));
        let silent = silent.map(|(scope, tool)| settings(scope, tool, ToolSettings::default()));
        let said = self.tools.iter().filter(|(key, settings)| before.tools.get(*key) != Some(*settings));
        let said = said.map(|((scope, tool), said)| settings(scope, tool, said.clone()));
        gone.chain(come).chain(silent).chain(said).collect()
    }

    /// Lets a registry say so that says what was said before. What it refuses, such as a name that
    /// two hubs gave at once, is left aside; the rest counts.
    pub(crate) async fn apply(&self, registry: &Registry, before: &Self) -> Result<(), ApplyError> {
        let changes = self.since(before);
        if changes.is_empty() || registry.apply(changes.clone()).await.is_ok() {
            return Ok(());
        }
        for change in changes {
            match registry.apply(vec![change]).await {
                Ok(_) => {}
                Err(error @ (ApplyError::Storage(_) | ApplyError::Closed)) => return Err(error),
                Err(error) => warn!(%error, "what was said of a tool or server is left aside"),
            }
        }
        Ok(())
    }

    /// The records that lead from `before` to here.
    pub(crate) fn writes_since(&self, before: &Self) -> Vec<Write> {
        let mut writes = Vec::new();
        for gone in before.shared.difference(&self.shared) {
            writes.push(Write::Delete { table: Table::Assignments, key: shared_key(gone) });
        }
        for come in self.shared.difference(&before.shared) {
            let value = serde_json::to_value(come).expect("an assignment is JSON");
            writes.push(Write::Put { table: Table::Assignments, key: shared_key(come), value });
        }
        for (scope, tool) in before.tools.keys().filter(|key| !self.tools.contains_key(*key)) {
            writes.push(Write::Delete { table: Table::ToolSettings, key: tool_key(scope, tool) });
        }
        for ((scope, tool), settings) in &self.tools {
            if before.tools.get(&(scope.clone(), tool.clone())) != Some(settings) {
                let shown = Shown { scope: scope.clone(), tool: tool.clone(), settings: settings.clone() };
                let value = serde_json::to_value(shown).expect("settings are JSON");
                writes.push(Write::Put { table: Table::ToolSettings, key: tool_key(scope, tool), value });
            }
        }
        writes
    }
}

fn assign(shared: &Shared) -> Change {
    Change::Assign { server: shared.server.clone(), agent: shared.agent.clone() }
}

fn unassign(shared: &Shared) -> Change {
    Change::Unassign { server: shared.server.clone(), agent: shared.agent.clone() }
}

fn settings(scope: &Scope, tool: &ToolKey, settings: ToolSettings) -> Change {
    Change::ToolSettings { scope: scope.clone(), tool: tool.clone(), settings }
}

fn shared_key(shared: &Shared) -> String {
    let server = stored_key(&shared.server);
    joined_key([shared.agent.as_str(), &server])
}

fn tool_key(scope: &Scope, tool: &ToolKey) -> String {
    let scope = match scope {
        Scope::Store => joined_key(["store"]),
        Scope::Agent(agent) => joined_key(["agent", agent.as_str()]),
    };
    let server = stored_key(&tool.server);
    joined_key([&scope, &server, tool.tool.as_str()])
}

/// The key of a server as one text.
pub(crate) fn stored_key(key: &ServerKey) -> String {
    match &key.scope {
        Scope::Store => joined_key(["store", key.name.as_str()]),
        Scope::Agent(agent) => joined_key(["agent", agent.as_str(), key.name.as_str()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_that_is_away_takes_no_name() {
        let away = StorageError::Unreachable { reason: "connection refused".to_owned() };
        let error = ShareError::from(ApplyError::Storage(away));
        assert!(matches!(error, ShareError::Storage(StorageError::Unreachable { .. })), "{error:?}");
        assert!(matches!(ShareError::from(ApplyError::Closed), ShareError::Ending));
    }
}
