//! What is wrong with the configured servers, in words for who configured them.

use dormouse_orchestrator::EditError;
use dormouse_storage::mcp_json::{Problem, ProblemKind};
use dormouse_types::Scope;

use crate::context::Context;

/// Where a problem of the whole file is.
const WHOLE: &str = "the file";

impl Context {
    /// What does not work as it is configured, in the order of `mcp.json`: entries that are no
    /// servers, and parts of entries that do nothing. A file that is none is one problem. An agent
    /// is told of its own entries.
    ///
    /// # Errors
    /// [`EditError::Ending`], where the hub ends.
    pub async fn validate(&self) -> Result<Vec<Problem>, EditError> {
        let file = match self.configured().await {
            Ok(file) => file,
            Err(EditError::File(message)) => {
                let (path, kind) = (WHOLE.to_owned(), ProblemKind::Unusable);
                return Ok(vec![Problem { path, server: None, kind, message }]);
            }
            Err(error) => return Err(error),
        };
        let told = |problem: &&Problem| {
            *self.scope() == Scope::Store
                || problem.server.as_ref().is_some_and(|server| server.scope == *self.scope())
        };
        Ok(file.problems().iter().filter(told).cloned().collect())
    }
}
