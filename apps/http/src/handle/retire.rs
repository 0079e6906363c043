//! Handing the space over: a hub in the background makes way for one that is meant to stay.

use axum::extract::State;
use axum::http::StatusCode;

use crate::app::App;
use crate::problem::{Code, Problem};
use crate::settings::Door;

/// Asks a hub in the background to answer what runs, and to end. Only for who can open the
/// space's socket, so it is no part of the API's description.
pub(crate) async fn retire(State(app): State<App>) -> Result<StatusCode, Problem> {
    if app.door() != Door::Local {
        return Err(Problem::new(Code::NotFound, "see /docs for what there is"));
    }
    let Some(retire) = &app.settings().retire else {
        return Err(Problem::new(Code::NotSupported, "this hub was not started in the background"));
    };
    retire.cancel();
    Ok(StatusCode::ACCEPTED)
}
