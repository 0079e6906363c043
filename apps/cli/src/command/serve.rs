//! `serve`: being the hub of the space until told to end.

use std::time::Duration;

use dormouse::Config;
use dormouse_http::{ListenError, Listening};
use serde_json::json;
use tracing::info;

use super::Run;
use crate::args::Serve;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::host::Host;
use crate::join::{become_background_hub, become_hub};

pub(super) async fn run(run: &Run, serve: Serve) -> Result<Exit, Failure> {
    let space = run.place.space()?;
    let mut config = run.place.config(&space)?;
    if let Some(host) = serve.host {
        config.http.host = host;
    }
    if let Some(port) = serve.port {
        config.http.port = port;
    }
    if serve.background {
        return background(run, config).await;
    }
    let (address, port) = (config.http.host.clone(), config.http.port);
    let host = run.unless_stopped(become_hub(&run.place, config, run.output)).await?;
    let done = match Listening::on(host.hub(), &address, port).await {
        Ok(listening) => serving(run, &host, listening).await,
        Err(error) => Err(not_listening(&error)),
    };
    if done.is_ok() {
        run.output.talk("ending; once more ends at once");
    }
    host.end(run.stop.cancelled()).await;
    done
}

/// Is the hub for as long as somebody uses it, and none of the terminal that it was started at.
async fn background(run: &Run, config: Config) -> Result<Exit, Failure> {
    /// How long whoever started it may take to come.
    const ARRIVAL: Duration = Duration::from_secs(10);
    /// How long calls may take that run when another process wants to be the hub.
    const GRACE: Duration = Duration::from_secs(30);
    // It fails only for who has a session of its own already.
    let _ = rustix::process::setsid();
    let linger = config.hub.linger();
    let Some(host) = run.unless_stopped(become_background_hub(&run.place, config)).await? else {
        return Ok(Exit::Ok);
    };
    let (guests, retire) = (host.http().guests.clone(), host.http().retire.clone().unwrap_or_default());
    let why = tokio::select! {
        () = guests.idle(linger, ARRIVAL) => "nobody uses it",
        () = retire.cancelled() => "another process takes over",
        () = run.stop.cancelled() => "it was told to",
    };
    info!(why, "the hub in the background ends");
    let haste = async {
        tokio::select! {
            () = run.stop.cancelled() => {}
            () = tokio::time::sleep(GRACE) => {}
        }
    };
    host.end(haste).await;
    Ok(Exit::Ok)
}

/// Answers until the command is told to end. Requests that run then are answered while the hub
/// ends.
async fn serving(run: &Run, host: &Host, listening: Listening) -> Result<Exit, Failure> {
    if let Some(address) = listening.address() {
        let url = format!("http://{address}");
        match run.output.json {
            true => run.output.value(&json!({"url": url}))?,
            false => run.output.text(&format!("listening on {url}"))?,
        }
        let space = host.hub().space().root().display().to_string();
        run.output.talk(&format!("serving {space}; {url}/docs shows what there is, Ctrl-C ends it"));
    }
    let mut port = tokio::spawn(listening.serve(host.hub().clone(), host.http().clone()));
    tokio::select! {
        ended = &mut port => match ended {
            Ok(Ok(())) => Ok(Exit::Ok),
            Ok(Err(error)) => Err(Failure::of(Exit::Unexpected, &error)),
            Err(error) => Err(Failure::of(Exit::Unexpected, &error)),
        },
        // Being told to end is how this ends well. The task goes on until open requests are
        // answered; it ends with the hub.
        () = run.stop.cancelled() => Ok(Exit::Ok),
    }
}

fn not_listening(error: &ListenError) -> Failure {
    let failure = Failure::of(Exit::Refused, error);
    match error {
        ListenError::NeedsToken { .. } => {
            failure.hint("make a token with `dormouse token create NAME`, or listen on 127.0.0.1")
        }
        ListenError::InUse { .. } => failure.hint("name another port with --port; 0 takes a free one"),
        ListenError::Host { .. } | ListenError::Tcp { .. } | ListenError::Socket { .. } => failure,
    }
}
