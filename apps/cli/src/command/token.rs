//! `token`: who may use the hub over the network.

use dormouse_http::wire::{CreateToken, MadeToken, Revoked, TokenItem};

use super::Run;
use crate::args::TokenVerb;
use crate::client::segment;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) async fn run(run: &Run, verb: TokenVerb) -> Result<Exit, Failure> {
    run.with_hub(async |hub| match &verb {
        TokenVerb::Create { name, agent } => {
            let body = CreateToken { name: name.clone(), agent: agent.as_ref().map(ToString::to_string) };
            run.show(hub.post("/tokens", &body).await?, |output, made: MadeToken| {
                output.talk("This is the only time that it is shown; send it as `Authorization: Bearer …`.");
                output.text(&made.token)
            })
        }
        TokenVerb::List => run.show(hub.get("/tokens").await?, |output, tokens: Vec<TokenItem>| {
            if tokens.is_empty() {
                output.talk("no tokens: on loopback, whoever reaches the port may do everything");
            }
            let rows = tokens.into_iter().map(|token| {
                let opens = token.agent.map_or(token.scope, |agent| format!("agent {agent}"));
                vec![token.name, opens, token.created_at]
            });
            output.table(&["token", "opens", "made"], rows.collect())
        }),
        TokenVerb::Revoke { name } => {
            let path = format!("/tokens/{}", segment(name));
            run.show(hub.delete(&path).await?, |output, gone: Revoked| {
                output.talk(&format!("revoked {}", gone.revoked));
                Ok(())
            })
        }
    })
    .await
}
