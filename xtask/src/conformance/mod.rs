//! Runs the conformance suite of the Model Context Protocol, and writes down what it found.
//!
//! Three things are tested: a server of ours by itself, the same server through the hub, which should
//! change nothing, and the hub as a client. Where the first passes and the second does not, the run
//! fails, unless `tests/conformance/exceptions.toml` says why.

mod page;
mod parts;
mod suite;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::node::Node;
use crate::setup;
use crate::workspace::{Metadata, root};
use parts::{Fixture, Hub, Programs};
use suite::{SUITES, Suite};
use verdict::{Exceptions, Findings, Judged};

const PAGE: &str = "docs/conformance.md";

/// What to run. Everything, if nothing is said; then the page in docs is written.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// Runs against the fixture server itself.
    #[arg(long)]
    direct: bool,
    /// Runs against the fixture server behind the hub.
    #[arg(long)]
    through_hub: bool,
    /// Runs the client scenarios against the hub.
    #[arg(long)]
    client: bool,
    /// Writes no page; fails if the one that is there says something else.
    #[arg(long)]
    check: bool,
    /// Only this scenario; prints each check.
    scenario: Option<String>,
}

/// What a suite is run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    Direct,
    /// Through the hub, to a server over HTTP.
    Http,
    /// Through the hub, to a server on stdio, which is greeted as those of 2025-11-25.
    Stdio,
    /// Through the hub, to a server on stdio that speaks 2026-07-28 only.
    #[serde(rename = "stdio-2026")]
    Stdio2026,
    Client,
}

impl Way {
    /// Those through the hub.
    const THROUGH: [Self; 3] = [Self::Http, Self::Stdio, Self::Stdio2026];

    fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Http => "http",
            Self::Stdio => "stdio",
            Self::Stdio2026 => "stdio-2026",
            Self::Client => "client",
        }
    }
}

/// All that was found: by suite and way.
pub(crate) type Found = BTreeMap<(&'static str, Way), Findings>;

/// The part of `check`.
pub(crate) fn check() -> Result<()> {
    run(&Options { check: true, ..Options::default() })
}

/// The task `conformance`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let all = !(options.direct || options.through_hub || options.client);
    let target = Metadata::members()?.target_directory;
    setup::run_all(&target)?;
    let programs = parts::build(&target)?;
    let out = target.join("conformance");
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("cannot remove {}", out.display()))?;
    }

    let mut runs = Runs { node: Node::of(&target.join("test-envs/node"))?, target, out, found: Found::new() };
    let only = options.scenario.as_deref();
    if all || options.direct || options.through_hub {
        // What the hub loses is seen only beside what the server itself does.
        runs.servers(&programs, only, all || options.through_hub)?;
    }
    if all || options.client {
        runs.clients(&programs, only)?;
    }

    let exceptions = Exceptions::read(&root().join("tests/conformance/exceptions.toml"))?;
    let mut judged = exceptions.judge(&runs.found);
    if only.is_none() && runs.clients_again(&programs, &judged)? {
        judged = exceptions.judge(&runs.found);
    }
    if let Some(scenario) = only {
        print!("{}", page::checks(&runs.found, scenario));
    } else {
        print!("{}", page::summary(&runs.found));
    }
    for finding in &judged.excused {
        println!("excused: {finding}");
    }
    if all && only.is_none() {
        let text = page::page(&runs.found, &judged, &suite::versions(&runs.target)?);
        keep(&text, options.check)?;
        if !judged.stale.is_empty() {
            bail!("exceptions that nothing needs any more:\n{}", judged.stale.join("\n"));
        }
    }
    let unexplained: Vec<String> = judged.unexplained.iter().map(ToString::to_string).collect();
    if !unexplained.is_empty() {
        bail!("unexplained:\n{}", unexplained.join("\n"));
    }
    Ok(())
}

/// Writes the page, or says that it would be another.
fn keep(text: &str, check: bool) -> Result<()> {
    let path = root().join(PAGE);
    // Not every machine resolves the same versions.
    let told = |text: &str| text.split_once("\n## ").map(|(_, found)| found.to_owned());
    if !check {
        return fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()));
    }
    let there = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if told(&there) != told(text) {
        let now = root().join("target/conformance.md");
        fs::write(&now, text)?;
        bail!(
            "{PAGE} says something else than was found; see {}, and run `cargo xtask conformance`",
            now.display()
        );
    }
    Ok(())
}

struct Runs {
    node: Node,
    target: PathBuf,
    out: PathBuf,
    found: Found,
}

impl Runs {
    fn servers(&mut self, programs: &Programs, only: Option<&str>, hub: bool) -> Result<()> {
        let fixture = Fixture::start(&self.target)?;
        for suite in SUITES {
            self.server(suite, Way::Direct, &fixture.url, only)?;
        }
        if hub {
            for way in Way::THROUGH {
                let hub = Hub::start(programs, &self.target, way, &fixture.url)?;
                for suite in SUITES {
                    self.server(suite, way, &hub.url, only)?;
                }
                hub.end()?;
            }
        }
        Ok(())
    }

    fn server(&mut self, suite: &'static Suite, way: Way, url: &str, only: Option<&str>) -> Result<()> {
        self.run(suite, way, only, &["server", "--url", url])
    }

    fn clients(&mut self, programs: &Programs, only: Option<&str>) -> Result<()> {
        let command = programs.client.to_string_lossy().into_owned();
        for suite in SUITES {
            self.run(suite, Way::Client, only, &["client", "--command", &command, "--timeout", "120000"])?;
        }
        Ok(())
    }

    /// Tries client scenarios once more, each by itself: the suite starts all at once, and whoever is
    /// late on a busy machine may have been taken for silent. Whether there were any.
    fn clients_again(&mut self, programs: &Programs, judged: &Judged) -> Result<bool> {
        let command = programs.client.to_string_lossy().into_owned();
        let late = judged.unexplained.iter().filter(|finding| finding.way == Way::Client);
        let late: BTreeSet<_> = late.map(|finding| (finding.suite, finding.scenario.as_str())).collect();
        for (name, scenario) in &late {
            let Some(suite) = SUITES.iter().find(|suite| suite.name == *name) else { continue };
            println!("once more: {name} {scenario}");
            let out = self.out.join("again").join(name).join(scenario.replace('/', "-"));
            let arguments = ["client", "--command", command.as_str()];
            let mut again = suite.run(&self.node, &self.target, &out, Some(*scenario), &arguments)?;
            if let (Some(found), Some(checks)) =
                (self.found.get_mut(&(suite.name, Way::Client)), again.0.remove(*scenario))
            {
                found.0.insert((*scenario).to_owned(), checks);
            }
        }
        Ok(!late.is_empty())
    }

    fn run(&mut self, suite: &'static Suite, way: Way, only: Option<&str>, arguments: &[&str]) -> Result<()> {
        let out = self.out.join(way.name()).join(suite.name);
        let started = Instant::now();
        let findings = suite.run(&self.node, &self.target, &out, only, arguments)?;
        let seconds = started.elapsed().as_secs_f64();
        println!("{:<10} {:<20} {:>4} checks {seconds:>5.0} s", way.name(), suite.name, findings.checks());
        if findings.checks() == 0 && only.is_none() {
            bail!("the suite checked nothing: see {}", out.display());
        }
        self.found.insert((suite.name, way), findings);
        Ok(())
    }
}
