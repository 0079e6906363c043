//! What is wrong with what is configured.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{owner, shown};
use crate::domain::{ConfigProblem, ProblemKind, Scope};

/// Something in `mcp.json` that does not work as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigFinding {
    /// Where it stands.
    #[schema(example = "mcpServers.files.args[1]")]
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// Whether the entry is no server by it; else this part of it does nothing.
    pub grave: bool,
    /// The server that the entry is or would be, by its name in this context; `null` where that
    /// cannot be told.
    #[serde(default)]
    pub server_name: Option<String>,
    /// The agent that it belongs to; `null` for the store's.
    #[serde(default)]
    pub owner: Option<String>,
}

impl ConfigFinding {
    /// A problem as a context shows it.
    pub fn of(scope: &Scope, problem: &ConfigProblem) -> Self {
        Self {
            place: problem.path.clone(),
            problem: problem.message.clone(),
            grave: problem.kind == ProblemKind::Unusable,
            server_name: problem.server.as_ref().map(|server| shown(scope, server)),
            owner: problem.server.as_ref().and_then(owner),
        }
    }
}
