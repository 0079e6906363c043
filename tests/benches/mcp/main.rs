//! What the hub costs as an MCP server. `cargo xtask bench mcp`
//!
//! `direct`: an rmcp server alone. `warm`: calls of one echo server, direct, through the hub to
//! the same server over HTTP, and through the hub to the same program on stdio, interleaved.
//! `cost`: what a call costs by stages, in time, CPU and allocations. `sessions`: 10,000 open
//! sessions. `memory`: a million calls (`memory N`: N calls). `steady`: calls of one way alone, for
//! a profiler to look at (`steady http 64`, `steady stdio 1 stateless`; 100,000 unless a third word
//! says how many).
//!
//! The load client, the hub and the server are processes of their own on the same cores, so a
//! call's time holds the work of all three.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod client;
mod cost;
mod counting;
mod hub;
mod memory;
mod sessions;
mod warm;

use client::Life;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(space) = arguments.iter().find_map(|argument| argument.strip_prefix("--hub-of=")) {
        // As `dormouse serve` runs.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
        runtime.block_on(hub::serve(space.into()));
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure(arguments.into_iter().filter(|argument| !argument.starts_with('-')).collect()));
}

async fn measure(wanted: Vec<String>) {
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    if wanted.iter().any(|w| w == "direct") {
        warm::direct().await;
    }
    if wanted.iter().any(|w| w == "steady") {
        return warm::steady(&wanted).await;
    }
    if wants("warm") {
        warm::compared(Life::Session).await;
        warm::compared(Life::Stateless).await;
    }
    if wants("cost") {
        cost::by_stages().await;
    }
    if wants("sessions") {
        sessions::open(10_000).await;
    }
    if wants("memory") {
        let calls = wanted.iter().find_map(|word| word.parse().ok()).unwrap_or(1_000_000);
        memory::over(calls).await;
    }
}
