//! What is moved over from MCPStore.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use dormouse_storage::mcp_json::McpFile;
use dormouse_storage::mcpstore::{Files, MoveError, Moved, read};
use serde_json::{Value, json};

fn moved(mcp_json: Value, agent_clients: Value, client_services: Value) -> Moved {
    let (a, b, c) = (mcp_json.to_string(), agent_clients.to_string(), client_services.to_string());
    read(Files { mcp_json: Some(&a), agent_clients: Some(&b), client_services: Some(&c) }).unwrap()
}

/// Each server as `key=command`, sorted.
fn said(moved: &Moved) -> Vec<String> {
    let what = |entry: &serde_json::Map<String, Value>| {
        entry.get("command").or_else(|| entry.get("url")).unwrap().as_str().unwrap().to_owned()
    };
    let mut lines: Vec<_> =
        moved.servers.iter().map(|(key, entry)| format!("{key}={}", what(entry))).collect();
    lines.sort();
    lines
}

fn problems(moved: &Moved) -> Vec<String> {
    moved.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn owners_come_from_the_side_files_and_never_from_names() {
    let moved = moved(
        json!({"mcpServers": {
            "calc": {"command": "store"},
            // The store's own, though they look like an agent's.
            "ruby1": {"command": "ruby"}, "x_byagent_a1": {"command": "look-alike"},
            "calcbya1": {"command": "newer"},
            "web_byagent_a2": {"command": "web"},
            "nearbya1": {"command": "near"}, "nearbya1bya1": {"command": "local-near"}
        }}),
        json!({
            "global_agent_store": ["client_1", "client_2", "client_4"],
            "a1": ["client_2", "client_5"], "a2": ["client_3"], "1": []
        }),
        json!({
            "client_1": {"mcpServers": {"calc": {"command": "old"}, "only-here": {"command": "only"}}},
            "client_2": {"mcpServers": {"calc": {"command": "old"}}},
            "client_3": {"mcpServers": {"web_byagent_a2": {"command": "old"}}},
            "client_4": {"mcpServers": {"calcbya1": {"command": "old"}}},
            "client_5": {"mcpServers": {"nearbya1": {"command": "old"}}}
        }),
    );
    assert_eq!(
        said(&moved),
        [
            "calc of agent a1=newer",
            "calc=store",
            "nearbya1 of agent a1=local-near",
            "nearbya1=near",
            "only-here=only",
            "ruby1=ruby",
            "web of agent a2=web",
            "x_byagent_a1=look-alike",
        ]
    );
    assert_eq!(problems(&moved), [""; 0]);
    // All of it fits into one file of ours.
    let mut file = McpFile::empty();
    for (key, entry) in &moved.servers {
        file.put_raw(key, entry).unwrap();
    }
    assert_eq!(file.servers().len(), moved.servers.len());
}

#[test]
fn scopes_and_policies_of_the_later_form_are_read() {
    let theirs = |scopes: Value, policy: &str| json!({"command": "x", "_mcpstore": {"scopes": scopes, "lifecycle": {"startup_policy": policy}}});
    let moved = moved(
        json!({"mcpServers": {
            "shared": theirs(json!({"store": true, "agents": {"a1": {}, "a2": {}, "a3": false}}), "eager"),
            "private": theirs(json!({"store": false, "agents": {"a1": {}}}), "lazy"),
            "off": theirs(json!({"store": true}), "manual"),
            "nobody": theirs(json!({"store": false, "agents": {}}), "eager"),
            "odd": theirs(json!({"store": {}, "agents": ["a b"]}), "at-dawn"),
        }}),
        json!({}),
        json!({}),
    );
    assert_eq!(said(&moved), ["odd=x", "off=x", "private of agent a1=x", "shared=x"].map(str::to_owned));
    let assigned: Vec<_> =
        moved.assignments.iter().map(|(name, agent)| format!("{name} to {agent}")).collect();
    assert_eq!(assigned, ["shared to a1", "shared to a2"]);
    let wanted: Vec<_> = moved
        .servers
        .iter()
        .map(|(key, entry)| {
            assert!(!entry.contains_key("_mcpstore"));
            let wanted = entry.get("dormouse").map(|ours| ours["wanted"].to_string());
            format!("{} {}", key.name, wanted.unwrap_or_default())
        })
        .collect();
    assert_eq!(wanted, [r#"shared "always""#, r#"private "on_demand""#, r#"off "stopped""#, "odd "]);
    assert_eq!(
        problems(&moved),
        [
            "mcp.json: mcpServers.nobody._mcpstore.scopes: is in the scope of nobody, and is not moved",
            "mcp.json: mcpServers.odd._mcpstore.lifecycle.startup_policy: is no policy that this version knows",
            "mcp.json: mcpServers.odd._mcpstore.scopes.agents: `a b` is no valid agent id: 1 to 100 of A-Z, a-z, 0-9, `_` and `-`",
        ]
    );
}

#[test]
fn faults_cost_only_themselves() {
    let moved = moved(
        json!({"mcpServers": {"bad": {"command": 1}, "good": {"command": "x"}}}),
        json!({"a/b": ["c1"], "a1": "c1", "a2": ["gone", 5, "c1", "c2"], "a3": ["c3"], "a4": ["c3", "c4"]}),
        json!({"c1": {"mcpServers": {"s": {"url": "http://h", "command": "x"}}}, "c2": {},
            "c3": {"mcpServers": {"t": {"command": "t"}}}, "c4": {"mcpServers": {"t": {"command": "u"}}}}),
    );
    assert_eq!(said(&moved), ["good=x", "t of agent a3=t", "t of agent a4=t"]);
    assert_eq!(
        problems(&moved),
        [
            "agent_clients.json: a/b: `a/b` is no valid agent id: 1 to 100 of A-Z, a-z, 0-9, `_` and `-`",
            "agent_clients.json: a1: expected a list of clients, found a text",
            "agent_clients.json: a2: names the client `gone`, which client_services.json does not have",
            "agent_clients.json: a2: expected the id of a client, found a number",
            "client_services.json: c2.mcpServers: expected an object, found nothing",
            "client_services.json: c1.mcpServers.s: has both `command` and `url`; a server is one of them",
            "client_services.json: c4.mcpServers.t: `t of agent a4` was moved from client_services.json: c3.mcpServers.t already, and is another one here",
            "mcp.json: mcpServers.bad.command: expected a text, found a number",
        ]
    );
}

#[test]
fn files_may_be_missing_and_broken_ones_are_errors() {
    assert_eq!(read(Files::default()).unwrap(), Moved::default());
    let only =
        read(Files { mcp_json: Some(r#"{"mcpServers": {"a": {"command": "x"}}}"#), ..Files::default() });
    assert_eq!(said(&only.unwrap()), ["a=x"]);
    for (text, message) in [
        ("[]", "agent_clients.json: expected an object, found a list"),
        ("{", "agent_clients.json: line 1, column 1 is no JSON"),
    ] {
        let error = read(Files { agent_clients: Some(text), ..Files::default() }).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let error = read(Files { mcp_json: Some(r#"{"mcpServers": 1}"#), ..Files::default() }).unwrap_err();
    assert!(matches!(error, MoveError::Shape { file: "mcp.json", .. }));
}
