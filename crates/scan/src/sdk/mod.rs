//! The SDKs: what builds a server, and what each makes of a decorated function.
//!
//! [`walk`] follows the script in the order in which Python would run it and meets the servers
//! and registrations; one module for each SDK knows what it serves for them.

mod docstring;
mod family;
mod fastmcp;
mod lowlevel;
mod mcp;
mod options;
mod prompt_schema;
mod register;
mod registering;
mod servers;
mod walk;

pub use family::Sdk;
pub(crate) use servers::Reading;
pub(crate) use walk::read;
