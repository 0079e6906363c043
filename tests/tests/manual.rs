//! The manual names what there is: routes, verbs, commands, settings.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::collections::{BTreeMap, BTreeSet};

use dormouse_tests::repository;

/// A table of the manual: where it stands, the names of its columns, and its rows.
struct Table {
    heading: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// The cells under a column, if it has one of that name.
    fn under(&self, column: &str) -> impl Iterator<Item = &String> {
        let place = self.columns.iter().position(|name| name == column);
        self.rows.iter().filter_map(move |row| row.get(place?))
    }
}

fn page(name: &str) -> String {
    std::fs::read_to_string(repository(&format!("docs/{name}.md"))).unwrap()
}

fn tables(text: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let (mut heading, mut inside) = (String::new(), false);
    for line in text.lines() {
        if let Some(title) = line.strip_prefix('#') {
            heading = title.trim_start_matches('#').trim().to_owned();
        }
        let Some(cells) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else {
            // The line under the names of the columns belongs to the table.
            inside &= line.starts_with("|--");
            continue;
        };
        // A bar in a cell is written `\|`.
        let cells = cells.replace("\\|", "\u{1}");
        let cells = cells.split(" | ").map(|cell| cell.trim().replace('\u{1}', "|")).collect();
        if inside {
            tables.last_mut().unwrap().rows.push(cells);
        } else {
            tables.push(Table { heading: heading.clone(), columns: cells, rows: Vec::new() });
            inside = true;
        }
    }
    tables
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// A route without the names of its parameters.
fn shape(method: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap();
    let segments = path.split('/').map(|it| if it.starts_with('{') { "{}" } else { it });
    format!("{method} {}", segments.collect::<Vec<_>>().join("/"))
}

/// The routes that a cell names: `GET`, `PUT /a` is two of one path, `GET /a`, `/b` two of one method.
fn routes_in(cell: &str) -> Vec<String> {
    let (mut routes, mut methods, mut used) = (Vec::new(), Vec::new(), false);
    for words in quoted(cell) {
        let (method, path) = words
            .split_once(' ')
            .unwrap_or_else(|| if words.starts_with('/') { ("", words) } else { (words, "") });
        if method.chars().any(|letter| !letter.is_ascii_uppercase()) {
            continue;
        }
        if !method.is_empty() {
            if used {
                methods.clear();
                used = false;
            }
            methods.push(method);
        }
        if path.starts_with('/') {
            routes.extend(methods.iter().map(|method| shape(method, path)));
            used = true;
        }
    }
    routes
}

/// The routes of the store and of agents.
fn served() -> BTreeSet<String> {
    let api = serde_json::to_value(dormouse_http::openapi()).unwrap();
    let of_path = |(path, item): (&String, &serde_json::Value)| {
        let methods = ["get", "post", "put", "patch", "delete"].into_iter();
        let methods = methods.filter(|method| item.get(method).is_some());
        methods.map(|method| shape(&method.to_uppercase(), path)).collect::<Vec<_>>()
    };
    let mut routes: BTreeSet<String> = api["paths"].as_object().unwrap().iter().flat_map(of_path).collect();
    // These describe the API and are not described by it.
    routes.extend(["GET /openapi.json".to_owned(), "GET /docs".to_owned()]);
    routes
}

/// The help of every command, from the snapshot that the program's own tests hold.
fn helps() -> BTreeMap<String, String> {
    let snapshot = "apps/cli/src/snapshots/dormouse__args__tests__every_help_is_as_reviewed.snap";
    let text = std::fs::read_to_string(repository(snapshot)).unwrap();
    let of_command = |part: &str| {
        let (line, help) = part.split_once('\n')?;
        Some((line.strip_suffix(" --help")?.trim().to_owned(), help.to_owned()))
    };
    text.split("$ dormouse").filter_map(of_command).collect()
}

/// What is wrong with the command line in a cell, if something is.
fn fault_of(line: &str, helps: &BTreeMap<String, String>) -> Option<String> {
    let mut path = String::new();
    for word in line.split(' ') {
        let longer = format!("{path} {word}").trim().to_owned();
        if let Some(flag) = word.strip_prefix("--") {
            let known = helps[&path].contains(&format!("--{flag}"));
            if !known {
                return Some(format!("`{line}`: `dormouse {path}` has no --{flag}"));
            }
        } else if helps.contains_key(&longer) {
            path = longer;
        } else if word.chars().any(|letter| letter.is_ascii_lowercase()) && path.is_empty() {
            return Some(format!("`{line}`: there is no such command"));
        } else if word.chars().any(|letter| letter.is_ascii_lowercase()) && !line.contains("--") {
            return Some(format!("`{line}`: `dormouse {path}` has no such command"));
        }
    }
    None
}

/// The names of public functions in the sources of a folder or file.
fn functions(path: &str) -> BTreeSet<String> {
    fn read(path: &std::path::Path, names: &mut BTreeSet<String>) {
        if path.is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                read(&entry.unwrap().path(), names);
            }
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = std::fs::read_to_string(path).unwrap();
            let starts = text.lines().filter_map(|line| {
                let line = line.trim_start().strip_prefix("pub ")?;
                line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")
            });
            names.extend(starts.filter_map(|it| it.split(['(', '<']).next()).map(str::to_owned));
        }
    }
    let mut names = BTreeSet::new();
    read(&repository(path), &mut names);
    names
}

#[test]
fn no_cell_of_the_tables_old_to_new_is_empty() {
    let tables = tables(&page("migration"));
    assert!(tables.len() > 10 && tables.iter().map(|table| table.rows.len()).sum::<usize>() > 130);
    for table in &tables {
        for row in &table.rows {
            assert_eq!(row.len(), table.columns.len(), "{}: {row:?}", table.heading);
            assert!(row.iter().all(|cell| !cell.is_empty()), "{}: {row:?}", table.heading);
            // What is new is a name, or a reason in words.
            let new = table.columns.iter().zip(row).filter(|(column, _)| {
                ["HTTP", "Rust", "command", "here", "setting", "why not"].contains(&column.as_str())
            });
            for (column, cell) in new {
                assert!(cell.len() > 1, "{}: {column} of {row:?}", table.heading);
            }
        }
    }
}

#[test]
fn every_route_that_the_tables_old_to_new_name_is_served() {
    let served = served();
    let tables = tables(&page("migration"));
    let named: Vec<String> =
        tables.iter().flat_map(|table| table.under("HTTP")).flat_map(|cell| routes_in(cell)).collect();
    assert!(named.len() > 80, "{named:?}");
    let missing: Vec<&String> = named.iter().filter(|route| !served.contains(*route)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_command_that_the_tables_old_to_new_name_is_there() {
    let helps = helps();
    let tables = tables(&page("migration"));
    let named: Vec<&str> =
        tables.iter().flat_map(|table| table.under("command")).flat_map(|cell| quoted(cell)).collect();
    assert!(named.len() > 80, "{named:?}");
    let faults: Vec<String> = named.iter().filter_map(|line| fault_of(line, &helps)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_verb_that_the_tables_old_to_new_name_is_in_the_library() {
    let context = functions("crates/context/src");
    let (hub, below) = (functions("crates/dormouse/src"), functions("crates/orchestrator/src"));
    let clients = functions("crates/storage/src/clients");
    let tables = tables(&page("migration"));
    let named: Vec<&str> =
        tables.iter().flat_map(|table| table.under("Rust")).flat_map(|cell| quoted(cell)).collect();
    assert!(named.len() > 80, "{named:?}");
    let there = |verb: &str| match verb.split_once("::") {
        None | Some(("Context", _)) => context.contains(verb.trim_start_matches("Context::")),
        Some(("Orchestrator", verb)) => below.contains(verb),
        Some(("clients", verb)) => clients.contains(verb),
        Some((_, verb)) => hub.contains(verb),
    };
    let missing: Vec<&&str> = named.iter().filter(|verb| !there(verb)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_setting_that_the_tables_old_to_new_name_is_there() {
    let supervision = dormouse::Supervision::default().to_value();
    let configuration = page("configuration");
    let tables = tables(&page("migration"));
    let named: Vec<&str> =
        tables.iter().flat_map(|table| table.under("setting")).flat_map(|cell| quoted(cell)).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        let known = supervision.get(name).is_some() || configuration.contains(&format!("`{name}`"));
        assert!(known, "`{name}` is no setting");
    }
}

#[test]
fn the_page_of_the_http_api_has_every_route_and_no_other() {
    let tables = tables(&page("http-api"));
    let first = tables.iter().flat_map(|table| table.under("method and path"));
    let named: BTreeSet<String> = first.flat_map(|cell| routes_in(cell)).collect();
    let served: BTreeSet<String> =
        served().into_iter().filter(|route| !route.contains(" /agents/{}/")).collect();
    let missing: Vec<&String> = served.difference(&named).collect();
    assert!(missing.is_empty(), "docs/http-api.md does not name {missing:#?}");
    let gone: Vec<&String> = named.difference(&served).collect();
    assert!(gone.is_empty(), "docs/http-api.md names what is not served: {gone:#?}");
}

#[test]
fn each_thing_that_mcpstore_offers_has_a_row() {
    let list = std::fs::read_to_string(repository("tests/manual/mcpstore.txt")).unwrap();
    let offered: BTreeSet<&str> = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with('['))
        .collect();
    assert!(offered.len() > 250, "{}", offered.len());
    let tables = tables(&page("migration"));
    let old = ["MCPStore over HTTP", "in Python", "MCPStore", "Python"];
    let cells = tables.iter().flat_map(|table| old.into_iter().flat_map(|column| table.under(column)));
    let named: BTreeSet<&str> = cells.flat_map(|cell| quoted(cell)).collect();
    let missing: Vec<&&str> = offered.difference(&named).collect();
    assert!(missing.is_empty(), "docs/migration.md has no row for {missing:#?}");
}
