//! The verbs on tools beyond calling them: all of them, settings, one by name.

use dormouse_orchestrator::ShareError;
use dormouse_registry::{NoSuchTool, ToolRef};
use dormouse_types::ToolSettings;

use crate::context::Context;

/// Why a tool's settings were not changed.
#[derive(Debug, thiserror::Error)]
pub enum ToolSettingError {
    /// No tool has that name here.
    #[error(transparent)]
    UnknownTool(#[from] NoSuchTool),
    /// They were not taken up.
    #[error(transparent)]
    Share(#[from] ShareError),
}

impl Context {
    /// Every tool of this context by full name, also those that are disabled here.
    pub fn all_tools(&self) -> Vec<ToolRef> {
        self.registry().snapshot().all_tools(self.scope()).collect()
    }

    /// One tool: the one that a call by this name calls, else one that is disabled here.
    ///
    /// # Errors
    /// [`NoSuchTool`] with near misses.
    pub fn tool(&self, name: &str, server: Option<&str>) -> Result<ToolRef, NoSuchTool> {
        let catalog = self.registry().snapshot();
        match catalog.find_tool(self.scope(), name, server) {
            Err(NoSuchTool::Unknown { .. }) => catalog.find_any_tool(self.scope(), name, server),
            found => found,
        }
    }

    /// The tool that [`set_tool`](Self::set_tool) would be about, with its settings. A name that
    /// an enabled tool and a disabled one have is not clear here.
    ///
    /// # Errors
    /// [`NoSuchTool`] with the candidates, or with near misses.
    pub fn tool_settings(&self, name: &str, server: Option<&str>) -> Result<ToolRef, NoSuchTool> {
        self.registry().snapshot().find_any_tool(self.scope(), name, server)
    }

    /// Says how a tool shows in this context: disabled, under another name, with other words.
    /// Other contexts see it as before. Empty settings undo what was said.
    ///
    /// # Errors
    /// [`ToolSettingError`]
    pub async fn set_tool(
        &self,
        name: &str,
        server: Option<&str>,
        settings: ToolSettings,
    ) -> Result<ToolRef, ToolSettingError> {
        let key = self.tool_settings(name, server)?.key();
        self.orchestrator().set_tool(self.scope().clone(), key.clone(), settings).await?;
        let bare = key.tool.as_str();
        Ok(self.tool_settings(bare, Some(&self.shown(&key.server)))?)
    }
}
