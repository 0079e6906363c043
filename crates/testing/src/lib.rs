//! Fixtures for tests: spaces, MCP servers that misbehave on request, servers at URLs and where to
//! sign in for them, scripted models, and a look at the processes that are left.
//!
//! A dev-dependency only, of the crates above `context`, of storage and protocol for their real
//! servers, and of `tests/`.
//!
//! # Invariants
//!
//! * What a fixture starts ends with it: a [`Space`] removes its folder, a double its server.
//! * The doubles speak the true wire format, also where it hurts: streams are cut in the middle
//!   of characters, errors come as the real servers write them.
//! * Nothing here knows a crate of the hub; a fixture cannot share its faults.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

pub mod browser;
mod certificates;
mod double;
mod examples;
mod fixture;
mod http_server;
pub mod office;
mod ollama;
mod openai;
mod process;
mod proxy;
mod redis;
pub mod scripted;
pub mod scripts;
mod space;
mod unpacked;

pub use certificates::Certificates;
pub use double::{Recorded, Reply};
pub use examples::run_examples;
pub use fixture::{Fixture, python};
pub use http_server::{HttpServer, environment};
pub use ollama::OllamaDouble;
pub use openai::OpenAiDouble;
pub use process::{Process, descendants_of, none_left, processes_with_mark};
pub use proxy::Proxy;
pub use redis::{RedisCluster, RedisServer};
pub use space::Space;
pub use unpacked::Unpacked;
