//! An observer: told of every change and call, and never in their way.

#[path = "support/call.rs"]
mod call;
mod support;

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use call::say;
use dormouse::{CallEnd, CallId, Observer, Outcome, ServerKey, ToolName};
use support::{Done, builder, space};

/// Passes the ends of calls on.
#[derive(Debug)]
struct Ends(Mutex<SyncSender<(String, Outcome)>>);

impl Observer for Ends {
    fn call_ended(&self, _call: CallId, server: &ServerKey, tool: &ToolName, end: &CallEnd) {
        let sender = self.0.lock().expect("nobody panics with it");
        let _ = sender.send((format!("{}/{tool}", server.name), end.outcome));
    }
}

/// Breaks at the first event; the hub and the other observers go on.
#[derive(Debug)]
struct Breaks;

impl Observer for Breaks {
    fn changed(&self, _event: &dormouse::Event) {
        panic!("as an example");
    }
}

#[tokio::main]
async fn main() -> Done {
    let folder = space()?;
    let (sender, ends) = sync_channel(64);
    let hub = builder(&folder)
        .observer(Arc::new(Breaks))
        .observer(Arc::new(Ends(Mutex::new(sender))))
        .open()
        .await?;
    say(&hub.store(), "watched").await?;
    let seen = tokio::task::spawn_blocking(move || ends.recv_timeout(Duration::from_secs(30))).await??;
    assert_eq!(seen, ("echo/echo".to_owned(), Outcome::Ok));
    hub.shutdown().await;
    Ok(())
}
