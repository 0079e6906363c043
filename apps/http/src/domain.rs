//! What this crate takes from `dormouse`, in one place.

pub(crate) use dormouse::adapters::{Format, UnreadableCalls, read_calls, tools as formed};
pub(crate) use dormouse::clients::{self, Client};
pub(crate) use dormouse::dump::DumpError;
pub(crate) use dormouse::mcp_json::{Problem as ConfigProblem, ProblemKind, intake_text, masked};
pub(crate) use dormouse::open_files;
pub(crate) use dormouse::{
    AddReport, AgentId, AgentSummary, AlertLevel, AskError, CallAnswer, CallError, CallFilter, CallRecord,
    CallRequest, Candidate, ChangeError, Confidence, Context, ConversationError, Doctor, Drift, DriftKind,
    EditError, Event, FeatureSource, Finding, Garbage, Health, Hub, InvalidArguments, InvalidName, Launch,
    LeaseError, Message, NewToken, NoListener, NoSuchServer, NoSuchTool, Noise, NotAdded, Offered, Origin,
    Outcome, Plan, Planned, PlannedCall, PrepareStep, QueryAnswer, QueryError, QueryEvent, QueryListener,
    QueryRequest, ReadError, Receipt, RegisterError, RemoveError, Reset, Role, RunError, Scope, ServerInfo,
    ServerKey, ServerName, ServerState, SessionId, ShareError, SilentCaller, StartFault, Step, StorageError,
    StorageHealth, Timestamp, TokenError, TokenInfo, ToolRef, ToolSettingError, ToolSettings, ToolStats,
    Version, WaitError, Wanted, WireError, chain,
};
pub(crate) use dormouse::{
    Alert, AlertError, Check, CheckError, NewAlert, OutOfRange, RefreshError, ServerStats, Stats,
    Supervision, SupervisionError, TuneError, WantError,
};
pub(crate) use dormouse::{ExportError, Import, ImportError, ImportReport, Imported, LeftOut, OnConflict};
pub(crate) use dormouse::{LoginError, SignIn, SignInFault, SignInState, SignInsKept};
