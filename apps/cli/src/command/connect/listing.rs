//! Which clients there are, and which of them know the hub.

use std::path::Path;

use dormouse::clients::{self, Client, Plan};
use serde_json::{Value, json};

use super::super::Run;
use super::super::transfer::{place_of, unreadable};
use super::ours::{Ours, Us};
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) fn list(run: &Run, us: &Us, project: Option<&Path>) -> Result<Exit, Failure> {
    let mut rows = Vec::new();
    let mut said = Vec::new();
    for client in Client::ALL {
        let file = match place_of(client, None, project) {
            Ok(file) => file,
            // It has no file in a project.
            Err(_) if project.is_some() => continue,
            Err(failure) => return Err(failure),
        };
        let plan = Plan::of(client, &file);
        let found = plan.and_then(|plan| match plan.before() {
            Some(text) => Ok(Some(clients::found(client, text)?)),
            None => Ok(None),
        });
        let (exists, entries, problem) = match found {
            Ok(Some(found)) => (true, found, None),
            Ok(None) => (false, Vec::new(), None),
            Err(error) => (true, Vec::new(), Some(unreadable(&file, &error).to_string())),
        };
        let ours: Vec<(&str, Ours)> =
            entries.iter().filter_map(|found| Some((found.name.as_str(), us.ours(&found.entry)?))).collect();
        let words = match (&problem, ours.as_slice()) {
            (Some(_), _) => "unreadable".to_owned(),
            (None, []) if exists => "not connected".to_owned(),
            (None, []) => "no file".to_owned(),
            (None, ours) => {
                ours.iter().map(|(name, ours)| in_words(name, ours)).collect::<Vec<_>>().join(", ")
            }
        };
        if let Some(problem) = problem.as_deref().filter(|_| !run.output.json) {
            run.output.talk(&format!("note: {}", problem.trim_start_matches("error: ")));
        }
        rows.push(vec![client.as_str().to_owned(), file.display().to_string(), words]);
        said.push(json!({
            "client": client.as_str(), "file": file, "exists": exists,
            "connected": ours.iter().any(|(_, ours)| ours.is_here),
            "entries": ours.iter().map(|(name, ours)| as_json(name, ours)).collect::<Vec<_>>(),
            "servers": entries.len() - ours.len(), "problem": problem,
        }));
    }
    match run.output.json {
        true => run.output.value(&said)?,
        false => run.output.table(&["client", "file", "hub"], rows)?,
    }
    Ok(Exit::Ok)
}

fn in_words(name: &str, ours: &Ours) -> String {
    let agent = ours.agent.as_ref().map(|agent| format!(" as agent {agent}")).unwrap_or_default();
    match (ours.is_here, &ours.space) {
        (true, _) => format!("connected by `{name}`{agent}"),
        (false, Some(space)) => format!("`{name}` leads to the hub of {space}{agent}"),
        (false, None) => format!("`{name}` leads to a hub{agent}"),
    }
}

fn as_json(name: &str, ours: &Ours) -> Value {
    json!({
        "name": name, "this_space": ours.is_here, "space": ours.space, "url": ours.url, "agent": ours.agent,
    })
}
