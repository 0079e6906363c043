//! `config validate`: what is wrong with the settings and the configured servers.
//!
//! # Invariants
//!
//! * Nothing is started for it. The hub that runs is asked, since it knows what holds; without one
//!   the file is read here.

use dormouse::mcp_json::McpFile;
use dormouse::{Scope, Space};
use dormouse_http::wire::ConfigFinding;

use super::{Run, path};
use crate::args::View;
use crate::client::HubClient;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) async fn run(run: &Run, view: &View) -> Result<Exit, Failure> {
    let space = run.place.space()?;
    let mut findings = Vec::new();
    let config = run.place.config(&space);
    if let Err(failure) = &config {
        findings.push(whole(space.settings().display().to_string(), failure));
    }
    let servers = match HubClient::connect(&space.socket()).await {
        Ok(mut hub) => {
            let path = path(view, "/config/validate");
            let told: Vec<ConfigFinding> = run.unless_stopped(hub.get(&path)).await?;
            told.into_iter().map(|finding| below("mcp.json", finding)).collect()
        }
        Err(_) => {
            if config.is_ok_and(|config| config.storage.starts_with("redis")) {
                run.output.talk("note: no hub runs here, so mcp.json was read, and not what Redis holds");
            }
            in_mcp_json(&space, view)
        }
    };
    findings.extend(servers);
    if run.output.json {
        run.output.value(&findings)?;
    } else if findings.is_empty() {
        run.output.talk("the settings are valid");
    } else {
        let rows = findings.iter().map(|f| {
            vec![if f.grave { "error" } else { "note" }.to_owned(), f.place.clone(), f.problem.clone()]
        });
        run.output.table(&["kind", "place", "problem"], rows.collect())?;
    }
    let grave = findings.iter().any(|finding| finding.grave);
    Ok(if grave { Exit::Configuration } else { Exit::Ok })
}

fn in_mcp_json(space: &Space, view: &View) -> Vec<ConfigFinding> {
    let file = space.mcp_json();
    let place = file.display().to_string();
    let scope = view.agent.clone().map_or(Scope::Store, Scope::Agent);
    match McpFile::load(&file) {
        Ok(file) => {
            let problems = file.problems().iter().filter(|problem| {
                scope == Scope::Store || problem.server.as_ref().is_some_and(|key| key.scope == scope)
            });
            problems.map(|problem| below(&place, ConfigFinding::of(&scope, problem))).collect()
        }
        Err(error) => vec![whole(place, &Failure::of(Exit::Configuration, &error))],
    }
}

fn below(file: &str, finding: ConfigFinding) -> ConfigFinding {
    ConfigFinding { place: format!("{file}: {}", finding.place), ..finding }
}

/// A file that cannot be used at all.
fn whole(place: String, failure: &Failure) -> ConfigFinding {
    let problem = failure.to_string();
    let problem = problem.strip_prefix("error: ").unwrap_or(&problem).to_owned();
    ConfigFinding { place, problem, grave: true, server_name: None, owner: None }
}
