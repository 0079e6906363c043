//! What the command writes: data on standard output, talk on standard error.
//!
//! # Invariants
//!
//! * A reader that went away ends the command without a word.
//! * What servers and models say reaches a terminal without control characters: a tool's
//!   description must not move the cursor or set the title of a window.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;

/// Where data and talk go, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Data as JSON.
    pub(crate) json: bool,
    /// No talk but errors.
    pub(crate) quiet: bool,
    /// Whether a person reads the data.
    data_on_terminal: bool,
}

impl Output {
    /// Looks where standard output goes.
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, data_on_terminal: io::stdout().is_terminal() }
    }

    /// Writes a text and ends its line.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        let text = if self.data_on_terminal { harmless(text) } else { Cow::Borrowed(text) };
        let end = if text.ends_with('\n') { "" } else { "\n" };
        write_all(&format!("{text}{end}"))
    }

    /// Writes a value as JSON: for a person on many lines, for a program on one.
    pub(crate) fn value(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = match self.data_on_terminal {
            true => serde_json::to_string_pretty(value),
            false => serde_json::to_string(value),
        };
        self.text(&text.map_err(|error| Failure::of(Exit::Unexpected, &error))?)
    }

    /// Writes rows: for a person as a table with a heading, for a program a line each, with tabs
    /// between the cells.
    pub(crate) fn table(&self, heading: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        match self.data_on_terminal {
            true => self.text(&drawn(heading, rows)),
            false => write_all(&tabbed(&rows)),
        }
    }

    /// Writes named facts: for a person aligned, for a program name, tab, value.
    pub(crate) fn facts(&self, facts: Vec<(&str, String)>) -> Result<(), Failure> {
        let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let mut text = String::new();
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            match self.data_on_terminal {
                true => {
                    let value = value.trim_end().replace('\n', &format!("\n{:width$}  ", ""));
                    text.push_str(&format!("{name:width$}  {value}\n"));
                }
                false => text.push_str(&format!("{name}\t{}\n", one_line(value))),
            }
        }
        if text.is_empty() { Ok(()) } else { self.text(&text) }
    }

    /// Says something to a person, beside the data.
    pub(crate) fn talk(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }
}

/// Says something on standard error, also to those who want it quiet. That nobody may be there
/// to read it is no reason to fail.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", harmless(text));
}

fn write_all(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(Exit::Ok),
        _ => Failure::new(Exit::Unexpected, "cannot write to standard output").caused_by(&error),
    })
}

/// The text without control characters, but with its lines and tabs.
fn harmless(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    match text.contains(harmful) {
        true => Cow::Owned(text.replace("\r\n", "\n").replace(harmful, "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}

/// The text on one line, without tabs.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn tabbed(rows: &[Vec<String>]) -> String {
    let row = |row: &Vec<String>| row.iter().map(|cell| one_line(cell)).collect::<Vec<_>>().join("\t");
    rows.iter().map(|cells| row(cells) + "\n").collect()
}

fn drawn(heading: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = width() {
        table.set_width(width);
    }
    table.set_header(heading.iter().map(|name| name.to_uppercase()).collect::<Vec<_>>());
    table.add_rows(
        rows.into_iter()
            .map(|row| row.into_iter().map(|cell| harmless(&cell).into_owned()).collect::<Vec<_>>()),
    );
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// How wide the terminal is.
fn width() -> Option<u16> {
    rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col).filter(|columns| *columns > 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_a_line_a_row_and_a_tab_a_cell() {
        let rows =
            vec![vec!["a\tb".to_owned(), "two\nlines".to_owned()], vec!["c".to_owned(), String::new()]];
        assert_eq!(tabbed(&rows), "a b\ttwo lines\nc\t\n");
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\nc\td"), "a\u{fffd}[2Jb\nc\td");
        assert_eq!(harmless("plain\n"), "plain\n");
    }

    #[test]
    fn a_person_gets_a_table() {
        let table = drawn(&["server", "state"], vec![vec!["calculator".into(), "dormant".into()]]);
        insta::assert_snapshot!(table, @r"
         SERVER      STATE
         calculator  dormant
        ");
    }
}
