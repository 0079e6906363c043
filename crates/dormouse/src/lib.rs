//! A tool hub for AI agents, for Rust programs.

#![warn(missing_docs)]
