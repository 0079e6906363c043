//! Lists of tools that are not the plain one: with those that are disabled, and of one server.

use std::collections::BTreeSet;

use dormouse::ToolRef;
use serde_json::Value;

use super::{Asked, User, items, no, see, segment, server_name, text};
use crate::model::Said;

/// Server, own name and full name of a tool, and whether it is disabled.
pub(crate) type Listed = (String, String, String, bool);

fn of_wire(tool: &Value) -> Listed {
    let disabled = tool["disabled"].as_bool().unwrap();
    (text(tool, "server_name"), text(tool, "tool_name"), text(tool, "full_name"), disabled)
}

fn of_memory(tool: &ToolRef) -> Listed {
    let (server, full) = (tool.server_name().to_owned(), tool.full_name().to_owned());
    (server, tool.tool().name.to_string(), full, tool.settings().disabled)
}

impl User<'_> {
    /// Every tool, with those that are disabled.
    pub(crate) fn all_tools(&self) -> BTreeSet<Listed> {
        if self.is_wire() {
            return items(&self.must(see("/tools?disabled=true", ["tools", "list", "--all"])), of_wire);
        }
        self.memory().all_tools().iter().map(of_memory).collect()
    }

    /// Which tools the statistics tell of, and whether they are disabled.
    pub(crate) fn counted_tools(&self) -> BTreeSet<Listed> {
        match self.is_wire() {
            true => items(&self.must(see("/stats/tools", ["tools", "stats"])), of_wire),
            false => self.all_tools(),
        }
    }

    /// The tools of one server.
    pub(crate) fn tools_of(&self, server: &str) -> Said<BTreeSet<Listed>> {
        if self.is_wire() {
            let path = format!("/tools?server_name={}", segment(server));
            let words = ["tools".to_owned(), "list".to_owned(), format!("--server={server}")];
            return Ok(items(&self.ask(Asked { words: words.into(), ..see(path, []) })?, of_wire));
        }
        let server = self.memory().server(&server_name(server)).map_err(no)?;
        Ok(server.tools.iter().map(of_memory).collect())
    }
}
