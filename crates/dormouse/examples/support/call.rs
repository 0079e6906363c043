//! A call of the server's one tool.

use std::error::Error;
use std::sync::Arc;

use dormouse::{CallRequest, Context, NoBackChannel};
use serde_json::json;

/// Has a text said again.
pub(crate) async fn say(context: &Context, text: &str) -> Result<String, Box<dyn Error>> {
    let arguments = json!({ "text": text }).as_object().cloned().unwrap_or_default();
    let request = CallRequest { tool: "echo".to_owned(), server: None, arguments, deadline: None };
    let answer = context.call(request, Arc::new(NoBackChannel)).await?;
    Ok(answer.result.text())
}
