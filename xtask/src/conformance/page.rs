//! The page that says what was found, and what the terminal shows.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::suite::{SUITES, Suite};
use super::verdict::{Finding, Findings, Judged};
use super::{Found, Way};

const COLUMNS: [Way; 4] = [Way::Direct, Way::Http, Way::Stdio, Way::Stdio2026];

const OPENING: &str = "# Conformance

The Model Context Protocol has a [conformance suite](https://www.npmjs.com/package/@modelcontextprotocol/conformance). \
`cargo xtask conformance` runs it and writes this page.

| what took part | version |
|---|---|
";

const SERVERS: &str = "
## A server, directly and through the hub

`tests/conformance/fixture` is a server that serves what the suite asks for, in every revision. *Direct* is the suite \
against that server. The others are the suite against the hub in the mode `single`, with that server behind it: \
*HTTP* at its URL, where the hub speaks 2026-07-28 with it; *stdio* as a program, which the hub greets, so that they \
speak 2025-11-25; *stdio 2026* as a program that knows no greeting. So each life is bridged to each. \
Each cell counts the checks of a scenario. What passes directly has to pass through the hub.
";

const CLIENTS: &str = "
## The hub as a client

The suite's servers, as servers of a hub at their URLs: the hub connects, signs in, lists and calls.
";

const EXCEPTIONS: &str = "
## Exceptions

Checks that fail, or pass directly and not through the hub. Each has its reason in \
`tests/conformance/exceptions.toml`; the run fails where one is missing, or is needed no more.
";

/// The page.
pub(crate) fn page(found: &Found, judged: &Judged, versions: &[(&str, String)]) -> String {
    let mut page = OPENING.to_owned();
    for (what, version) in versions {
        line(&mut page, &[what, version]);
    }
    page += SERVERS;
    for suite in SUITES {
        servers(&mut page, suite, found);
    }
    page += CLIENTS;
    for suite in SUITES {
        clients(&mut page, suite, found);
    }
    page += EXCEPTIONS;
    let wrong: Vec<&Finding> = judged.excused.iter().chain(&judged.unexplained).collect();
    if wrong.is_empty() {
        page += "\nThere are none.\n";
        return page;
    }
    page += "\n| suite | run | scenario and check | reason |\n|---|---|---|---|\n";
    for finding in wrong {
        let check = format!("{}: `{}`", finding.scenario, finding.check);
        let reason = finding.reason.as_deref().unwrap_or("**unexplained**");
        line(&mut page, &[finding.suite, finding.way.name(), &check, reason]);
    }
    page
}

fn servers(page: &mut String, suite: &Suite, found: &Found) {
    let runs = COLUMNS.map(|way| found.get(&(suite.name, way)));
    let _ = write!(
        page,
        "\n### {}\n\n| scenario | direct | HTTP | stdio | stdio 2026 |\n|---|---|---|---|---|\n",
        suite.title
    );
    let scenarios: BTreeSet<&String> = runs.iter().flatten().flat_map(|findings| findings.0.keys()).collect();
    for scenario in scenarios {
        let cells = runs.map(|run| run.map(|findings| findings.of(scenario).to_string()).unwrap_or_default());
        line(page, &[scenario, &cells[0], &cells[1], &cells[2], &cells[3]]);
    }
    let sums = runs.map(|run| run.map(|findings| findings.sum().to_string()).unwrap_or_default());
    line(page, &["**all**", &sums[0], &sums[1], &sums[2], &sums[3]]);
}

fn clients(page: &mut String, suite: &Suite, found: &Found) {
    let Some(findings) = found.get(&(suite.name, Way::Client)) else { return };
    let _ = write!(page, "\n### {}\n\n| scenario | hub |\n|---|---|\n", suite.title);
    for scenario in findings.0.keys() {
        line(page, &[scenario, &findings.of(scenario).to_string()]);
    }
    line(page, &["**all**", &findings.sum().to_string()]);
}

fn line(page: &mut String, cells: &[&str]) {
    *page += "|";
    for cell in cells {
        let _ = write!(page, " {} |", cell.replace('|', "\\|").replace('\n', " "));
    }
    *page += "\n";
}

/// The sums.
pub(crate) fn summary(found: &Found) -> String {
    let mut text = String::new();
    for ((suite, way), findings) in found {
        let _ = writeln!(text, "{suite:<20} {:<8} {}", way.name(), findings.sum());
    }
    text
}

/// Each check of a scenario.
pub(crate) fn checks(found: &Found, scenario: &str) -> String {
    let mut text = String::new();
    for ((suite, way), Findings(scenarios)) in found {
        for (check, tally) in scenarios.get(scenario).into_iter().flatten() {
            let said = tally.said.as_deref().unwrap_or_default();
            let _ = writeln!(text, "{suite:<20} {:<8} {tally:<16} {check} {said}", way.name());
        }
    }
    text
}
