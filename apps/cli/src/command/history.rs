//! `history`: conversations.

use dormouse_http::wire::{ChatMessage, Cleared};
use dormouse_types::Role;

use super::{Run, path};
use crate::args::{History, HistoryVerb};
use crate::client::segment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

pub(super) async fn run(run: &Run, History { view, verb }: History) -> Result<Exit, Failure> {
    run.with_hub(async |hub| match &verb {
        HistoryVerb::Show { session } => {
            let path = path(&view, &format!("/chat/history/{}", segment(session.as_str())));
            run.show(hub.get(&path).await?, told)
        }
        HistoryVerb::Clear { session } => {
            let path = path(&view, &format!("/chat/history/{}", segment(session.as_str())));
            run.show(hub.delete(&path).await?, |output, gone: Cleared| {
                output.talk(&format!("forgot the conversation {}", gone.cleared));
                Ok(())
            })
        }
    })
    .await
}

fn told(output: &Output, messages: Vec<ChatMessage>) -> Result<(), Failure> {
    if messages.is_empty() {
        output.talk("nothing was said yet");
    }
    let rows = messages.into_iter().map(|message| {
        let role = match message.role {
            Role::User => "you",
            Role::Assistant => "dormouse",
        };
        vec![message.timestamp, role.to_owned(), message.content]
    });
    output.table(&["when", "who", "what"], rows.collect())
}
