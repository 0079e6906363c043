//! A model of one's own: it gets the tools and a schema, and gives a plan and an answer.

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use dormouse::{
    Choice, Model, ModelEndpoint, ModelError, ModelPrompt, NoListener, QueryRequest, SessionId, TextTokens,
};
use serde_json::{Value, json};
use support::{Done, builder, space};

/// Calls the first tool with the words after the last colon.
#[derive(Debug)]
struct Simple;

#[async_trait]
impl Model for Simple {
    fn name(&self) -> String {
        "simple".to_owned()
    }

    fn endpoint(&self) -> Option<ModelEndpoint> {
        None
    }

    async fn choose(&self, prompt: &ModelPrompt, choice: &Choice) -> Result<Value, ModelError> {
        let (_, asked) = prompt.messages.last().expect("the question is the last message");
        let text = asked.rsplit(": ").next().unwrap_or_default();
        let arguments = json!({ "text": text });
        let call = json!({ "tool": choice.offers[0].name, "arguments": arguments });
        Ok(json!({ "calls": [call], "more": false }))
    }

    async fn write(&self, _prompt: &ModelPrompt, tokens: &TextTokens<'_>) -> Result<String, ModelError> {
        tokens("done");
        Ok("done".to_owned())
    }
}

#[tokio::main]
async fn main() -> Done {
    let folder = space()?;
    let hub = builder(&folder).model(Arc::new(Simple)).open().await?;
    let question = QueryRequest {
        query: "say a text again, as the echo does: good morning".to_owned(),
        session: SessionId::try_new("example")?,
    };
    let answer = hub.store().query(question, Arc::new(NoListener)).await?;
    assert_eq!(answer.steps[0].text, "good morning", "{answer:?}");
    assert_eq!(answer.model.as_deref(), Some("simple"));
    hub.shutdown().await;
    Ok(())
}
