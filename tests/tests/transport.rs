//! Servers that a program reaches in a way of its own, through a whole hub.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dormouse::{
    Address, Channel, Config, Event, Hub, Outcome, ServerKey, ServerState, Transport, TransportError,
};
use dormouse_tests::{TestSpace, call, environments, until};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

/// Servers in memory: each opened one runs until its pipe ends, or it is told to end.
#[derive(Debug, Default)]
struct Memory {
    seen: Mutex<Vec<Address>>,
    living: Arc<AtomicUsize>,
    refuses: Mutex<Option<&'static str>>,
}

#[async_trait]
impl Transport for Memory {
    async fn open(&self, address: &Address) -> Result<Channel, TransportError> {
        self.seen.lock().unwrap().push(address.clone());
        if let Some(why) = *self.refuses.lock().unwrap() {
            return Err(why.into());
        }
        if address.url.ends_with("/never") {
            return std::future::pending().await;
        }
        let (ours, theirs) = duplex(4 << 10);
        let living = self.living.clone();
        living.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            let _ = serve(theirs).await;
            living.fetch_sub(1, Ordering::SeqCst);
        });
        Ok(Channel::new(ours))
    }
}

async fn serve(pipe: DuplexStream) -> std::io::Result<()> {
    let (reader, mut writer) = tokio::io::split(pipe);
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let message: Value = serde_json::from_str(&line)?;
        let tool = |name: &str| json!({ "name": name, "inputSchema": { "type": "object" } });
        let text = |text: String| json!({ "content": [{ "type": "text", "text": text }] });
        let arguments = &message["params"]["arguments"];
        let result = match message["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "memory", "version": "1" },
            }),
            Some("tools/list") => json!({ "tools": [tool("echo"), tool("grow"), tool("end"), tool("hang")] }),
            Some("tools/call") => match message["params"]["name"].as_str() {
                Some("grow") => text("x".repeat(arguments["bytes"].as_u64().unwrap_or_default() as usize)),
                Some("end") => return Ok(()),
                Some("hang") => continue,
                _ => text(arguments["text"].as_str().unwrap_or_default().to_owned()),
            },
            _ => json!({}),
        };
        if let Some(id) = message.get("id") {
            let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
            writer.write_all(format!("{answer}\n").as_bytes()).await?;
        }
    }
    Ok(())
}

fn configured(space: &TestSpace, entry: Value) {
    space.write("mcp.json", json!({ "mcpServers": { "near": entry } }).to_string());
}

async fn hub(space: &TestSpace, memory: &Arc<Memory>) -> Hub {
    let mut config = Config { model: "none".to_owned(), ..Config::default() };
    config.python.cache = environments().to_string_lossy().into_owned();
    let builder = Hub::builder().space(space.root()).config(config);
    builder.transport("mem", memory.clone()).open().await.unwrap()
}

fn near() -> ServerKey {
    ServerKey::store("near".parse().unwrap())
}

async fn becomes(hub: &Hub, wanted: ServerState) {
    let state = || hub.registry().status(&near()).map(|status| status.state);
    until(&format!("it is {wanted}"), || state() == Some(wanted)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_memory_is_called_sleeps_and_wakes_like_any_other() {
    let space = TestSpace::new();
    let memory = Arc::new(Memory::default());
    let headers = json!({ "x-key": "${HOME}" });
    let settings = json!({ "wanted": "on_demand", "idle_seconds": "never" });
    configured(
        &space,
        json!({ "type": "mem", "url": "mem://a/b", "headers": headers, "dormouse": settings }),
    );
    let hub = hub(&space, &memory).await;
    let answer = call(&hub, "near_echo", json!({ "text": "hi" })).await.unwrap();
    assert_eq!(answer.result.text(), "hi");
    let address = memory.seen.lock().unwrap()[0].clone();
    assert_eq!(address.url, "mem://a/b");
    assert_eq!(address.headers.0["x-key"], std::env::var("HOME").unwrap());
    assert!(!format!("{address:?}").contains(&address.headers.0["x-key"]), "{address:?}");
    // Far more than the pipe in memory holds.
    let answer = call(&hub, "near_grow", json!({ "bytes": 3_000_000 })).await.unwrap();
    assert_eq!(answer.result.text().len(), 3_000_000);

    hub.store().detach(&"near".parse().unwrap()).await.unwrap();
    until("its task is over", || memory.living.load(Ordering::SeqCst) == 0).await;
    assert!(call(&hub, "near_echo", json!({ "text": "again" })).await.unwrap().woke);
    assert_eq!(memory.living.load(Ordering::SeqCst), 1);
    hub.shutdown().await;
    until("its task is over", || memory.living.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_end_in_the_middle_of_a_call_is_a_death_and_it_comes_back() {
    let space = TestSpace::new();
    let memory = Arc::new(Memory::default());
    let hub = hub(&space, &memory).await;
    // Before there is anything to hear.
    let mut events = hub.events();
    configured(&space, json!({ "type": "mem", "url": "mem://a" }));
    hub.store().orchestrator().rescan().await;
    becomes(&hub, ServerState::Healthy).await;
    let error = call(&hub, "near_end", json!({})).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
    // At a URL it is wanted always: it is opened anew, unasked.
    until("it is opened anew", || memory.seen.lock().unwrap().len() == 2).await;
    becomes(&hub, ServerState::Healthy).await;
    assert_eq!(call(&hub, "near_echo", json!({ "text": "back" })).await.unwrap().result.text(), "back");
    hub.shutdown().await;
    let (mut attached, mut detached) = (0, 0);
    while let Ok(event) = events.try_recv() {
        attached += usize::from(matches!(event, Event::Attached { .. }));
        detached += usize::from(matches!(event, Event::Detached { .. }));
    }
    assert_eq!((attached, detached), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_it_from_the_server_is_its_reason_and_a_silent_one_costs_the_deadline() {
    let space = TestSpace::new();
    let memory = Arc::new(Memory::default());
    *memory.refuses.lock().unwrap() = Some("the cable is out");
    let settings = json!({ "wanted": "on_demand", "start_timeout_seconds": 0.2 });
    configured(&space, json!({ "type": "mem", "url": "mem://a", "dormouse": settings }));
    let hub = hub(&space, &memory).await;
    becomes(&hub, ServerState::Reconnecting).await;
    let reason = hub.registry().status(&near()).unwrap().reason.clone().unwrap();
    assert!(reason.contains("the cable is out"), "{reason}");

    *memory.refuses.lock().unwrap() = None;
    configured(&space, json!({ "type": "mem", "url": "mem://a/never", "dormouse": settings }));
    hub.store().orchestrator().rescan().await;
    until("it was not answered in time", || {
        let status = hub.registry().status(&near()).unwrap();
        status.reason.as_ref().is_some_and(|reason| reason.contains("did not answer within 200 ms"))
    })
    .await;
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_without_the_transport_says_so_and_a_scheme_alone_is_refused() {
    let space = TestSpace::new();
    configured(&space, json!({ "type": "mem", "url": "mem://a" }));
    let without = space.hub(|_| {}).await;
    becomes(&without, ServerState::Reconnecting).await;
    let reason = without.registry().status(&near()).unwrap().reason.clone().unwrap();
    assert!(reason.contains("no transport was given to the hub for `mem://`"), "{reason}");
    without.shutdown().await;

    let memory = Arc::new(Memory::default());
    configured(&space, json!({ "url": "mem://a" }));
    let with = hub(&space, &memory).await;
    let findings = with.doctor().await.findings;
    assert!(findings.iter().any(|finding| finding.problem.contains("mcpServers.near.url")), "{findings:?}");
    with.shutdown().await;
}
