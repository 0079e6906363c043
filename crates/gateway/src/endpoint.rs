//! One context in one mode: what a client connects to.

use std::sync::Arc;

use dormouse::{Context, NoSuchServer, Scope, ServerKey};
use serde_json::Value;

use crate::caller::{Caller, Life};
use crate::dispatch;
use crate::gateway::Gateway;
use crate::message::{Fault, Incoming, Params, Request, response};
use crate::mode::Mode;
use crate::session::{Session, Sessions};

/// There is no such endpoint.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct NoSuchEndpoint(#[from] NoSuchServer);

/// A context in a mode. Cheap to make and to clone.
#[derive(Debug, Clone)]
pub struct Endpoint {
    gateway: Gateway,
    context: Context,
    mode: Mode,
    /// The server of [`Mode::Single`].
    only: Option<ServerKey>,
}

impl Endpoint {
    pub(crate) fn new(gateway: Gateway, context: Context, mode: Mode) -> Result<Self, NoSuchEndpoint> {
        let only = match &mode {
            Mode::Single(name) => {
                let catalog = context.registry().snapshot();
                Some(catalog.find_server(context.scope(), name)?.key.clone())
            }
            Mode::All | Mode::Search => None,
        };
        Ok(Self { gateway, context, mode, only })
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn scope(&self) -> &Scope {
        self.context.scope()
    }

    pub(crate) fn mode(&self) -> &Mode {
        &self.mode
    }

    /// The server of [`Mode::Single`].
    pub(crate) fn only(&self) -> Option<&ServerKey> {
        self.only.as_ref()
    }

    fn sessions(&self) -> &Sessions {
        self.gateway.sessions()
    }

    /// Greets a client: its session, and the result of `initialize`. With an `id` the session gets
    /// that name, which the transport has made by [`fresh_id`](crate::session::fresh_id).
    pub(crate) async fn initialize(
        &self,
        id: Option<String>,
        params: &Params,
    ) -> Result<(Arc<Session>, Value), Fault> {
        dispatch::introduced(self).await;
        if self.sessions().make_room().await? {
            // Servers that were held for what has ended are let go.
            self.gateway.watches().tidy();
        }
        let seen = self.lists().digests();
        let session =
            self.sessions().begin(id, self.scope().clone(), self.mode.clone(), seen, params).await?;
        let result = dispatch::greeting(self, session.revision()).await;
        self.gateway.changes().follow_session(self, &session);
        Ok((session, result))
    }

    /// A session of this endpoint by its name; one of another context or mode is unknown here.
    pub(crate) async fn session(&self, id: &str) -> Result<Option<Arc<Session>>, Fault> {
        let Some((session, again)) = self.sessions().get(id).await? else { return Ok(None) };
        if session.scope() != self.scope() || *session.mode() != self.mode {
            return Ok(None);
        }
        if again {
            self.gateway.changes().follow_session(self, &session);
            crate::watch::resume(self, &session);
        }
        Ok(Some(session))
    }

    /// Ends a session of this endpoint; whether there was one.
    pub(crate) async fn end_session(&self, id: &str) -> Result<bool, Fault> {
        let Some(session) = self.session(id).await? else { return Ok(false) };
        self.gateway.watches().leave(session.id());
        self.sessions().end(id).await?;
        Ok(true)
    }

    /// Answers a request. Dropping the future cancels it, at the server too. What comes before the
    /// answer goes to the caller's outlet. A [cancelled](Fault::is_cancelled) request gets no answer.
    pub(crate) async fn answer(&self, caller: Caller, request: Request) -> Result<Value, Fault> {
        match caller.life.clone() {
            Life::Stateless(_) => dispatch::answer(self, caller, request).await,
            Life::Session(session) => {
                let Some(running) = session.begin(&request.id) else {
                    return Err(Fault::new(
                        crate::message::INVALID_REQUEST,
                        "a request of this id is under way in this session",
                    ));
                };
                tokio::select! {
                    biased;
                    answer = dispatch::answer(self, caller, request) => answer,
                    () = running.cancelled() => Err(Fault::cancelled()),
                }
            }
        }
    }

    /// Takes what needs no answer from a client with a session.
    pub(crate) fn take(&self, session: &Arc<Session>, message: Incoming) {
        match message {
            Incoming::Answer { id, answer } => {
                // The question may be that of a call at another hub.
                if let Some(answer) = session.answered(&id, answer) {
                    session.pass_on(response(&id, answer));
                }
            }
            Incoming::Notification { method, params } => dispatch::noted(self, session, &method, params),
            // A transport answers requests by `answer`.
            Incoming::Request(_) => {}
        }
    }
}
