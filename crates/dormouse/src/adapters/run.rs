//! Carries calls out.

use std::sync::Arc;
use std::time::Duration;

use dormouse_context::Context;
use dormouse_types::SilentCaller;
use futures::future::join_all;
use serde_json::Value;

use super::answers::{answer, failed};
use super::calls::{Calls, ToolCall};

impl Calls {
    /// Makes all calls at once, in a context, and gives the answers in their order and form: a
    /// list for a list, one for one. What goes wrong with a call is its answer. Dropping the
    /// future cancels them.
    pub async fn run(self, context: &Context, deadline: Option<Duration>) -> Value {
        let one = |call: &ToolCall| {
            let (format, call) = (self.format, call.clone());
            async move {
                let request = match call.request(format, deadline) {
                    Ok(request) => request,
                    Err(why) => return answer(format, &call, Err(&why)),
                };
                let caller = SilentCaller(context.scope().clone());
                match context.call(request, Arc::new(caller)).await {
                    Ok(done) => answer(format, &call, Ok(&done)),
                    Err(error) => failed(format, &call, &error),
                }
            }
        };
        let mut answers = join_all(self.calls.iter().map(one)).await;
        match (self.is_list, answers.pop()) {
            (false, Some(only)) => only,
            (_, last) => {
                answers.extend(last);
                Value::Array(answers)
            }
        }
    }
}
