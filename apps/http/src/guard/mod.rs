//! Who may come in, and where to.
//!
//! On loopback without tokens everything is open to whoever can reach the port; there, agents
//! are order, not protection. A browser is the one who reaches it without its person's will:
//! Host and Origin keep foreign pages out, also those whose name was bound to our address.
//!
//! # Invariants
//!
//! * Every route lies behind [`door`]; only `/health`, and what says that a token is needed, need
//!   none.
//! * An agent's token opens that agent's routes only. With it come servers from scripts that lie in
//!   the drop folders, where only the operator puts them; commands and URLs, which could be
//!   anything, come with a token for the store.
//! * The local socket is as safe as its file's mode, and asks for nothing more.
//! * A stream ends with what let its client in: a token that is revoked, or a hub without tokens.

mod address;
mod lasting;

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::domain::{AgentId, Hub, Scope};
use crate::extract::Entered;
use crate::mcp::METADATA;
use crate::problem::{Code, Problem, challenge};
use crate::settings::Door;

/// Longer than any name that we take, percent-encoded or not.
const LONGEST_URI: usize = 8 * 1024;

/// As whom a request came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// The whole hub.
    Store,
    /// One agent.
    Agent(AgentId),
}

impl Access {
    /// Lets only those through who may do everything.
    ///
    /// # Errors
    /// A problem with the code `forbidden`.
    pub(crate) fn to_store(&self, what: &str) -> Result<(), Problem> {
        match self {
            Self::Store => Ok(()),
            Self::Agent(agent) => Err(Problem::new(
                Code::Forbidden,
                format!("{what} needs a token for the store; this one opens agent `{agent}`"),
            )),
        }
    }
}

/// Checks address and token of every request.
pub(crate) async fn door(app: App, mut request: Request, next: Next) -> Response {
    match enter(&app, &request) {
        Ok((access, right)) => {
            request.extensions_mut().insert(access);
            lasting::as_long_as(&app, right, next.run(request).await)
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// By which right a request came in.
enum Right {
    /// The path, or the door, is open whatever happens.
    Always,
    /// There is no token.
    NoToken,
    /// What it sent as `Authorization`.
    Token(HeaderValue),
}

/// Why a request did not get in.
enum Refusal {
    Problem(Problem),
    /// It came with a token that opens nothing.
    WrongToken,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::WrongToken => {
                let problem = Problem::new(Code::Unauthorized, "the token is not valid");
                let mut response = problem.into_response();
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge::INVALID_TOKEN);
                response
            }
        }
    }
}

fn enter(app: &App, request: &Request) -> Result<(Access, Right), Refusal> {
    if request.uri().path_and_query().map_or(0, |it| it.as_str().len()) > LONGEST_URI {
        let why = format!("an address has at most {LONGEST_URI} bytes");
        return Err(Problem::new(Code::UriTooLong, why).into());
    }
    let Door::Tcp(bound) = app.door() else { return Ok((Access::Store, Right::Always)) };
    address::check(request, bound, app.settings())?;
    let path = request.uri().path();
    if path == "/health" || path.starts_with(METADATA) {
        return Ok((Access::Store, Right::Always));
    }
    if needs_token(app) {
        by_token(app.hub(), request.headers())
    } else {
        Ok((Access::Store, Right::NoToken))
    }
}

/// Whether a token is needed at this door.
pub(crate) fn needs_token(app: &App) -> bool {
    match app.door() {
        Door::Tcp(bound) => {
            app.settings().require_token || !bound.ip().is_loopback() || !app.hub().tokens().is_empty()
        }
        Door::Local => false,
    }
}

fn by_token(hub: &Hub, headers: &HeaderMap) -> Result<(Access, Right), Refusal> {
    let Some(said) = headers.get(header::AUTHORIZATION) else {
        let why = "send a token as `Authorization: Bearer …`; `dormouse token create` makes one";
        return Err(Problem::new(Code::Unauthorized, why).into());
    };
    let grant = secret(said).and_then(|secret| hub.tokens().verify(secret));
    let access = match grant.map(|grant| grant.scope) {
        Some(Scope::Store) => Access::Store,
        Some(Scope::Agent(agent)) => Access::Agent(agent),
        None => return Err(Refusal::WrongToken),
    };
    Ok((access, Right::Token(said.clone())))
}

/// The secret of a header `Authorization`.
fn secret(said: &HeaderValue) -> Option<&str> {
    let (scheme, secret) = said.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// Leads into the store's context.
pub(crate) async fn into_store(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let access = access(&request);
    if let Err(problem) = access.to_store("this path") {
        return problem.into_response();
    }
    request.extensions_mut().insert(Entered { context: app.hub().store(), access });
    next.run(request).await
}

/// Leads into an agent's context.
pub(crate) async fn into_agent(State(app): State<App>, request: Request, next: Next) -> Response {
    let access = access(&request);
    let (mut parts, body) = request.into_parts();
    let agent = match agent_of(&mut parts, &app).await {
        Ok(agent) => agent,
        Err(problem) => return problem.into_response(),
    };
    if let Access::Agent(own) = &access
        && *own != agent
    {
        let detail = format!("the token opens agent `{own}` only");
        return Problem::new(Code::Forbidden, detail).into_response();
    }
    parts.extensions.insert(Entered { context: app.hub().agent(agent), access });
    next.run(Request::from_parts(parts, body)).await
}

async fn agent_of(parts: &mut axum::http::request::Parts, app: &App) -> Result<AgentId, Problem> {
    let params = RawPathParams::from_request_parts(parts, app)
        .await
        .map_err(|rejection| Problem::new(Code::BadRequest, rejection.body_text()))?;
    let agent = params.iter().find(|(name, _)| *name == "agent_id").map(|(_, value)| value);
    AgentId::try_new(agent.unwrap_or_default())
        .map_err(|error| Problem::from(error).with("field", "agent_id"))
}

/// As whom the request came; nobody gets here without the door.
fn access(request: &Request) -> Access {
    request.extensions().get::<Access>().cloned().expect("every route lies behind the door")
}
