//! Verbs that take a key rather than a name, the endpoint for MCP clients, and servers that come
//! with a file.

use std::collections::BTreeSet;
use std::sync::Arc;

use dormouse::{AskError, CallError, LeaseError, NoBackChannel, PassRequest, RawCall, Rounds, RunError};
use serde_json::{Map, Value, json};

use crate::model::{Key, Model, Said, View};
use crate::ways::{User, Way, World};

/// A server that comes with a file.
pub(crate) fn import(user: &User<'_>, name: &str, entry: &Value) -> Said<()> {
    user.import(&json!({ "mcpServers": { name: entry } }))
}

/// Whoever has the key of a server that it does not see, has nothing.
pub(crate) fn check_keys(world: &World, model: &Model, view: &View) -> Vec<(View, Key, String)> {
    let context = world.user(Way::Rust, view).context();
    let seen = model.seen(view);
    let all = world.hub.store().all_tools();
    let mut calls = Vec::new();
    for key in model.servers.keys() {
        let (of_hub, sees) = (key.of_hub(), seen.contains(key));
        let what = format!("{key:?} in {view:?}");
        let unknown = |error: &LeaseError| matches!(error, LeaseError::UnknownServer { .. });

        let request = PassRequest {
            method: "resources/read".to_owned(),
            params: Map::from_iter([("uri".to_owned(), json!("who://card"))]),
            deadline: None,
            rounds: Rounds::Driven,
        };
        match world.runtime.block_on(context.pass(&of_hub, request, Arc::new(NoBackChannel))) {
            Ok(passed) => {
                assert_eq!(passed.result["contents"][0]["text"], key.identity(), "{what}");
                assert!(sees, "{what}");
            }
            Err(AskError::Lease(error)) => assert!(unknown(&error) && !sees, "{what}: {error}"),
            Err(error) => panic!("{what}: {error}"),
        }

        match world.runtime.block_on(context.hold(&of_hub, Arc::new(NoBackChannel))) {
            Ok(held) => assert!(*held.server() == of_hub && sees, "{what}"),
            Err(error) => assert!(unknown(&error) && !sees, "{what}: {error}"),
        }

        let is_who = |it: &&dormouse::ToolRef| it.key().server == of_hub && it.key().tool.as_str() == "who";
        let tool = all.iter().find(is_who).expect("every server has it").clone();
        let call = RawCall { tool, params: Map::new(), deadline: None, rounds: Rounds::Driven };
        match world.runtime.block_on(context.call_raw(call, Arc::new(NoBackChannel))) {
            Ok(answer) => {
                assert_eq!(answer.result["content"][0]["text"], key.identity(), "{what}");
                assert!(sees, "{what}");
                calls.push((view.clone(), key.clone(), "who".to_owned()));
            }
            Err(CallError::Run(RunError::Lease(error))) => {
                assert!(unknown(&error) && !sees, "{what}: {error}");
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }
    calls
}

/// What an MCP client lists and calls at the address of a view.
pub(crate) fn check_endpoint(world: &World, model: &Model, view: &View) -> Vec<(View, Key, String)> {
    let path = view.as_ref().map_or("/mcp".to_owned(), |agent| format!("/agents/{agent}/mcp"));
    let ask = |method: &str, params: Value| -> Value {
        let mcp = dormouse_tests::mcp_client::Mcp {
            http: world.http.clone(),
            url: format!("{}{path}", world.address),
            session: None,
            revision: String::new(),
        };
        world
            .runtime
            .block_on(async { mcp.alone(method, params).send().await.unwrap().json().await.unwrap() })
    };
    let mut listed = BTreeSet::new();
    let mut params = json!({});
    loop {
        let page = ask("tools/list", params)["result"].take();
        let tools = page["tools"].as_array().unwrap_or_else(|| panic!("{view:?}: {page}"));
        listed.extend(tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(cursor) => params = json!({ "cursor": cursor }),
            None => break,
        }
    }
    let own: BTreeSet<String> = model.tools(view).iter().map(|tool| tool.full().to_owned()).collect();
    assert_eq!(listed, own, "{view:?}");

    let mut calls = Vec::new();
    let everywhere = model.views().into_iter().flat_map(|view| model.tools(&view));
    let names: BTreeSet<String> = everywhere.map(|tool| tool.full().to_owned()).collect();
    for name in names {
        let answer = ask("tools/call", json!({ "name": name, "arguments": {} }));
        // A bare name of its own may mean a tool that is listed otherwise.
        match model.tool(view, &name, None) {
            Ok(tool) => {
                let said = &answer["result"]["content"][0]["text"];
                assert_eq!(*said, tool.server.identity(), "{name} in {view:?}: {answer}");
                calls.push((view.clone(), tool.server, tool.name));
            }
            Err(_) => assert!(answer["error"].is_object(), "{name} in {view:?}: {answer}"),
        }
    }
    calls
}
