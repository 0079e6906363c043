//! Dormouse: a tool hub for AI agents whose tools sleep until they are needed.
//!
//! A [`Hub`] works in a [`Space`]: scripts in its `servers/` folder are tools at once, without
//! a process. [`Hub::store`] gives the [`Context`] with the verbs: ask, call, list, attach.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use dormouse::{Hub, NoListener, QueryRequest, SessionId};
//!
//! let hub = Hub::builder().space("my-space").open().await?;
//! let question = QueryRequest {
//!     query: "calculate 42 * 58".to_owned(),
//!     session: SessionId::try_new("default")?,
//! };
//! let answer = hub.store().query(question, Arc::new(NoListener)).await?;
//! println!("{}", answer.answer);
//! hub.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Invariants
//!
//! * One hub per space: opening a space twice in one process gives the same hub, and a second
//!   process is refused.
//! * No global state but that table of open spaces, and the limit of [open files](open_files) that a
//!   program may have raised; measures go to the meter that is handed in.
//! * After [`Hub::shutdown`] no process is left.

#![warn(missing_docs)]

pub mod adapters;
pub mod blocking;
mod builder;
mod config;
mod hub;
mod lock;
mod observer;
mod offline;
mod space;
mod token;

pub use builder::{HubBuilder, OpenError};
pub use config::{
    Config, ConfigError, Conversations, Http, HubSection, IdleSetting, Mcp, McpMode, McpSection, Models,
    Never, Python, Redis, ServerSection, TimingConfig, WantedSetting,
};
pub use hub::{Doctor, Health, Hub, StorageHealth};
pub use lock::LockError;
pub use observer::Observer;
pub use offline::{IdleError, IdleSpace, MigrateError};
pub use space::{MARK, Space};
pub use token::{Grant, NewToken, TokenError, TokenInfo, Tokens};

pub use dormouse_context::LoginError;
pub use dormouse_context::{
    AddFault, AddReport, AgentSummary, AlertError, CallAnswer, CallError, CallFilter, CallRecord,
    CallRequest, ChangeError, Context, ConversationError, Events, NewAlert, NoListener, NotAdded, Offered,
    QueryAnswer, QueryError, QueryEvent, QueryListener, QueryRequest, RawAnswer, RawCall, ReadError,
    ServerInfo, ServerStats, Stats, Step, SupervisionError, ToolSettingError, ToolStats, WaitError,
};
pub use dormouse_context::{
    Export, ExportError, Fate, Import, ImportError, ImportReport, Imported, LeftOut, OnConflict,
};
pub use dormouse_orchestrator::{
    AskError, CallError as RunError, Check, CheckError, Edit, EditError, EditKind, Finding, Held, LeaseError,
    OutOfRange, PassRequest, Passed, RefreshError, RegisterError, RemoveError, Reset, ShareError, StartFault,
    Supervision, TuneError, Unasked, WantError,
};
pub use dormouse_orchestrator::{SignIn, SignInFault, SignInState, SignInsKept};
pub use dormouse_protocol::SignInError;
pub use dormouse_protocol::open_files;
pub use dormouse_protocol::{Address, Channel, Transport, TransportError};
pub use dormouse_protocol::{CallError as WireError, Garbage, Noise};
pub use dormouse_protocol::{Direct, Exit, ExitHandle, LaunchError, Launched, Launcher, Program};
pub use dormouse_registry::{Catalog, Entry, NoSuchServer, NoSuchTool, Registry, ToolRef, Version};
pub use dormouse_routing::{Candidate, InvalidArguments, Plan, Planned, PlannedCall, Receipt};
pub use dormouse_routing::{
    Choice, Endpoint as ModelEndpoint, Model, ModelError, Offer, Prompt as ModelPrompt, Speaker,
    Tokens as TextTokens,
};
pub use dormouse_storage::{clients, mcp_json, mcpstore};

/// Everything that a storage holds, as lines of JSON.
pub mod dump {
    pub use dormouse_storage::{DumpError, Dumped, dump, load, migrate};
}
pub use dormouse_storage::{
    ConfigSource, ConversationKey, DocumentSource, Embedded, Fence, FileSource, FromOthers, Memory,
    MirroredSource, SourceError, Storage, StorageError, Table, Write,
};
pub use dormouse_types::*;
