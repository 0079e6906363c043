//! What the server asks of us while it works.

use std::sync::Arc;

use dormouse_types::{PeerAnswer, PeerRequest};
use rmcp::ClientHandler;
use rmcp::RoleClient;
use rmcp::model::{CustomRequest, CustomResult, ErrorCode, ErrorData};
use rmcp::service::RequestContext;
use serde_json::{Value, json};

use crate::wire::{Ticket, Wire, are_of_one_client, are_of_one_context};

/// Answers a server's requests: rmcp's handler of one connection.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) wire: Arc<Wire>,
}

impl ClientHandler for Desk {
    /// Passes a question to the client for whom the server works.
    ///
    /// Over HTTP it comes on the stream of its call. On stdio it does not say to which call it
    /// belongs. With several clients at once nobody can tell, and a question that reaches the wrong
    /// one may give away what it asks about, or be answered by a stranger: then it is refused. One
    /// client with several calls is asked on the way of any of them, and may answer as long as one of
    /// them runs: the answer goes back by the number of the server's question.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleClient>,
    ) -> Result<CustomResult, ErrorData> {
        let (calls, run) = match context.extensions.get::<Arc<Ticket>>() {
            Some(ticket) => (vec![Arc::clone(ticket)], true),
            None => {
                let all = self.wire.flights.calls();
                let run = !all.is_empty();
                (meant(all, related(request.params.as_ref())), run)
            }
        };
        // Servers wait for an answer before they ask on.
        let Some(ticket) = calls.iter().find(|ticket| !ticket.is_asked()).or(calls.first()) else {
            // Asked for nobody, the answer that gives nothing away is a true one.
            if request.method == "roots/list" {
                return Ok(CustomResult(json!({ "roots": [] })));
            }
            let words = match run {
                false => format!("{}: no call is running", request.method),
                true => {
                    format!("{}: several calls are running, and it is not known which asks", request.method)
                }
            };
            return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, words, None));
        };
        let Some(back) = ticket.back() else {
            return Err(unsupported(&request.method));
        };
        let method = request.method.clone();
        let params = request.params.unwrap_or(Value::Null);
        let _thinking: Vec<_> = match &calls[..] {
            [only] => vec![only.stop_clock()],
            several => several.iter().map(|ticket| ticket.stop_clock_in_doubt()).collect(),
        };
        let answer = tokio::select! {
            answer = back.ask(PeerRequest { method: request.method, params }) => answer,
            () = all_over(&calls) => PeerAnswer::Unsupported,
            () = context.ct.cancelled() => PeerAnswer::Unsupported,
        };
        match answer {
            PeerAnswer::Result(value) => Ok(CustomResult(value)),
            PeerAnswer::Refused { code, message, data } => {
                // No code of JSON-RPC is larger than that.
                let code = i32::try_from(code).map_or(ErrorCode::INTERNAL_ERROR, ErrorCode);
                Err(ErrorData::new(code, message, data))
            }
            PeerAnswer::Unsupported => Err(unsupported(&method)),
        }
    }
}

/// The task to which a question belongs, by the server's name for it.
fn related(params: Option<&Value>) -> Option<&str> {
    params?.get("_meta")?.get("io.modelcontextprotocol/related-task")?.get("taskId")?.as_str()
}

/// The calls for one of which a question may be that does not come on the stream of one. None where
/// that is not known; several only of one client.
fn meant(all: Vec<Arc<Ticket>>, task: Option<&str>) -> Vec<Arc<Ticket>> {
    // If several wait for the result of a task, they are of one owner, and any of them may be asked.
    if let Some(ticket) = task.and_then(|task| all.iter().find(|ticket| ticket.task() == Some(task))) {
        return vec![Arc::clone(ticket)];
    }
    // What a task asks names it.
    let no_task: Vec<_> = all.iter().filter(|ticket| ticket.task().is_none()).cloned().collect();
    if are_of_one_client(all.iter()) {
        return if no_task.is_empty() { all } else { no_task };
    }
    // Callers of one context are no strangers.
    if !are_of_one_context(&all) {
        return Vec::new();
    }
    // Among them it is likely not of a call whose caller is being asked.
    let not_asked: Vec<_> = all.into_iter().filter(|ticket| !ticket.is_asked()).collect();
    let likely = [not_asked, no_task].into_iter().find(|calls| are_of_one_client(calls.iter()));
    likely.unwrap_or_default()
}

/// Resolves when nobody waits for any of these calls any more.
async fn all_over(calls: &[Arc<Ticket>]) {
    for ticket in calls {
        ticket.over().await;
    }
}

fn unsupported(method: &str) -> ErrorData {
    ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("the caller cannot answer {method}"), None)
}
