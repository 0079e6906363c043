//! Supervision over HTTP, with real servers: checks, wishes, waits, alerts, numbers, settings.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::path::PathBuf;
use std::time::Duration;

use dormouse::{Scope, ServerState};
use dormouse_testing::Fixture;
use dormouse_tests::{Served, TestSpace, refused, until};
use reqwest::Method;
use serde_json::{Value, json};

const ADA: &str = "/agents/ada";

/// A server that behaves until somebody writes a word into its file: `die` ends it at the next
/// message, `grow` gives it a tool more, `refuse` keeps it from starting.
const MOODY: &str = r#"
import json, os, sys

mood = os.environ["MOOD"]


def says(word):
    return os.path.exists(mood) and word in open(mood).read()


if says("refuse"):
    sys.exit("moody: not today")
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    if says("die"):
        sys.exit("moody: enough")
    if message["method"] == "initialize":
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "moody", "version": "1"}}
    elif message["method"] == "tools/list":
        names = ["sulk", "cheer"] if says("grow") else ["sulk"]
        result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]}
    elif message["method"] == "tools/call":
        result = {"content": [{"type": "text", "text": "hm"}]}
    else:
        result = {}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"#;

/// A hub with `fix`, which behaves, and `moody`, which stays awake and follows its file.
struct Moody {
    served: Served,
    mood: PathBuf,
}

impl Moody {
    async fn start() -> Self {
        let space = TestSpace::new();
        let served = Self::entry(&space);
        let hub = space.hub(|config| config.timing.stop_seconds = 1.0).await;
        let served = Self { served: Served::of(space, hub).await, mood: served };
        served.served.knows(&Scope::Store, "moody", "sulk").await;
        served.served.knows(&Scope::Store, "fix", "echo").await;
        served
    }

    fn entry(space: &TestSpace) -> PathBuf {
        let script = space.write("moody.py", MOODY);
        let mood = space.root().join("mood");
        let moody = json!({
            "command": "python3", "args": [script], "env": {"MOOD": mood},
            "dormouse": {"idle_seconds": "never"},
        });
        let document = json!({"mcpServers": {"moody": moody, "fix": Fixture::new().entry()}});
        space.write("mcp.json", document.to_string());
        mood
    }

    fn feels(&self, word: &str) {
        std::fs::write(&self.mood, word).unwrap();
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.served.post(path, body).await
    }
}

/// The state of a server, as an answer shows it.
fn status((code, server): &(u16, Value)) -> &str {
    assert_eq!(*code, 200, "{server:#}");
    server["status"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_who_answers_and_who_died_of_it() {
    let moody = Moody::start().await;
    let connected = moody.post("/servers/moody/connect", json!({})).await;
    assert_eq!(status(&connected), "healthy");
    let (code, check) = moody.post("/servers/moody/check", json!({})).await;
    assert_eq!((code, &check["healthy"], &check["server_name"]), (200, &json!(true), &json!("moody")));
    assert!(check["latency_ms"].as_f64().unwrap() > 0.0, "{check:#}");

    // One that sleeps is not asked, and stays asleep; the answer of another does not wait for it.
    let (_, all) = moody.post("/check", json!({})).await;
    let names: Vec<&str> =
        all.as_array().unwrap().iter().map(|it| it["server_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["fix", "moody"], "{all:#}");
    assert_eq!((&all[0]["status"], &all[0]["latency_ms"]), (&json!("dormant"), &Value::Null), "{all:#}");
    assert_eq!(all[1]["healthy"], true);

    moody.feels("die");
    let (code, check) = moody.post("/servers/moody/check", json!({})).await;
    assert_eq!(
        (code, &check["healthy"], &check["latency_ms"]),
        (200, &json!(false), &Value::Null),
        "{check:#}"
    );
    assert!(check["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{check:#}");
    moody.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_server_stays_so_over_a_restart_and_no_wait_wakes_it() {
    let moody = Moody::start().await;
    let gone = moody.post("/servers/moody/disconnect", json!({"reason": "maintenance"})).await;
    assert_eq!((status(&gone), &gone.1["reason"]), ("disconnected", &json!("maintenance")));
    refused(moody.post("/servers/moody/attach", json!({})).await, 409, "server_stopped", None);
    refused(
        moody.served.get("/servers/moody/wait?status=healthy&timeout_ms=50").await,
        504,
        "state_not_reached",
        None,
    );

    let Moody { served: Served { space, hub, .. }, mood } = moody;
    hub.shutdown().await;
    let hub = space.hub(|_| {}).await;
    let moody = Moody { served: Served::of(space, hub).await, mood };
    assert_eq!(moody.served.see("/servers/moody").await["status"], "disconnected");
    // Without a reason, and without a body.
    let none =
        moody.served.http.post(format!("{}/servers/fix/disconnect", moody.served.address)).send().await;
    assert_eq!(none.unwrap().status().as_u16(), 200);
    let back = moody.post("/servers/moody/connect", json!({})).await;
    assert_eq!((status(&back), &back.1["reason"]), ("healthy", &Value::Null));

    refused(
        moody.post("/servers/moody/disconnect", json!({"reason": "x".repeat(501)})).await,
        422,
        "invalid_request",
        Some("reason"),
    );
    refused(
        moody.post("/servers/moody/disconnect", json!({"cause": "x"})).await,
        422,
        "invalid_request",
        Some("cause"),
    );
    refused(moody.post("/servers/nobody/disconnect", json!({})).await, 404, "unknown_server", None);
    moody.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_healthy_wakes_the_server_also_when_it_could_not_start_before() {
    let moody = Moody::start().await;
    // `fix` has no linger: it is healthy only as long as somebody holds it.
    let well = moody.served.get("/servers/fix/wait").await;
    assert_eq!(status(&well), "healthy");

    moody.feels("refuse");
    moody.post("/servers/moody/detach", json!({})).await;
    let (code, problem) = moody.post("/servers/moody/connect", json!({})).await;
    assert_eq!((code, &problem["code"]), (502, &json!("start_failed")), "{problem:#}");
    let late = moody.served.get("/servers/moody/wait?timeout_ms=300").await;
    assert_eq!((late.0, &late.1["code"]), (504, &json!("state_not_reached")), "{:#}", late.1);
    assert!(late.1["detail"].as_str().unwrap().contains("not today"), "it says why: {:#}", late.1);

    let waiting = tokio::spawn({
        let (http, address) = (moody.served.http.clone(), moody.served.address.clone());
        async move { http.get(format!("{address}/servers/moody/wait?timeout_ms=60000")).send().await }
    });
    moody.feels("cheerful");
    let answer: Value = waiting.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(answer["status"], "healthy", "{answer:#}");
    moody.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_a_change_ends_with_it_or_in_time() {
    let moody = Moody::start().await;
    moody.post("/servers/moody/connect", json!({})).await;
    refused(
        moody.served.get("/servers/moody/wait?change=true&timeout_ms=50").await,
        504,
        "state_not_reached",
        None,
    );
    // In Rust, where it is certain that the wait begins first.
    let name = "moody".parse().unwrap();
    let store = moody.served.hub.store();
    let waiting = store.wait_change(&name, Duration::from_secs(30));
    let stopping = store.disconnect(&name, None);
    let (changed, _) = tokio::join!(waiting, stopping);
    let changed = changed.unwrap().status.state;
    assert!([ServerState::Disconnecting, ServerState::Disconnected].contains(&changed), "{changed}");

    for (query, field) in [
        ("change=true&state=healthy", "change"),
        ("state=well", "state"),
        ("change=perhaps", "change"),
        ("timeout_ms=-1", "timeout_ms"),
    ] {
        let (code, problem) = moody.served.get(&format!("/servers/moody/wait?{query}")).await;
        assert_eq!((code, &problem["code"]), (422, &json!("invalid_request")), "{query}: {problem:#}");
        assert_eq!(problem["field"], field, "{query}: {problem:#}");
    }
    refused(moody.served.get("/servers/nobody/wait?change=true").await, 404, "unknown_server", None);
    moody.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_lists_what_a_server_says_now() {
    let moody = Moody::start().await;
    moody.feels("grow");
    let (code, server) = moody.post("/servers/moody/refresh", json!({})).await;
    assert_eq!((code, &server["tool_count"]), (200, &json!(2)), "{server:#}");
    refused(moody.post("/servers/nobody/refresh", json!({})).await, 404, "unknown_server", None);
    moody.feels("die");
    let (code, problem) = moody.post("/servers/moody/refresh", json!({})).await;
    assert_eq!((code, &problem["code"]), (502, &json!("server_failed")), "{problem:#}");
    moody.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_start_raises_an_alert_and_is_counted() {
    let moody = Moody::start().await;
    moody.feels("refuse");
    moody.post("/servers/moody/detach", json!({})).await;
    moody.post("/servers/moody/connect", json!({})).await;
    let registry = moody.served.hub.store();
    until("the alert is there", || registry.alerts().iter().any(|it| it.title == "server unreachable")).await;
    let alerts = moody.served.see("/alerts").await;
    let alert = alerts.as_array().unwrap().iter().find(|it| it["server_name"] == "moody").unwrap();
    assert_eq!((&alert["level"], &alert["owner"]), (&json!("error"), &Value::Null), "{alert:#}");
    assert!(alert["message"].as_str().unwrap().contains("during its handshake"), "{alert:#}");

    moody.post("/tools/fix_echo/call", json!({"arguments": {"text": "x"}})).await;
    moody.post("/tools/fix_fail/call", json!({"arguments": {"message": "x"}})).await;
    let stats = moody.served.see("/stats").await;
    assert_eq!((&stats["servers"], &stats["states"]["unreachable"]), (&json!(2), &json!(1)), "{stats:#}");
    assert_eq!((&stats["calls"]["calls"], &stats["calls"]["errors"]), (&json!(2), &json!(1)), "{stats:#}");
    assert_eq!(stats["states"].as_object().unwrap().len(), 8, "every state is there: {stats:#}");
    assert_eq!(stats["alerts"]["error"], json!(1), "{stats:#}");
    let of_fix = &stats["by_server"][0];
    assert_eq!((&of_fix["server_name"], &of_fix["errors"]), (&json!("fix"), &json!(1)), "{stats:#}");
    assert_eq!(stats["by_server"][1]["status"], "unreachable", "{stats:#}");

    let events = moody.served.see("/events/recent?limit=1024").await;
    let events = events.as_array().unwrap();
    assert!(
        events.iter().any(|it| it["event"] == "alert" && it["data"]["server_name"] == "moody"),
        "{events:#?}"
    );
    assert!(events.iter().all(|it| it["at"].is_string() && it["id"].is_string()));
    // One is the newest of its moment: not older than what was the newest before.
    let newest = moody.served.see("/events/recent?limit=1").await;
    assert_eq!(newest.as_array().unwrap().len(), 1);
    let later = moody.served.see("/events/recent?limit=1024").await;
    let place = |id: &Value| later.as_array().unwrap().iter().position(|it| it["id"] == *id).unwrap();
    assert!(place(&newest[0]["id"]) >= place(&events.last().unwrap()["id"]), "{later:#}");
    for limit in ["0", "1025"] {
        let (code, problem) = moody.served.get(&format!("/events/recent?limit={limit}")).await;
        assert_eq!((code, &problem["field"]), (422, &json!("limit")), "{problem:#}");
        assert!(problem["detail"].as_str().unwrap().contains("from 1 to 1024"), "{problem:#}");
    }
    moody.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_raised_by_hand_seen_by_whom_they_concern_and_cleared_in_the_store() {
    let served = Served::start().await;
    let mut entry = Fixture::new().entry();
    entry["name"] = json!("mine");
    served.post("/agents/ada/servers", entry).await;
    served.knows(&Scope::Agent("ada".parse().unwrap()), "mine", "echo").await;

    let (code, alert) = served.post("/alerts", json!({"title": "lunch", "level": "info"})).await;
    assert_eq!((code, &alert["level"], &alert["server_name"]), (201, &json!("info"), &Value::Null));
    let (code, alert) = served
        .post("/agents/ada/alerts", json!({"title": "slow", "message": "since noon", "server_name": "mine"}))
        .await;
    assert_eq!(
        (code, &alert["level"], &alert["owner"]),
        (201, &json!("warning"), &json!("ada")),
        "{alert:#}"
    );
    assert_eq!(served.names("/alerts", "title").await, ["lunch", "slow"]);
    assert_eq!(served.see("/alerts").await[1]["server_name"], "minebyada");
    assert_eq!(served.names("/agents/ada/alerts", "title").await, ["slow"]);
    assert_eq!(served.names("/agents/bob/alerts", "title").await, [""; 0]);

    // What is wrong is named.
    for (path, body, field) in [
        ("/alerts", json!({"title": " "}), "title"),
        ("/alerts", json!({"title": "x".repeat(201)}), "title"),
        ("/alerts", json!({"title": "x", "message": "x".repeat(2001)}), "message"),
        ("/alerts", json!({"title": "x", "level": "panic"}), "level"),
        ("/alerts", json!({"message": "x"}), "title"),
        ("/agents/ada/alerts", json!({"title": "x"}), "server_name"),
    ] {
        let answer = served.post(path, &body).await;
        refused(answer, 422, "invalid_request", Some(field));
    }
    refused(
        served.post("/agents/ada/alerts", json!({"title": "x", "server_name": "fix"})).await,
        404,
        "unknown_server",
        None,
    );
    refused(
        served.post("/alerts", json!({"title": "x", "server_name": "a b"})).await,
        422,
        "invalid_name",
        Some("server_name"),
    );
    refused(served.delete("/agents/ada/alerts").await, 403, "not_yours", None);
    assert_eq!(served.delete("/alerts").await, (200, json!({"cleared": 2})));
    assert_eq!(served.see("/alerts").await, json!([]));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_tends_its_own_servers_and_only_sees_those_that_it_shares() {
    let served = Served::start().await;
    served.send(Method::PUT, "/servers/fix/agents/ada", json!({})).await;
    let mut entry = Fixture::new().entry();
    entry["name"] = json!("mine");
    served.post("/agents/ada/servers", entry).await;
    served.knows(&Scope::Agent("ada".parse().unwrap()), "mine", "echo").await;

    for verb in ["check", "connect", "disconnect", "refresh"] {
        refused(served.post(&format!("{ADA}/servers/fix/{verb}"), json!({})).await, 403, "not_yours", None);
        refused(
            served.post(&format!("/agents/bob/servers/mine/{verb}"), json!({})).await,
            404,
            "unknown_server",
            None,
        );
        let (code, answer) = served.post(&format!("{ADA}/servers/mine/{verb}"), json!({})).await;
        // The refresh comes after the disconnection, which holds for it too.
        assert_eq!(code, if verb == "refresh" { 409 } else { 200 }, "{verb}: {answer:#}");
    }
    assert_eq!(served.see("/servers/minebyada").await["status"], "disconnected");
    served.post(&format!("{ADA}/servers/mine/connect"), json!({})).await;

    let awake = served.get(&format!("{ADA}/servers/fix/wait?status=healthy")).await;
    assert_eq!(status(&awake), "healthy");
    let (_, checks) = served.post(&format!("{ADA}/check"), json!({})).await;
    assert_eq!(checks.as_array().unwrap().len(), 2, "{checks:#}");
    assert_eq!((&checks[0]["server_name"], &checks[0]["latency_ms"]), (&json!("fix"), &Value::Null));

    // How a shared server fares is told; who else calls it is not.
    served.post("/tools/fix_echo/call", json!({"arguments": {"text": "x"}})).await;
    let heard = served.see(&format!("{ADA}/events/recent?limit=1024")).await;
    let of_fix = heard.as_array().unwrap().iter().filter(|it| it["data"]["server_name"] == "fix");
    let names: Vec<&str> = of_fix.map(|it| it["event"].as_str().unwrap()).collect();
    assert!(names.contains(&"attached") && !names.contains(&"call_started"), "{names:?}");
    let stats = served.see(&format!("{ADA}/stats")).await;
    assert_eq!(
        (&stats["servers"], &stats["agents"], &stats["calls"]["calls"]),
        (&json!(2), &json!(1), &json!(0))
    );
    assert_eq!(served.see("/agents/bob/stats").await["servers"], 0);

    // What there is once is the store's.
    for path in ["/supervision", "/nothing"] {
        refused(served.get(&format!("{ADA}{path}")).await, 404, "not_found", None);
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn supervision_is_set_within_its_ranges_and_kept() {
    let served = Served::start().await;
    let before = served.see("/supervision").await;
    assert_eq!(
        (&before["settings"]["probe_seconds"], &before["ranges"]["probe_seconds"]["min"]),
        (&json!(30), &json!(10.0))
    );
    let set = async |body: Value| served.send(Method::PATCH, "/supervision", body).await;
    let (code, now) = set(json!({"probe_seconds": 60, "refresh_hours": 0.5, "open_after": 4})).await;
    assert_eq!(
        (code, &now["settings"]["probe_seconds"], &now["settings"]["refresh_hours"]),
        (200, &json!(60), &json!(0.5))
    );
    assert_eq!(now["defaults"], before["settings"], "{now:#}");

    let wrong = json!({"probe_seconds": 9.9, "open_after": 2.5, "warn_after": "many", "colour": 1, "give_up_after": 5});
    let (code, problem) = set(wrong).await;
    assert_eq!((code, &problem["code"]), (422, &json!("out_of_range")), "{problem:#}");
    let problems = problem["problems"].as_array().unwrap();
    let mut named: Vec<&str> = problems.iter().map(|it| it["field"].as_str().unwrap()).collect();
    named.sort();
    assert_eq!(named, ["colour", "open_after", "probe_seconds", "warn_after"], "{problem:#}");
    let probe = problems.iter().find(|it| it["field"] == "probe_seconds").unwrap();
    let range = "must be a number from 10 to 300";
    assert_eq!((&probe["value"], &probe["range"]), (&json!(9.9), &json!(range)));
    assert_eq!(served.see("/supervision").await, now, "nothing was changed");
    refused(set(json!([1])).await, 422, "invalid_request", Some("."));

    // Hubs that open the space later go by it, also when the file says something else by then.
    let Served { space, hub, .. } = served;
    hub.shutdown().await;
    let hub = space.hub(|config| config.timing.start_seconds = 40.0).await;
    let served = Served::of(space, hub).await;
    let kept = served.see("/supervision").await;
    assert_eq!(
        (&kept["settings"]["probe_seconds"], &kept["settings"]["start_seconds"]),
        (&json!(60), &json!(40))
    );
    let (code, back) = served
        .send(
            Method::PATCH,
            "/supervision",
            json!({"probe_seconds": null, "refresh_hours": null, "open_after": null}),
        )
        .await;
    assert_eq!((code, &back["settings"]), (200, &kept["defaults"]), "{back:#}");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_set_supervision_at_once_both_have_their_say() {
    let served = Served::start().await;
    let set = async |body: Value| served.send(Method::PATCH, "/supervision", body).await;
    let sets = (0..20).map(|n| {
        let body = if n % 2 == 0 { json!({"probe_seconds": 60}) } else { json!({"open_after": 5}) };
        set(body)
    });
    for (code, answer) in futures::future::join_all(sets).await {
        assert_eq!(code, 200, "{answer:#}");
    }
    let Served { space, hub, .. } = served;
    hub.shutdown().await;
    let hub = space.hub(|_| {}).await;
    let now = hub.store().supervision();
    assert_eq!((now.probe.as_secs(), now.open_after), (60, 5));
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_removed_leaves_nothing_behind() {
    let served = Served::start().await;
    served.send(Method::PUT, "/servers/fix/agents/ada", json!({})).await;
    served
        .send(Method::PUT, &format!("{ADA}/tools/echo/settings?server_name=fix"), json!({"name": "say"}))
        .await;
    let mut entry = Fixture::new().entry();
    entry["name"] = json!("mine");
    served.post("/agents/ada/servers", entry).await;
    for view in ["", ADA] {
        served.post(&format!("{view}/query"), json!({"query": "hello", "session_id": "talk"})).await;
    }
    let body = json!({"shares": true, "tools": true, "conversations": true});
    let (code, gone) = served.post(&format!("{ADA}/config/reset"), body).await;
    assert_eq!(
        (code, &gone["removed"][0]["server_name"], &gone["conversations"]),
        (200, &json!("mine"), &json!(1)),
        "{gone:#}"
    );
    assert_eq!(served.see(&format!("{ADA}/servers")).await, json!([]));
    assert_eq!(served.see(&format!("{ADA}/chat/history/talk")).await, json!([]));
    assert!(!served.see("/chat/history/talk").await.as_array().unwrap().is_empty(), "the store's own stays");
    assert_eq!(served.see("/agents").await, json!([]));
    served.end().await;
}
