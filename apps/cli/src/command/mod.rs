//! What each command does: a file each.

mod agents;
mod ask;
mod config;
mod connect;
mod doctor;
mod events;
mod history;
mod many;
mod mcp;
mod prompts;
mod resources;
mod serve;
mod servers;
mod sign_in;
mod stats;
mod storage;
mod supervision;
mod token;
mod tool_settings;
mod tools;
mod transfer;
mod validate;

use std::io::{self, Read};
use std::time::{Duration, Instant};

use clap::CommandFactory;
use dormouse_http::wire::HealthReport;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::args::{Cli, Command, View};
use crate::client::{HubClient, segment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::join::Visit;
use crate::output::Output;
use crate::place::Place;

/// What every command gets.
#[derive(Debug)]
pub(crate) struct Run {
    /// Where it works.
    pub(crate) place: Place,
    /// Where it writes.
    pub(crate) output: Output,
    /// Cancelled when it is told to end.
    pub(crate) stop: CancellationToken,
}

/// Does what the command line asks for.
pub(crate) async fn run(run: &Run, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Ask(ask) => ask::run(run, ask).await,
        Command::Serve(serve) => serve::run(run, serve).await,
        Command::Mcp(mcp) => mcp::run(run, mcp).await,
        Command::Servers(servers) => servers::run(run, servers).await,
        Command::Tools(tools) => tools::run(run, tools).await,
        Command::Resources(resources) => resources::run(run, resources).await,
        Command::Prompts(prompts) => prompts::run(run, prompts).await,
        Command::Agents(agents) => agents::run(run, agents).await,
        Command::Token(token) => token::run(run, token.verb).await,
        Command::Config(config) => config::run(run, config.verb).await,
        Command::Connect(connect) => connect::run(run, *connect).await,
        Command::Storage(storage) => storage::run(run, storage.verb).await,
        Command::History(history) => history::run(run, history).await,
        Command::Stats(stats) => stats::run(run, stats).await,
        Command::Alerts(alerts) => supervision::alerts(run, alerts).await,
        Command::Events(events) => events::run(run, events).await,
        Command::Doctor(doctor) => doctor::run(run, doctor).await,
        Command::Completions { shell } => completions(run, shell),
    }
}

impl Run {
    /// Does something with the space's hub, which lasts at least as long.
    async fn with_hub(
        &self,
        work: impl AsyncFnOnce(&mut HubClient) -> Result<Exit, Failure>,
    ) -> Result<Exit, Failure> {
        let mut visit = self.unless_stopped(Visit::begin(&self.place, self.output)).await?;
        let done = self.unless_stopped(work(&mut visit.client)).await;
        visit.end(&self.stop).await;
        done
    }

    /// Gives servers that are being contacted for the first time a while: until then nobody knows
    /// their tools. A hub for one command could not tell later; one that stays can be asked again.
    async fn settled(&self, hub: &mut HubClient) -> Result<(), Failure> {
        /// Most servers start within this.
        const CONTACT: Duration = Duration::from_secs(10);
        const MOMENT: Duration = Duration::from_secs(1);
        const GLANCE: Duration = Duration::from_millis(25);
        let until = Instant::now() + if hub.is_inside() { CONTACT } else { MOMENT };
        loop {
            let connecting = hub.get::<HealthReport>("/health").await?.connecting;
            if connecting == 0 {
                return Ok(());
            }
            if Instant::now() >= until {
                self.output.talk(&format!(
                    "note: still connecting to {connecting} servers; their tools are not known yet"
                ));
                return Ok(());
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// The work's result, or a silent failure as soon as the command is told to end.
    async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            () = self.stop.cancelled() => Err(Failure::silent(Exit::Interrupted)),
        }
    }

    /// Prints what the hub said: as it is, or as `form` shows it to people.
    fn show<T: DeserializeOwned>(
        &self,
        said: Value,
        form: impl FnOnce(&Output, T) -> Result<(), Failure>,
    ) -> Result<Exit, Failure> {
        if self.output.json {
            self.output.value(&said)?;
        } else {
            let value = serde_json::from_value(said).map_err(|error| {
                Failure::new(Exit::Unexpected, "the hub's answer cannot be read").caused_by(&error)
            })?;
            form(&self.output, value)?;
        }
        Ok(Exit::Ok)
    }
}

/// The path of something in a view.
fn path(view: &View, rest: &str) -> String {
    match &view.agent {
        Some(agent) => format!("/agents/{}{rest}", segment(agent.as_str())),
        None => rest.to_owned(),
    }
}

/// A member of an object that is a text; empty where it is none.
fn text<'a>(object: &'a Value, member: &str) -> &'a str {
    object.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// The text that stands on the command line, or standard input for `-`.
fn or_stdin(text: String) -> Result<String, Failure> {
    /// Larger than any request that the hub takes.
    const LARGEST: u64 = 64 * 1024 * 1024;
    if text != "-" {
        return Ok(text);
    }
    let mut text = String::new();
    io::stdin().lock().take(LARGEST).read_to_string(&mut text).map_err(|error| {
        Failure::new(Exit::Usage, "standard input cannot be read as text").caused_by(&error)
    })?;
    Ok(text)
}

/// The first sentence of a description, for a list.
fn brief(description: &str) -> String {
    const LONGEST: usize = 100;
    let line = crate::output::one_line(description);
    let end = line.find(". ").map_or(line.len(), |at| at + 1);
    match line[..end].char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", line[..at].trim_end()),
        None => line[..end].to_owned(),
    }
}

fn completions(run: &Run, shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "dormouse", &mut script);
    run.output.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_shows_the_first_sentence() {
        assert_eq!(brief("Splits a bill.\n\nArgs:\n  total: the sum"), "Splits a bill.");
        assert_eq!(brief("Version 2.0 of it"), "Version 2.0 of it");
        assert_eq!(brief(&"ü".repeat(120)).chars().count(), 101);
    }
}
