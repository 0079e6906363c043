//! What an endpoint shows: everything, three tools, or one server; of the store or of an agent.

use dormouse::Scope;
use dormouse_testing::{Fixture, environment};
use dormouse_tests::mcp_client::STATELESS;
use dormouse_tests::{Served, TestSpace};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, all_capabilities, script};

const BOTH_LIVES: [&str; 2] = ["2025-11-25", STATELESS];

/// A hub whose store has two servers, of which the agent `ada` sees one beside one of its own.
async fn shared() -> Served {
    let space = TestSpace::new();
    let own = json!({ "agent": "ada", "name": "mine" });
    let lives = json!({ "command": environment("mcp1"), "args": [script("server.py"), "stdio"] });
    space.fixtures(&[
        ("fix", Fixture::new(), json!({})),
        ("minebyada", Fixture::new().without_resources(), own),
    ]);
    let file = space.root().join("mcp.json");
    let mut entries: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    entries["mcpServers"]["lives"] = lives;
    std::fs::write(&file, entries.to_string()).unwrap();
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "fix", "echo").await;
    served.knows(&Scope::Store, "lives", "echo").await;
    served.knows(&Scope::Agent("ada".parse().unwrap()), "mine", "echo").await;
    let (status, told) = served.send(Method::PUT, "/servers/fix/agents/ada", json!({})).await;
    assert_eq!(status, 200, "{told:#}");
    served
}

fn starting<'a>(names: &'a [String], with: &str) -> Vec<&'a String> {
    names.iter().filter(|name| name.starts_with(with)).collect()
}

/// What `call_tool` of the mode *search* gives.
async fn search_call(client: &Client, name: &str, arguments: Value) -> crate::client::Told {
    client.call("call_tool", json!({ "name": name, "arguments": arguments })).await
}

#[tokio::test]
async fn an_agent_sees_its_own_and_what_is_shared_by_its_own_names() {
    let served = shared().await;
    for revision in BOTH_LIVES {
        let store = Client::of(&served, "/mcp", revision, json!({})).await.tools().await;
        assert!(
            !starting(&store, "fix_").is_empty() && !starting(&store, "minebyada_").is_empty(),
            "{store:?}"
        );
        let ada = Client::of(&served, "/agents/ada/mcp", revision, json!({})).await;
        let tools = ada.tools().await;
        assert!(!starting(&tools, "fix_").is_empty() && !starting(&tools, "mine_").is_empty(), "{tools:?}");
        assert_eq!(
            starting(&tools, "fix_").len() + starting(&tools, "mine_").len(),
            tools.len(),
            "{tools:?}"
        );
        for tool in ["fix_echo", "mine_echo"] {
            assert_eq!(ada.call(tool, json!({ "text": "x" })).await.text(), "x");
        }
        for elsewhere in ["lives_echo", "minebyada_echo"] {
            let told = ada.call(elsewhere, json!({ "text": "x" })).await;
            assert_eq!(told.answer["error"]["code"], -32602, "{told:#?}");
        }
        let read = ada.ask("resources/read", json!({ "uri": "dormouse://lives/note://one" })).await;
        assert!(read.answer["error"]["code"].is_i64(), "{read:#?}");
        let nobody = Client::of(&served, "/agents/bob/mcp", revision, json!({})).await;
        assert_eq!(nobody.tools().await, [""; 0]);
    }
    served.end().await;
}

#[tokio::test]
async fn one_server_keeps_its_own_names_and_addresses() {
    let served = shared().await;
    for revision in BOTH_LIVES {
        let client = Client::of(&served, "/mcp?mode=single&server=lives", revision, json!({})).await;
        let tools = client.tools().await;
        assert!(tools.contains(&"echo".to_owned()) && tools.contains(&"ask_twice".to_owned()), "{tools:?}");
        assert_eq!(
            client.call("add", json!({ "a": 1, "b": 2 })).await.result()["structuredContent"]["total"],
            3
        );
        assert_eq!(client.names("prompts/list", "prompts", "name").await, ["greet"]);
        assert_eq!(client.names("resources/list", "resources", "uri").await, ["note://one"]);
        let read = client.ask("resources/read", json!({ "uri": "note://by/friday" })).await;
        assert_eq!(read.result()["contents"][0]["uri"], "note://by/friday", "{read:#?}");
        let params = json!({
            "ref": { "type": "ref/resource", "uri": "note://by/{day}" }, "argument": { "name": "day", "value": "Fri" },
        });
        let completed = client.ask("completion/complete", params).await;
        assert_eq!(completed.result()["completion"]["values"][0], "Friday", "{completed:#?}");
        // Another server's tools are not behind it.
        let told = client.call("fix_echo", json!({ "text": "x" })).await;
        assert_eq!(told.answer["error"]["code"], -32602, "{told:#?}");

        let of_ada =
            Client::of(&served, "/agents/ada/mcp?mode=single&server=mine", revision, json!({})).await;
        assert_eq!(of_ada.call("echo", json!({ "text": "x" })).await.text(), "x");
    }
    served.end().await;
}

#[tokio::test]
async fn three_tools_find_describe_and_call_all_others() {
    let served = shared().await;
    for revision in BOTH_LIVES {
        let client = Client::of(&served, "/mcp?mode=search", revision, all_capabilities())
            .await
            .answering("elicitation/create", json!({ "action": "accept", "content": { "colour": "red" } }));
        let listed = client.list("tools/list", "tools").await;
        let names: Vec<&Value> = listed.iter().map(|tool| &tool["name"]).collect();
        assert_eq!(names, ["call_tool", "describe_tool", "find_tools"]);
        assert!(
            listed
                .iter()
                .all(|tool| tool["inputSchema"]["type"] == "object" && tool["description"].is_string())
        );

        let found = client.call("find_tools", json!({ "query": "adds two numbers" })).await;
        let tools = found.result()["structuredContent"]["tools"].as_array().unwrap();
        assert!(tools[..3].iter().any(|tool| tool["name"] == "lives_add"), "{found:#?}");
        let described = client.call("describe_tool", json!({ "name": "lives_add" })).await;
        let schema = &described.result()["structuredContent"]["inputSchema"];
        assert_eq!(schema["required"], json!(["a", "b"]), "{described:#?}");
        let added = search_call(&client, "lives_add", json!({ "a": 1, "b": 2 })).await;
        assert_eq!(added.result()["structuredContent"]["total"], 3, "{added:#?}");

        // The way back works as with the tool itself.
        let asked = search_call(&client, "lives_ask", json!({})).await;
        assert_eq!((asked.text(), asked.asked.len()), (r#"["accept", {"colour": "red"}]"#, 1), "{asked:#?}");
        let params = json!({
            "name": "call_tool", "arguments": { "name": "lives_count", "arguments": { "to": 2 } },
            "_meta": { "progressToken": "p" },
        });
        let counted = client.ask("tools/call", params).await;
        assert!(counted.of("notifications/progress").iter().any(|it| it["progress"] == 2), "{counted:#?}");

        // What is wrong is told to the model, who can mend it.
        for (tool, arguments) in [
            ("find_tools", json!({})),
            ("describe_tool", json!({ "name": "lives_ad" })),
            ("call_tool", json!({})),
            ("call_tool", json!({ "name": "lives_ad", "arguments": {} })),
            ("call_tool", json!({ "name": "lives_add", "arguments": "nonsense" })),
        ] {
            let told = client.call(tool, arguments).await;
            assert_eq!(told.result()["isError"], true, "{told:#?}");
            assert!(told.text().len() > 10, "{told:#?}");
        }
        let unknown = client.call("lives_add", json!({ "a": 1, "b": 2 })).await;
        assert_eq!(unknown.answer["error"]["code"], -32602, "{unknown:#?}");

        // Resources and prompts are there under the names that they have beside many.
        let read = client.ask("resources/read", json!({ "uri": "dormouse://lives/note://one" })).await;
        assert_eq!(read.result()["contents"][0]["text"], "a note", "{read:#?}");
        let got =
            client.ask("prompts/get", json!({ "name": "lives_greet", "arguments": { "name": "Ada" } })).await;
        assert_eq!(got.result()["messages"][0]["content"]["text"], "Hello Ada", "{got:#?}");
    }
    served.end().await;
}

#[tokio::test]
async fn what_a_context_says_of_a_tool_holds_in_every_mode() {
    let served = shared().await;
    let say = async |tool: &str, settings: Value| {
        let path = format!("/agents/ada/tools/{tool}/settings?server_name=fix");
        let (status, told) = served.send(Method::PUT, &path, settings).await;
        assert_eq!(status, 200, "{told:#}");
    };
    say("echo", json!({ "name": "repeat", "description": "Say it again." })).await;
    say("pid", json!({ "disabled": true })).await;
    for revision in BOTH_LIVES {
        for (path, hidden) in [
            ("/agents/ada/mcp", &["fix_pid"][..]),
            ("/agents/ada/mcp?mode=single&server=fix", &["pid", "fix_pid"]),
        ] {
            let client = Client::of(&served, path, revision, json!({})).await;
            let listed = client.list("tools/list", "tools").await;
            let named = |name: &str| listed.iter().find(|tool| tool["name"] == name);
            assert_eq!(named("repeat").unwrap()["description"], "Say it again.", "{path}");
            assert!(hidden.iter().all(|name| named(name).is_none()), "{path}");
            assert!(named("echo").is_none() && named("fix_echo").is_none(), "{path}");
            assert_eq!(client.call("repeat", json!({ "text": "x" })).await.text(), "x", "{path}");
            for name in hidden {
                let told = client.call(name, json!({})).await;
                assert_eq!(told.answer["error"]["code"], -32602, "{path} {name}: {told:#?}");
            }
        }
        let client = Client::of(&served, "/agents/ada/mcp?mode=search", revision, json!({})).await;
        assert_eq!(search_call(&client, "repeat", json!({ "text": "x" })).await.text(), "x");
        let found = client.call("find_tools", json!({ "query": "pid process number", "limit": 50 })).await;
        assert!(!found.text().contains("fix_pid"), "{found:#?}");
        for name in ["pid", "fix_pid"] {
            let described = client.call("describe_tool", json!({ "name": name })).await;
            // Its own server has one of that name too, which is another tool.
            assert!(described.result()["structuredContent"]["name"] != "fix_pid", "{described:#?}");
        }
        let called = search_call(&client, "fix_pid", json!({})).await;
        assert_eq!(called.result()["isError"], true, "{called:#?}");

        // Elsewhere nothing was said of it.
        let store = Client::of(&served, "/mcp", revision, json!({})).await;
        let tools = store.tools().await;
        assert!(tools.contains(&"fix_pid".to_owned()) && tools.contains(&"fix_echo".to_owned()), "{tools:?}");
        assert!(store.call("fix_pid", json!({})).await.result()["isError"] != true);
    }
    served.end().await;
}

#[tokio::test]
async fn settings_of_a_tool_are_a_change_that_is_told() {
    let served = shared().await;
    let ada = Client::of(&served, "/agents/ada/mcp", STATELESS, json!({})).await;
    let session = Client::of(&served, "/agents/ada/mcp", "2025-06-18", json!({})).await;
    let (mut one, _) = ada.listen(1, json!({ "toolsListChanged": true })).await;
    let mut other = session.mcp.listen(None).await;
    let settings = json!({ "disabled": true });
    let (status, _) =
        served.send(Method::PUT, "/agents/ada/tools/echo/settings?server_name=fix", settings).await;
    assert_eq!(status, 200);
    for events in [&mut one, &mut other] {
        assert_eq!(events.message().await["method"], "notifications/tools/list_changed");
    }
    served.end().await;
}
