//! Fixtures for tests: spaces, MCP servers that misbehave on request, scripted models, and a
//! look at the processes that are left.
//!
//! A dev-dependency only, of the crates above `context` and of `tests/`.
//!
//! # Invariants
//!
//! * What a fixture starts ends with it: a [`Space`] removes its folder, a double its server.
//! * The doubles speak the true wire format, also where it hurts: streams are cut in the middle
//!   of characters, errors come as the real servers write them.
//! * Nothing here knows a crate of the hub; a fixture cannot share its faults.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

mod double;
mod fixture;
mod ollama;
mod openai;
mod process;
mod redis;
pub mod scripts;
mod space;

pub use double::{Recorded, Reply};
pub use fixture::{Fixture, python};
pub use ollama::OllamaDouble;
pub use openai::OpenAiDouble;
pub use process::{Process, descendants_of, none_left, processes_with_mark};
pub use redis::{RedisCluster, RedisServer};
pub use space::Space;
