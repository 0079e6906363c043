//! Several hubs in one process: each has its own space, and they share nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::path::Path;
use std::sync::Arc;

use dormouse::{
    AlertLevel, Arguments, CallError, CallFilter, CallRequest, Config, Context, Event, Hub, NoBackChannel,
    NoListener, QueryRequest, RunError, Scope, ToolSettings,
};
use dormouse::{IdleSetting, LeaseError};
use dormouse_telemetry::Telemetry;
use dormouse_tests::{TestSpace, until};
use futures::future::join_all;
use serde_json::json;

const WHO: &str = env!("CARGO_BIN_EXE_dormouse-who");

/// A hub with servers that say which space is theirs, and what it measures.
struct One {
    identity: &'static str,
    space: TestSpace,
    hub: Hub,
    telemetry: Telemetry,
}

impl One {
    /// Every hub gets servers of the same names.
    async fn open(identity: &'static str) -> Self {
        let (space, telemetry) = (TestSpace::new(), Telemetry::new().unwrap());
        let mut config = Config { model: "none".to_owned(), ..Config::default() };
        // Awake once they were called, so that whoever ended another's process is found out.
        config.timing.idle_seconds = IdleSetting::Seconds(600.0);
        let builder = Hub::builder().space(space.root()).config(config).meter(telemetry.meter());
        let hub = builder.open().await.unwrap();
        let one = Self { identity, space, hub, telemetry };
        for context in one.contexts() {
            let entry = json!({ "command": WHO, "args": [one.says(&context), "who", "other"] });
            context.add("x".parse().unwrap(), entry).await.unwrap();
        }
        let contexts = one.contexts();
        until("tools are known", || contexts.iter().all(|it| !it.tools().is_empty())).await;
        one
    }

    fn contexts(&self) -> [Context; 2] {
        [self.hub.store(), self.hub.for_agent("a").unwrap()]
    }

    fn says(&self, context: &Context) -> String {
        let of = if *context.scope() == Scope::Store { "store" } else { "agent" };
        format!("{}.{of}", self.identity)
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.space.root().join("mcp.json")).unwrap()
    }

    async fn is_itself(&self) {
        for context in self.contexts() {
            assert_eq!(who(&context).await.unwrap(), self.says(&context));
        }
    }

    async fn call_count(&self) -> usize {
        self.hub.store().calls(&CallFilter::default()).await.unwrap().len()
    }

    async fn questions(&self) -> usize {
        self.hub.store().history(&"s".parse().unwrap()).await.unwrap().len()
    }
}

async fn who(context: &Context) -> Result<String, CallError> {
    let (tool, server) = ("who".to_owned(), Some("x".to_owned()));
    let request = CallRequest { tool, server, arguments: Arguments::new(), deadline: None };
    Ok(context.call(request, Arc::new(NoBackChannel)).await?.result.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_spaces_of_the_same_names_share_nothing() {
    let (one, other) = (One::open("one").await, One::open("other").await);
    other.is_itself().await;
    let processes = other.space.processes();
    let before = (other.file(), other.call_count().await, other.telemetry.render());
    let tools = other.hub.store().tools().len();
    let mut heard = other.hub.events();

    // Everything that one hub is told, does and remembers.
    let (store, x) = (one.hub.store(), "x".parse().unwrap());
    one.is_itself().await;
    one.is_itself().await;
    let request = QueryRequest { query: "good morning".to_owned(), session: "s".parse().unwrap() };
    store.query(request, Arc::new(NoListener)).await.unwrap();
    let settings = ToolSettings { disabled: true, ..ToolSettings::default() };
    store.set_tool("other", Some("x"), settings).await.unwrap();
    store.patch(&x, json!({ "env": { "MORE": "1" } })).await.unwrap();
    store.assign(&x, &"b".parse().unwrap()).await.unwrap();
    store.orchestrator().raise_alert(AlertLevel::Error, "look", "", None);
    let paces = other.hub.store().supervision();
    store.set_supervision(json!({ "probe_seconds": 77 })).await.unwrap();
    let token = one.hub.tokens().create("ci", Scope::Store).await.unwrap();
    store.disconnect(&x, Some("not here".to_owned())).await.unwrap();

    // The other knows nothing of it.
    while let Ok(event) = heard.try_recv() {
        // What its own servers said at their first contact may still be on its way into its lists.
        assert!(matches!(event, Event::ServerChanged { .. }), "heard from another space: {event:?}");
    }
    assert_eq!((other.file(), other.call_count().await, other.telemetry.render()), before);
    assert_eq!(other.questions().await, 0);
    assert_eq!(one.questions().await, 2);
    assert_eq!(other.hub.store().tools().len(), tools);
    assert_eq!(other.hub.for_agent("b").unwrap().servers().len(), 0);
    assert_eq!(other.hub.store().alerts(), []);
    assert_eq!(other.hub.store().supervision(), paces);
    assert_eq!(other.space.processes(), processes);
    assert!(one.space.processes().iter().all(|pid| !processes.contains(pid)));
    let measured = one.telemetry.render();
    assert!(measured.contains("tool_calls_total") && measured != before.2, "{measured}");

    // A token of the same name opens its own hub only.
    let others = other.hub.tokens().create("ci", Scope::Store).await.unwrap();
    for (hub, own, foreign) in [(&one.hub, &token, &others), (&other.hub, &others, &token)] {
        assert!(hub.tokens().verify(&own.secret).is_some());
        assert!(hub.tokens().verify(&foreign.secret).is_none());
    }

    // One ends, with all that is its own, and the other goes on with the processes that it has.
    one.hub.shutdown().await;
    assert_eq!(one.space.processes(), Vec::<u32>::new());
    let ended = who(&one.hub.for_agent("a").unwrap()).await.unwrap_err();
    assert!(matches!(ended, CallError::Run(RunError::Lease(LeaseError::Ending))), "{ended:?}");
    other.is_itself().await;
    assert_eq!(other.space.processes(), processes);
    other.hub.shutdown().await;
    assert_eq!(other.space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_a_space_twice_gives_the_same_hub() {
    let space = TestSpace::new();
    let first = space.hub(|_| {}).await;
    let same = |hub: &Hub| Arc::ptr_eq(&hub.registry().snapshot(), &first.registry().snapshot());

    // By whatever path, with whatever settings, from whichever task.
    let beside = tempfile::tempdir().unwrap();
    let link = beside.path().join("link");
    std::os::unix::fs::symlink(space.root(), &link).unwrap();
    for path in [space.root(), space.root().join("servers/.."), link] {
        let memory = Config { storage: "memory".to_owned(), ..Config::default() };
        let again = Hub::builder().space(&path).config(memory).open().await.unwrap();
        assert!(same(&again), "{}", path.display());
        assert_eq!(again.config().storage, first.config().storage);
    }
    let open = async |path: &Path| Hub::builder().space(path).open().await.unwrap();
    let root = space.root();
    let many = join_all((0..8).map(|_| open(&root))).await;
    assert!(many.iter().all(same));
    let token = many[0].tokens().create("ci", Scope::Store).await.unwrap();
    assert!(first.tokens().verify(&token.secret).is_some());

    // Its end is the end of all handles; who opens it then gets a new one, with what was remembered.
    many[0].shutdown().await;
    let new = space.hub(|_| {}).await;
    assert!(!same(&new));
    assert!(new.tokens().verify(&token.secret).is_some());
    new.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_hubs_of_one_process_work_at_once_and_end_each_by_itself() {
    let hubs = join_all(["a", "b", "c", "d", "e"].map(One::open)).await;
    for _ in 0..3 {
        join_all(hubs.iter().map(One::is_itself)).await;
    }
    let (ending, staying) = hubs.split_at(3);
    let ends = join_all(ending.iter().map(|one| one.hub.shutdown()));
    let calls = join_all(staying.iter().map(One::is_itself));
    tokio::join!(ends, calls);
    for one in ending {
        assert_eq!(one.space.processes(), Vec::<u32>::new());
    }
    for one in staying {
        one.is_itself().await;
        one.hub.shutdown().await;
        assert_eq!(one.space.processes(), Vec::<u32>::new());
    }
}
