//! `config import` and `config export`: servers between this space and other clients.
//!
//! The hub knows what is configured; the other client's file is read and written here, by whoever
//! runs the command, with that person's rights.
//!
//! # Invariants
//!
//! * Nothing but the servers of a client's file is sent to the hub.
//! * What is shown of a file holds no value of a variable or header.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use dormouse::clients::{
    self, ApplyError, Client, ClientError, DiffLine, Named, Places, Plan, Platform, UndoError, backup_of,
};
use dormouse::mcp_json::{ProblemKind, SaveError};
use dormouse_http::wire::{ExportedServers, ImportBody, ImportedReport, LeftOutItem, MovingFiles};
use serde_json::{Value, json};

use super::{Run, or_stdin, path, text};
use crate::args::{ExportServers, ImportServers, Whose};
use crate::client::value;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// Some clients keep much else beside their servers.
const LARGEST: u64 = 64 << 20;

pub(super) async fn import(run: &Run, asked: ImportServers) -> Result<Exit, Failure> {
    let mut body = ImportBody {
        client: Some(asked.from.as_str().to_owned()),
        dry_run: asked.dry_run,
        replace: asked.replace,
        ..ImportBody::default()
    };
    match asked.from {
        Whose::Client(client) => {
            let (file, text) = read(&place_of(client, asked.file, asked.project.as_deref())?)?;
            let unusable = |error| unreadable(&file, &error);
            let servers = clients::only_servers(client, &text).map_err(unusable)?;
            // The hub reads it again, and does not know the file.
            clients::read(client, &servers).map_err(unusable)?;
            body.text = Some(servers);
        }
        Whose::McpJson => {
            let file = match (asked.file, asked.project) {
                (Some(file), _) => file,
                (None, Some(project)) => project.join("mcp.json"),
                (None, None) => {
                    let failure = Failure::new(Exit::Usage, "an mcp.json may lie anywhere");
                    return Err(failure.hint("name it with --file"));
                }
            };
            body.text = Some(read(&file)?.1);
        }
        Whose::McpStore => {
            let folder = match asked.file.or(asked.project) {
                Some(folder) => folder,
                None => home()?.join(".mcpstore"),
            };
            body.files = Some(moving(&folder)?);
        }
    }
    run.with_hub(async |hub| {
        let said: Value = hub.post(&path(&asked.view, "/config/import"), &body).await?;
        let is_whole = said["entries"].as_array().is_some_and(|entries| {
            entries.iter().all(|entry| !["conflict", "refused"].contains(&text(entry, "outcome")))
        });
        run.show(said, imported).map(|done| if is_whole { done } else { Exit::Refused })
    })
    .await
}

fn imported(output: &Output, report: ImportedReport) -> Result<(), Failure> {
    if report.entries.is_empty() {
        output.talk("there is no server in it");
    }
    let rows = report.entries.iter().map(|entry| {
        let why = entry.reason.iter().chain(&entry.notes).cloned().collect::<Vec<_>>().join("; ");
        let name = entry.server_name.clone().unwrap_or_else(|| match entry.name.as_str() {
            "" => entry.path.clone(),
            name => name.to_owned(),
        });
        vec![name, entry.outcome.clone(), entry.owner.clone().unwrap_or_default(), why]
    });
    output.table(&["server", "outcome", "owner", "why"], rows.collect())?;
    report.notes.iter().for_each(|note| output.talk(&format!("note: {note}")));
    if report.dry_run {
        output.talk("nothing was changed: this is what would become of them");
    } else if report.entries.iter().any(|entry| entry.outcome == "conflict") {
        output.talk("--replace puts those that conflict in place of the ones here");
    }
    Ok(())
}

/// MCPStore's three files; the side files lie beside `mcp.json`, or in `defaults/` there.
fn moving(folder: &Path) -> Result<MovingFiles, Failure> {
    let folder = match folder.file_name() {
        Some(name) if name == "mcp.json" => folder.parent().unwrap_or(Path::new(".")),
        _ => folder,
    };
    let text = |name: &str| {
        let places = [folder.join(name), folder.join("defaults").join(name)];
        match places.into_iter().find(|place| place.symlink_metadata().is_ok()) {
            Some(file) => read(&file).map(|(_, text)| Some(text)),
            None => Ok(None),
        }
    };
    let files = MovingFiles {
        mcp_json: text("mcp.json")?,
        agent_clients: text("agent_clients.json")?,
        client_services: text("client_services.json")?,
    };
    if files == MovingFiles::default() {
        let message = format!("nothing of MCPStore's lies in {}", folder.display());
        return Err(Failure::new(Exit::Unknown, message).hint("name its folder with --file"));
    }
    Ok(files)
}

pub(super) async fn export(run: &Run, asked: ExportServers) -> Result<Exit, Failure> {
    let client = asked.client;
    let file = place_of(client, asked.file, asked.project.as_deref())?;
    if asked.undo {
        return undo(run, &file);
    }
    // Names are checked by the hub; one with a comma is no name there either.
    let names = value(&asked.servers.join(","));
    let query = format!("/config/export?secrets=true&names={names}");
    let exported: ExportedServers = {
        let mut said = None;
        run.with_hub(async |hub| {
            said = Some(hub.get(&path(&asked.view, &query)).await?);
            Ok(Exit::Ok)
        })
        .await?;
        said.ok_or_else(|| Failure::new(Exit::NoHub, "the hub said nothing"))?
    };
    let servers: Vec<_> = exported
        .servers
        .into_iter()
        .filter_map(|(name, entry)| match entry {
            Value::Object(entry) => Some((name, entry)),
            _ => None,
        })
        .collect();
    let plan = clients::plan(client, &file, &servers).map_err(|error| unreadable(&file, &error))?;
    let mut left_out = exported.left_out;
    for problem in plan.problems().iter().filter(|problem| problem.kind == ProblemKind::Unusable) {
        left_out.push(LeftOutItem { server_name: problem.path.clone(), reason: problem.message.clone() });
    }
    let backup = match asked.dry_run {
        true => None,
        false => plan.apply().map_err(not_applied)?.backup,
    };
    shown(run, &plan, asked.dry_run, backup.as_deref(), &left_out)?;
    // Scripts cannot go anywhere; who named one wanted it all the same.
    let is_missing = !asked.servers.is_empty() && !left_out.is_empty();
    Ok(if is_missing { Exit::Refused } else { Exit::Ok })
}

fn shown(
    run: &Run,
    plan: &Plan,
    dry_run: bool,
    backup: Option<&Path>,
    left_out: &[LeftOutItem],
) -> Result<(), Failure> {
    let output = run.output;
    let lines = plan.diff();
    let notes = plan.problems().iter().filter(|problem| problem.kind == ProblemKind::Ignored);
    if output.json {
        let diff: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let notes: Vec<_> = notes
            .map(|note| LeftOutItem { server_name: note.path.clone(), reason: note.message.clone() })
            .collect();
        return output.value(&json!({
            "file": plan.file(), "dry_run": dry_run, "changed": !plan.is_empty(), "backup": backup,
            "diff": diff, "left_out": left_out, "notes": notes,
        }));
    }
    for LeftOutItem { server_name, reason } in left_out {
        output.talk(&format!("left out: {server_name} {reason}"));
    }
    notes.for_each(|note| output.talk(&format!("note: {note}")));
    match (plan.is_empty(), dry_run) {
        (true, _) => output.talk(&format!("{} is as it should be", plan.file().display())),
        (false, true) => {
            output.text(&near_changes(&lines))?;
            output
                .talk(&format!("nothing was changed: this would be different in {}", plan.file().display()));
        }
        (false, false) => {
            output.text(&plan.file().display().to_string())?;
            backed_up(output, backup);
        }
    }
    Ok(())
}

/// Says how to have the file as it was.
pub(super) fn backed_up(output: Output, backup: Option<&Path>) {
    let Some(backup) = backup else { return };
    // A file that was not there has a mark in place of a backup.
    output.talk(&match backup.extension().is_some_and(|end| end == "new") {
        true => "it is new; --undo takes it away".to_owned(),
        false => format!("as it was: {}; --undo puts it back", backup.display()),
    });
}

/// The changed lines of a difference, with some lines around each.
pub(super) fn near_changes(lines: &[DiffLine]) -> String {
    const AROUND: usize = 3;
    let is_near = |place: usize| {
        let from = place.saturating_sub(AROUND);
        lines[from..lines.len().min(place + AROUND + 1)].iter().any(|line| line.sign != ' ')
    };
    let mut text = String::new();
    let mut is_gap = false;
    for (place, line) in lines.iter().enumerate() {
        if is_near(place) {
            text.push_str(&format!("{line}\n"));
        } else if !is_gap {
            text.push_str("  …\n");
        }
        is_gap = !is_near(place);
    }
    text
}

fn undo(run: &Run, file: &Path) -> Result<Exit, Failure> {
    let file = taken_back(file, "export")?;
    if run.output.json {
        run.output.value(&json!({ "file": file, "undone": true }))?;
    } else {
        run.output.text(&file.display().to_string())?;
        run.output.talk("it is as it was before the export");
    }
    Ok(Exit::Ok)
}

/// Makes a file what it was before we wrote into it; `deed` is the word for what wrote.
pub(super) fn taken_back(file: &Path, deed: &str) -> Result<PathBuf, Failure> {
    let Some(backup) = backup_of(file) else { return Err(no_backup(file, deed)) };
    clients::undo(&backup).map_err(not_undone)
}

/// Nothing of ours made the file what it is now: there was nothing, or somebody changed it since.
fn no_backup(file: &Path, deed: &str) -> Failure {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".dormouse-";
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let beside = folder.read_dir().into_iter().flatten().filter_map(Result::ok);
    let older = beside.map(|entry| entry.path()).filter(|path| {
        path.file_name().is_some_and(|found| found.to_string_lossy().starts_with(name.as_str()))
    });
    let older: Vec<String> = older.map(|path| path.display().to_string()).collect();
    match older.is_empty() {
        true => Failure::new(Exit::Unknown, format!("no {deed} has written into {}", file.display())),
        false => {
            let message = format!("{} was changed since the {deed}, and stays", file.display());
            Failure::new(Exit::Refused, message)
                .hint(format!("what it was before is in {}", older.join(", ")))
        }
    }
}

/// The file that is meant.
pub(super) fn place_of(
    client: Client,
    file: Option<PathBuf>,
    project: Option<&Path>,
) -> Result<PathBuf, Failure> {
    if let Some(file) = file {
        return Ok(file);
    }
    let home = match project {
        // Its own file is all that is asked for.
        Some(_) => PathBuf::new(),
        None => home()?,
    };
    let named = Named::by(|name| std::env::var_os(name));
    let places = Places { home, project: project.map(Path::to_owned), platform: Platform::current(), named };
    let mut files = client.files(&places);
    if project.is_some() && files.len() < 2 {
        return Err(Failure::new(Exit::Usage, format!("{client} has no file in a project")));
    }
    Ok(files.swap_remove(0))
}

fn home() -> Result<PathBuf, Failure> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    home.ok_or_else(|| {
        Failure::new(Exit::Configuration, "the user has no home").hint("name the file with --file")
    })
}

/// A file's text, with its name for messages.
pub(super) fn read(file: &Path) -> Result<(PathBuf, String), Failure> {
    if file == Path::new("-") {
        return Ok((PathBuf::from("standard input"), or_stdin("-".to_owned())?));
    }
    let failed = |error: &io::Error| {
        let exit = match error.kind() {
            io::ErrorKind::NotFound => Exit::Unknown,
            _ => Exit::Arguments,
        };
        let failure = Failure::new(exit, format!("cannot read {}", file.display())).caused_by(error);
        if exit == Exit::Unknown { failure.hint("name the file with --file") } else { failure }
    };
    let mut text = String::new();
    let opened = File::open(file).map_err(|error| failed(&error))?;
    opened.take(LARGEST + 1).read_to_string(&mut text).map_err(|error| failed(&error))?;
    if text.len() as u64 > LARGEST {
        let message = format!("{} is larger than {} MiB", file.display(), LARGEST >> 20);
        return Err(Failure::new(Exit::Arguments, message));
    }
    Ok((file.to_owned(), text))
}

pub(super) fn unreadable(file: &Path, error: &ClientError) -> Failure {
    Failure::new(Exit::Arguments, format!("cannot use {}", file.display())).caused_by(error)
}

pub(super) fn not_applied(error: ApplyError) -> Failure {
    match &error {
        ApplyError::Save(SaveError::Changed { .. }) => {
            Failure::of(Exit::Refused, &error).hint("nothing was written; run the command again")
        }
        ApplyError::Save(SaveError::Busy { .. }) => Failure::of(Exit::Refused, &error),
        ApplyError::Folder { .. } | ApplyError::Save(SaveError::Write { .. }) => {
            Failure::of(Exit::Unexpected, &error)
        }
    }
}

fn not_undone(error: UndoError) -> Failure {
    let exit = match &error {
        UndoError::ChangedSince { .. }
        | UndoError::Save(SaveError::Changed { .. } | SaveError::Busy { .. }) => Exit::Refused,
        UndoError::NoBackup { .. } => Exit::Unknown,
        UndoError::Load(_) | UndoError::Save(SaveError::Write { .. }) | UndoError::Remove { .. } => {
            Exit::Unexpected
        }
    };
    Failure::of(exit, &error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_what_lies_around_it() {
        let line = |(sign, text): (char, &str)| DiffLine { sign, text: text.to_owned() };
        let lines = "abcdefg".chars().map(|c| line((' ', &c.to_string())));
        let lines: Vec<DiffLine> = lines.chain([line(('+', "new"))]).chain([line((' ', "}"))]).collect();
        assert_eq!(near_changes(&lines), "  …\n  e\n  f\n  g\n+ new\n  }\n");
    }
}
