//! One server as the registry knows it, a change of it, and a reference to one of its tools.

use std::sync::Arc;

use dormouse_types::{
    AgentId, Confidence, Drift, FeatureSource, Features, Scope, ServerConfig, ServerKey, Timestamp, Tool,
    ToolKey, ToolSettings,
};

use crate::view::{Listed, ListedTool};

/// Everything that is known about one server, but for its state.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Which server.
    pub key: ServerKey,
    /// How it starts and when it sleeps.
    pub config: Arc<ServerConfig>,
    /// What it offers.
    pub features: Arc<Features>,
    /// How that is known.
    pub source: FeatureSource,
    /// How sure that is.
    pub confidence: Confidence,
    /// Where source and server disagree.
    pub drift: Arc<[Drift]>,
    /// The hash of its script and the local modules that it imports, or of its configuration.
    pub content_hash: String,
    /// When it was first known under this key; a later change of the entry keeps it.
    pub registered_at: Timestamp,
}

impl Entry {
    /// Whether both say the same, whenever they were made.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let Self { key, config, features, source, confidence, drift, content_hash, registered_at: _ } = self;
        *key == other.key
            && *source == other.source
            && *content_hash == other.content_hash
            && *confidence == other.confidence
            && (Arc::ptr_eq(config, &other.config) || config == &other.config)
            && (Arc::ptr_eq(drift, &other.drift) || drift == &other.drift)
            && (Arc::ptr_eq(features, &other.features) || features == &other.features)
    }
}

/// A change of the catalog.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A server is as the entry says, whatever it was before.
    Put(Entry),
    /// Like `Put`, but a server of the same name that starts from something else is a conflict.
    Register(Entry),
    /// A server is not known any more; an unknown one is no error. What was said about it by
    /// the changes below stays, and counts again when it returns.
    Remove(ServerKey),
    /// An agent sees a server of the store under the server's own name, beside its own ones.
    /// An own one of the same name hides it.
    Assign {
        /// The store's server; it need not be known yet.
        server: ServerKey,
        /// The agent.
        agent: AgentId,
    },
    /// Takes an assignment back; a missing one is no error.
    Unassign {
        /// The store's server.
        server: ServerKey,
        /// The agent.
        agent: AgentId,
    },
    /// What a context says about a tool; empty settings forget what it said.
    ToolSettings {
        /// The context.
        scope: Scope,
        /// The tool; it need not be known yet.
        tool: ToolKey,
        /// All of it, in place of what was said before.
        settings: ToolSettings,
    },
}

impl Change {
    /// The server that it is about.
    pub fn key(&self) -> &ServerKey {
        match self {
            Self::Put(entry) | Self::Register(entry) => &entry.key,
            Self::Remove(key) => key,
            Self::Assign { server, .. } | Self::Unassign { server, .. } => server,
            Self::ToolSettings { tool, .. } => &tool.server,
        }
    }
}

/// One tool of one catalog, as one context sees it. Cheap to clone, and holds what it needs
/// also when the catalog moves on.
#[derive(Debug, Clone)]
pub struct ToolRef {
    pub(crate) server: Arc<Listed>,
    /// The place in `server.tools`.
    pub(crate) place: usize,
}

impl ToolRef {
    /// The server's entry.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.server.entry
    }

    /// The server's name in this context: its own, or `{name}by{agent}` for the store.
    pub fn server_name(&self) -> &str {
        &self.server.shown
    }

    /// The tool's full name in this context: the one that was chosen here, else the given one.
    pub fn full_name(&self) -> &str {
        self.listed().name()
    }

    /// The full name that it was given here once and for ever; it finds the tool also when
    /// another name was chosen.
    pub fn given_name(&self) -> &str {
        &self.listed().given
    }

    /// What it does: in the words that were chosen in this context, else in its server's.
    pub fn description(&self) -> Option<&str> {
        self.settings().description.as_deref().or(self.tool().description.as_deref())
    }

    /// What this context says about it.
    pub fn settings(&self) -> &ToolSettings {
        static NONE: ToolSettings = ToolSettings { disabled: false, name: None, description: None };
        self.listed().settings.as_deref().unwrap_or(&NONE)
    }

    fn listed(&self) -> &ListedTool {
        &self.server.tools[self.place]
    }

    /// The tool, as its server describes it.
    pub fn tool(&self) -> &Tool {
        &self.server.entry.features.tools[self.listed().index]
    }

    /// What identifies it in the hub.
    pub fn key(&self) -> ToolKey {
        ToolKey { server: self.server.entry.key.clone(), tool: self.tool().name.clone() }
    }
}

/// The same tool of the same version of its server, seen from the same context.
impl PartialEq for ToolRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.server, &other.server) && self.place == other.place
    }
}
