//! `servers`: what they are, how they fare, and when they sleep.

use std::path::Path;
use std::time::Duration;

use dormouse_http::wire::{
    AddServer as AddBody, Disconnected, DoctorReport, OutputReport, RegisterServer, Registered, ServerItem,
};
use serde_json::{Map, Value, json};

use super::{Run, brief, or_stdin, path, text};
use crate::args::{AddServer, Servers, ServersVerb, View};
use crate::client::{HubClient, segment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

pub(super) async fn run(run: &Run, Servers { view, verb }: Servers) -> Result<Exit, Failure> {
    let of = |name: &str, rest: &str| path(&view, &format!("/servers/{}{rest}", segment(name)));
    run.with_hub(async |hub| match &verb {
        ServersVerb::List => {
            run.settled(hub).await?;
            let servers = hub.get(&path(&view, "/servers")).await?;
            if view.agent.is_none() && !run.output.json {
                tell_of_entries_left_aside(run, hub).await;
            }
            run.show(servers, listed)
        }
        ServersVerb::Show { name } => show(run, hub, &of(name, "")).await,
        ServersVerb::Add(server) => add(run, hub, &view, server).await,
        ServersVerb::Remove { name, file } => {
            let query = if *file { "?file=true" } else { "" };
            let gone: Value = hub.delete(&of(name, query)).await?;
            let stays = hub.get::<Value>(&of(name, "")).await.is_ok();
            run.show(gone, |output, gone: Disconnected| {
                output.talk(&match stays {
                    true => format!("{} sleeps; its script stays, --file deletes it", gone.disconnected),
                    false => format!("removed {}", gone.disconnected),
                });
                Ok(())
            })
        }
        ServersVerb::Update { name, entry, replace } => {
            let body = object(entry)?;
            let path = of(name, "");
            let said: Value = match replace {
                true => hub.put(&path, &body).await?,
                false => hub.patch(&path, &body).await?,
            };
            // Whether the new entry is a server shows at its first contact.
            run.settled(hub).await?;
            run.show(hub.get(&path).await.unwrap_or(said), one_line)
        }
        ServersVerb::Entry { name } => run.show(hub.get(&of(name, "/entry")).await?, written),
        ServersVerb::Share { name, with } => {
            let path = of(name, &format!("/agents/{}", segment(with.as_str())));
            run.show(hub.put(&path, &json!({})).await?, sharing)
        }
        ServersVerb::Unshare { name, with } => {
            let path = of(name, &format!("/agents/{}", segment(with.as_str())));
            run.show(hub.delete(&path).await?, sharing)
        }
        ServersVerb::Restart { name } => {
            run.show(hub.post(&of(name, "/restart"), &json!({})).await?, one_line)
        }
        ServersVerb::Login(login) => super::sign_in::login(run, hub, &of(&login.name, "/login"), login).await,
        ServersVerb::Logout { name } => super::sign_in::logout(run, hub, &of(name, "/login")).await,
        ServersVerb::Attach { name } => run.show(hub.post(&of(name, "/attach"), &json!({})).await?, one_line),
        ServersVerb::Detach { name } => run.show(hub.post(&of(name, "/detach"), &json!({})).await?, one_line),
        ServersVerb::Supervised(verb) => super::supervision::servers(run, hub, &view, verb).await,
    })
    .await
}

/// A slip in mcp.json hides servers that somebody looks for here; `doctor` tells of scripts too.
async fn tell_of_entries_left_aside(run: &Run, hub: &mut HubClient) {
    /// A model that is looked for shall not keep a list waiting.
    const PATIENCE: Duration = Duration::from_secs(1);
    let asked = tokio::time::timeout(PATIENCE, hub.get("/doctor")).await;
    let Ok(Ok(DoctorReport { findings, .. })) = asked else { return };
    for finding in findings.iter().filter(|finding| finding.path.ends_with(".json")) {
        run.output.talk(&format!("note: {} left aside: {}", finding.path, finding.problem));
    }
}

pub(super) fn milliseconds(seconds: f64) -> u64 {
    // A cast of a float saturates, and the command line allows no negative one.
    (seconds * 1_000.0).ceil() as u64
}

fn listed(output: &Output, servers: Vec<ServerItem<'static>>) -> Result<(), Failure> {
    if servers.is_empty() {
        output.talk("no servers yet: drop a script into the space's servers/, or add a command");
    }
    let rows = servers.into_iter().map(|server| {
        let source = match server.confidence.as_str() {
            "partial" => format!("{}, partial", server.source_word()),
            _ => server.source_word().to_owned(),
        };
        vec![
            server.name.to_string(),
            server.status.to_string(),
            server.tool_count.to_string(),
            source,
            server.reason.unwrap_or_default(),
        ]
    });
    output.table(&["server", "state", "tools", "source", "reason"], rows.collect())
}

pub(super) fn one_line(output: &Output, server: ServerItem<'static>) -> Result<(), Failure> {
    let reason = server.reason.unwrap_or_default();
    output.table(
        &["server", "state", "reason"],
        vec![vec![server.name.to_string(), server.status.to_string(), reason]],
    )
}

/// The server's entry, as it could stand in `mcp.json`.
fn written(output: &Output, said: Value) -> Result<(), Failure> {
    match &said["entry"] {
        Value::Null => output.talk(&format!("{} is a script, without an entry", text(&said, "name"))),
        entry => {
            let pretty = serde_json::to_string_pretty(entry);
            output.text(&pretty.map_err(|error| Failure::of(Exit::Unexpected, &error))?)?;
        }
    }
    Ok(())
}

fn sharing(output: &Output, said: Value) -> Result<(), Failure> {
    let (server, agent) = (text(&said, "server_name"), text(&said, "agent"));
    output.talk(&match said["shared"].as_bool() {
        Some(true) => format!("{agent} may use {server}"),
        _ => format!("{agent} may not use {server} any more"),
    });
    Ok(())
}

async fn show(run: &Run, hub: &mut HubClient, path: &str) -> Result<Exit, Failure> {
    let said: Value = hub.get(path).await?;
    if run.output.json {
        return run.show(said, |_, _: Value| Ok(()));
    }
    let printed = match hub.get::<OutputReport>(&format!("{path}/output")).await {
        // What it printed is its owner's, and this agent only uses it.
        Err(failure) if failure.exit() == Exit::Refused => OutputReport::default(),
        printed => printed?,
    };
    run.show(said, |output, server: ServerItem<'static>| {
        output.facts(facts(&server, &printed))?;
        let tools = server.tools.iter();
        let rows = tools.map(|tool| vec![tool.full_name.to_string(), brief(&tool.description)]);
        output.table(&["tool", "what it does"], rows.collect())
    })
}

/// Everything about a server; what is empty is left out.
fn facts(server: &ServerItem<'_>, printed: &OutputReport) -> Vec<(&'static str, String)> {
    let count = |count: usize| if count == 0 { String::new() } else { count.to_string() };
    let lines = |lines: Vec<String>| lines.join("\n");
    let mut known = server.source_word().to_owned();
    if server.confidence != "full" {
        known.push_str(", partial");
    }
    vec![
        ("name", server.name.to_string()),
        ("title", server.title.as_deref().unwrap_or_default().to_owned()),
        ("owner", server.owner.clone().unwrap_or_default()),
        ("state", format!("{} since {}", server.status, server.since)),
        ("reason", server.reason.clone().unwrap_or_default()),
        ("failures", count(server.failures as usize)),
        ("next retry", server.next_retry.clone().unwrap_or_default()),
        ("process", server.pid.map(|pid| pid.to_string()).unwrap_or_default()),
        ("generation", count(server.generation as usize)),
        ("script", server.script_path.clone()),
        ("command", server.command.clone().unwrap_or_default()),
        ("origin", format!("{} at {}", server.origin, server.registered_at)),
        ("wanted", server.wanted.clone()),
        ("packages", server.packages.join(", ")),
        ("environment", server.env.join(", ")),
        ("source", known),
        ("doubts", lines(server.doubts.iter().map(|d| format!("line {}: {}", d.line, d.reason)).collect())),
        ("drift", lines(server.drift.iter().map(drift).collect())),
        ("resources", count(server.resource_count)),
        ("prompts", count(server.prompt_count)),
        ("noise", lines(printed.noise.clone())),
        ("stderr", lines(printed.stderr.clone())),
    ]
}

fn drift(drift: &dormouse_http::wire::DriftItem) -> String {
    match &drift.at {
        Some(at) => {
            format!("{} {} at {at}: {} → {}", drift.feature, drift.kind, drift.promised, drift.served)
        }
        None => format!("{} {}", drift.feature, drift.kind),
    }
}

/// Words for what the wire says in a type of its own.
trait SourceWord {
    fn source_word(&self) -> &'static str;
}

impl SourceWord for ServerItem<'_> {
    fn source_word(&self) -> &'static str {
        match self.source {
            dormouse_types::FeatureSource::Static => "static",
            dormouse_types::FeatureSource::Live => "live",
            dormouse_types::FeatureSource::Unknown => "unknown",
        }
    }
}

async fn add(run: &Run, hub: &mut HubClient, view: &View, server: &AddServer) -> Result<Exit, Failure> {
    if let Some(text) = super::many::handed_in(&server.many)? {
        return super::many::add(run, hub, view, text).await;
    }
    let Some(name) = &server.name else {
        return Err(Failure::new(Exit::Usage, "a server is added under a name"));
    };
    if let Some(script) = &server.script {
        let body = RegisterServer { name: name.clone(), script_path: script_path(script) };
        return run.show(
            hub.post(&path(view, "/servers/register"), &body).await?,
            |output, made: Registered| {
                let rows = made.tools_discovered.into_iter().map(|tool| vec![made.name.clone(), tool]);
                output.table(&["server", "tool"], rows.collect())
            },
        );
    }
    let body = AddBody { name: name.clone(), entry: entry(server)? };
    let said: Value = hub.post(&path(view, "/servers"), &body).await?;
    // Whether the command is a server shows at its first contact.
    run.settled(hub).await?;
    let now = hub.get(&path(view, &format!("/servers/{}", segment(name)))).await;
    run.show(now.unwrap_or(said), one_line)
}

/// A script by the folder of this command; one that is not there by the space's, as over HTTP.
fn script_path(script: &Path) -> String {
    match script.exists() {
        true => absolute(script),
        false => script.display().to_string(),
    }
}

/// The hub may work in another folder than this command.
fn absolute(script: &Path) -> String {
    let absolute = std::path::absolute(script).unwrap_or_else(|_| script.to_owned());
    absolute.display().to_string()
}

/// An entry of `mcp.json` that is written out, here or on standard input.
fn object(entry: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(&or_stdin(entry.to_owned())?)
        .map_err(|error| Failure::new(Exit::Usage, "the entry is no JSON object").caused_by(&error))
}

/// The entry of `mcp.json` that the command line describes.
fn entry(server: &AddServer) -> Result<Map<String, Value>, Failure> {
    if let Some(entry) = &server.entry {
        return object(entry);
    }
    if let Some(url) = &server.url {
        return at(url, server);
    }
    let Some((command, args)) = server.program.split_first() else {
        return Err(Failure::new(Exit::Usage, "it is not said what the server is")
            .hint("name a script of a drop folder, a URL with --url, an entry with --entry, or a command after `--`"));
    };
    let mut entry = Map::new();
    entry.insert("command".to_owned(), json!(command));
    entry.insert("args".to_owned(), json!(args));
    let mut env = Map::new();
    for said in &server.env {
        let Some((name, value)) = said.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            // The text may be a secret without its name.
            return Err(Failure::new(Exit::Usage, "--env takes VAR=VALUE"));
        };
        env.insert(name.to_owned(), json!(value));
    }
    if !env.is_empty() {
        entry.insert("env".to_owned(), Value::Object(env));
    }
    if let Some(cwd) = &server.cwd {
        entry.insert("cwd".to_owned(), json!(absolute(Path::new(cwd))));
    }
    Ok(entry)
}

/// The entry of a server at a URL.
fn at(url: &str, server: &AddServer) -> Result<Map<String, Value>, Failure> {
    let mut entry = Map::new();
    entry.insert("url".to_owned(), json!(url));
    let mut headers = Map::new();
    for said in &server.headers {
        let Some((name, value)) = said.split_once(':').filter(|(name, _)| !name.trim().is_empty()) else {
            // The text may be a secret without its name.
            return Err(Failure::new(Exit::Usage, "--header takes 'NAME: VALUE'"));
        };
        headers.insert(name.trim().to_owned(), json!(value.trim()));
    }
    if !headers.is_empty() {
        entry.insert("headers".to_owned(), Value::Object(headers));
    }
    if server.oauth {
        entry.insert("auth".to_owned(), json!("oauth"));
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn check(line: &[&str]) -> Result<Value, Failure> {
        let cli = Cli::try_parse_from([&["dormouse", "servers", "add", "x"], line].concat()).unwrap();
        let Command::Servers(Servers { verb: ServersVerb::Add(server), .. }) = cli.command else { panic!() };
        entry(&server).map(Value::Object)
    }

    #[test]
    fn a_command_becomes_an_entry_of_mcp_json() {
        let made = check(&["--env", "TOKEN=a=${B}", "--cwd", "/srv", "--", "npx", "-y", "some-server"]);
        let expected = json!({
            "command": "npx", "args": ["-y", "some-server"], "env": {"TOKEN": "a=${B}"}, "cwd": "/srv",
        });
        assert_eq!(made, Ok(expected));
        assert_eq!(check(&["--entry", r#"{"command": "x"}"#]), Ok(json!({"command": "x"})));
        let made = check(&["--url", "https://a.example/mcp", "--header", "X-Key: ${KEY}", "--oauth"]);
        let expected =
            json!({"url": "https://a.example/mcp", "headers": {"X-Key": "${KEY}"}, "auth": "oauth"});
        assert_eq!(made, Ok(expected));
    }

    #[test]
    fn a_variable_without_a_name_is_refused_and_not_shown() {
        let failure = check(&["--url", "http://a", "--header", "s3cret"]).unwrap_err();
        assert!(!failure.to_string().contains("s3cret"));
        let failure = check(&["--env", "s3cret", "--", "npx"]).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(!failure.to_string().contains("s3cret"));
        assert_eq!(check(&[]).unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn a_timeout_is_never_shorter_than_said() {
        assert_eq!(milliseconds(0.0004), 1);
        assert_eq!(milliseconds(2.5), 2_500);
    }
}
