//! `servers login` and `servers logout`.

use std::time::{Duration, Instant};

use dormouse_http::wire::SignInItem;
use serde_json::{Value, json};

use super::Run;
use super::servers::milliseconds;
use crate::args::Login;
use crate::client::HubClient;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// Asked again so often, so that the command can be told to end and a hub be let go.
const GLANCE: Duration = Duration::from_secs(20);

/// Begins a sign-in and waits for the person.
pub(super) async fn login(
    run: &Run,
    hub: &mut HubClient,
    path: &str,
    login: &Login,
) -> Result<Exit, Failure> {
    let until = Instant::now() + Duration::from_secs_f64(login.timeout);
    let mut said: Value = hub.post(path, &json!({})).await?;
    let begun = read(&said)?;
    if let Some(address) = &begun.authorize_url {
        run.output.talk("open this in a browser on the machine where the hub runs:");
        run.output.text(address)?;
        run.output.talk("waiting for you to sign in …");
    }
    let mut now = begun;
    while now.authorize_url.is_some() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::new(Exit::Late, "nobody has signed in yet")
                .hint("the sign-in stays open for ten minutes; this command may be run again"));
        }
        let wait = milliseconds(left.min(GLANCE).as_secs_f64());
        said = hub.get(&format!("{path}?timeout_ms={wait}")).await?;
        now = read(&said)?;
    }
    if let Some(why) = now.failed {
        return Err(Failure::new(Exit::ServerDown, format!("the sign-in at {} failed", now.server_name))
            .because(Some(why)));
    }
    run.show(said, told)
}

/// Forgets a sign-in.
pub(super) async fn logout(run: &Run, hub: &mut HubClient, path: &str) -> Result<Exit, Failure> {
    run.show(hub.delete(path).await?, told)
}

fn read(said: &Value) -> Result<SignInItem, Failure> {
    serde_json::from_value(said.clone())
        .map_err(|error| Failure::new(Exit::Unexpected, "the hub's answer cannot be read").caused_by(&error))
}

fn told(output: &Output, sign_in: SignInItem) -> Result<(), Failure> {
    let name = &sign_in.server_name;
    output.talk(&match sign_in.state.as_str() {
        "signed_in" => match (&sign_in.ends, sign_in.renewable) {
            (Some(ends), false) => format!("signed in at {name}, until {ends}"),
            _ => format!("signed in at {name}"),
        },
        "person_needed" => format!("not signed in at {name}"),
        "automatic" => format!("{name} signs in by itself"),
        _ => format!("{name} takes no sign-in"),
    });
    Ok(())
}
