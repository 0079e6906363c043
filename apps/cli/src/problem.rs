//! A problem that the hub reports, as a failure of the command.

use dormouse_http::{Code, Problem};
use serde_json::{Map, Value};

use crate::exit::Exit;
use crate::failure::Failure;

/// The end that a problem's code means.
fn exit_for(code: Code) -> Exit {
    match code {
        Code::UnknownTool
        | Code::UnknownServer
        | Code::UnknownResource
        | Code::UnknownToken
        | Code::NotConfigured
        | Code::ScriptNotFound
        | Code::AmbiguousTool
        | Code::AmbiguousServer
        | Code::AmbiguousResource => Exit::Unknown,
        Code::InvalidJson
        | Code::BadRequest
        | Code::BodyTooLarge
        | Code::QueryTooLong
        | Code::UriTooLong
        | Code::InvalidRequest
        | Code::InvalidName
        | Code::InvalidArguments
        | Code::InvalidEntry
        | Code::OutOfRange
        | Code::EmptyQuery
        | Code::NotAServer => Exit::Arguments,
        Code::ServerFailed
        | Code::ServerRefused
        | Code::StartFailed
        | Code::SignInNeeded
        | Code::SignInFailed
        | Code::ServerResting
        | Code::ServerBusy
        | Code::ServerStopped => Exit::ServerDown,
        Code::Late | Code::StateNotReached => Exit::Late,
        Code::Unauthorized
        | Code::Forbidden
        | Code::HostRefused
        | Code::OriginRefused
        | Code::OutsideDropFolder
        | Code::NotYours
        | Code::ChangedMeanwhile
        | Code::NameConflict => Exit::Refused,
        Code::Ending | Code::TooManyClients => Exit::NoHub,
        Code::NotFound
        | Code::MethodNotAllowed
        | Code::UnsupportedMediaType
        | Code::NotSupported
        | Code::Internal
        | Code::StorageFailed
        | Code::StorageUnreachable
        | Code::StorageFull
        | Code::ConfigFailed
        | Code::FileFailed => Exit::Unexpected,
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let Problem { code, detail, members, title, .. } = problem;
        // What matters most to whoever would try again: the tool may have run.
        let exit = match members.get("outcome").and_then(Value::as_str) {
            Some("unknown") => Exit::OutcomeUnknown,
            _ => exit_for(code),
        };
        // The hint says it.
        let said = detail.split("; did you mean ").next().unwrap_or_default();
        let failure = Self::new(exit, if said.is_empty() { title } else { said.to_owned() });
        let failure = failure.because(stderr(member(&members, "stderr")));
        match hint(code, &members).or_else(|| maybe_ran(exit)) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

fn maybe_ran(exit: Exit) -> Option<String> {
    (exit == Exit::OutcomeUnknown).then(|| "the tool may have run; look before you try again".to_owned())
}

fn hint(code: Code, members: &Map<String, Value>) -> Option<String> {
    match code {
        Code::UnknownTool => Some(match words(member(members, "near")).as_str() {
            "" => "`dormouse tools search WORDS` finds tools by what they do".to_owned(),
            near => format!("did you mean {near}?"),
        }),
        Code::UnknownServer => match words(member(members, "near")).as_str() {
            "" => Some("`dormouse servers list` shows the servers that there are".to_owned()),
            near => Some(format!("did you mean {near}?")),
        },
        Code::AmbiguousTool => Some(format!("say which: {}", words(member(members, "candidates")))),
        Code::AmbiguousResource => {
            Some(format!("say which with --server: {}", words(member(members, "candidates"))))
        }
        Code::InvalidArguments => {
            let tool = members.get("tool")?.as_str()?;
            Some(format!("`dormouse tools show {tool}` shows what it takes"))
        }
        Code::SignInNeeded => {
            Some("`dormouse servers login NAME` signs in; `doctor` says where that is kept".to_owned())
        }
        Code::ServerStopped => Some("`dormouse servers connect NAME` lets it run again".to_owned()),
        Code::ServerResting => Some("`dormouse servers restart NAME` tries at once".to_owned()),
        Code::OutsideDropFolder => {
            Some("copy the script into a drop folder; that alone makes it a server".to_owned())
        }
        _ => None,
    }
}

/// The last words of a server, as one cause.
fn stderr(lines: &Value) -> Option<String> {
    const SHOWN: usize = 12;
    let lines: Vec<&str> = lines.as_array()?.iter().filter_map(Value::as_str).collect();
    let from = lines.len().saturating_sub(SHOWN);
    (!lines.is_empty()).then(|| format!("it said on stderr:\n{}", lines[from..].join("\n")))
}

fn member<'a>(members: &'a Map<String, Value>, name: &str) -> &'a Value {
    members.get(name).unwrap_or(&Value::Null)
}

fn words(list: &Value) -> String {
    let words = list.as_array().map(Vec::as_slice).unwrap_or_default();
    words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What every code means for the exit code: a promise to scripts.
    #[test]
    fn every_code_has_its_exit() {
        let table: String =
            Code::ALL.iter().map(|code| format!("{} {}\n", code.as_str(), exit_for(*code).code())).collect();
        insta::assert_snapshot!(table);
    }

    #[test]
    fn what_may_have_run_is_told_by_the_outcome() {
        let problem = Problem::new(Code::ServerFailed, "the call of `pay` on server `bank` failed");
        let failure = Failure::from(problem.clone().with("outcome", "failed"));
        assert_eq!(failure.exit(), Exit::ServerDown);
        let failure = Failure::from(problem.with("outcome", "unknown"));
        assert_eq!(failure.exit(), Exit::OutcomeUnknown);
        insta::assert_snapshot!(failure, @r"
        error: the call of `pay` on server `bank` failed
        hint: the tool may have run; look before you try again
        ");
    }

    #[test]
    fn near_misses_and_last_words_are_shown() {
        let detail = "no tool is named `clculate`; did you mean calculate?";
        let problem = Problem::new(Code::UnknownTool, detail);
        insta::assert_snapshot!(Failure::from(problem.with("near", json!(["calculate"]))), @r"
        error: no tool is named `clculate`
        hint: did you mean `calculate`?
        ");
        let problem = Problem::new(Code::StartFailed, "server `x` did not start: it exited with code 1");
        insta::assert_snapshot!(Failure::from(problem.with("stderr", json!(["Traceback", "KeyError"]))), @r"
        error: server `x` did not start: it exited with code 1
          because it said on stderr:
            Traceback
            KeyError
        ");
    }
}
