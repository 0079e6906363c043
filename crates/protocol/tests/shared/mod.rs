//! What the tests of connections share, whatever they go over.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_protocol::Connection;
use dormouse_types::{Arguments, BackChannel, CallEvent, NoBackChannel, PeerAnswer, PeerRequest, ToolName};
use serde_json::Value;

/// Long enough for a loaded machine; no test waits for it unless it fails.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) fn tool(name: &str) -> ToolName {
    ToolName::try_new(name).unwrap()
}

pub(crate) fn arguments(value: Value) -> Arguments {
    value.as_object().unwrap().clone()
}

pub(crate) fn nobody() -> Arc<dyn BackChannel> {
    Arc::new(NoBackChannel)
}

/// Calls a tool and gives its text.
pub(crate) async fn text(connection: &Connection, name: &str, args: Value) -> String {
    connection.call(&tool(name), &arguments(args), LONG, &nobody()).await.unwrap().text()
}

/// A caller who writes down what comes, and answers questions.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    pub(crate) events: Mutex<Vec<CallEvent>>,
    pub(crate) questions: Mutex<Vec<PeerRequest>>,
    pub(crate) answer: Option<Value>,
}

#[async_trait]
impl BackChannel for Listener {
    fn notify(&self, event: CallEvent) {
        self.events.lock().unwrap().push(event);
    }

    async fn ask(&self, request: PeerRequest) -> PeerAnswer {
        self.questions.lock().unwrap().push(request);
        match &self.answer {
            Some(answer) => PeerAnswer::Result(answer.clone()),
            None => PeerAnswer::Unsupported,
        }
    }
}
