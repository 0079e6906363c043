//! A configuration of one's own: here one that lives in the program and changes while the hub runs.
//! Another could stand in a database, or come from a control plane.

mod support;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dormouse::{ConfigSource, SourceError};
use serde_json::json;
use support::{Done, builder, space};
use tokio::sync::watch;

#[derive(Debug)]
struct InProgram {
    text: Mutex<Option<String>>,
    changed: watch::Sender<u64>,
}

impl InProgram {
    fn text(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.text.lock().expect("nothing panics while it holds the text")
    }

    /// What the program itself changes.
    fn set(&self, text: String) {
        *self.text() = Some(text);
        self.changed.send_modify(|number| *number += 1);
    }
}

#[async_trait]
impl ConfigSource for InProgram {
    async fn load(&self) -> Result<Option<String>, SourceError> {
        Ok(self.text().clone())
    }

    /// What is done through the hub, such as `Context::add`. A text that was made from an older one
    /// is refused, and the hub makes its edit anew.
    async fn save(&self, before: Option<&str>, text: &str) -> Result<(), SourceError> {
        let mut now = self.text();
        if now.as_deref() != before {
            return Err(SourceError::Changed);
        }
        *now = Some(text.to_owned());
        Ok(())
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        Some(self.changed.subscribe())
    }

    fn describe(&self) -> String {
        "the program's own configuration".to_owned()
    }
}

#[tokio::main]
async fn main() -> Done {
    let folder = space()?;
    let source = Arc::new(InProgram { text: Mutex::new(None), changed: watch::Sender::new(0) });
    let hub = builder(&folder).config_source(source.clone()).open().await?;
    assert!(hub.store().servers().is_empty(), "the space's own mcp.json does not count");

    let mut version = hub.registry().version();
    let sleeper = json!({ "command": "sleeper", "dormouse": { "wanted": "stopped" } });
    source.set(json!({ "mcpServers": { "one": sleeper } }).to_string());
    while hub.store().servers().is_empty() {
        version.changed().await?;
    }

    hub.store().add("two".parse()?, sleeper).await?;
    let text = source.text().clone().ok_or("a text was saved")?;
    assert!(text.contains("\"one\"") && text.contains("\"two\""));
    hub.shutdown().await;
    Ok(())
}
