//! Agents and the store, over HTTP: who has what, who shares what, and what nobody else sees.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::time::Duration;

use dormouse::{Scope, ServerState};
use dormouse_testing::Fixture;
use dormouse_tests::{Served, refused};
use reqwest::Method;
use serde_json::{Value, json};

const ADA: &str = "/agents/ada";
const BOB: &str = "/agents/bob";

fn ada() -> Scope {
    Scope::Agent("ada".parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_adds_a_server_that_only_it_and_the_store_see() {
    let served = Served::start().await;
    let mut entry = Fixture::new().entry();
    entry["name"] = json!("mine");
    let (status, added) = served.post("/agents/ada/servers", entry).await;
    assert_eq!((status, &added["name"], &added["owner"]), (201, &json!("mine"), &json!("ada")), "{added:#}");
    served.knows(&ada(), "mine", "echo").await;

    assert_eq!(served.names(&format!("{ADA}/servers"), "name").await, ["mine"]);
    assert_eq!(served.names("/servers", "name").await, ["fix", "minebyada"]);
    assert_eq!(served.names(&format!("{BOB}/servers"), "name").await, [""; 0]);
    let call = json!({ "arguments": { "text": "hi" } });
    let (status, answer) = served.post("/agents/ada/tools/echo/call", call.clone()).await;
    assert_eq!((status, &answer["result"], &answer["server_name"]), (200, &json!("hi"), &json!("mine")));
    for path in ["/agents/bob/tools/echo/call", "/agents/bob/tools/mine_echo/call"] {
        let (status, problem) = served.post(path, call.clone()).await;
        assert_eq!((status, &problem["code"]), (404, &json!("unknown_tool")), "{path}");
    }

    // The file says whose it is, and the agent's own view of it does not need to.
    let file: Value =
        serde_json::from_slice(&std::fs::read(served.space.root().join("mcp.json")).unwrap()).unwrap();
    assert_eq!(file["mcpServers"]["minebyada"]["dormouse"]["agent"], "ada");
    let own = served.see(&format!("{ADA}/config")).await;
    assert_eq!(own["mcpServers"].as_object().unwrap().keys().collect::<Vec<_>>(), ["mine"]);

    // The call is on ada's record and the store's, and not on bob's.
    assert_eq!(served.names(&format!("{ADA}/calls"), "tool_name").await, ["echo"]);
    let all = served.see("/calls").await;
    assert_eq!((&all[0]["caller"], &all[0]["outcome"]), (&json!("ada"), &json!("ok")));
    assert_eq!(served.see(&format!("{BOB}/calls")).await, json!([]));
    assert_eq!(served.see(&format!("{ADA}/stats/tools")).await[0]["calls"], json!(1));

    let (status, gone) = served.post("/agents/ada/config/reset", json!({})).await;
    assert_eq!((status, &gone["removed"][0]["server_name"]), (200, &json!("mine")), "{gone:#}");
    assert_eq!(served.names("/servers", "name").await, ["fix"]);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_server_is_one_process_and_stays_the_stores() {
    let served = Served::start().await;
    let (status, told) = served.send(Method::PUT, "/servers/fix/agents/ada", json!({})).await;
    assert_eq!((status, &told["shared"]), (200, &json!(true)), "{told:#}");
    assert_eq!(served.names(&format!("{ADA}/servers"), "name").await, ["fix"]);
    let agents = served.see("/agents").await;
    assert_eq!(agents[0]["agent"], "ada");
    assert_eq!((&agents[0]["own"], &agents[0]["shared"]), (&json!(0), &json!(1)));

    let pid = |path: String| {
        let served = &served;
        async move {
            let (status, answer) = served.post(&path, json!({})).await;
            assert_eq!(status, 200, "{answer:#}");
            answer["result"].as_str().unwrap().to_owned()
        }
    };
    // Held awake, so that the two calls could meet in one process.
    let lease = {
        let back: std::sync::Arc<dyn dormouse::BackChannel> = std::sync::Arc::new(dormouse::NoBackChannel);
        let key = dormouse::ServerKey::store("fix".parse().unwrap());
        served.hub.store().orchestrator().lease(&key, &back).await.unwrap()
    };
    assert_eq!(pid(format!("{ADA}/tools/pid/call")).await, pid("/tools/pid/call".to_owned()).await);
    drop(lease);

    for (method, path) in [
        (Method::PUT, "/agents/ada/servers/fix"),
        (Method::PATCH, "/agents/ada/servers/fix"),
        (Method::POST, "/agents/ada/servers/fix/detach"),
        (Method::PUT, "/agents/ada/servers/fix/agents/bob"),
    ] {
        let (status, problem) = served.send(method, path, json!({ "command": "true" })).await;
        assert_eq!((status, &problem["code"]), (403, &json!("not_yours")), "{path}: {problem:#}");
    }

    // Whoever removes what is only lent gives it back.
    let (status, _) = served.send(Method::DELETE, "/agents/ada/servers/fix", json!({})).await;
    assert_eq!(status, 200);
    assert_eq!(served.names(&format!("{ADA}/servers"), "name").await, [""; 0]);
    assert_eq!(served.names("/servers", "name").await, ["fix"]);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_says_of_a_tool_holds_for_it_alone_and_outlives_the_hub() {
    let served = Served::start().await;
    served.send(Method::PUT, "/servers/fix/agents/ada", json!({})).await;
    let say = async |tool: &str, settings: Value| {
        let path = format!("{ADA}/tools/{tool}/settings?server_name=fix");
        served.send(Method::PUT, &path, settings).await
    };
    let (status, told) = say("echo", json!({ "name": "repeat", "description": "Say it again." })).await;
    assert_eq!(
        (status, &told["full_name"], &told["given_name"]),
        (200, &json!("repeat"), &json!("fix_echo"))
    );
    assert_eq!(say("pid", json!({ "disabled": true })).await.0, 200);
    let (status, problem) = say("grow", json!({ "name": "repeat" })).await;
    assert_eq!((status, &problem["code"]), (409, &json!("name_conflict")), "{problem:#}");
    let (status, problem) = say("grow", json!({ "colour": "red" })).await;
    assert_eq!((status, &problem["code"]), (422, &json!("invalid_request")), "{problem:#}");

    let call = json!({ "arguments": { "text": "hi" } });
    let (status, answer) = served.post("/agents/ada/tools/repeat/call", call).await;
    assert_eq!((status, &answer["result"]), (200, &json!("hi")), "{answer:#}");
    let (status, problem) = served.post("/agents/ada/tools/pid/call", json!({})).await;
    assert_eq!((status, &problem["code"]), (404, &json!("unknown_tool")), "{problem:#}");
    assert!(!served.names(&format!("{ADA}/tools"), "tool_name").await.contains(&"pid".to_owned()));
    assert!(served.names("/tools", "tool_name").await.contains(&"pid".to_owned()));

    let Served { space, hub, .. } = served;
    hub.shutdown().await;
    let hub = space.hub(|_| {}).await;
    let ada = hub.for_agent("ada").unwrap();
    assert!(ada.tool("repeat", None).is_ok(), "the name outlives the hub");
    assert!(ada.all_tools().iter().any(|tool| tool.settings().disabled));
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_added_in_many_forms_and_each_entry_counts_by_itself() {
    let served = Served::start().await;
    let document = json!({ "mcpServers": {
        "one": Fixture::new().entry(),
        "both": { "command": "x", "url": "http://127.0.0.1:1/mcp" },
        "neither": { "args": [] },
        "list": { "command": "x", "args": "y" },
    }});
    let (status, report) = served.post("/config/servers", document).await;
    assert_eq!(status, 200, "{report:#}");
    assert_eq!(report["added"][0]["name"], "one");
    let failed: Vec<&str> =
        report["failed"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(failed, ["both", "neither", "list"], "{report:#}");
    assert!(report["failed"].as_array().unwrap().iter().all(|it| it["reason"].as_str().unwrap().len() > 10));

    // As text, and as names of what the store has.
    let text = json!({ "two": Fixture::new().entry() }).to_string();
    let (status, report) = served.post("/config/servers", json!(text)).await;
    assert_eq!((status, &report["added"][0]["name"]), (200, &json!("two")), "{report:#}");
    let names = json!(["fix", "nobody"]);
    let (status, report) = served.post("/agents/ada/config/servers", names).await;
    assert_eq!((status, &report["added"][0]["name"]), (200, &json!("fix")), "{report:#}");
    assert_eq!(report["failed"][0]["name"], "nobody");
    assert_eq!(served.names(&format!("{ADA}/servers"), "name").await, ["fix"]);

    // A change of an entry touches nothing else of it; a wrong one changes nothing.
    let (status, patched) =
        served.send(Method::PATCH, "/servers/one", json!({ "env": { "A": "s3cret" } })).await;
    assert_eq!(status, 200, "{patched:#}");
    let entry = served.see("/servers/one/entry").await;
    assert_eq!(
        (&entry["entry"]["command"], &entry["entry"]["env"]["A"]),
        (&json!(dormouse_testing::python()), &json!("…"))
    );
    let (status, problem) = served.send(Method::PATCH, "/servers/one", json!({ "command": 7 })).await;
    assert_eq!((status, &problem["code"]), (422, &json!("invalid_entry")), "{problem:#}");
    assert_eq!(served.see("/servers/one/entry").await, entry);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_server_is_removed_by_its_name_and_by_a_reset() {
    let served = Served::start().await;
    let file = served.space.root().join("mcp.json");
    let entries = || -> Vec<String> {
        let read: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        read["mcpServers"].as_object().unwrap().keys().cloned().collect()
    };
    let mut written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let both = json!({ "url": "http://127.0.0.1:1/mcp", "command": "x" });
    let of_ada = |name: &str| json!({ "command": 7, "dormouse": { "agent": "ada", "name": name } });
    let servers = written["mcpServers"].as_object_mut().unwrap();
    servers.insert("both".to_owned(), both.clone());
    servers.insert("again".to_owned(), both);
    servers.insert("minebyada".to_owned(), of_ada("mine"));
    servers.insert("oldbyada".to_owned(), of_ada("old"));
    servers.insert("nobodys".to_owned(), json!({ "command": "x", "dormouse": { "agent": 7 } }));
    servers.insert("stray".to_owned(), json!({ "command": "x", "dormouse": { "agent": 7 } }));
    served.space.write("mcp.json", written.to_string());
    served.hub.store().orchestrator().rescan().await;
    assert_eq!(served.names("/servers", "name").await, ["fix"]);

    // An agent removes its own only, by its local name; the store by the name that it would show.
    refused(served.delete("/agents/ada/servers/both").await, 404, "unknown_server", None);
    refused(served.delete("/agents/bob/servers/mine").await, 404, "unknown_server", None);
    for path in ["/servers/both", "/agents/ada/servers/mine", "/servers/oldbyada", "/servers/stray"] {
        let (status, answer) = served.delete(path).await;
        assert_eq!(status, 200, "{path}: {answer:#}");
        refused(served.delete(path).await, 404, "unknown_server", None);
    }
    assert_eq!(entries(), ["fix", "again", "nobodys"]);

    let (status, gone) = served.post("/config/reset", json!({})).await;
    assert_eq!((status, gone["removed"].as_array().unwrap().len()), (200, 2), "{gone:#}");
    assert_eq!(entries(), ["nobodys"]);
    let (status, gone) = served.post("/config/reset", json!({ "agents": true })).await;
    assert_eq!((status, entries()), (200, Vec::new()), "{gone:#}");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_after_a_reset_has_nothing_of_the_one_before() {
    let served = Served::start().await;
    let (status, _) = served.send(Method::PUT, "/servers/fix/agents/ada", json!({})).await;
    assert_eq!(status, 200);
    let (status, _) = served.send(Method::PUT, "/tools/fix_echo/settings", json!({ "disabled": true })).await;
    assert_eq!(status, 200);
    let (status, answer) = served.post("/servers/fix/disconnect", json!({ "reason": "for repair" })).await;
    assert_eq!(status, 200, "{answer:#}");
    let store = served.hub.store();
    let stopped = [ServerState::Disconnected];
    store.wait(&"fix".parse().unwrap(), &stopped, Duration::from_secs(30)).await.unwrap();

    let (status, gone) = served.post("/config/reset", json!({})).await;
    assert_eq!((status, &gone["removed"][0]["server_name"]), (200, &json!("fix")), "{gone:#}");
    let mut entry = Fixture::new().entry();
    entry["name"] = json!("fix");
    let (status, added) = served.post("/servers", entry).await;
    assert_eq!(status, 201, "{added:#}");
    served.knows(&Scope::Store, "fix", "echo").await;
    let fix = served.see("/servers/fix").await;
    assert_ne!(fix["status"], "disconnected", "{fix:#}");
    assert!(!fix.to_string().contains("for repair"), "{fix:#}");
    assert_eq!(served.names(&format!("{ADA}/servers"), "name").await, [""; 0], "nobody shared this one");
    served.end().await;
}
