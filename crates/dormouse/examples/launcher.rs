//! A launcher of one's own: the seam at which servers get their processes.
//!
//! This one starts plain children and counts them. Another could start containers, as long as
//! it gives three pipes and a handle on the end.

#[path = "support/call.rs"]
mod call;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use call::say;
use dormouse::{Direct, LaunchError, Launched, Launcher, Program};
use support::{Done, builder, space};

#[derive(Debug, Default)]
struct Counting {
    plain: Direct,
    started: AtomicUsize,
}

#[async_trait]
impl Launcher for Counting {
    async fn launch(&self, program: &Program) -> Result<Launched, LaunchError> {
        self.started.fetch_add(1, Ordering::Relaxed);
        self.plain.launch(program).await
    }
}

#[tokio::main]
async fn main() -> Done {
    let folder = space()?;
    let launcher = Arc::new(Counting::default());
    let hub = builder(&folder).launcher(launcher.clone()).open().await?;
    assert_eq!(say(&hub.store(), "started by us").await?, "started by us");
    assert!(launcher.started.load(Ordering::Relaxed) > 0);
    hub.shutdown().await;
    Ok(())
}
