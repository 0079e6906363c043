//! A server's log: who may hear it, and from which level on it is sent.

use std::sync::{Arc, Mutex};

use dormouse_protocol::Connection;
use dormouse_types::{BackChannel, CallEvent, Scope};
use serde_json::json;

use crate::shared::{LONG, arguments, tool};
use crate::support::{keeper, open, until};

/// A caller of an agent who wants a level of the log.
#[derive(Debug)]
struct Agent {
    scope: Scope,
    level: Option<&'static str>,
    events: Mutex<Vec<CallEvent>>,
}

impl Agent {
    fn new(name: &str, level: Option<&'static str>) -> Arc<Self> {
        Arc::new(Self { scope: agent(name), level, events: Mutex::default() })
    }

    fn logs(&self) -> usize {
        let events = self.events.lock().unwrap();
        events.iter().filter(|event| matches!(event, CallEvent::Log { .. })).count()
    }
}

impl BackChannel for Agent {
    fn notify(&self, event: CallEvent) {
        self.events.lock().unwrap().push(event);
    }

    fn scope(&self) -> Option<&Scope> {
        Some(&self.scope)
    }

    fn log_level(&self) -> Option<String> {
        self.level.map(str::to_owned)
    }
}

fn agent(name: &str) -> Scope {
    Scope::Agent(name.parse().unwrap())
}

async fn call(connection: &Connection, name: &str, who: &Arc<Agent>) -> String {
    let back: Arc<dyn BackChannel> = who.clone();
    connection.call(&tool(name), &arguments(json!({})), LONG, &back).await.unwrap().text()
}

/// Begins a call that the server never answers; `count` of them run then.
async fn begin(connection: &Connection, who: &Arc<Agent>, count: usize) -> tokio::task::JoinHandle<String> {
    let (here, who) = (connection.clone(), who.clone());
    let call = tokio::spawn(async move { call(&here, "never", &who).await });
    let running = || connection.stderr_tail().iter().filter(|line| *line == "waiting for ever").count();
    until("the call runs", || running() == count).await;
    call
}

#[tokio::test]
async fn a_log_that_may_be_about_another_context_is_told_to_no_call() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let mut notes = connection.notes();
    let (ada, other_ada, bob) = (Agent::new("ada", None), Agent::new("ada", None), Agent::new("bob", None));

    let waits = begin(&connection, &other_ada, 1).await;
    assert_eq!(call(&connection, "slow", &ada).await, "done");
    assert_eq!((ada.logs(), other_ada.logs()), (1, 1), "of one context, whichever call it is about");

    let bobs = begin(&connection, &bob, 2).await;
    assert_eq!(call(&connection, "slow", &ada).await, "done");
    assert_eq!((ada.logs(), other_ada.logs(), bob.logs()), (1, 1, 0));
    assert_eq!(notes.recv().await.unwrap().scope, None, "nor may anybody else be told");

    // The server was told that nobody waits, and works on for all that is known.
    waits.abort();
    assert!(waits.await.unwrap_err().is_cancelled());
    let carol = Agent::new("carol", None);
    bobs.abort();
    assert!(bobs.await.unwrap_err().is_cancelled());
    assert_eq!(call(&connection, "slow", &carol).await, "done");
    assert_eq!(carol.logs(), 0);
    keeper.shutdown().await;
}

#[tokio::test]
async fn what_is_said_between_calls_names_the_only_context_that_it_may_be_about() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let mut notes = connection.notes();
    for (who, scope) in
        [("ada", Some(agent("ada"))), ("ada", Some(agent("ada"))), ("bob", None), ("bob", None)]
    {
        assert_eq!(call(&connection, "late", &Agent::new(who, None)).await, "answered");
        let note = notes.recv().await.unwrap();
        assert_eq!((note.params["data"].as_str(), &note.scope), (Some("afterwards"), &scope), "after {who}");
    }
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_server_is_told_the_most_verbose_level_of_the_calls_that_run() {
    let keeper = keeper();
    let connection = open(&keeper, &["--logs"]).await;
    let told = async |who: &Arc<Agent>| -> Vec<String> {
        serde_json::from_str::<Vec<String>>(&call(&connection, "levels", who).await).unwrap()
    };
    let quiet = Agent::new("ada", Some("error"));
    assert_eq!(told(&quiet).await, ["error"]);
    let waits = begin(&connection, &Agent::new("bob", Some("debug")), 1).await;
    assert_eq!(told(&quiet).await, ["error", "debug"], "who wants less takes nothing from the other");
    assert_eq!(told(&Agent::new("ada", None)).await, ["error", "debug"]);
    waits.abort();
    assert!(waits.await.unwrap_err().is_cancelled());
    assert_eq!(told(&quiet).await, ["error", "debug", "error"]);
    assert_eq!(told(&quiet).await, ["error", "debug", "error"], "it is not told what it knows");
    keeper.shutdown().await;
}
