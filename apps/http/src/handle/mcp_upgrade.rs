//! MCP on a stream of lines, for `dormouse mcp`: the space's socket becomes one client's input and
//! output.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dormouse_gateway::stdio::{Receipts, Talk};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tracing::debug;

use crate::app::App;
use crate::extract::Entered;
use crate::problem::{Code, Problem};
use crate::settings::Door;

/// The session that goes on, and in the answer the one that it is.
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// Turns the connection into a stream of MCP messages, a line each. Only for who can open the
/// space's socket, so it is no part of the API's description.
pub(crate) async fn lines(
    State(app): State<App>,
    Entered { context, .. }: Entered,
    mut request: Request,
) -> Result<Response, Problem> {
    if app.door() != Door::Local {
        return Err(Problem::new(Code::NotFound, "see /docs for what there is"));
    }
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (Some(upgrade), Some((protocol, receipts))) = (upgrade, wanted(request.headers())) else {
        return Err(Problem::new(Code::BadRequest, "`dormouse mcp` asks here for a stream (`Upgrade: mcp`)"));
    };
    let mode = super::mcp::mode(&app, &context, request.uri())
        .map_err(|error| Problem::new(Code::InvalidRequest, error).with("field", "mode"))?;
    let endpoint = app
        .gateway()
        .endpoint(context, mode)
        .map_err(|error| Problem::new(Code::UnknownServer, error).with("field", "server"))?;
    let session = request.headers().get(SESSION).and_then(|name| name.to_str().ok());
    let talk =
        Talk::begin(endpoint, session).await.map_err(|error| Problem::new(Code::StorageFailed, error))?;
    let name = HeaderValue::from_str(talk.session()).map_err(|error| Problem::new(Code::Internal, error))?;

    let guests = app.settings().guests.clone();
    let (guest, ending) = (guests.enter(), app.settings().ending.clone());
    // Ends with the stream, which ends with the hub: whoever ends it waits for its guests.
    tokio::spawn(async move {
        let _guest = guest;
        let stream = match upgrade.await {
            Ok(stream) => TokioIo::new(stream),
            Err(error) => return debug!(%error, "a client left before its stream began"),
        };
        let leaving = async {
            tokio::select! {
                () = guests.dismissed() => {}
                () = ending.cancelled() => {}
            }
        };
        talk.serve(stream, receipts, leaving).await;
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static(protocol)),
        (SESSION, name),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// The kind of stream that the client wants, if it wants one of ours.
fn wanted(headers: &HeaderMap) -> Option<(&'static str, Receipts)> {
    match headers.get(header::UPGRADE)?.to_str().ok()? {
        "mcp" => Some(("mcp", Receipts::None)),
        "mcp-bridge" => Some(("mcp-bridge", Receipts::Wanted)),
        _ => None,
    }
}
