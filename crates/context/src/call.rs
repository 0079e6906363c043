//! The verb `call`: a name and arguments → a result, with what was corrected on the way.

use std::sync::Arc;
use std::time::Duration;

use dormouse_orchestrator::{AskError, Call, Called, Contacts, Held, LeaseError, PassRequest, Passed};
use dormouse_registry::{NoSuchTool, ToolRef};
use dormouse_routing::Receipt;
use dormouse_types::{
    Arguments, BackChannel, CallResult, Confidence, FeatureSource, Outcome, Rounds, ServerKey, ToolKey,
};
use serde_json::{Map, Value};

use crate::context::Context;
use crate::error::CallError;

/// How long a call that names an unknown tool waits for servers that are being contacted for
/// the first time, where the caller sets no deadline.
const FIRST_CONTACT: Duration = Duration::from_secs(30);

/// What a person or a client wants called.
#[derive(Debug, Clone)]
pub struct CallRequest {
    /// The tool's full name, or its bare name where that is unambiguous.
    pub tool: String,
    /// Its server, where the caller names one.
    pub server: Option<String>,
    /// The arguments as they came.
    pub arguments: Arguments,
    /// The whole time that the caller gives, a wake included.
    pub deadline: Option<Duration>,
}

/// A call in MCP's own terms.
#[derive(Debug, Clone)]
pub struct RawCall {
    /// The tool.
    pub tool: ToolRef,
    /// The parameters of `tools/call`; `name` is put in from the tool.
    pub params: Map<String, Value>,
    /// The whole time that the caller gives, a wake included; `None` is the server's own.
    pub deadline: Option<Duration>,
    /// What becomes of a result by which the server asks for more.
    pub rounds: Rounds,
}

/// What a [`RawCall`] brought.
#[derive(Debug, Clone)]
pub struct RawAnswer {
    /// The server.
    pub server: ServerKey,
    /// The result, exactly as it came.
    pub result: Value,
    /// How it ended: `ok` or `tool_error`.
    pub outcome: Outcome,
    /// From the request to the answer, a wake included.
    pub duration: Duration,
    /// Whether the server was woken for it.
    pub woke: bool,
    /// What was corrected in the arguments.
    pub receipts: Vec<Receipt>,
    /// Whether the server speaks 2026-07-28.
    pub modern: bool,
}

/// What a call brought.
#[derive(Debug, Clone)]
pub struct CallAnswer {
    /// The tool.
    pub key: ToolKey,
    /// The server's name in this context.
    pub server_name: String,
    /// The server's answer, untouched.
    pub result: CallResult,
    /// How it ended: `ok` or `tool_error`.
    pub outcome: Outcome,
    /// From the request to the answer, a wake included.
    pub duration: Duration,
    /// Whether the server was woken for it.
    pub woke: bool,
    /// What was corrected in the arguments.
    pub receipts: Vec<Receipt>,
}

impl Context {
    /// Calls a tool by name. The server is woken if need be; the call is made at most once.
    ///
    /// # Errors
    /// [`CallError`], whose outcome says whether the tool may have run.
    pub async fn call(
        &self,
        request: CallRequest,
        back: Arc<dyn BackChannel>,
    ) -> Result<CallAnswer, CallError> {
        let tool = self.find_tool(&request.tool, request.server.as_deref(), request.deadline).await?;
        let (arguments, receipts) = self.repaired(&tool, request.arguments)?;
        let call = Call::new(tool.key(), arguments, request.deadline);
        let under_way = self.records().begin(self.scope(), &call.key);
        let called: Called = self.orchestrator().call(call, &back).await;
        let outcome = called.outcome();
        under_way.ended(&called);
        let key = called.key;
        Ok(CallAnswer {
            server_name: tool.server_name().to_owned(),
            result: called.result.map_err(|error| self.told_here(&key.server, error))?,
            key,
            outcome,
            duration: called.duration,
            woke: called.woke,
            receipts,
        })
    }

    /// Calls a tool with the parameters as they came, and gives the answer as it came.
    ///
    /// It is recorded, measured and limited like [`call`](Self::call), and its arguments are
    /// repaired; those that cannot be are left to the server's judgement.
    ///
    /// # Errors
    /// [`CallError`], whose outcome says whether the tool may have run.
    pub async fn call_raw(&self, call: RawCall, back: Arc<dyn BackChannel>) -> Result<RawAnswer, CallError> {
        let RawCall { tool, mut params, deadline, rounds } = call;
        let unseen = |error| CallError::Run(dormouse_orchestrator::CallError::Lease(error));
        self.must_see(&tool.key().server).map_err(unseen)?;
        let receipts = match params.get_mut("arguments") {
            Some(Value::Object(arguments)) => {
                let came = std::mem::take(arguments);
                let (repaired, receipts) = self.router().repair_or_keep(tool.tool(), came);
                *arguments = repaired;
                receipts
            }
            _ => Vec::new(),
        };
        let call = Call { key: tool.key(), params, deadline, rounds };
        let under_way = self.records().begin(self.scope(), &call.key);
        // In a box, as it is large and would be moved with all that it is awaited in.
        let called: Called<Value> = Box::pin(self.orchestrator().call(call, &back)).await;
        let outcome = called.outcome();
        under_way.ended(&called);
        let server = called.key.server;
        Ok(RawAnswer {
            result: called.result.map_err(|error| self.told_here(&server, error))?,
            server,
            outcome,
            duration: called.duration,
            woke: called.woke,
            receipts,
            modern: called.lease.is_some_and(|lease| lease.is_modern()),
        })
    }

    /// Makes any other request of a server, with the parameters as they came, and gives the answer
    /// as it came. The server is woken if need be.
    ///
    /// # Errors
    /// [`AskError`]
    pub async fn pass(
        &self,
        server: &ServerKey,
        request: PassRequest,
        back: Arc<dyn BackChannel>,
    ) -> Result<Passed, AskError> {
        self.must_see(server)?;
        let passed = self.orchestrator().pass(server, &request, &back).await;
        passed.map_err(|error| self.told_here(server, error))
    }

    /// Holds a server awake, for whoever listens to it.
    ///
    /// # Errors
    /// [`LeaseError`]
    pub async fn hold(&self, server: &ServerKey, back: Arc<dyn BackChannel>) -> Result<Held, LeaseError> {
        self.must_see(server)?;
        let held = self.orchestrator().hold(server, &back).await;
        held.map_err(|error| self.told_here(server, error))
    }

    /// A server that this context does not see is unknown to it, whoever gave it the key.
    fn must_see(&self, server: &ServerKey) -> Result<(), LeaseError> {
        match self.registry().snapshot().sees(self.scope(), server) {
            true => Ok(()),
            false => Err(LeaseError::UnknownServer { server: server.clone() }),
        }
    }

    /// The tool of that name; waits for first contacts if it is not known yet, at most as long as
    /// the deadline says.
    ///
    /// # Errors
    /// [`NoSuchTool`]
    pub async fn find_tool(
        &self,
        name: &str,
        server: Option<&str>,
        deadline: Option<Duration>,
    ) -> Result<ToolRef, NoSuchTool> {
        let look = || self.registry().snapshot().find_tool(self.scope(), name, server);
        // Those that are known cost no look at the contacts.
        if let Ok(found) = look() {
            return Ok(found);
        }
        let mut contacts = self.orchestrator().first_contacts();
        let deadline = tokio::time::Instant::now() + deadline.unwrap_or(FIRST_CONTACT);
        let mut version = self.registry().version();
        loop {
            // Before the look: what ends after it is seen by it.
            let under_way = self.connecting_of(&contacts.borrow_and_update());
            match look() {
                Err(error) if under_way > 0 => {
                    tokio::select! {
                        _ = version.changed() => {}
                        _ = contacts.changed() => {}
                        () = tokio::time::sleep_until(deadline) => return Err(error),
                    }
                }
                found => return found,
            }
        }
    }

    /// How many servers of this context are being contacted for the first time; what they offer is
    /// not known yet.
    pub fn connecting(&self) -> usize {
        self.connecting_of(&self.orchestrator().first_contacts().borrow())
    }

    fn connecting_of(&self, contacts: &Contacts) -> usize {
        let catalog = self.registry().snapshot();
        contacts.count(|server| catalog.sees(self.scope(), server))
    }

    /// Waits until all servers of this context were contacted, at most as long as the patience says.
    pub async fn first_contacts(&self, patience: Duration) {
        let mut contacts = self.orchestrator().first_contacts();
        let all = contacts.wait_for(|contacts| self.connecting_of(contacts) == 0);
        let _ = tokio::time::timeout(patience, all).await;
    }

    /// The same for one server.
    pub async fn first_contact_of(&self, server: &ServerKey, patience: Duration) {
        let mut contacts = self.orchestrator().first_contacts();
        let contacted = contacts.wait_for(|contacts| contacts.count(|other| other == server) == 0);
        let _ = tokio::time::timeout(patience, contacted).await;
    }

    /// The arguments as the tool wants them. Where the schema is only read from a source that
    /// leaves something open, the server has the last word.
    #[expect(clippy::result_large_err, reason = "once a call, and a box would show in the public error")]
    fn repaired(&self, tool: &ToolRef, arguments: Arguments) -> Result<(Arguments, Vec<Receipt>), CallError> {
        let entry = tool.entry();
        let guessed =
            entry.source == FeatureSource::Static && matches!(entry.confidence, Confidence::Partial(_));
        let as_they_came = guessed.then(|| arguments.clone());
        match (self.router().repair(tool.tool(), arguments), as_they_came) {
            (Ok(repaired), _) => Ok(repaired),
            (Err(_), Some(arguments)) => Ok((arguments, Vec::new())),
            (Err(source), None) => Err(CallError::Arguments { tool: tool.full_name().to_owned(), source }),
        }
    }
}
