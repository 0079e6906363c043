//! `prompts`: messages that servers offer.

use dormouse_types::Arguments;
use serde_json::{Value, json};

use super::servers::milliseconds;
use super::{Run, brief, path, text};
use crate::args::{Prompts, PromptsVerb, Whence};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

pub(super) async fn run(run: &Run, Prompts { view, verb }: Prompts) -> Result<Exit, Failure> {
    run.with_hub(async |hub| {
        run.settled(hub).await?;
        match &verb {
            PromptsVerb::List => run.show(hub.get(&path(&view, "/prompts")).await?, listed),
            PromptsVerb::Get { name, arguments, from: Whence { server, timeout } } => {
                let body = json!({
                    "name": name, "server_name": server, "arguments": texts(arguments)?,
                    "timeout_ms": timeout.map(milliseconds),
                });
                run.show(hub.look_up(&path(&view, "/prompts/get"), &body).await?, said)
            }
        }
    })
    .await
}

/// Arguments of prompts are always texts.
fn texts(words: &[String]) -> Result<Arguments, Failure> {
    let mut arguments = Arguments::new();
    for word in words {
        let Some((name, text)) = word.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let why = format!("`{word}` is no argument");
            return Err(Failure::new(Exit::Usage, why).hint("write `name=value`"));
        };
        if arguments.insert(name.to_owned(), json!(text)).is_some() {
            return Err(Failure::new(Exit::Usage, format!("the argument `{name}` is given twice")));
        }
    }
    Ok(arguments)
}

fn listed(output: &Output, prompts: Vec<Value>) -> Result<(), Failure> {
    if prompts.is_empty() {
        output.talk("no server offers a prompt");
    }
    let row = |prompt: &Value| {
        let arguments = prompt["arguments"].as_array().map(Vec::as_slice).unwrap_or_default();
        let arguments = arguments.iter().map(|argument| match argument["required"] == true {
            true => text(argument, "name").to_owned(),
            false => format!("[{}]", text(argument, "name")),
        });
        vec![
            text(prompt, "name").to_owned(),
            text(prompt, "server_name").to_owned(),
            arguments.collect::<Vec<_>>().join(" "),
            brief(text(prompt, "description")),
        ]
    };
    output.table(&["prompt", "server", "arguments", "what it is for"], prompts.iter().map(row).collect())
}

/// The messages, one after the other; what is no text is printed as JSON.
fn said(output: &Output, answer: Value) -> Result<(), Failure> {
    let messages = answer["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |message: &Value| {
        let content = &message["content"];
        let words = content["text"].as_str().map_or_else(|| content.to_string(), str::to_owned);
        vec![text(message, "role").to_owned(), words]
    };
    output.table(&["role", "message"], messages.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_the_text_that_was_typed() {
        let words = ["zip=00713".to_owned(), "formula=a=b".to_owned()];
        assert_eq!(texts(&words).map(Value::Object), Ok(json!({"zip": "00713", "formula": "a=b"})));
        for wrong in [&["zip".to_owned()][..], &["=x".to_owned()], &["a=1".to_owned(), "a=2".to_owned()]] {
            assert_eq!(texts(wrong).unwrap_err().exit(), Exit::Usage, "{wrong:?}");
        }
    }
}
