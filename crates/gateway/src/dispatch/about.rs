//! The way back of a request about a task.

use std::sync::Arc;

use async_trait::async_trait;
use dormouse::{BackChannel, CallEvent, PeerAnswer, PeerRequest, Scope};
use serde_json::{Value, json};

use crate::back::Back;
use crate::tasks::shape;

/// A question says to which task it belongs: by our name, or not at all where the client knows.
#[derive(Debug)]
pub(super) struct About {
    back: Arc<Back>,
    name: Option<String>,
}

impl About {
    pub(super) fn on(back: Arc<Back>, name: Option<&str>) -> Arc<dyn BackChannel> {
        Arc::new(Self { back, name: name.map(str::to_owned) })
    }
}

#[async_trait]
impl BackChannel for About {
    fn notify(&self, event: CallEvent) {
        self.back.tell(event, self.name.as_deref());
    }

    async fn ask(&self, mut request: PeerRequest) -> PeerAnswer {
        if request.params.is_null() && self.name.is_some() {
            request.params = json!({});
        }
        shape::relate(&mut request.params, self.name.as_deref());
        self.back.ask(request).await
    }

    fn capabilities(&self) -> Arc<Value> {
        self.back.capabilities()
    }

    fn wants_progress(&self) -> bool {
        self.back.wants_progress()
    }

    fn scope(&self) -> Option<&Scope> {
        self.back.scope()
    }

    fn client(&self) -> Option<&str> {
        self.back.client()
    }

    fn log_level(&self) -> Option<String> {
        self.back.log_level()
    }
}
