//! What goes over the wire: one type a shape, with a `From` or `of` from the domain's values.
//!
//! All of them can also be read back, for programs in Rust that are clients of the hub.
//!
//! # Invariants
//!
//! * What a released hub sends stays: fields are added, never renamed or removed.
//! * No secret has a place here: of variables only the names are shown, of arguments of
//!   programs at most the names of options. Entries of `mcp.json` pass `masked` first.

mod chat;
mod event;
mod hub;
mod plan;
mod query;
mod server;
mod share;
mod sign_in;
mod supervision;
mod token;
mod tool;
mod transfer;
mod validate;

pub use chat::{ChatMessage, Cleared};
pub use event::{HubEvent, Lagged};
pub use hub::{Cleaned, DoctorReport, FindingItem, HealthReport, UnwellServer};
pub use plan::{CandidateItem, Decision, PlanItem, PlannedItem, ReceiptItem};
pub use query::{CallBegun, Progress, QueryAnswered, QueryAsked, QueryNews, Token, ToolOutcome, Waking};
pub use server::{
    AddServer, Disconnected, Doubtful, DriftItem, OutputReport, RegisterServer, Registered, ServerItem,
    ServerTool,
};
pub use share::{
    AddedServer, AddedServers, AgentItem, CallRecordItem, EntryReport, FailedServer, GetPrompt, Gone,
    OfferedItem, ReadResource, ResetBody, ResetReport, Sharing, ToolSetting, ToolStatItem,
};
pub use sign_in::SignInItem;
pub(crate) use sign_in::kept;
pub use supervision::{
    AlertItem, CallSums, CheckItem, ClearedAlerts, DisconnectBody, RaiseAlert, RecentEvent, RefusedSetting,
    ServerStatItem, SettingRange, StatsReport, SupervisionReport,
};
pub use token::{CreateToken, MadeToken, Revoked, TokenItem};
pub use tool::{CallBody, CallReply, FoundTool, ToolItem};
pub use transfer::{ExportedServers, ImportBody, ImportedItem, ImportedReport, LeftOutItem, MovingFiles};
pub use validate::ConfigFinding;

use std::time::Duration;

use crate::domain::{Scope, ServerKey};

/// A time in milliseconds, to a tenth, as in the seed.
pub(crate) fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

/// The name of a server in a context.
pub(crate) fn shown(scope: &Scope, server: &ServerKey) -> String {
    match scope {
        Scope::Store => server.store_name(),
        Scope::Agent(_) => server.name.to_string(),
    }
}

/// The agent that a server belongs to; `None` for the store's own.
pub(crate) fn owner(server: &ServerKey) -> Option<String> {
    match &server.scope {
        Scope::Store => None,
        Scope::Agent(agent) => Some(agent.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_to_a_tenth_of_a_millisecond() {
        assert_eq!(ms(Duration::from_micros(1_249)), 1.2);
        assert_eq!(ms(Duration::from_micros(1_250)), 1.3);
        assert_eq!(ms(Duration::from_secs(90)), 90_000.0);
    }
}

#[cfg(test)]
mod snapshots {
    //! The shapes that scripts lean on, as they go over the wire.

    use dormouse::{
        Arguments, CallAnswer, CallResult, Outcome, Plan, Planned, PlannedCall, QueryAnswer, QueryEvent,
        Scope, ServerKey, ServerName, Step, ToolKey, ToolName,
    };
    use serde_json::json;

    use super::*;

    fn key() -> ToolKey {
        let server = ServerKey::store(ServerName::try_new("calculator").unwrap());
        ToolKey { server, tool: ToolName::try_new("calculate").unwrap() }
    }

    fn arguments() -> Arguments {
        json!({"expression": "42 * 58"}).as_object().unwrap().clone()
    }

    fn planned() -> Planned {
        let call = PlannedCall {
            key: key(),
            full_name: "calculator_calculate".to_owned(),
            arguments: arguments(),
            receipts: Vec::new(),
        };
        Planned {
            plan: Plan::Calls(vec![call]),
            candidates: Vec::new(),
            model: None,
            reasons: vec!["the search is clear".to_owned()],
            more: false,
        }
    }

    fn step() -> Step {
        Step {
            key: key(),
            full_name: "calculator_calculate".to_owned(),
            server_name: "calculator".to_owned(),
            arguments: arguments(),
            text: "42 * 58 = 2436".to_owned(),
            outcome: Outcome::Ok,
            duration: Duration::from_micros(812_345),
            woke: true,
            receipts: Vec::new(),
        }
    }

    #[test]
    fn an_answered_query_has_every_promised_field() {
        let no_tool = Planned { plan: Plan::NoTool { reason: "it is done".to_owned() }, ..planned() };
        let answer = QueryAnswer {
            query: "calculate 42 * 58".to_owned(),
            answer: "42 * 58 = 2436".to_owned(),
            steps: vec![step()],
            woken: vec!["calculator".to_owned()],
            rounds: vec![planned(), no_tool],
            model: None,
            notes: Vec::new(),
            duration: Duration::from_micros(912_345),
        };
        insta::assert_json_snapshot!(QueryAnswered::of(&Scope::Store, answer));
    }

    #[test]
    fn an_answered_call_has_every_promised_field() {
        let result: CallResult = serde_json::from_value(json!({
            "content": [{"type": "text", "text": "2436", "annotations": {"audience": ["user"]}}],
            "structuredContent": {"result": 2436},
        }))
        .unwrap();
        let answer = CallAnswer {
            key: key(),
            server_name: "calculator".to_owned(),
            outcome: result.outcome(),
            result,
            duration: Duration::from_micros(1_234),
            woke: false,
            receipts: Vec::new(),
        };
        insta::assert_json_snapshot!(CallReply::from(answer));
    }

    #[test]
    fn a_query_tells_its_steps_by_name() {
        let told = [
            QueryEvent::Planned(planned()),
            QueryEvent::CallStarted { key: key(), full_name: "calculator_calculate".to_owned() },
            QueryEvent::Waking { server: key().server, step: "starting".to_owned() },
            QueryEvent::CallEnded(Box::new(step())),
            QueryEvent::Token("42".to_owned()),
        ];
        let news: Vec<QueryNews> =
            told.into_iter().filter_map(|event| QueryNews::of(&Scope::Store, event)).collect();
        let wire = serde_json::to_value(&news).unwrap();
        assert_eq!(serde_json::from_value::<Vec<QueryNews>>(wire.clone()).unwrap(), news);
        insta::assert_json_snapshot!(wire);
    }
}
