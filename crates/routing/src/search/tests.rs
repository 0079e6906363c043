//! What is found, in which order, by whom, and at what cost.

use std::sync::Arc;

use dormouse_registry::{Catalog, Change, Entry};
use dormouse_types::{
    AgentId, Confidence, FeatureSource, Features, Launch, Origin, PythonNeeds, Scope, ServerConfig,
    ServerKey, ServerName, Timestamp, Tool, ToolKey, ToolName, ToolSettings,
};
use serde_json::json;

use super::SearchIndex;

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

/// A catalogue of servers, after some more changes.
pub(crate) fn catalog(servers: &[(ServerKey, Arc<Features>)], more: Vec<Change>) -> Arc<Catalog> {
    let put = |(key, features): &(ServerKey, Arc<Features>)| {
        let launch = Launch::Script { path: "/drop/s.py".into(), needs: PythonNeeds::default() };
        Change::Put(Entry {
            key: key.clone(),
            config: Arc::new(ServerConfig::new(launch, Origin::Dropped)),
            features: Arc::clone(features),
            source: FeatureSource::Static,
            confidence: Confidence::Full,
            drift: Arc::new([]),
            content_hash: String::new(),
            registered_at: Timestamp::UNIX_EPOCH,
        })
    };
    Arc::new(Catalog::of(servers.iter().map(put).chain(more).collect()).unwrap())
}

/// Syncs, and says how many servers were read anew.
fn sync(index: &SearchIndex, servers: &[(ServerKey, Arc<Features>)]) -> usize {
    index.read_anew(&catalog(servers, Vec::new()))
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

/// What a scope says about a tool.
fn says(scope: &Scope, server: &ServerKey, tool: &str, settings: ToolSettings) -> Change {
    let tool = ToolKey { server: server.clone(), tool: tool.parse().unwrap() };
    Change::ToolSettings { scope: scope.clone(), tool, settings }
}

#[test]
fn an_assigned_tool_is_found_until_it_is_disabled_there() {
    let index = SearchIndex::new();
    let (ann, shared) = (agent_scope("ann"), key("w"));
    let servers = [(shared.clone(), features(&[("get_weather", "")]))];
    let assign = || Change::Assign { server: shared.clone(), agent: "ann".parse().unwrap() };
    index.sync(&catalog(&servers, vec![assign()]));
    assert_eq!(found(&index, "weather", &ann), ["w_get_weather"]);
    let disabled = ToolSettings { disabled: true, ..ToolSettings::default() };
    index.sync(&catalog(&servers, vec![assign(), says(&ann, &shared, "get_weather", disabled)]));
    assert_eq!(found(&index, "weather", &ann), [""; 0]);
    assert!(index.abilities(&ann, 5).is_empty());
    assert_eq!(found(&index, "weather", &Scope::Store), ["w_get_weather"]);
}

#[test]
fn words_that_one_scope_chose_find_there_and_nowhere_else() {
    let index = SearchIndex::new();
    let (ann, shared) = (agent_scope("ann"), key("w"));
    let servers = [(shared.clone(), features(&[("get_weather", "Reads barometers")]))];
    let chosen = || ToolSettings {
        name: Some("lookout".parse().unwrap()),
        description: Some("Whether to stay dry".to_owned()),
        ..ToolSettings::default()
    };
    let assign = || Change::Assign { server: shared.clone(), agent: "ann".parse().unwrap() };
    let with = |settings| catalog(&servers, vec![assign(), says(&ann, &shared, "get_weather", settings)]);
    assert_eq!(index.read_anew(&with(chosen())), 1);
    for query in ["lookout", "stay dry", "weather", "city"] {
        assert_eq!(found(&index, query, &ann), ["lookout"], "{query}");
    }
    let candidates = index.search("lookout", &ann, 8);
    assert_eq!(candidates[0].tool.description.as_deref(), Some("Whether to stay dry"));
    assert_eq!(found(&index, "barometers", &ann), [""; 0]);
    assert_eq!(found(&index, "barometers", &Scope::Store), ["w_get_weather"]);
    assert_eq!(found(&index, "lookout dry", &Scope::Store), [""; 0]);
    // Other words cost no server a reading; none at all bring the server's back.
    let dry = ToolSettings { name: None, ..chosen() };
    assert_eq!(index.read_anew(&with(dry)), 0);
    assert_eq!(found(&index, "dry", &ann), ["w_get_weather"]);
    assert_eq!(found(&index, "lookout", &ann), [""; 0]);
    index.sync(&with(ToolSettings::default()));
    assert_eq!(found(&index, "barometers", &ann), ["w_get_weather"]);
    assert_eq!(found(&index, "dry", &ann), [""; 0]);
}
