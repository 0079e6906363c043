//! What this crate takes from `dormouse`, in one place.

pub(crate) use dormouse::{
    AddError, AgentId, AlertLevel, CallAnswer, CallError, CallRequest, Candidate, Confidence, Context,
    ConversationError, Doctor, Drift, DriftKind, Event, FeatureSource, Finding, Garbage, Health, Hub,
    InvalidArguments, InvalidName, Launch, LeaseError, Message, NewToken, NoBackChannel, NoListener,
    NoSuchServer, NoSuchTool, Noise, Origin, Outcome, Plan, Planned, PlannedCall, PrepareStep, QueryAnswer,
    QueryError, QueryEvent, QueryListener, QueryRequest, Receipt, RegisterError, RemoveError, Role, RunError,
    Scope, ServerInfo, ServerKey, ServerName, ServerState, SessionId, StartFault, Step, StorageError,
    StorageHealth, Timestamp, TokenError, TokenInfo, ToolRef, Version, WaitError, Wanted, WireError, chain,
};
