//! `doctor`: what is wrong, and what to do about it.

use dormouse_http::wire::{Cleaned, DoctorReport};
use serde_json::{Value, json};

use super::Run;
use crate::args::Doctor;
use crate::client::HubClient;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

pub(super) async fn run(run: &Run, doctor: Doctor) -> Result<Exit, Failure> {
    run.with_hub(async |hub| {
        if doctor.clean {
            return clean(run, hub).await;
        }
        let said: Value = hub.get("/doctor").await?;
        let report: DoctorReport = serde_json::from_value(said.clone()).map_err(|error| {
            Failure::new(Exit::Unexpected, "the hub's answer cannot be read").caused_by(&error)
        })?;
        let well = is_well(&report);
        run.show(said, |output, _: Value| told(output, &report))?;
        Ok(if well { Exit::Ok } else { Exit::Unexpected })
    })
    .await
}

/// Whether everything that was meant to work can. A weakness of the machine or a file that is
/// left aside is worth a word, but no failure.
fn is_well(report: &DoctorReport) -> bool {
    report.python.is_some() && report.storage == "ok" && report.servers.is_empty()
}

fn told(output: &Output, report: &DoctorReport) -> Result<(), Failure> {
    let python = report.python.clone().or(report.python_problem.clone()).unwrap_or_default();
    output.facts(vec![
        ("space", report.space.clone()),
        ("hub", if report.background { "in the background".to_owned() } else { String::new() }),
        ("storage", report.storage.clone()),
        ("python", python),
        ("model", report.model.clone().unwrap_or_else(|| "none".to_owned())),
        ("sign-ins", report.sign_ins.clone()),
        ("weak", report.weaknesses.join("\n")),
    ])?;
    let unwell = report.servers.iter().map(|server| {
        vec![server.name.clone(), server.status.to_string(), server.reason.clone().unwrap_or_default()]
    });
    let aside =
        report.findings.iter().map(|f| vec![f.path.clone(), "left aside".to_owned(), f.problem.clone()]);
    output.table(&["what", "state", "why"], unwell.chain(aside).collect())?;
    if let Some(hint) = &report.hint {
        output.talk(&format!("hint: {hint}"));
    }
    if is_well(report) && report.findings.is_empty() {
        output.talk("all is well");
    }
    Ok(())
}

async fn clean(run: &Run, hub: &mut HubClient) -> Result<Exit, Failure> {
    run.show(hub.post("/environments/clean", &json!({})).await?, |output, cleaned: Cleaned| {
        let Cleaned { removed, bytes, in_use } = cleaned;
        output.facts(vec![
            ("removed", removed.to_string()),
            ("freed", format!("{:.1} MB", bytes as f64 / 1e6)),
            ("in use", in_use.to_string()),
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dormouse_http::wire::FindingItem;

    fn report() -> DoctorReport {
        DoctorReport {
            space: "/space".to_owned(),
            findings: Vec::new(),
            servers: Vec::new(),
            python: Some("/usr/bin/python3".to_owned()),
            python_problem: None,
            weaknesses: Vec::new(),
            model: None,
            hint: None,
            storage: "ok".to_owned(),
            sign_ins: String::new(),
            background: false,
        }
    }

    #[test]
    fn a_file_that_is_no_server_is_no_illness() {
        let finding = FindingItem { path: "servers/x.py".into(), problem: "it builds no server".into() };
        assert!(is_well(&DoctorReport { findings: vec![finding], ..report() }));
        assert!(!is_well(&DoctorReport { python: None, ..report() }));
        assert!(!is_well(&DoctorReport { storage: "disk full".into(), ..report() }));
    }
}
