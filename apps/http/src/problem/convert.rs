//! Which code each error of the hub gets.

use serde_json::{Value, json};
use tracing::warn;

use super::{Code, Problem};
use crate::domain::{AlertError, CheckError, RefreshError, SupervisionError, TuneError, WantError};
use crate::domain::{
    AskError, CallError, ChangeError, ConversationError, DumpError, EditError, ExportError, ImportError,
    InvalidArguments, InvalidName, LeaseError, NoSuchServer, NoSuchTool, QueryError, ReadError,
    RegisterError, RemoveError, RunError, ShareError, StartFault, StorageError, TokenError, ToolSettingError,
    WaitError, WireError, chain,
};
use crate::domain::{LoginError, SignInFault};
use crate::wire::RefusedSetting;

impl From<InvalidName> for Problem {
    fn from(error: InvalidName) -> Self {
        Self::new(Code::InvalidName, error)
    }
}

impl From<NoSuchServer> for Problem {
    fn from(error: NoSuchServer) -> Self {
        let detail = error.to_string();
        match error {
            NoSuchServer::Unknown { near, .. } => {
                Self::new(Code::UnknownServer, detail).with_list("near", near)
            }
            NoSuchServer::Ambiguous { owners, .. } => {
                let candidates: Vec<Value> = owners
                    .iter()
                    .map(|key| json!({ "owner": crate::wire::owner(key), "name": key.name }))
                    .collect();
                Self::new(Code::AmbiguousServer, detail).with("candidates", candidates)
            }
        }
    }
}

impl From<NoSuchTool> for Problem {
    fn from(error: NoSuchTool) -> Self {
        let detail = error.to_string();
        match error {
            NoSuchTool::Unknown { near, .. } => Self::new(Code::UnknownTool, detail).with_list("near", near),
            NoSuchTool::Ambiguous { same_name, .. } => {
                Self::new(Code::AmbiguousTool, detail).with_list("candidates", same_name)
            }
            NoSuchTool::Server(error) => error.into(),
        }
    }
}

impl From<InvalidArguments> for Problem {
    fn from(error: InvalidArguments) -> Self {
        let detail = error.to_string();
        let problems: Vec<Value> = error
            .problems
            .into_iter()
            .map(|problem| json!({ "path": problem.path, "message": problem.message }))
            .collect();
        Self::new(Code::InvalidArguments, detail).with("problems", problems)
    }
}

/// Every failure of a call says whether the tool may have run.
impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        let outcome = error.outcome();
        let detail = error.to_string();
        let problem = match error {
            CallError::UnknownTool(error) => Self::from(error),
            CallError::Arguments { tool, source } => {
                let mut problem = Self::from(source).with("tool", tool);
                problem.detail = format!("{detail}: {}", problem.detail);
                problem
            }
            CallError::Run(error) => error.into(),
        };
        problem.with("outcome", outcome.as_str())
    }
}

impl From<RunError> for Problem {
    fn from(error: RunError) -> Self {
        let detail = chain(&error);
        match error {
            RunError::Lease(error) => error.into(),
            RunError::Wire { source, .. } => on_the_wire(source, detail),
        }
    }
}

/// A request that was sent to a server, or about to be, and failed.
fn on_the_wire(error: WireError, detail: String) -> Problem {
    match error {
        WireError::NotSent
        | WireError::Unreadable { .. }
        | WireError::Unreachable { .. }
        | WireError::Broken { .. }
        | WireError::Status { .. } => Problem::new(Code::ServerFailed, detail),
        WireError::SignIn(_) => Problem::new(Code::SignInNeeded, detail),
        WireError::Died { stderr, .. } => {
            Problem::new(Code::ServerFailed, detail).with_list("stderr", stderr)
        }
        WireError::TimedOut { .. } => Problem::new(Code::Late, detail),
        WireError::Refused { code, message, data } => Problem::new(Code::ServerRefused, detail)
            .with("server_error", json!({ "code": code, "message": message, "data": data })),
    }
}

/// What a server printed before it failed to start.
fn stderr(fault: &StartFault) -> Vec<String> {
    match fault {
        StartFault::Start(error) => error.stderr.clone(),
        StartFault::Needs(_)
        | StartFault::Environment(_)
        | StartFault::Variable(_)
        | StartFault::SignIn { .. }
        | StartFault::Told(_) => Vec::new(),
    }
}

impl From<LeaseError> for Problem {
    fn from(error: LeaseError) -> Self {
        let detail = error.to_string();
        match error {
            LeaseError::UnknownServer { .. } => Self::new(Code::UnknownServer, detail),
            LeaseError::Start { source, .. } => {
                let code = match *source {
                    StartFault::SignIn { .. } => Code::SignInNeeded,
                    StartFault::Needs(_)
                    | StartFault::Environment(_)
                    | StartFault::Variable(_)
                    | StartFault::Start(_)
                    | StartFault::Told(_) => Code::StartFailed,
                };
                Self::new(code, format!("{detail}: {}", source.chain())).with_list("stderr", stderr(&source))
            }
            LeaseError::Open { .. } => Self::new(Code::ServerResting, detail),
            LeaseError::Stopped { .. } => Self::new(Code::ServerStopped, detail),
            LeaseError::Busy { .. } => Self::new(Code::ServerBusy, detail),
            LeaseError::Ending => Self::new(Code::Ending, detail),
            LeaseError::Late { .. } => Self::new(Code::Late, detail),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let code = match error {
            QueryError::Empty => Code::EmptyQuery,
            QueryError::TooLong { .. } => Code::QueryTooLong,
        };
        Self::field(code, "query", error)
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        warn!(error = %chain(&error), "the storage failed a request");
        let code = match error {
            StorageError::Full(_) => Code::StorageFull,
            StorageError::Engine { .. } | StorageError::Damaged { .. } => Code::StorageFailed,
            StorageError::Conflict { .. } | StorageError::Fenced { .. } => Code::ChangedMeanwhile,
            StorageError::Unreachable { .. } => Code::StorageUnreachable,
            StorageError::Refused { .. } => Code::StorageFailed,
            StorageError::Closed => Code::Ending,
        };
        Self::new(code, error)
    }
}

impl From<ConversationError> for Problem {
    fn from(error: ConversationError) -> Self {
        error.0.into()
    }
}

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        let detail = error.to_string();
        match error {
            RegisterError::Missing { .. } => Self::field(Code::ScriptNotFound, "script_path", detail),
            RegisterError::Outside { .. } => Self::field(Code::OutsideDropFolder, "script_path", detail),
            RegisterError::NoServer { .. } => Self::field(Code::NotAServer, "script_path", detail),
            RegisterError::Conflict { .. } => Self::field(Code::NameConflict, "name", detail),
            RegisterError::Storage(error) => error.into(),
            RegisterError::Ending => Self::new(Code::Ending, detail),
        }
    }
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        let detail = error.to_string();
        match error {
            EditError::Conflict { .. } => Self::field(Code::NameConflict, "name", detail),
            EditError::Invalid(_) => Self::new(Code::InvalidEntry, detail),
            EditError::NotConfigured { .. } => Self::new(Code::NotConfigured, detail),
            EditError::File(_) => {
                warn!(error = %detail, "mcp.json was not changed");
                Self::new(Code::ConfigFailed, detail)
            }
            EditError::Storage(error) => error.into(),
            EditError::Ending => Self::new(Code::Ending, detail),
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::UnknownServer(error) => error.into(),
            ChangeError::NotYours { .. } | ChangeError::OthersToo { .. } => Self::new(Code::NotYours, error),
            ChangeError::Edit(error) => error.into(),
            ChangeError::Remove(error) => error.into(),
            ChangeError::Share(error) => error.into(),
            ChangeError::Check(CheckError::UnknownServer { .. }) => Self::new(Code::UnknownServer, error),
            ChangeError::Want(error) => error.into(),
            ChangeError::Lease(error) => error.into(),
            ChangeError::Refresh(error) => (*error).into(),
        }
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Client { .. } | ImportError::Document(_) | ImportError::McpStore(_) => {
                Self::new(Code::InvalidEntry, chain(&error))
            }
            ImportError::Edit(error) => error.into(),
        }
    }
}

impl From<DumpError> for Problem {
    fn from(error: DumpError) -> Self {
        match error {
            DumpError::Storage(error) => error.into(),
            DumpError::Write(_)
            | DumpError::Read(_)
            | DumpError::NoDump
            | DumpError::Newer { .. }
            | DumpError::Line { .. }
            | DumpError::UnknownTable { .. }
            | DumpError::Incomplete { .. } => Self::new(Code::Internal, chain(&error)),
        }
    }
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::UnknownServer(error) => error.into(),
            ExportError::Edit(error) => error.into(),
        }
    }
}

impl From<RefreshError> for Problem {
    fn from(error: RefreshError) -> Self {
        let detail = chain(&error);
        match error {
            RefreshError::Lease(error) => error.into(),
            RefreshError::Wire { source, .. } => on_the_wire(source, detail),
        }
    }
}

impl From<WantError> for Problem {
    fn from(error: WantError) -> Self {
        match error {
            WantError::UnknownServer { .. } => Self::new(Code::UnknownServer, error),
            WantError::Storage(error) => error.into(),
            WantError::Ending => Self::new(Code::Ending, error),
        }
    }
}

impl From<AlertError> for Problem {
    fn from(error: AlertError) -> Self {
        match error {
            AlertError::UnknownServer(error) => error.into(),
            AlertError::NoServer => Self::field(Code::InvalidRequest, "server_name", error),
            AlertError::Length { field, .. } => Self::field(Code::InvalidRequest, field, error),
            AlertError::StoreOnly => Self::new(Code::NotYours, error),
        }
    }
}

impl From<SupervisionError> for Problem {
    fn from(error: SupervisionError) -> Self {
        let detail = error.to_string();
        match error {
            SupervisionError::StoreOnly => Self::new(Code::NotYours, detail),
            SupervisionError::Tune(TuneError::Storage(error)) => error.into(),
            SupervisionError::Tune(TuneError::Refused(refused)) => {
                let refused: Vec<RefusedSetting> = refused.into_iter().map(RefusedSetting::from).collect();
                Self::new(Code::OutOfRange, detail).with("problems", json!(refused))
            }
        }
    }
}

impl From<ShareError> for Problem {
    fn from(error: ShareError) -> Self {
        match error {
            ShareError::NotTheStores { .. } => Self::new(Code::NotYours, error),
            ShareError::Refused(ref refused) => Self::new(Code::NameConflict, chain(refused)),
            ShareError::Storage(error) => error.into(),
            ShareError::Ending => Self::new(Code::Ending, error),
        }
    }
}

impl From<ToolSettingError> for Problem {
    fn from(error: ToolSettingError) -> Self {
        match error {
            ToolSettingError::UnknownTool(error) => error.into(),
            ToolSettingError::Share(error) => error.into(),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        let detail = chain(&error);
        match error {
            ReadError::Unknown { .. } => Self::new(Code::UnknownResource, detail),
            ReadError::Ambiguous { servers, .. } => {
                Self::new(Code::AmbiguousResource, detail).with_list("candidates", servers)
            }
            ReadError::UnknownServer(error) => error.into(),
            ReadError::Ask(AskError::Lease(error)) => error.into(),
            ReadError::Ask(AskError::Wire { source, .. }) => on_the_wire(source, detail),
        }
    }
}

impl From<RemoveError> for Problem {
    fn from(error: RemoveError) -> Self {
        let detail = error.to_string();
        match error {
            RemoveError::UnknownServer { .. } => Self::new(Code::UnknownServer, detail),
            RemoveError::File { ref source, .. } => {
                warn!(error = %source, "{detail}");
                Self::new(Code::FileFailed, detail)
            }
            RemoveError::Config(_) => {
                warn!(error = %detail, "a server was not removed");
                Self::new(Code::ConfigFailed, detail)
            }
            RemoveError::Storage(error) => error.into(),
            RemoveError::Ending => Self::new(Code::Ending, detail),
        }
    }
}

impl From<WaitError> for Problem {
    fn from(error: WaitError) -> Self {
        let detail = error.to_string();
        match error {
            WaitError::UnknownServer(error) => error.into(),
            WaitError::Late { now, .. } => {
                Self::new(Code::StateNotReached, detail).with("state", now.as_str())
            }
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let detail = chain(&error);
        match error {
            LoginError::UnknownServer(error) => error.into(),
            LoginError::NotYours { .. } => Self::new(Code::NotYours, detail),
            LoginError::SignIn(SignInFault::UnknownServer { .. }) => Self::new(Code::UnknownServer, detail),
            LoginError::SignIn(SignInFault::NotUsed { .. } | SignInFault::NotBuilt) => {
                Self::new(Code::NotSupported, detail)
            }
            LoginError::SignIn(SignInFault::Entry { .. } | SignInFault::Failed { .. }) => {
                Self::new(Code::SignInFailed, detail)
            }
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let detail = error.to_string();
        match error {
            TokenError::Name => Self::field(Code::InvalidName, "name", detail),
            TokenError::Taken { .. } => Self::field(Code::NameConflict, "name", detail),
            TokenError::Unknown { .. } => Self::new(Code::UnknownToken, detail),
            TokenError::Random => Self::new(Code::Internal, detail),
            TokenError::Storage(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use dormouse::{ServerKey, ServerName, ToolName};

    use super::*;

    /// Every way in which a call can fail: what a client reads of it, without type and title.
    #[test]
    fn a_failed_call_says_why_and_whether_it_may_have_run() {
        let server = || ServerKey::store(ServerName::try_new("bank").unwrap());
        let wire = |source| {
            let tool = ToolName::try_new("pay").unwrap();
            RunError::Wire { server: server(), tool, source }
        };
        let after = Duration::from_millis(250);
        let failures = [
            RunError::from(LeaseError::UnknownServer { server: server() }),
            LeaseError::Start { server: server(), source: Arc::new(StartFault::Variable("KEY".into())) }
                .into(),
            LeaseError::Open { server: server(), failures: 5, reason: "it ended".into(), said: None }.into(),
            LeaseError::Stopped { server: server() }.into(),
            LeaseError::Ending.into(),
            LeaseError::Late { server: server(), deadline: after }.into(),
            wire(WireError::NotSent),
            wire(WireError::Died { exit: None, stderr: vec!["Traceback".into()] }),
            wire(WireError::TimedOut { after, sent: true }),
            wire(WireError::TimedOut { after, sent: false }),
            wire(WireError::Refused { code: -32602, message: "no".into(), data: None }),
            wire(WireError::Unreadable { why: "NaN".into() }),
        ];
        let told: String = failures
            .into_iter()
            .map(|failure| {
                let problem = Problem::from(CallError::Run(failure));
                let members = serde_json::to_string(&problem.members).unwrap();
                format!("{} {}: {}\n  {members}\n", problem.status, problem.code.as_str(), problem.detail)
            })
            .collect();
        insta::assert_snapshot!(told);
    }
}
