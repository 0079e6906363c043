//! Configuration that nobody should send or write: the answer says what is wrong, what was there
//! before stays, and no name leads a verb astray.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

use dormouse::Scope;
use dormouse_testing::Fixture;
use dormouse_tests::{Served, TestSpace, dormouse, refused, serving, until};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

/// The reasons of a report, by the name of the entry as it was written.
fn reasons(report: &Value) -> Vec<(&str, &str)> {
    let failed = report["failed"].as_array().unwrap_or_else(|| panic!("{report:#}")).iter();
    failed.map(|it| (it["name"].as_str().unwrap_or(""), it["reason"].as_str().unwrap())).collect()
}

/// What the hub says is wrong with files.
async fn findings(served: &Served) -> String {
    served.see("/doctor").await["findings"].to_string()
}

async fn told(served: &Served, words: &str) {
    let findings = || served.hub.store().orchestrator().findings();
    until(&format!("it is told: {words}"), || findings().iter().any(|it| it.problem.contains(words))).await;
    assert!(self::findings(served).await.contains(words));
}

/// The server `fix`, which was there before, still answers.
async fn fix_still_answers(served: &Served) {
    let call = json!({ "arguments": { "text": "still" } });
    let (status, answer) = served.post("/tools/fix_echo/call", call).await;
    assert_eq!((status, &answer["result"]), (200, &json!("still")), "{answer:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_entry_is_refused_with_its_reason_and_changes_nothing() {
    let served = Served::start().await;
    let file = served.space.root().join("mcp.json");
    let before = std::fs::read_to_string(&file).unwrap();

    for half in ["", "{", r#"{"mcpServers": {"a": {"command": "x""#, "[1, 2] 3"] {
        for path in ["/config/servers", "/agents/ada/config/servers"] {
            refused(served.post(path, half).await, 400, "invalid_json", None);
        }
    }
    for shape in [json!(42), json!(null), json!({}), json!({ "mcpServers": [] }), json!("{ \"a\": ")] {
        let (status, problem) = served.post("/config/servers", &shape).await;
        assert_eq!(status, 422, "{shape}: {problem:#}");
        assert!(problem["detail"].as_str().is_some_and(|it| it.len() > 10), "{problem:#}");
    }
    let wrong = [
        (json!({ "command": "x", "url": "http://127.0.0.1:1/mcp" }), "url"),
        (json!({ "args": ["x"] }), "command"),
        (json!({}), "command"),
        (json!({ "command": 7 }), "command"),
        (json!({ "command": "x", "args": "y" }), "args"),
        (json!({ "command": "x", "args": [["y"]] }), "args[0]"),
        (json!({ "command": "x", "env": ["A=b"] }), "env"),
        (json!({ "command": "x", "cwd": false }), "cwd"),
        (json!({ "url": 7 }), "url"),
        (json!({ "command": "x", "dormouse": { "wanted": "often" } }), "dormouse.wanted"),
    ];
    for (entry, place) in &wrong {
        let mut named = entry.clone();
        named["name"] = json!("bad");
        let (status, problem) = served.post("/servers", &named).await;
        assert_eq!((status, &problem["code"]), (422, &json!("invalid_entry")), "{entry}: {problem:#}");
        assert!(problem["detail"].as_str().unwrap().contains(place), "{entry}: {problem:#}");
        let put = served.send(Method::PUT, "/servers/fix", entry).await;
        assert_eq!((put.0, &put.1["code"]), (422, &json!("invalid_entry")), "{entry}: {:#}", put.1);
        let (status, report) = served.post("/config/servers", json!({ "bad": entry })).await;
        // An entry that is no object with members of one is no map of entries either.
        let said =
            if status == 200 { reasons(&report)[0].1.to_owned() } else { report["detail"].to_string() };
        assert!(said.contains(place) || entry == &json!({}), "{entry}: {said}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    assert_eq!(served.names("/servers", "name").await, ["fix"]);
    fix_still_answers(&served).await;
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_stands_for_one_server_of_a_document() {
    let served = Served::start().await;
    let entry = Fixture::new().entry().to_string();
    let text = format!(r#"{{"mcpServers": {{"twin": {entry}, "other": {entry}, "twin": {entry}}}}}"#);
    for (path, body) in [("/config/servers", text.clone()), ("/config/servers", json!(text).to_string())] {
        let (status, report) = served.post(path, body).await;
        assert_eq!(status, 200, "{report:#}");
        assert!(
            reasons(&report).iter().any(|(name, why)| *name == "twin" && why.contains("twin")),
            "{report:#}"
        );
    }
    for client in ["mcp.json", "cursor"] {
        let body = format!(r#"{{"client": "{client}", "dry_run": true, "document": {text}}}"#);
        let (status, report) = served.post("/config/import", body).await;
        assert_eq!(status, 200, "{report:#}");
        let twins = report["entries"].as_array().unwrap().iter().filter(|entry| entry["name"] == "twin");
        let told = |it: String| it.contains("is taken by") || it.contains("more than once");
        assert!(twins.map(Value::to_string).any(told), "{client}: {report:#}");
    }
    let mut twin = Fixture::new().entry();
    twin["name"] = json!("again");
    let (_, report) = served.post("/config/servers", json!([twin, twin])).await;
    assert_eq!((report["added"].as_array().unwrap().len(), reasons(&report).len()), (1, 1), "{report:#}");
    assert_eq!(served.names("/servers", "name").await, ["again", "fix", "other", "twin"]);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_with_spaces_and_dots_become_plain_or_are_refused_and_never_lead_out() {
    let served = Served::start().await;
    for name in ["my server", "../up", "a/b", "..", ".", "", "ünicode", "a\u{0}b"] {
        let mut entry = Fixture::new().entry();
        entry["name"] = json!(name);
        refused(served.post("/servers", entry).await, 422, "invalid_name", Some("name"));
    }
    // In a document, as other clients write them, they are titles.
    let document = json!({ "mcpServers": { "My Server": Fixture::new().entry(), "../up": Fixture::new().entry(),
        "..": Fixture::new().entry(), "ünï": Fixture::new().entry() } });
    let (status, report) = served.post("/config/servers", document).await;
    assert_eq!(status, 200, "{report:#}");
    let servers = served.names("/servers", "name").await;
    for name in &servers {
        let plain = name.chars().all(|it| it.is_ascii_alphanumeric() || "_-".contains(it));
        assert!(plain && !name.is_empty(), "{servers:?}");
    }
    let entry = served.see("/servers/My-Server/entry").await;
    assert_eq!(entry["entry"]["dormouse"]["title"], "My Server", "{entry:#}");
    for path in ["/servers/..%2Fup", "/servers/my%20server", "/servers/%2e%2e%2ffix", "/servers/a%00b"] {
        let (status, problem) = served.get(path).await;
        assert_eq!((status, &problem["code"]), (422, &json!("invalid_name")), "{path}: {problem:#}");
    }
    assert!(!served.space.root().with_file_name("up").exists());
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_megabytes_of_configuration_are_refused_in_every_way() {
    let served = Served::start().await;
    let entries: serde_json::Map<String, Value> = (0..100)
        .map(|n| (format!("big{n}"), json!({ "command": "x", "args": ["y".repeat(100 << 10)] })))
        .collect();
    let document = json!({ "mcpServers": entries }).to_string();
    assert!(document.len() > 10_000_000);
    refused(served.post("/config/servers", &document).await, 413, "body_too_large", None);
    served.space.write("mcp.json", &document);
    told(&served, "larger than").await;
    assert_eq!(served.names("/servers", "name").await, ["fix"]);
    fix_still_answers(&served).await;
    // What cannot be read is not written over.
    let mut entry = Fixture::new().entry();
    entry["name"] = json!("more");
    let (status, problem) = served.post("/servers", entry).await;
    assert_eq!((status, &problem["code"]), (500, &json!("config_failed")), "{problem:#}");
    assert_eq!(std::fs::read(served.space.root().join("mcp.json")).unwrap().len(), document.len());
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_of_links_is_told_and_costs_nothing_else() {
    let space = TestSpace::new();
    let root = space.root();
    symlink(root.join("b.json"), root.join("mcp.json")).unwrap();
    symlink(root.join("mcp.json"), root.join("b.json")).unwrap();
    symlink(root.join("servers/two.py"), root.join("servers/one.py")).unwrap();
    symlink(root.join("servers/one.py"), root.join("servers/two.py")).unwrap();
    symlink(root.join("servers"), root.join("servers/again")).unwrap();
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    told(&served, "link").await;
    assert!(findings(&served).await.contains("mcp.json"));
    let mut entry = Fixture::new().entry();
    entry["name"] = json!("more");
    let (status, problem) = served.post("/servers", &entry).await;
    assert_eq!((status, &problem["code"]), (500, &json!("config_failed")), "{problem:#}");
    // Once it is a file again, all is well.
    std::fs::remove_file(root.join("mcp.json")).unwrap();
    served.space.write("mcp.json", "{}");
    until("the circle is gone", || {
        let findings = served.hub.store().orchestrator().findings();
        !findings.iter().any(|finding| finding.path.ends_with("mcp.json") && finding.problem.contains("link"))
    })
    .await;
    assert_eq!(served.post("/servers", &entry).await.0, 201);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_id_is_one_plain_word() {
    let served = Served::start().await;
    for id in ["a%2Fb", "a%20b", "a%2F..%2F..%2Ffix", "%00", "ada%2F", "a:b", "%C3%BC"] {
        for (method, path) in [
            (Method::GET, "servers"),
            (Method::GET, "config"),
            (Method::POST, "config/servers"),
            (Method::POST, "config/reset"),
            (Method::POST, "tools/fix_echo/call"),
        ] {
            let path = format!("/agents/{id}/{path}");
            let (status, problem) = served.send(method, &path, json!({})).await;
            let code = problem["code"].as_str().unwrap();
            assert!(
                [(422, "invalid_name"), (404, "not_found")].contains(&(status, code)),
                "{path}: {problem:#}"
            );
        }
    }
    for path in ["/agents/a/b/servers", "/agents//servers", "/agents/a//servers"] {
        let (status, problem) = served.get(path).await;
        assert!([404, 422].contains(&status), "{path}: {problem:#}");
    }
    refused(
        served.send(Method::PUT, "/servers/fix/agents/a%2Fb", json!({})).await,
        422,
        "invalid_name",
        Some("agent"),
    );
    let owned = json!({ "mcpServers": { "x": { "command": "x", "dormouse": { "agent": "a/b" } } } });
    let (_, report) = served.post("/config/servers", owned).await;
    assert_eq!(served.names("/servers", "name").await.len(), 1 + report["added"].as_array().unwrap().len());
    assert!(!served.see("/agents").await.to_string().contains("a/b"));
    served.end().await;
}

/// Names that are words of the API's paths and of the program's verbs.
const WORDS: [&str; 8] = ["search", "register", "call", "agents", "stats", "import", "list", "help"];

#[tokio::test(flavor = "multi_thread")]
async fn servers_and_tools_that_are_named_like_verbs_are_reached_by_each_verb() {
    let space = TestSpace::new();
    let tool = |name: &str| json!({ "name": name, "inputSchema": { "type": "object", "properties": {} } });
    let servers: Vec<(&str, Fixture, Value)> = WORDS
        .iter()
        .map(|name| (*name, Fixture::new().raw_tools(&[tool(name)]), json!({ "idle_seconds": "never" })))
        .collect();
    space.fixtures(&servers);
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    for word in WORDS {
        served.knows(&Scope::Store, word, word).await;
    }
    for word in WORDS {
        // Where the plain word is a path of its own, its first letter is encoded.
        let encoded = format!("%{:02x}{}", word.as_bytes()[0], &word[1..]);
        for name in [word, &encoded] {
            let reached = |(status, answer): (u16, Value), what: &str, member: &str| match status {
                200 => assert_eq!(answer[member], json!(word), "{what}: {answer:#}"),
                // Refused as a whole, and nothing was done.
                _ => assert!([405, 422].contains(&status) && name == word, "{what}: {status} {answer:#}"),
            };
            reached(served.get(&format!("/servers/{name}")).await, "show", "name");
            let (status, entry) = served.get(&format!("/servers/{name}/entry")).await;
            assert_eq!((status, &entry["name"]), (200, &json!(word)), "{entry:#}");
            for verb in ["attach", "detach", "restart"] {
                let (status, answer) = served.post(&format!("/servers/{name}/{verb}"), "{}").await;
                assert_eq!((status, &answer["name"]), (200, &json!(word)), "{verb}: {answer:#}");
            }
            let (status, told) =
                served.send(Method::PUT, &format!("/servers/{name}/agents/{word}"), "{}").await;
            assert_eq!((status, &told["server_name"]), (200, &json!(word)), "{told:#}");
            reached(served.send(Method::PATCH, &format!("/servers/{name}"), "{}").await, "patch", "name");
            if word != "search" || name != word {
                // `/tools/search` without a question asks for one; it never shows a tool.
                reached(served.get(&format!("/tools/{name}")).await, "show tool", "tool_name");
            } else {
                refused(served.get("/tools/search").await, 422, "invalid_request", Some("q"));
            }
            for path in [format!("/tools/{name}/call"), format!("/tools/{word}_{name}/call")] {
                let (status, answer) = served.post(&path, "{}").await;
                let called = (&answer["server_name"], &answer["tool_name"], &answer["result"]);
                assert_eq!(
                    (status, called),
                    (200, (&json!(word), &json!(word), &json!(word))),
                    "{path}: {answer:#}"
                );
            }
            let settings = format!("/tools/{name}/settings?server_name={word}");
            let (status, told) = served.send(Method::PUT, &settings, json!({ "description": "d" })).await;
            assert_eq!((status, &told["tool_name"]), (200, &json!(word)), "{told:#}");
        }
    }
    // The words that are paths of their own do what they say, and no more.
    assert_eq!(served.get("/tools/search?q=call").await.0, 200);
    refused(served.delete("/servers/register").await, 405, "method_not_allowed", None);
    assert_eq!(served.names("/servers", "name").await.len(), WORDS.len());
    for word in WORDS {
        let (status, gone) =
            served.delete(&format!("/servers/%{:02x}{}", word.as_bytes()[0], &word[1..])).await;
        assert_eq!((status, &gone), (200, &json!({ "disconnected": word })));
    }
    assert_eq!(served.names("/servers", "name").await, [""; 0]);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_reaches_servers_that_are_named_like_its_verbs() {
    let space = TestSpace::new();
    let servers: Vec<(&str, Fixture, Value)> =
        ["register", "search", "list"].map(|name| (name, Fixture::new(), json!({}))).into();
    space.fixtures(&servers);
    let (mut hub, address) = serving(&space).await;
    for name in ["register", "search", "list"] {
        for line in [
            vec!["servers", "show", name],
            vec!["servers", "entry", name],
            vec!["servers", "wait", name, "--state", "healthy,dormant"],
            vec!["tools", "call", "echo", "text=hi", "--server", name],
            vec!["servers", "restart", name],
            vec!["servers", "remove", name],
        ] {
            let ended = dormouse(&space).args(&line).output().await.unwrap();
            assert!(ended.status.success(), "{line:?}: {}", String::from_utf8_lossy(&ended.stderr));
        }
    }
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let left = http.get(format!("{address}/servers")).send().await.unwrap();
    let left: Value = left.json().await.unwrap();
    assert_eq!(left, json!([]));
    hub.start_kill().unwrap();
    hub.wait().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_write_one_file_lose_nothing() {
    // Two spaces whose `mcp.json` leads to one file, each with a hub in a process of its own.
    let (one, two) = (TestSpace::new(), TestSpace::new());
    let shared = one.write("shared.json", r#"{"mcpServers": {}, "other": "kept"}"#);
    for space in [&one, &two] {
        symlink(&shared, space.root().join("mcp.json")).unwrap();
    }
    let hubs = [serving(&one).await, serving(&two).await];
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let adds = hubs.iter().enumerate().flat_map(|(hub, (_, address))| {
        let http = &http;
        (0..15).map(move |n| async move {
            let mut entry = json!({ "command": "true", "dormouse": { "wanted": "stopped" } });
            entry["name"] = json!(format!("of{hub}-{n}"));
            let answer = http.post(format!("{address}/servers")).json(&entry).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    });
    for (status, answer) in join_all(adds).await {
        assert_eq!(status, 201, "{answer}");
    }
    let file: Value = serde_json::from_slice(&std::fs::read(&shared).unwrap()).unwrap();
    let names: BTreeSet<&String> = file["mcpServers"].as_object().unwrap().keys().collect();
    assert_eq!((names.len(), &file["other"]), (30, &json!("kept")), "{names:?}");
    // Each hub gets to know what the other one wrote.
    for (_, address) in &hubs {
        let begin = std::time::Instant::now();
        loop {
            http.post(format!("{address}/rescan")).send().await.unwrap();
            let servers: Value =
                http.get(format!("{address}/servers")).send().await.unwrap().json().await.unwrap();
            if servers.as_array().unwrap().len() == 30 {
                break;
            }
            assert!(begin.elapsed().as_secs() < 30, "{servers:#}");
        }
    }
    for (mut hub, _) in hubs {
        hub.start_kill().unwrap();
        hub.wait().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_written_file_is_told_and_neither_believed_nor_written_over() {
    let served = Served::start().await;
    let file = served.space.root().join("mcp.json");
    let whole = std::fs::read_to_string(&file).unwrap();
    let half = &whole[..whole.len() / 2];
    served.space.write("mcp.json", half);
    told(&served, "is no JSON").await;
    assert_eq!(served.names("/servers", "name").await, ["fix"]);
    fix_still_answers(&served).await;
    let mut entry = Fixture::new().entry();
    entry["name"] = json!("more");
    let (status, problem) = served.post("/servers", &entry).await;
    assert_eq!((status, &problem["code"]), (500, &json!("config_failed")), "{problem:#}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), half);

    served.space.write("mcp.json", &whole);
    until("nothing is wrong", || served.hub.store().orchestrator().findings().is_empty()).await;
    let (status, added) = served.post("/servers", &entry).await;
    assert_eq!(status, 201, "{added:#}");
    assert_eq!(served.names("/servers", "name").await, ["fix", "more"]);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_mcp_json_is_followed_wherever_it_leads() {
    let space = TestSpace::new();
    let folder = space.root().join("config");
    let write = |version: &str, server: &str| {
        let entry = json!({ "command": "true", "dormouse": { "wanted": "stopped" } });
        std::fs::create_dir_all(folder.join(version)).unwrap();
        let text = json!({ "mcpServers": { server: entry } }).to_string();
        std::fs::write(folder.join(version).join("mcp.json"), text).unwrap();
    };
    // As Kubernetes shows a ConfigMap: the file leads through a link that is swapped as a whole.
    let swap = |version: &str| {
        symlink(version, folder.join("..new")).unwrap();
        std::fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    };
    write("..one", "one");
    swap("..one");
    symlink("..data/mcp.json", folder.join("mcp.json")).unwrap();
    symlink("config/mcp.json", space.root().join("mcp.json")).unwrap();
    let hub = space.hub(|_| {}).await;
    let shows = async |expected: &str| {
        let names = || hub.store().servers().into_iter().map(|server| server.name).collect::<Vec<_>>();
        until(&format!("`{expected}` shows"), || names() == [expected]).await;
    };
    shows("one").await;
    write("..two", "two");
    swap("..two");
    shows("two").await;
    // A hand's change at the end of the links, which lies elsewhere now.
    write("..two", "by-hand");
    shows("by-hand").await;
    hub.shutdown().await;
}
