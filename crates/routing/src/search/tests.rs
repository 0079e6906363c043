//! What is found, in which order, by whom, and at what cost.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dormouse_types::{AgentId, Features, Scope, ServerKey, ServerName, Tool, ToolName};
use serde_json::json;

use super::{Names, SearchIndex};

fn features(tools: &[(&str, &str)]) -> Arc<Features> {
    let tool = |(name, description): &(&str, &str)| Tool {
        description: Some((*description).to_owned()),
        ..Tool::new(
            ToolName::try_new(name).unwrap(),
            json!({"type": "object", "properties": {"city": {"type": "string"}}}),
        )
    };
    Arc::new(Features { tools: tools.iter().map(tool).collect(), ..Features::default() })
}

fn key(name: &str) -> ServerKey {
    ServerKey::store(ServerName::try_new(name).unwrap())
}

fn of_agent(name: &str, agent: &str) -> ServerKey {
    ServerKey { scope: agent_scope(agent), name: ServerName::try_new(name).unwrap() }
}

fn agent_scope(agent: &str) -> Scope {
    Scope::Agent(AgentId::try_new(agent).unwrap())
}

/// Syncs, and says how many servers were read anew.
fn sync(index: &SearchIndex, servers: &[(ServerKey, Arc<Features>)]) -> usize {
    let read = AtomicUsize::new(0);
    let all: HashMap<ServerKey, Arc<Features>> = servers.iter().cloned().collect();
    index.sync_servers(servers.to_vec(), &|key| {
        read.fetch_add(1, Ordering::Relaxed);
        let names = |server: &str| {
            all[key]
                .tools
                .iter()
                .map(|tool| (tool.name.clone(), format!("{server}_{}", tool.name).into()))
                .collect()
        };
        let in_agent = match key.scope {
            Scope::Store => HashMap::new(),
            Scope::Agent(_) => names(key.name.as_str()),
        };
        Names { in_store: names(&key.store_name()), in_agent }
    });
    read.into_inner()
}

fn found(index: &SearchIndex, query: &str, scope: &Scope) -> Vec<String> {
    index.search(query, scope, 8).into_iter().map(|candidate| candidate.full_name).collect()
}

#[test]
fn only_what_changed_is_read_again() {
    let index = SearchIndex::new();
    let (one, other) = (features(&[("get_weather", "")]), features(&[("play_song", "")]));
    let both = [(key("a"), Arc::clone(&one)), (key("b"), Arc::clone(&other))];
    assert_eq!(sync(&index, &both), 2);
    assert_eq!(sync(&index, &both), 0);
    let changed = [(key("a"), features(&[("get_tides", "")])), (key("b"), other)];
    assert_eq!(sync(&index, &changed), 1);
    assert_eq!(found(&index, "weather", &Scope::Store), Vec::<String>::new());
    assert_eq!(found(&index, "tides", &Scope::Store), ["a_get_tides"]);
    assert_eq!(sync(&index, &changed[..1]), 0);
    assert_eq!(found(&index, "song", &Scope::Store), Vec::<String>::new());
}

#[test]
fn an_agent_finds_its_own_tools_by_its_own_names() {
    let index = SearchIndex::new();
    let weather = features(&[("get_weather", "")]);
    sync(
        &index,
        &[
            (key("w"), Arc::clone(&weather)),
            (of_agent("w", "ann"), Arc::clone(&weather)),
            (of_agent("v", "bob"), weather),
        ],
    );
    assert_eq!(
        found(&index, "weather", &Scope::Store),
        ["vbybob_get_weather", "w_get_weather", "wbyann_get_weather"]
    );
    assert_eq!(found(&index, "weather", &agent_scope("ann")), ["w_get_weather"]);
    assert_eq!(found(&index, "weather", &agent_scope("eve")), Vec::<String>::new());
    let abilities = index.abilities(&agent_scope("bob"), 5);
    assert_eq!(abilities.iter().map(|a| a.full_name.as_str()).collect::<Vec<_>>(), ["v_get_weather"]);
}

#[test]
fn a_name_weighs_more_than_a_mention() {
    let index = SearchIndex::new();
    let tools = [("log", "Logs the weather, the tides and the wind"), ("get_weather", "Current conditions")];
    sync(&index, &[(key("a"), features(&tools))]);
    assert_eq!(found(&index, "weather", &Scope::Store), ["a_get_weather", "a_log"]);
    assert_eq!(found(&index, "the of a", &Scope::Store), Vec::<String>::new());
}

#[test]
fn a_doubled_tool_counts_once() {
    let index = SearchIndex::new();
    sync(&index, &[(key("a"), features(&[("ping", "one"), ("ping", "two")]))]);
    let candidates = index.search("ping", &Scope::Store, 8);
    assert_eq!(candidates.len(), 1);
    assert_eq!(candidates[0].tool.description.as_deref(), Some("one"));
}
