//! A transport of one's own: a server that lives in the same program, without a process.
//!
//! The hub speaks MCP over whatever carries lines both ways; this one hands out one end of a pipe
//! in memory. Another could open a tunnel, or speak to a device.

#[path = "support/call.rs"]
mod call;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use call::say;
use dormouse::{Address, Channel, ServerState, Transport, TransportError};
use serde_json::{Value, json};
use support::{Done, builder, space};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

/// Servers in this program, by the hosts of their URLs.
#[derive(Debug, Default)]
struct InMemory {
    opened: AtomicUsize,
}

#[async_trait]
impl Transport for InMemory {
    async fn open(&self, address: &Address) -> Result<Channel, TransportError> {
        if address.url != "mem://parrot" {
            return Err("nobody of that name lives here".into());
        }
        self.opened.fetch_add(1, Ordering::Relaxed);
        let (ours, theirs) = duplex(64 << 10);
        // Ends when the hub puts the server to sleep, which closes the pipe.
        tokio::spawn(parrot(theirs));
        Ok(Channel::new(ours))
    }
}

/// An MCP server of one tool, written by hand to show the wire; an SDK would do the same.
async fn parrot(pipe: DuplexStream) -> std::io::Result<()> {
    let (reader, mut writer) = tokio::io::split(pipe);
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let message: Value = serde_json::from_str(&line)?;
        let result = match message["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "parrot", "version": "1" },
            }),
            Some("tools/list") => {
                let schema = json!({ "type": "object", "properties": { "text": { "type": "string" } } });
                json!({ "tools": [{ "name": "echo", "description": "Says it again.", "inputSchema": schema }] })
            }
            Some("tools/call") => {
                let text = &message["params"]["arguments"]["text"];
                json!({ "content": [{ "type": "text", "text": text }] })
            }
            _ => json!({}),
        };
        // What has no number is a notification, and wants no answer.
        if let Some(id) = message.get("id") {
            let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
            writer.write_all(format!("{answer}\n").as_bytes()).await?;
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Done {
    let folder = space()?;
    // The scheme is said twice: alone it would most often be a slip.
    let parrot = json!({ "type": "mem", "url": "mem://parrot" });
    let servers = json!({ "mcpServers": { "parrot": parrot } });
    std::fs::write(folder.path().join("mcp.json"), servers.to_string())?;

    let memory = Arc::new(InMemory::default());
    let hub = builder(&folder).transport("mem", memory.clone()).open().await?;
    assert_eq!(say(&hub.store(), "from within").await?, "from within");
    let parrot = hub.store().server(&"parrot".parse()?)?;
    assert_eq!((parrot.status.state, parrot.status.pid), (ServerState::Healthy, None));
    assert_eq!(memory.opened.load(Ordering::Relaxed), 1);
    hub.shutdown().await;
    Ok(())
}
