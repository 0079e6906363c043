//! What was found, and whether it is as it should be.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::suite::SUITES;
use super::{Found, Way};

/// How the occurrences of one check ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) warned: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    /// What the suite said, the first time that it did not pass.
    pub(crate) said: Option<String>,
}

/// The worst of a check's occurrences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Worst {
    Failed,
    Warned,
    Skipped,
    Passed,
}

impl Tally {
    fn worst(&self) -> Worst {
        match self {
            Self { failed: 1.., .. } => Worst::Failed,
            Self { warned: 1.., .. } => Worst::Warned,
            Self { passed: 1.., .. } => Worst::Passed,
            _ => Worst::Skipped,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.warned += other.warned;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// `5 pass, 1 fail`: nothing of what there is none of.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts =
            [(self.passed, "pass"), (self.warned, "warn"), (self.failed, "FAIL"), (self.skipped, "skip")];
        let told =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
        let told: Vec<String> = told.collect();
        f.pad(&if told.is_empty() { "–".to_owned() } else { told.join(", ") })
    }
}

/// The checks of one run, by scenario and then by name.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) BTreeMap<String, BTreeMap<String, Tally>>);

impl Findings {
    pub(crate) fn add(&mut self, scenario: &str, check: &str, status: &str, said: Option<&str>) {
        let tallies = self.0.entry(scenario.to_owned()).or_default();
        if status == "INFO" {
            return;
        }
        let tally = tallies.entry(check.to_owned()).or_default();
        match status {
            "SUCCESS" => tally.passed += 1,
            "WARNING" => tally.warned += 1,
            "SKIPPED" => tally.skipped += 1,
            _ => tally.failed += 1,
        }
        if matches!(status, "WARNING" | "FAILURE") && tally.said.is_none() {
            tally.said = said.map(ToOwned::to_owned);
        }
    }

    pub(crate) fn checks(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    pub(crate) fn of(&self, scenario: &str) -> Tally {
        let mut sum = Tally::default();
        for tally in self.0.get(scenario).into_iter().flat_map(BTreeMap::values) {
            sum.add(tally);
        }
        sum
    }

    pub(crate) fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        for scenario in self.0.keys() {
            sum.add(&self.of(scenario));
        }
        sum
    }

    fn worst(&self, scenario: &str, check: &str) -> Option<Worst> {
        Some(self.0.get(scenario)?.get(check)?.worst())
    }

    fn said(&self, scenario: &str, check: &str) -> String {
        let tally = self.0.get(scenario).and_then(|checks| checks.get(check));
        tally.map_or_else(|| "not checked".to_owned(), |tally| tally.said.clone().unwrap_or_default())
    }
}

/// A check that is not as it should be.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) suite: &'static str,
    pub(crate) way: Way,
    pub(crate) scenario: String,
    pub(crate) check: String,
    pub(crate) said: String,
    pub(crate) reason: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { suite, way, scenario, check, said, reason } = self;
        write!(f, "{suite} {} {scenario}:{check}: ", way.name())?;
        f.write_str(reason.as_ref().unwrap_or(said))
    }
}

/// `exceptions.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exceptions {
    #[serde(default)]
    exception: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    ways: Vec<Way>,
    /// All, if it names none.
    #[serde(default)]
    suites: Vec<String>,
    scenarios: Vec<String>,
    /// All of a scenario, if it names none.
    #[serde(default)]
    checks: Vec<String>,
    reason: String,
}

impl Exception {
    fn is_of(&self, finding: &Finding) -> bool {
        self.ways.contains(&finding.way)
            && (self.suites.is_empty() || self.suites.iter().any(|suite| suite == finding.suite))
            && self.scenarios.contains(&finding.scenario)
            && (self.checks.is_empty() || self.checks.contains(&finding.check))
    }
}

/// What the exceptions make of what was found.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) excused: Vec<Finding>,
    pub(crate) unexplained: Vec<Finding>,
    /// Exceptions that nothing needed.
    pub(crate) stale: Vec<String>,
}

impl Exceptions {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("cannot read {}", path.display()))
    }

    pub(crate) fn judge(&self, found: &Found) -> Judged {
        let mut judged = Judged::default();
        let mut used = vec![false; self.exception.len()];
        for mut finding in wrong(found) {
            match self.exception.iter().position(|exception| exception.is_of(&finding)) {
                Some(at) => {
                    used[at] = true;
                    finding.reason = Some(self.exception[at].reason.clone());
                    judged.excused.push(finding);
                }
                None => judged.unexplained.push(finding),
            }
        }
        let unused = self.exception.iter().zip(used).filter(|(_, used)| !used);
        judged.stale = unused.map(|(exception, _)| format!("{exception:?}")).collect();
        judged
    }
}

/// What fails directly or as a client, and what the hub makes worse.
fn wrong(found: &Found) -> Vec<Finding> {
    let mut wrong = Vec::new();
    for suite in SUITES {
        let mut tell = |way: Way, scenario: &str, check: &str, findings: &Findings| {
            let said = findings.said(scenario, check);
            let (scenario, check) = (scenario.to_owned(), check.to_owned());
            wrong.push(Finding { suite: suite.name, way, scenario, check, said, reason: None });
        };
        for way in [Way::Direct, Way::Client] {
            let Some(findings) = found.get(&(suite.name, way)) else { continue };
            for (scenario, check) in every(findings) {
                if findings.worst(scenario, check) == Some(Worst::Failed) {
                    tell(way, scenario, check, findings);
                }
            }
        }
        let Some(direct) = found.get(&(suite.name, Way::Direct)) else { continue };
        for way in Way::THROUGH {
            let Some(findings) = found.get(&(suite.name, way)) else { continue };
            for (scenario, check) in every(direct) {
                let (before, after) = (direct.worst(scenario, check), findings.worst(scenario, check));
                let worse = match before {
                    Some(Worst::Passed) => after != Some(Worst::Passed),
                    Some(Worst::Warned | Worst::Skipped) => after == Some(Worst::Failed),
                    Some(Worst::Failed) | None => false,
                };
                if worse {
                    tell(way, scenario, check, findings);
                }
            }
            // Checks that only come up through the hub.
            for (scenario, check) in every(findings) {
                let new = direct.worst(scenario, check).is_none();
                if new && findings.worst(scenario, check) == Some(Worst::Failed) {
                    tell(way, scenario, check, findings);
                }
            }
        }
    }
    wrong
}

fn every(findings: &Findings) -> impl Iterator<Item = (&str, &str)> {
    let all = findings.0.iter();
    all.flat_map(|(scenario, checks)| checks.keys().map(move |check| (scenario.as_str(), check.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(status: &str) -> Findings {
        let mut findings = Findings::default();
        findings.add("ping", "answers", status, Some("it said nothing"));
        findings
    }

    fn judged(direct: &str, through: &str, exceptions: &str) -> Judged {
        let suite = SUITES[0].name;
        let found = [((suite, Way::Direct), findings(direct)), ((suite, Way::Http), findings(through))];
        let exceptions: Exceptions = toml::from_str(exceptions).unwrap();
        exceptions.judge(&found.into_iter().collect())
    }

    #[test]
    fn what_passes_directly_must_pass_through_the_hub() {
        assert_eq!(judged("SUCCESS", "SUCCESS", "").unexplained.len(), 0);
        let lost = judged("SUCCESS", "FAILURE", "").unexplained;
        assert_eq!(lost.len(), 1);
        assert!(lost[0].to_string().ends_with("http ping:answers: it said nothing"), "{}", lost[0]);
        assert_eq!(judged("SUCCESS", "SKIPPED", "").unexplained.len(), 1);
        assert_eq!(judged("SKIPPED", "SKIPPED", "").unexplained.len(), 0);
        let both = judged("FAILURE", "FAILURE", "").unexplained;
        assert_eq!((both.len(), both[0].way), (1, Way::Direct), "the hub takes nothing away");
    }

    #[test]
    fn an_exception_gives_a_reason_and_is_needed() {
        let exception = r#"
            [[exception]]
            ways = ["http"]
            scenarios = ["ping"]
            checks = ["answers"]
            reason = "it sleeps"
        "#;
        let excused = judged("SUCCESS", "FAILURE", exception);
        assert_eq!((excused.excused.len(), excused.unexplained.len(), excused.stale.len()), (1, 0, 0));
        assert_eq!(judged("SUCCESS", "SUCCESS", exception).stale.len(), 1);
    }

    #[test]
    fn the_exceptions_can_be_read() {
        Exceptions::read(&crate::workspace::root().join("tests/conformance/exceptions.toml")).unwrap();
    }
}
