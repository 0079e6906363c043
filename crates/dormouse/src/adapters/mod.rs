//! Tools and calls in the forms of other libraries.
//!
//! [`tools`] gives a context's tools as a library wants them; [`read_calls`] takes the call
//! objects that the library's model made, and [`Calls::run`] answers them in the same form.
//!
//! ```no_run
//! # async fn example(hub: dormouse::Hub, reply: serde_json::Value) -> Result<(), Box<dyn std::error::Error>> {
//! use dormouse::adapters::{Format, read_calls, tools};
//!
//! let context = hub.store();
//! let offered = tools(Format::OpenAi, context.scope(), &context.tools());
//! // … a model answers `reply["message"]["tool_calls"]` …
//! let calls = read_calls(&reply["message"]["tool_calls"], Some(Format::OpenAi))?;
//! let messages = calls.run(&context, None).await;
//! # let _ = (offered, messages);
//! # Ok(())
//! # }
//! ```
//!
//! # Invariants
//!
//! * Making and reading forms is pure; only [`Calls::run`] acts.
//! * A schema is never made stricter than the tool's own: what a library's form cannot say is
//!   left out, and the hub still checks the arguments against the tool.
//! * What is wrong with one call is the answer of that call; the others run.

mod answers;
mod calls;
mod format;
mod gemini;
mod run;
mod schema;
mod tools;

pub use answers::answer;
pub use calls::{Calls, MOST_CALLS, ToolCall, UnreadableCalls, read_calls};
pub use format::{Format, UnknownFormat};
pub use tools::tools;

#[cfg(test)]
mod tests;
