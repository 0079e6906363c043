//! `connect`: the hub in the configuration of other MCP clients.
//!
//! # Invariants
//!
//! * An entry of the hub's name that is somebody else's is replaced only where that was asked for.
//! * What the hub takes over it has before the client's file changes.
//! * A token stands in the file only where that was asked for.

mod listing;
mod ours;
mod taking;

use std::path::Path;

use dormouse::clients::{self, ApplyError, Client, Found, Plan, backup_of};
use dormouse::mcp_json::{IntakeEntry, ProblemKind};
use serde_json::{Map, Value, json};

use self::ours::Us;
use self::taking::{Candidates, Taking};
use super::Run;
use super::transfer::{backed_up, near_changes, not_applied, place_of, read, taken_back, unreadable};
use crate::args::Connect;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) async fn run(run: &Run, asked: Connect) -> Result<Exit, Failure> {
    let named = asked.http.as_ref().and_then(Option::as_deref);
    let us = Us::of(&run.place, named)?;
    let Some(client) = asked.client else { return listing::list(run, &us, asked.project.as_deref()) };
    let file = place_of(client, asked.file.clone(), asked.project.as_deref())?;
    match (asked.undo, asked.remove) {
        (true, _) => undo(run, &us, client, &file, &asked).await,
        (false, true) => remove(run, &us, client, &file, &asked),
        (false, false) => connect(run, &us, client, &file, &asked).await,
    }
}

async fn connect(run: &Run, us: &Us, client: Client, file: &Path, asked: &Connect) -> Result<Exit, Failure> {
    let unusable = |error| unreadable(file, &error);
    let mut entry = us.entry(asked)?;
    let now = Plan::of(client, file).map_err(unusable)?;
    let text = now.before().unwrap_or_default();
    let there = clients::found(client, text).map_err(unusable)?;
    let same = there.iter().find(|found| found.is_everywhere && found.name == asked.name.as_str());
    let is_ours = |found: &Found| us.ours(&found.entry).is_some_and(|ours| !ours.is_wrapped);
    if let Some(same) = same.filter(|same| is_ours(same)) {
        keep(&mut entry, client, text, same);
    }
    let entries = [(asked.name.to_string(), entry)];
    let planned = |paths: &[&str]| -> Result<Plan, Failure> {
        let plan = now.clone().without(paths).and_then(|plan| plan.with(&entries)).map_err(unusable)?;
        match plan.problems().iter().find(|problem| problem.kind == ProblemKind::Unusable) {
            None => Ok(plan),
            Some(problem) => {
                let message = format!("{client} cannot have it so: `{}` {}", problem.path, problem.message);
                Err(Failure::new(Exit::Refused, message).hint("leave --http away; stdio works everywhere"))
            }
        }
    };
    let may_stand_there = |taken: &[&str]| match same {
        Some(same) if !is_ours(same) && !asked.force && !taken.contains(&same.path.as_str()) => {
            let message = format!("{} has another server named `{}`", file.display(), asked.name);
            let hint = "name the hub otherwise with --name, or put it in that one's place with --force";
            Err(Failure::new(Exit::Refused, message).hint(hint))
        }
        _ => Ok(()),
    };
    // What cannot be written is told before the hub takes anything.
    planned(&[])?;
    let mut taking = Taking::default();
    if asked.take_over {
        let candidates = Candidates::of(client, text, &there, us).map_err(unusable)?;
        run.with_hub(async |hub| {
            taking = candidates.take(hub, &asked.view, true).await?;
            may_stand_there(&taking.paths())?;
            let plan = planned(&taking.paths())?;
            if !asked.dry_run {
                plan.try_place().map_err(not_applied)?;
                taking = candidates.take(hub, &asked.view, false).await?;
            }
            Ok(Exit::Ok)
        })
        .await?;
    }
    may_stand_there(&taking.paths())?;
    let plan = planned(&taking.paths())?;
    let backup = match asked.dry_run {
        true => None,
        false => plan.apply().map_err(|error| not_written(error, &taking))?.backup,
    };
    shown(run, us, asked, client, &plan, backup.as_deref(), &taking, &there)?;
    let is_whole = taking.left.iter().all(|left| !left.is_refused);
    Ok(if is_whole { Exit::Ok } else { Exit::Refused })
}

/// Takes our entry out, also where an undo would lose what the client wrote since.
fn remove(run: &Run, us: &Us, client: Client, file: &Path, asked: &Connect) -> Result<Exit, Failure> {
    let unusable = |error| unreadable(file, &error);
    let now = Plan::of(client, file).map_err(unusable)?;
    let there = clients::found(client, now.before().unwrap_or_default()).map_err(unusable)?;
    let same = there.iter().find(|found| found.is_everywhere && found.name == asked.name.as_str());
    if same.is_some_and(|same| us.ours(&same.entry).is_none()) && !asked.force {
        let message = format!("`{}` in {} is another server", asked.name, file.display());
        return Err(Failure::new(Exit::Refused, message).hint("--force takes it out all the same"));
    }
    let paths: Vec<&str> = same.into_iter().map(|same| same.path.as_str()).collect();
    let plan = now.without(&paths).map_err(unusable)?;
    let backup = match asked.dry_run {
        true => None,
        false => plan.apply().map_err(not_applied)?.backup,
    };
    let lines = plan.diff();
    if run.output.json {
        let diff: Vec<String> = lines.iter().map(ToString::to_string).collect();
        run.output.value(&json!({
            "client": client.as_str(), "file": plan.file(), "name": asked.name.as_str(),
            "dry_run": asked.dry_run, "changed": !plan.is_empty(), "backup": backup, "diff": diff,
        }))?;
        return Ok(Exit::Ok);
    }
    match (plan.is_empty(), asked.dry_run) {
        (true, _) => run.output.talk(&format!("{client} has no entry `{}`", asked.name)),
        (false, true) => {
            run.output.text(&near_changes(&lines))?;
            run.output.talk(&format!("nothing was changed: this would be different in {}", file.display()));
        }
        (false, false) => {
            run.output.text(&file.display().to_string())?;
            run.output.talk(&format!("{client} does not have the hub any more"));
            backed_up(run.output, backup.as_deref());
        }
    }
    Ok(Exit::Ok)
}

/// What a person added to our entry stays: variables of a program, headers of an address.
fn keep(entry: &mut Map<String, Value>, client: Client, text: &str, same: &Found) {
    let now = match client {
        // Its words are not ours.
        Client::Codex => clients::read(client, text).ok().and_then(|intake| {
            intake.entries.into_iter().find_map(|entry| match entry {
                IntakeEntry::Taken { path, entry, .. } if path == same.path => Some(entry),
                _ => None,
            })
        }),
        _ => same.entry.as_object().cloned(),
    };
    let Some(mut now) = now else { return };
    for (of, kept) in [("command", "env"), ("command", "cwd"), ("url", "headers")] {
        if entry.contains_key(of)
            && !entry.contains_key(kept)
            && let Some(value) = now.shift_remove(kept)
        {
            entry.insert(kept.to_owned(), value);
        }
    }
}

fn not_written(error: ApplyError, taking: &Taking) -> Failure {
    let failure = not_applied(error);
    match taking.taken.is_empty() {
        true => failure,
        false => failure.hint("the hub has the servers already; run the command again to end what was begun"),
    }
}

#[expect(clippy::too_many_arguments, reason = "what is told is what was done, and how")]
fn shown(
    run: &Run,
    us: &Us,
    asked: &Connect,
    client: Client,
    plan: &Plan,
    backup: Option<&Path>,
    taking: &Taking,
    there: &[Found],
) -> Result<(), Failure> {
    let output = run.output;
    let lines = plan.diff();
    let next = next(client, asked.http.is_some());
    if output.json {
        let diff: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let mut said = json!({
            "client": client.as_str(), "file": plan.file(), "name": asked.name.as_str(),
            "dry_run": asked.dry_run, "changed": !plan.is_empty(), "backup": backup, "diff": diff,
        });
        if let Value::Object(said) = &mut said {
            said.extend(taking.as_json());
            said.insert("next".to_owned(), json!(next));
        }
        return output.value(&said);
    }
    output.table(&["server", "taken over", "why"], taking.rows())?;
    taking.notes.iter().for_each(|note| output.talk(&format!("note: {note}")));
    if asked.take_over && taking.taken.is_empty() {
        output.talk("there is no server in it to take over");
    }
    for problem in plan.problems() {
        output.talk(&format!("note: {} {}", problem.path, problem.message));
    }
    for flag in run.place.flags_of_a_hub() {
        output.talk(&format!("note: {flag} is not in the entry; dormouse.toml of the space is its place"));
    }
    let is_other = |found: &&Found| found.name != asked.name.as_str();
    let here = |found: &&Found| us.ours(&found.entry).is_some_and(|ours| ours.is_here);
    for other in there.iter().filter(is_other).filter(here) {
        output.talk(&format!("note: its entry `{}` leads to this hub too", other.name));
    }
    let file = plan.file().display();
    match (plan.is_empty(), asked.dry_run) {
        (true, _) => output.talk(&format!("{client} is connected: {file} is as it should be")),
        (false, true) => {
            output.text(&near_changes(&lines))?;
            if let Some(words) = us.runs(asked) {
                output.talk(&format!("the client would run: {words}"));
            }
            output.talk(&format!("nothing was changed: this would be different in {file}"));
        }
        (false, false) => {
            output.text(&file.to_string())?;
            output.talk(&format!("{client} has the hub as `{}` now", asked.name));
            backed_up(output, backup);
            output.talk(&format!("next: {next}"));
        }
    }
    Ok(())
}

/// What a person has to do for the client to see it.
fn next(client: Client, by_http: bool) -> String {
    let there = match client {
        Client::ClaudeDesktop => "quit Claude Desktop and start it again",
        Client::ClaudeCode => "start Claude Code again; `/mcp` shows the hub there",
        Client::Cursor => "start Cursor again; its settings for MCP show the hub",
        Client::VsCode => "start the server where VS Code shows it: command `MCP: List Servers`",
        Client::Codex => "start Codex again; `/mcp` shows the hub there",
    };
    match by_http {
        true => format!("let the hub listen with `dormouse serve`, then {there}"),
        false => there.to_owned(),
    }
}

async fn undo(run: &Run, us: &Us, client: Client, file: &Path, asked: &Connect) -> Result<Exit, Failure> {
    let unusable = |error| unreadable(file, &error);
    let now = Plan::of(client, file).map_err(unusable)?;
    let before = match backup_of(file) {
        Some(backup) => read(&backup)?.1,
        None => String::new(),
    };
    let hint = |failure: Failure| match failure.exit() {
        Exit::Refused => failure.hint("--remove takes the hub out of it as it is now"),
        _ => failure,
    };
    let file = taken_back(file, "connect").map_err(hint)?;
    let is_there = clients::found(client, now.before().unwrap_or_default()).map_err(unusable)?;
    let is_back = |found: &Found| {
        us.ours(&found.entry).is_none() && !is_there.iter().any(|there| there.path == found.path)
    };
    let back: Vec<Found> =
        clients::found(client, &before).map_err(unusable)?.into_iter().filter(is_back).collect();
    let stay = still_here(run, client, &before, &back, asked).await;
    if run.output.json {
        run.output.value(&json!({ "file": file, "undone": true, "stay_in_hub": stay }))?;
        return Ok(Exit::Ok);
    }
    run.output.text(&file.display().to_string())?;
    run.output.talk("it is as it was before");
    if !stay.is_empty() {
        let names = stay.join(", ");
        run.output.talk(&format!(
            "note: the hub still has what it took over: {names}; `dormouse servers remove NAME` takes one away"
        ));
    }
    Ok(Exit::Ok)
}

/// The names of those servers that the hub has too. Where it cannot be asked, all of them may be.
async fn still_here(run: &Run, client: Client, text: &str, back: &[Found], asked: &Connect) -> Vec<String> {
    let paths: Vec<&str> = back.iter().map(|found| found.path.as_str()).collect();
    if paths.is_empty() {
        return Vec::new();
    }
    let all = || back.iter().map(|found| found.name.clone()).collect();
    let Ok(candidates) = Candidates::only(client, text, &paths) else { return all() };
    let mut stay = Vec::new();
    let told = run
        .with_hub(async |hub| {
            let taking = candidates.take(hub, &asked.view, true).await?;
            let unchanged = taking.taken.into_iter().filter(|item| item.outcome == "unchanged");
            stay = unchanged.map(|item| item.server_name.unwrap_or(item.name)).collect();
            Ok(Exit::Ok)
        })
        .await;
    if told.is_ok() { stay } else { all() }
}
