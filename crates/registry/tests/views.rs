//! What each context sees: its own servers and those assigned to it, under names of its own.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dormouse_registry::{ApplyError, Catalog, Change, NoSuchServer, NoSuchTool, Registry, ToolRef};
use dormouse_storage::Memory;
use dormouse_types::{AgentId, Event, Scope, ServerKey, ToolKey, ToolSettings};
use proptest::prelude::*;

mod entries;

use entries::{agent, entry, key};

fn id(agent: &str) -> AgentId {
    agent.parse().unwrap()
}

fn assign(server: &str, agent: &str) -> Change {
    Change::Assign { server: key(&Scope::Store, server), agent: id(agent) }
}

fn unassign(server: &str, agent: &str) -> Change {
    Change::Unassign { server: key(&Scope::Store, server), agent: id(agent) }
}

fn tool_key(scope: &Scope, server: &str, tool: &str) -> ToolKey {
    ToolKey { server: key(scope, server), tool: tool.parse().unwrap() }
}

/// What a context says about a tool of the store's server `calc`.
fn says(view: &Scope, tool: &str, settings: ToolSettings) -> Change {
    Change::ToolSettings { scope: view.clone(), tool: tool_key(&Scope::Store, "calc", tool), settings }
}

fn renamed(name: &str) -> ToolSettings {
    ToolSettings { name: Some(name.parse().unwrap()), ..ToolSettings::default() }
}

fn disabled() -> ToolSettings {
    ToolSettings { disabled: true, ..ToolSettings::default() }
}

async fn open() -> Registry {
    Registry::open(Arc::new(Memory::new())).await.unwrap()
}

async fn registry(changes: Vec<Change>) -> Registry {
    let registry = open().await;
    registry.apply(changes).await.unwrap();
    registry
}

fn names(catalog: &Catalog, view: &Scope) -> Vec<String> {
    catalog.tools(view).map(|tool| tool.full_name().to_owned()).collect()
}

fn servers(catalog: &Catalog, view: &Scope) -> Vec<ServerKey> {
    catalog.servers(view).map(|entry| entry.key.clone()).collect()
}

/// The store's servers `calc` and `web`.
fn two() -> Vec<Change> {
    let store = Scope::Store;
    vec![Change::Put(entry(&store, "calc", &["add", "sub"])), Change::Put(entry(&store, "web", &["get"]))]
}

#[tokio::test]
async fn assigned_server_is_seen_by_that_agent_under_its_own_name() {
    let (ann, bob) = (agent("ann"), agent("bob"));
    let registry = registry(two()).await;
    let calc = key(&Scope::Store, "calc");
    let mut events = registry.events();
    registry.apply(vec![assign("calc", "ann")]).await.unwrap();
    let catalog = registry.snapshot();
    assert_eq!(names(&catalog, &ann), ["calc_add", "calc_sub"]);
    assert_eq!(names(&catalog, &bob), [""; 0]);
    let tool = catalog.find_tool(&ann, "add", Some("calc")).unwrap();
    assert_eq!((tool.server_name(), tool.key()), ("calc", tool_key(&Scope::Store, "calc", "add")));
    assert!(catalog.sees(&ann, &calc) && !catalog.sees(&bob, &calc));
    assert_eq!(catalog.assigned_to(&calc).collect::<Vec<_>>(), [&id("ann")]);
    assert_eq!(catalog.agents().collect::<Vec<_>>(), [&id("ann")]);
    // One status for all who see it.
    assert_eq!(catalog.server_count(&Scope::Store), 2);
    let version = catalog.version();
    assert_eq!(registry.apply(vec![assign("calc", "ann")]).await.unwrap(), version);
    registry.apply(vec![unassign("calc", "ann"), unassign("calc", "ann")]).await.unwrap();
    assert_eq!(registry.snapshot().agents().count(), 0);
    assert_eq!(names(&registry.snapshot(), &ann), [""; 0]);
    let changed = Event::ServerChanged { server: calc.clone() };
    let unassigned = Event::ServerUnassigned { server: calc, agent: id("ann") };
    let told: Vec<Event> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    assert_eq!(told, [changed.clone(), changed, unassigned]);
}

#[tokio::test]
async fn the_end_of_a_server_names_the_agents_that_saw_it() {
    let ann = agent("ann");
    let registry = registry(two()).await;
    let calc = key(&Scope::Store, "calc");
    let own = entry(&agent("bob"), "calc", &["mine"]);
    let shares = ["ann", "bob", "eve"].map(|agent| assign("calc", agent));
    registry
        .apply([shares.to_vec(), vec![Change::Put(own), unassign("calc", "eve")]].concat())
        .await
        .unwrap();
    assert!(registry.snapshot().sees(&ann, &calc));
    let mut events = registry.events();
    // The one of bob's own hides it from bob, who loses nothing; who shares it stays said.
    let gone = vec![Change::Remove(calc.clone()), unassign("calc", "bob"), unassign("calc", "ann")];
    registry.apply(gone).await.unwrap();
    let told: Vec<Event> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    assert_eq!(told, [Event::ServerRemoved { server: calc, agents: vec![id("ann")] }]);
}

#[tokio::test]
async fn agents_own_server_hides_an_assigned_one_of_its_name() {
    let ann = agent("ann");
    let own = entry(&ann, "calc", &["mine"]);
    let registry = registry(two()).await;
    registry.apply(vec![assign("calc", "ann"), Change::Put(own.clone())]).await.unwrap();
    let catalog = registry.snapshot();
    assert_eq!(servers(&catalog, &ann), std::slice::from_ref(&own.key));
    assert_eq!(names(&catalog, &ann), ["calc_mine"]);
    assert!(catalog.is_hidden(&key(&Scope::Store, "calc"), &id("ann")));
    registry.apply(vec![Change::Remove(own.key.clone())]).await.unwrap();
    let catalog = registry.snapshot();
    assert_eq!(names(&catalog, &ann), ["calc_add", "calc_sub"]);
    assert!(!catalog.is_hidden(&key(&Scope::Store, "calc"), &id("ann")));
}

#[tokio::test]
async fn only_servers_of_the_store_are_assigned() {
    let registry = registry(vec![Change::Put(entry(&agent("ann"), "calc", &["add"]))]).await;
    let change = Change::Assign { server: key(&agent("ann"), "calc"), agent: id("bob") };
    let error = registry.apply(vec![change]).await.unwrap_err();
    assert!(matches!(error, ApplyError::NotOfStore { .. }), "{error}");
}

#[tokio::test]
async fn what_was_said_survives_removal_and_return() {
    let (store, ann) = (Scope::Store, agent("ann"));
    // As at a start: what was said comes first, the servers later.
    let registry = registry(vec![assign("calc", "ann"), says(&ann, "add", renamed("plus"))]).await;
    assert_eq!(registry.snapshot().agents().collect::<Vec<_>>(), [&id("ann")]);
    assert_eq!(registry.snapshot().tool_settings().count(), 1);
    for _ in 0..2 {
        registry.apply(two()).await.unwrap();
        assert_eq!(names(&registry.snapshot(), &ann), ["plus", "calc_sub"]);
        assert_eq!(names(&registry.snapshot(), &store), ["calc_add", "calc_sub", "web_get"]);
        registry.apply(vec![Change::Remove(key(&store, "calc"))]).await.unwrap();
        assert_eq!(names(&registry.snapshot(), &ann), [""; 0]);
        assert_eq!(registry.snapshot().assigned_to(&key(&store, "calc")).count(), 1);
    }
}

#[tokio::test]
async fn disabled_tool_is_in_no_list_and_not_found_but_known() {
    let (store, ann) = (Scope::Store, agent("ann"));
    let registry = registry(two()).await;
    registry.apply(vec![assign("calc", "ann"), says(&ann, "add", disabled())]).await.unwrap();
    let catalog = registry.snapshot();
    let calc = key(&store, "calc");
    assert_eq!(names(&catalog, &ann), ["calc_sub"]);
    assert_eq!((catalog.tool_count(&ann), catalog.tools_of(&ann, &calc).count()), (1, 1));
    for (name, server) in [("add", None), ("calc_add", None), ("add", Some("calc"))] {
        let error = catalog.find_tool(&ann, name, server).unwrap_err();
        assert!(matches!(error, NoSuchTool::Unknown { .. }), "{error}");
        let known = catalog.find_any_tool(&ann, name, server).unwrap();
        assert!(known.settings().disabled);
    }
    assert_eq!(catalog.all_tools(&ann).count(), 2);
    assert_eq!(catalog.tool_count(&store), 3);
    registry.apply(vec![says(&ann, "add", ToolSettings::default())]).await.unwrap();
    assert_eq!(names(&registry.snapshot(), &ann), ["calc_add", "calc_sub"]);
    assert_eq!(registry.snapshot().tool_settings().count(), 0);
}

#[tokio::test]
async fn renamed_tool_is_listed_by_its_new_name_and_found_by_all() {
    let store = Scope::Store;
    let registry = registry(two()).await;
    let words = ToolSettings { description: Some("Adds up".into()), ..renamed("plus") };
    registry.apply(vec![says(&store, "add", words)]).await.unwrap();
    let catalog = registry.snapshot();
    assert_eq!(names(&catalog, &store), ["plus", "calc_sub", "web_get"]);
    for (name, server) in
        [("plus", None), ("add", None), ("calc_add", None), ("plus", Some("calc")), ("add", Some("calc"))]
    {
        let tool = catalog.find_tool(&store, name, server).unwrap();
        assert_eq!((tool.full_name(), tool.given_name()), ("plus", "calc_add"));
        assert_eq!(tool.description(), Some("Adds up"));
    }
    // A name that lists show wins over another one's bare name, also beside the server.
    registry.apply(vec![says(&store, "add", renamed("sub"))]).await.unwrap();
    let catalog = registry.snapshot();
    for server in [None, Some("calc")] {
        assert_eq!(catalog.find_tool(&store, "sub", server).unwrap().given_name(), "calc_add");
    }
    assert!(catalog.find_tool(&store, "plus", None).is_err());
}

#[tokio::test]
async fn chosen_name_that_another_tool_has_or_had_is_refused() {
    let store = Scope::Store;
    let registry = registry(two()).await;
    let choose = async |tool: &str, name: &str| registry.apply(vec![says(&store, tool, renamed(name))]).await;
    let taken = choose("add", "web_get").await.unwrap_err();
    assert_eq!(taken.to_string(), "the name `web_get` belongs to the tool `get` of `web`");
    registry.apply(vec![Change::Remove(key(&store, "web"))]).await.unwrap();
    choose("add", "web_get").await.unwrap_err();
    choose("add", "calc_add").await.unwrap();
    choose("add", "plus").await.unwrap();
    choose("sub", "plus").await.unwrap_err();
    for bad in ["größe", "a b", &"x".repeat(65)] {
        let error = choose("add", bad).await.unwrap_err();
        assert!(matches!(error, ApplyError::NameRule { .. }), "{error}");
    }
    // Nor does a tool that comes later get a name that was chosen.
    choose("add", "later_x").await.unwrap();
    registry.apply(vec![Change::Put(entry(&store, "later", &["x"]))]).await.unwrap();
    let catalog = registry.snapshot();
    assert_eq!(catalog.find_tool(&store, "later_x", None).unwrap().given_name(), "calc_add");
    assert!(catalog.find_tool(&store, "x", None).unwrap().full_name().starts_with("later_x_"));
    // What is not chosen any more is free again.
    choose("add", "plus").await.unwrap();
    choose("sub", "later_x").await.unwrap();
}

/// Names that look like the renderings of others, and the longest.
fn arb_name() -> impl Strategy<Value = String> {
    let long = |c: char| c.to_string().repeat(100);
    let long_by = format!("{}bya", "s".repeat(97));
    prop_oneof![
        8 => prop::sample::select(vec!["ru", "ruby1", "bya", "x", "xbya", "x_by_a", "xbybya", "a_b", "a"])
            .prop_map(str::to_owned),
        1 => prop::sample::select(vec![long('s'), long_by, format!("{}t", "s".repeat(99))]),
    ]
}

fn arb_agent() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["1", "a", "bya", "_by_a", "x"]).prop_map(str::to_owned),
        1 => Just("a".repeat(100)),
    ]
}

fn arb_scope() -> impl Strategy<Value = Scope> {
    prop_oneof![1 => Just(Scope::Store), 2 => arb_agent().prop_map(|id| agent(&id))]
}

fn arb_tool() -> impl Strategy<Value = String> {
    prop_oneof![1 => "[ab_.é]{1,3}", 6 => "(b_)?[xc]", 1 => "t{70}[ab]"]
}

fn arb_settings() -> impl Strategy<Value = ToolSettings> {
    let name = prop_oneof!["[abx]_[abcx]", "[ab]{1,2}", "a_b_c", "x{64}"];
    (any::<bool>(), prop::option::of(name)).prop_map(|(disabled, name)| ToolSettings {
        disabled,
        name: name.map(|name| name.parse().unwrap()),
        description: None,
    })
}

fn arb_change() -> impl Strategy<Value = Change> {
    let tools = prop::collection::vec(arb_tool(), 0..4);
    let entry = (arb_scope(), arb_name(), tools, 0..4_u8).prop_map(|(scope, name, tools, kind)| {
        let entry = entry(&scope, &name, &tools.iter().map(String::as_str).collect::<Vec<_>>());
        if kind == 0 { Change::Register(entry) } else { Change::Put(entry) }
    });
    let settings = (arb_scope(), arb_scope(), arb_name(), arb_tool(), arb_settings());
    prop_oneof![
        8 => entry,
        3 => (arb_scope(), arb_name()).prop_map(|(scope, name)| Change::Remove(key(&scope, &name))),
        4 => (arb_name(), arb_agent()).prop_map(|(server, agent)| assign(&server, &agent)),
        2 => (arb_name(), arb_agent()).prop_map(|(server, agent)| unassign(&server, &agent)),
        4 => settings.prop_map(|(scope, owner, server, tool, settings)| Change::ToolSettings {
            scope,
            tool: tool_key(&owner, &server, &tool),
            settings,
        }),
    ]
}

/// What must be so, told by the changes alone.
#[derive(Default, Clone)]
struct Model {
    known: BTreeSet<ServerKey>,
    assigned: BTreeSet<(ServerKey, AgentId)>,
    settings: BTreeMap<(Scope, ToolKey), ToolSettings>,
}

impl Model {
    fn make(&mut self, change: &Change) {
        match change.clone() {
            Change::Put(entry) | Change::Register(entry) => drop(self.known.insert(entry.key)),
            Change::Remove(key) => drop(self.known.remove(&key)),
            Change::Assign { server, agent } => drop(self.assigned.insert((server, agent))),
            Change::Unassign { server, agent } => drop(self.assigned.remove(&(server, agent))),
            Change::ToolSettings { scope, tool, settings } => {
                drop(self.settings.insert((scope, tool), settings));
            }
        }
    }

    fn seen_by(&self, view: &Scope) -> BTreeSet<ServerKey> {
        let Scope::Agent(agent) = view else { return self.known.clone() };
        let mut seen: BTreeSet<_> = self.known.iter().filter(|key| key.scope == *view).cloned().collect();
        let own: BTreeSet<_> = seen.iter().map(|key| key.name.clone()).collect();
        let assigned = self.assigned.iter().filter(|(_, to)| to == agent).map(|(server, _)| server);
        seen.extend(assigned.filter(|key| self.known.contains(key) && !own.contains(&key.name)).cloned());
        seen
    }

    fn views(&self) -> Vec<Scope> {
        let owners = self.known.iter().map(|key| key.scope.clone());
        let assigned = self.assigned.iter().map(|(_, agent)| Scope::Agent(agent.clone()));
        owners
            .chain(assigned)
            .chain([Scope::Store, agent("nobody")])
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    fn settings(&self, view: &Scope, tool: &ToolKey) -> ToolSettings {
        self.settings.get(&(view.clone(), tool.clone())).cloned().unwrap_or_default()
    }
}

/// No view lists or finds what is not its own, and every name in it is good.
fn check(catalog: &Catalog, model: &Model) {
    let views = model.views();
    let agents: Vec<Scope> = catalog.agents().cloned().map(Scope::Agent).collect();
    let expected = views.iter().filter(|view| **view != Scope::Store && **view != agent("nobody"));
    assert_eq!(agents, expected.cloned().collect::<Vec<_>>());
    for view in &views {
        let seen = model.seen_by(view);
        assert_eq!(servers(catalog, view), seen.iter().cloned().collect::<Vec<_>>(), "{view:?}");
        for server in &model.known {
            assert_eq!(catalog.sees(view, server), seen.contains(server));
            check_shown_name(catalog, view, server, &seen);
        }
        let all: Vec<ToolRef> = catalog.all_tools(view).collect();
        let mut taken = BTreeSet::new();
        for tool in &all {
            check_tool(catalog, view, tool, &all, model);
            assert!(seen.contains(&tool.key().server));
            let names = BTreeSet::from([tool.full_name(), tool.given_name()]);
            for name in names {
                assert!(taken.insert(name.to_owned()), "`{name}` names two");
            }
        }
        let offered: Vec<ToolRef> = all.iter().filter(|tool| !tool.settings().disabled).cloned().collect();
        assert_eq!(catalog.tools(view).collect::<Vec<_>>(), offered);
        assert_eq!(catalog.tool_count(view), offered.len());
    }
}

/// A server's name in a view leads to it, or to the store's own of that name, or to all owners.
fn check_shown_name(catalog: &Catalog, view: &Scope, server: &ServerKey, seen: &BTreeSet<ServerKey>) {
    let shown = |key: &ServerKey| match view {
        Scope::Store => key.store_name(),
        Scope::Agent(_) => key.name.to_string(),
    };
    let name = shown(server);
    let same: Vec<ServerKey> = seen.iter().filter(|key| shown(key) == name).cloned().collect();
    match catalog.find_server(view, &name) {
        Ok(found) if found.key.scope == Scope::Store => assert!(same.contains(&found.key)),
        Ok(found) => assert_eq!(same, std::slice::from_ref(&found.key)),
        Err(NoSuchServer::Ambiguous { owners, .. }) => {
            assert!(owners.len() > 1 && *view == Scope::Store);
            assert_eq!(owners, same);
            assert!(owners.iter().all(|owner| owner.scope != Scope::Store));
        }
        Err(NoSuchServer::Unknown { .. }) => assert_eq!(same, []),
    }
}

fn check_tool(catalog: &Catalog, view: &Scope, tool: &ToolRef, all: &[ToolRef], model: &Model) {
    let key = tool.key();
    let settings = model.settings(view, &key);
    assert_eq!(*tool.settings(), settings);
    assert!(settings.name.is_none_or(|name| name.as_str() == tool.full_name()));
    // The newest entry of the server is what every index leads to.
    assert!(Arc::ptr_eq(tool.entry(), catalog.get(&key.server).unwrap()));
    for name in [tool.full_name(), tool.given_name()] {
        assert!((1..=64).contains(&name.len()), "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{name}");
        assert_eq!(&catalog.find_any_tool(view, name, None).unwrap(), tool);
        if !settings.disabled {
            assert_eq!(&catalog.find_tool(view, name, None).unwrap(), tool);
        }
    }
    let bare = tool.tool().name.as_str();
    let same = |other: &&ToolRef| other.tool().name == tool.tool().name && !other.settings().disabled;
    let same: Vec<_> = all.iter().filter(same).collect();
    match catalog.find_tool(view, bare, None) {
        Ok(found) if found.full_name() == bare || found.given_name() == bare => {}
        Ok(found) => assert_eq!(same, [&found]),
        Err(NoSuchTool::Ambiguous { same_name, .. }) => {
            assert!(same.len() > 1);
            assert_eq!(same_name.len(), same.len());
        }
        Err(_) => assert!(same.is_empty()),
    }
}

/// Every tool with the name that it was given, in every view.
fn given(catalog: &Catalog, model: &Model) -> Vec<(Scope, ToolKey, String)> {
    let views = model.views().into_iter();
    let of = |view: Scope| {
        let tools = catalog.all_tools(&view);
        tools.map(|tool| (view.clone(), tool.key(), tool.given_name().to_owned())).collect::<Vec<_>>()
    };
    views.flat_map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_view_shows_or_finds_what_is_not_its_own(
        batches in prop::collection::vec(prop::collection::vec(arb_change(), 0..6), 1..14),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let storage = Arc::new(Memory::new());
            let registry = Registry::open(storage.clone()).await.unwrap();
            let (mut model, mut first) = (Model::default(), HashMap::new());
            for batch in &batches {
                let before = registry.snapshot();
                match registry.apply(batch.clone()).await {
                    Ok(_) => batch.iter().for_each(|change| model.make(change)),
                    Err(_) => assert!(Arc::ptr_eq(&before, &registry.snapshot())),
                }
                check(&registry.snapshot(), &model);
                for (view, key, name) in given(&registry.snapshot(), &model) {
                    let first = first.entry((view, key)).or_insert_with(|| name.clone());
                    assert_eq!(*first, name, "a name changed");
                }
            }
            // Take every server away and put it back: what was said of it counts again.
            let last = registry.snapshot();
            let entries: Vec<_> = last.servers(&Scope::Store).map(|entry| (**entry).clone()).collect();
            let gone = entries.iter().map(|entry| Change::Remove(entry.key.clone())).collect();
            registry.apply(gone).await.unwrap();
            check(&registry.snapshot(), &Model { known: BTreeSet::new(), ..model.clone() });
            registry.apply(entries.iter().cloned().map(Change::Put).collect()).await.unwrap();
            check(&registry.snapshot(), &model);
            // And in another life, where what was said comes first, the servers the other way round.
            let registry = Registry::open(storage).await.unwrap();
            let assign = |(server, agent)| Change::Assign { server, agent };
            let mut said: Vec<_> = model.assigned.iter().cloned().map(assign).collect();
            let set = |((scope, tool), settings)| Change::ToolSettings { scope, tool, settings };
            said.extend(model.settings.clone().into_iter().map(set));
            registry.apply(said).await.unwrap();
            registry.apply(entries.into_iter().rev().map(Change::Put).collect()).await.unwrap();
            check(&registry.snapshot(), &model);
            assert_eq!(given(&registry.snapshot(), &model), given(&last, &model));
        });
    }
}
