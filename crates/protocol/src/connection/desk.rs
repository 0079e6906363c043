//! What the server asks of us while it works.

use std::sync::Arc;

use dormouse_types::{PeerAnswer, PeerRequest};
use rmcp::ClientHandler;
use rmcp::RoleClient;
use rmcp::model::{CustomRequest, CustomResult, ErrorCode, ErrorData};
use rmcp::service::RequestContext;
use serde_json::{Value, json};

use crate::wire::{Ticket, Wire, are_of_one_context};

/// Answers a server's requests: rmcp's handler of one connection.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) wire: Arc<Wire>,
}

impl ClientHandler for Desk {
    /// Passes a question to the caller for whom the server works.
    ///
    /// Over HTTP it comes on the stream of its call. On stdio it does not say to which call it
    /// belongs. With several callers at once nobody can tell, and a question that reaches the wrong
    /// one may give away what it asks about, or be answered by a stranger: then it is refused. Callers
    /// of one context are no strangers; among them it is likely not of a call whose caller is being
    /// asked, since servers wait for an answer before they ask on. A question of a task names it.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleClient>,
    ) -> Result<CustomResult, ErrorData> {
        let callers = match context.extensions.get::<Arc<Ticket>>() {
            Some(ticket) => vec![Arc::clone(ticket)],
            None => {
                let all = self.wire.flights.callers();
                let of_task = related(request.params.as_ref()).and_then(|task| waits_for(&all, task));
                let not_asked: Vec<_> = all.iter().filter(|ticket| !ticket.is_asked()).cloned().collect();
                match of_task {
                    Some(ticket) => vec![ticket],
                    None if not_asked.len() == 1 && are_of_one_context(&all) => not_asked,
                    None => no_task(all),
                }
            }
        };
        let [ticket] = &callers[..] else {
            // Asked for nobody, the answer that gives nothing away is a true one.
            if request.method == "roots/list" {
                return Ok(CustomResult(json!({ "roots": [] })));
            }
            let words = match callers.len() {
                0 => format!("{}: no call is running", request.method),
                _ => format!("{}: several calls are running, and it is not known which asks", request.method),
            };
            return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, words, None));
        };
        let Some(back) = ticket.back() else {
            return Err(unsupported(&request.method));
        };
        let method = request.method.clone();
        let params = request.params.unwrap_or(Value::Null);
        let _thinking = ticket.stop_clock();
        let answer = tokio::select! {
            answer = back.ask(PeerRequest { method: request.method, params }) => answer,
            () = ticket.over() => PeerAnswer::Unsupported,
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

/// Who waits for the result of a task.
fn waits_for(callers: &[Arc<Ticket>], task: &str) -> Option<Arc<Ticket>> {
    // If several do, they are of one owner, and any of them may be asked.
    callers.iter().find(|ticket| ticket.task() == Some(task)).cloned()
}

/// Those of one context without those who wait for tasks, if one is left: what a task asks names it.
fn no_task(callers: Vec<Arc<Ticket>>) -> Vec<Arc<Ticket>> {
    let mut calls = callers.iter().filter(|ticket| ticket.task().is_none());
    match (calls.next(), calls.next()) {
        (Some(only), None) if are_of_one_context(&callers) => vec![Arc::clone(only)],
        _ => callers,
    }
}

fn unsupported(method: &str) -> ErrorData {
    ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("the caller cannot answer {method}"), None)
}
