//! The verbs, each waiting for its end. What they do, and their errors, say those of
//! [`dormouse::Context`](crate::Context).

#![expect(clippy::result_large_err, reason = "the errors are those of the verbs, and a box would show")]

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_registry::ToolRef;
use dormouse_storage::StorageError;
use dormouse_storage::mcp_json::{Intake, Problem};
use dormouse_types::{
    AgentId, Arguments, BackChannel, Message, ServerKey, ServerName, ServerState, SessionId, ToolSettings,
};
use serde_json::Value;

use super::events::Events;
use super::runtime::{Error, Owned};
use crate::{
    AddReport, CallAnswer, CallError, CallFilter, CallRecord, CallRequest, ChangeError, Check,
    ConversationError, EditError, Export, ExportError, Import, ImportError, ImportReport, OnConflict,
    QueryAnswer, QueryError, QueryListener, QueryRequest, ReadError, RegisterError, Reset, ServerInfo,
    Supervision, SupervisionError, ToolSettingError, WaitError,
};
use crate::{AskError, Held, LeaseError, NoSuchTool, PassRequest, Passed, RawAnswer, RawCall};
use crate::{LoginError, SignIn};

/// One view of a hub, the store's or an agent's, for programs without a runtime.
#[derive(Debug, Clone)]
pub struct Context {
    context: crate::Context,
    runtime: Owned,
}

/// Wraps verbs that can fail. A verb that is forgotten here fails a test.
macro_rules! verbs {
    ($($(#[$doc:meta])* $verb:ident($($name:ident: $kind:ty),*) -> $answer:ty, $error:ty;)+) => {
        impl Context {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// Those of the verb, and [`Error::InsideRuntime`].
                pub fn $verb(&self $(, $name: $kind)*) -> Result<$answer, Error<$error>> {
                    self.runtime.run(self.context.$verb($($name),*))
                }
            )+
        }
    };
}

verbs! {
    /// Answers a question.
    query(request: QueryRequest, listener: Arc<dyn QueryListener>) -> QueryAnswer, QueryError;
    /// Calls a tool by name.
    call(request: CallRequest, back: Arc<dyn BackChannel>) -> CallAnswer, CallError;
    /// Calls a tool in MCP's own terms.
    call_raw(call: RawCall, back: Arc<dyn BackChannel>) -> RawAnswer, CallError;
    /// Makes any other request of a server.
    pass(server: &ServerKey, request: PassRequest, back: Arc<dyn BackChannel>) -> Passed, AskError;
    /// Holds a server awake.
    hold(server: &ServerKey, back: Arc<dyn BackChannel>) -> Held, LeaseError;
    /// The tool of that name, after first contacts that are under way.
    find_tool(name: &str, server: Option<&str>, deadline: Option<Duration>) -> ToolRef, NoSuchTool;
    /// How calls of this context ended, newest first.
    calls(filter: &CallFilter) -> Vec<Arc<CallRecord>>, StorageError;
    /// The messages of a conversation.
    history(session: &SessionId) -> Vec<Message>, ConversationError;
    /// Forgets a conversation.
    clear_history(session: &SessionId) -> (), ConversationError;
    /// Reads a resource.
    read_resource(server: Option<&str>, uri: &str, deadline: Option<Duration>) -> Value, ReadError;
    /// Gets a prompt.
    prompt(server: Option<&str>, name: &str, arguments: &Arguments, deadline: Option<Duration>) -> Value, ReadError;
    /// Takes a script of a drop folder as a server of this context.
    register(name: ServerName, path: &Path) -> ServerInfo, RegisterError;
    /// Adds an entry to `mcp.json`, or replaces the one of that name.
    add(name: ServerName, entry: Value) -> ServerInfo, EditError;
    /// Replaces a server's entry.
    replace(name: &ServerName, entry: Value) -> ServerInfo, ChangeError;
    /// Changes members of a server's entry (a JSON merge patch).
    patch(name: &ServerName, members: Value) -> ServerInfo, ChangeError;
    /// Removes a registration or a configured entry.
    remove(name: &ServerName, delete_file: bool) -> (), ChangeError;
    /// Shows an agent a server of the store.
    assign(name: &ServerName, agent: &AgentId) -> (), ChangeError;
    /// Takes an assignment back.
    unassign(name: &ServerName, agent: &AgentId) -> (), ChangeError;
    /// A server's entry as it is written.
    entry(name: &ServerName) -> Option<Value>, ChangeError;
    /// What does not work as it is configured.
    validate() -> Vec<Problem>, EditError;
    /// This context's part of `mcp.json`.
    config() -> Value, EditError;
    /// Says what an import would do.
    plan_import(from: Import, on_conflict: OnConflict) -> ImportReport, ImportError;
    /// Takes servers from elsewhere into this context.
    import(from: Import, on_conflict: OnConflict) -> ImportReport, ImportError;
    /// This context's own servers, for others.
    export(names: &[ServerName]) -> Export, ExportError;
    /// Forgets what was configured.
    reset(what: Reset) -> Vec<ServerKey>, EditError;
    /// Enables, disables, renames or describes a tool here.
    set_tool(name: &str, server: Option<&str>, settings: ToolSettings) -> ToolRef, ToolSettingError;
    /// Wakes a server.
    attach(name: &ServerName) -> ServerInfo, ChangeError;
    /// Puts a server to sleep.
    detach(name: &ServerName) -> ServerInfo, ChangeError;
    /// Asks a server that is awake whether it answers.
    check(name: &ServerName) -> Check, ChangeError;
    /// Takes back that a server was disconnected, and wakes it.
    connect(name: &ServerName) -> ServerInfo, ChangeError;
    /// Stops a server until it is connected again.
    disconnect(name: &ServerName, reason: Option<String>) -> ServerInfo, ChangeError;
    /// Puts a server to sleep and wakes it again.
    restart(name: &ServerName) -> ServerInfo, ChangeError;
    /// Reads anew what a server offers.
    refresh(name: &ServerName) -> ServerInfo, ChangeError;
    /// Changes some numbers of supervision.
    set_supervision(patch: Value) -> Supervision, SupervisionError;
    /// Waits until a server is in another state than now.
    wait_change(name: &ServerName, timeout: Duration) -> ServerInfo, WaitError;
    /// Forgets every conversation of this context.
    forget_conversations() -> usize, ConversationError;
    /// Begins to sign in at a server.
    login(name: &ServerName) -> SignIn, LoginError;
    /// Forgets a sign-in.
    logout(name: &ServerName) -> SignIn, LoginError;
    /// How it stands with signing in at a server.
    sign_in(name: &ServerName) -> SignIn, LoginError;
    /// Waits until no sign-in at a server waits for a person any more.
    wait_sign_in(name: &ServerName) -> SignIn, LoginError;
    /// Waits until a server is in one of the states.
    wait(name: &ServerName, states: &[ServerState], timeout: Duration) -> ServerInfo, WaitError;
}

impl Context {
    pub(super) fn new(context: crate::Context, runtime: Owned) -> Self {
        Self { context, runtime }
    }

    /// Adds servers in every form that people hand in; each success and failure is told.
    ///
    /// # Errors
    /// [`Error::InsideRuntime`]
    pub fn add_all(&self, intake: Intake) -> Result<AddReport, Error<Infallible>> {
        self.runtime.wait(self.context.add_all(intake))
    }

    /// Checks every server of this context at once.
    ///
    /// # Errors
    /// [`Error::InsideRuntime`]
    pub fn check_all(&self) -> Result<Vec<(String, Check)>, Error<Infallible>> {
        self.runtime.wait(self.context.check_all())
    }

    /// What happens in this context from now on.
    pub fn events(&self) -> Events {
        Events::new(self.context.events(), self.runtime.clone())
    }

    /// Waits for first contacts that are under way.
    ///
    /// # Errors
    /// [`Error::InsideRuntime`]
    pub fn first_contacts(&self, patience: Duration) -> Result<(), Error<Infallible>> {
        self.runtime.wait(self.context.first_contacts(patience))
    }

    /// As [`crate::Context::first_contact_of`].
    ///
    /// # Errors
    /// [`Error::InsideRuntime`]
    pub fn first_contact_of(&self, server: &ServerKey, patience: Duration) -> Result<(), Error<Infallible>> {
        self.runtime.wait(self.context.first_contact_of(server, patience))
    }

    /// Stores what is only remembered in memory so far.
    ///
    /// # Errors
    /// [`Error::InsideRuntime`]
    pub fn flush(&self) -> Result<(), Error<Infallible>> {
        self.runtime.wait(self.context.flush())
    }
}

/// Everything that answers from memory.
impl std::ops::Deref for Context {
    type Target = crate::Context;

    fn deref(&self) -> &crate::Context {
        &self.context
    }
}
