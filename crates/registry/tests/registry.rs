//! What readers of the registry see: names, finds, versions, events.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::sync::Arc;

use dormouse_registry::{ApplyError, Catalog, Change, Entry, NoSuchServer, NoSuchTool, Registry, Version};
use dormouse_storage::{Memory, Storage};
use dormouse_types::{Event, Launch, Scope, ServerState, ServerStatus, Timestamp};

mod entries;

use entries::{agent, entry, from_file, key};

async fn registry(entries: impl IntoIterator<Item = Entry>) -> Registry {
    let registry = Registry::open(Arc::new(Memory::new())).await.unwrap();
    registry.apply(entries.into_iter().map(Change::Put).collect()).await.unwrap();
    registry
}

fn full_names(catalog: &Catalog, scope: &Scope) -> Vec<String> {
    catalog.tools(scope).map(|tool| tool.full_name().to_owned()).collect()
}

/// The full name of what a name finds, or the error.
fn find(catalog: &Catalog, scope: &Scope, name: &str) -> Result<String, NoSuchTool> {
    catalog.find_tool(scope, name, None).map(|tool| tool.full_name().to_owned())
}

#[tokio::test]
async fn store_sees_all_and_an_agent_its_own() {
    let (a, b) = (agent("a"), agent("b"));
    let servers = [entry(&Scope::Store, "s", &["x"]), entry(&a, "s", &["x"]), entry(&b, "t", &["y"])];
    let catalog = registry(servers).await.snapshot();
    assert_eq!(full_names(&catalog, &Scope::Store), ["s_x", "sbya_x", "tbyb_y"]);
    assert_eq!(full_names(&catalog, &a), ["s_x"]);
    assert_eq!(full_names(&catalog, &b), ["t_y"]);
    assert_eq!(full_names(&catalog, &agent("c")), [""; 0]);
    assert_eq!(catalog.tool_count(&Scope::Store), 3);
    assert_eq!(catalog.agents().map(|a| a.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let of_b = catalog.find_server(&Scope::Store, "tbyb").unwrap();
    assert_eq!(of_b.key, key(&b, "t"));
    assert!(catalog.find_server(&a, "t").is_err());
}

#[tokio::test]
async fn tool_is_found_by_full_name_and_by_an_unambiguous_bare_one() {
    let store = Scope::Store;
    let catalog = registry([entry(&store, "calc", &["add", "divide"]), entry(&store, "dates", &["add"])])
        .await
        .snapshot();
    assert_eq!(find(&catalog, &store, "dates_add"), Ok("dates_add".into()));
    assert_eq!(find(&catalog, &store, "divide"), Ok("calc_divide".into()));
    assert_eq!(
        find(&catalog, &store, "add"),
        Err(NoSuchTool::Ambiguous {
            name: "add".into(),
            same_name: vec!["calc_add".into(), "dates_add".into()]
        })
    );
    let of_server = catalog.find_tool(&store, "add", Some("dates")).unwrap();
    assert_eq!(of_server.full_name(), "dates_add");
    assert_eq!(of_server.server_name(), "dates");
    let elsewhere = catalog.find_tool(&store, "divide", Some("dates")).unwrap_err();
    assert_eq!(elsewhere, NoSuchTool::Unknown { name: "divide".into(), near: vec![] });
}

#[tokio::test]
async fn near_misses_are_suggested_and_never_taken() {
    let store = Scope::Store;
    let catalog = registry([entry(&store, "calculator", &["calculate", "split_bill"])]).await.snapshot();
    for (asked, near) in [
        ("calculat", vec!["calculator_calculate"]),
        ("Split-Bill", vec!["calculator_split_bill"]),
        ("weather", vec![]),
        ("", vec![]),
    ] {
        let error = find(&catalog, &store, asked).unwrap_err();
        let near = near.into_iter().map(str::to_owned).collect();
        assert_eq!(error, NoSuchTool::Unknown { name: asked.into(), near });
    }
    let server = catalog.find_server(&store, "Calculator").unwrap_err();
    assert_eq!(server.to_string(), "no server is named `Calculator`; did you mean calculator?");
    let long = find(&catalog, &store, &"ü".repeat(100_000)).unwrap_err();
    assert!(long.to_string().len() < 300);
}

#[tokio::test]
async fn no_agent_takes_a_name_from_the_store() {
    // The store's `ruby1` and `ru` of agent `1` render alike, as they do in MCPStore.
    let one = agent("1");
    let servers = [entry(&one, "ru", &["x"]), entry(&Scope::Store, "ruby1", &["x"])];
    let catalog = registry(servers).await.snapshot();
    let found = catalog.find_server(&Scope::Store, "ruby1").unwrap();
    assert_eq!(found.key, key(&Scope::Store, "ruby1"));
    assert_eq!(catalog.find_server(&one, "ru").unwrap().key, key(&one, "ru"));
    assert_eq!(catalog.servers(&Scope::Store).count(), 2);
}

#[tokio::test]
async fn two_agents_servers_shown_alike_are_both_listed_and_reachable_by_key() {
    let (one, other) = (agent("1"), agent("aby1"));
    let servers = [entry(&one, "xbya", &["x"]), entry(&other, "x", &["x"])];
    let catalog = registry(servers).await.snapshot();
    let error = catalog.find_server(&Scope::Store, "xbyaby1").unwrap_err();
    let owners = vec![key(&one, "xbya"), key(&other, "x")];
    assert_eq!(error, NoSuchServer::Ambiguous { name: "xbyaby1".into(), owners: owners.clone() });
    assert_eq!(
        error.to_string(),
        "several servers are shown as `xbyaby1`: `xbya` of agent `1`, `x` of agent `aby1`"
    );
    for owner in &owners {
        assert_eq!(&catalog.get(owner).unwrap().key, owner);
    }
    // Their tools still have names of their own.
    let names = full_names(&catalog, &Scope::Store);
    assert_eq!(names[0], "xbyaby1_x");
    assert_ne!(names[0], names[1]);
    assert_eq!(find(&catalog, &Scope::Store, &names[1]), Ok(names[1].clone()));
}

#[tokio::test]
async fn names_survive_removal_and_restart() {
    let store = Scope::Store;
    let storage = Arc::new(Memory::new());
    let given = async |servers: Vec<Entry>| {
        let registry = Registry::open(storage.clone()).await.unwrap();
        registry.apply(servers.into_iter().map(Change::Put).collect()).await.unwrap();
        full_names(&registry.snapshot(), &store)
    };
    let first = given(vec![entry(&store, "a_b", &["c"])]).await;
    assert_eq!(first, ["a_b_c"]);
    // In the next life the other one comes first, and still gets no name that was given.
    let second = given(vec![entry(&store, "a", &["b_c"])]).await;
    assert_ne!(second, first);
    let both = given(vec![entry(&store, "a", &["b_c"]), entry(&store, "a_b", &["c"])]).await;
    assert_eq!(both, [second, first].concat());
}

#[tokio::test]
async fn registering_twice_is_idempotent_and_another_path_is_a_conflict() {
    let store = Scope::Store;
    let registry = registry([]).await;
    let register = |path: &str| vec![Change::Register(from_file(&store, "s", path, &["x"]))];
    let first = registry.apply(register("/drop/s.py")).await.unwrap();
    assert_eq!(registry.apply(register("/drop/s.py")).await.unwrap(), first);
    let error = registry.apply(register("/drop/other.py")).await.unwrap_err();
    assert_eq!(error.to_string(), "a server named `s` is registered already, from another file or command");
    let ApplyError::Conflict { known, asked, .. } = error else { panic!("{error}") };
    let path = |launch: &Launch| match launch {
        Launch::Script { path, .. } => path.display().to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!((path(&known), path(&asked)), ("/drop/s.py".into(), "/drop/other.py".into()));
    assert_eq!(registry.snapshot().version(), first);
    // The same name in another scope is another server.
    let elsewhere = Change::Register(from_file(&agent("a"), "s", "/drop/other.py", &["x"]));
    registry.apply(vec![elsewhere]).await.unwrap();
}

#[tokio::test]
async fn refused_batch_leaves_everything_as_it_was() {
    let store = Scope::Store;
    let registry = registry([entry(&store, "s", &["x"])]).await;
    let (before, mut events) = (registry.snapshot(), registry.events());
    let batch = vec![
        Change::Put(entry(&store, "a", &["b_c"])),
        Change::Register(from_file(&store, "s", "/drop/other.py", &["x"])),
    ];
    registry.apply(batch).await.unwrap_err();
    assert!(Arc::ptr_eq(&before, &registry.snapshot()));
    assert!(events.try_recv().is_err());
    // Nor was the name given that the batch would have given.
    registry.apply(vec![Change::Put(entry(&store, "a_b", &["c"]))]).await.unwrap();
    assert!(find(&registry.snapshot(), &store, "a_b_c").is_ok());
}

#[tokio::test]
async fn names_that_cannot_be_stored_are_not_shown() {
    let store = Scope::Store;
    let storage = Arc::new(Memory::new());
    let registry = Registry::open(storage.clone()).await.unwrap();
    let put = |tools: &[&str]| vec![Change::Put(entry(&store, "s", tools))];
    registry.apply(put(&["x"])).await.unwrap();
    let before = registry.snapshot();
    storage.close().await;
    let error = registry.apply(put(&["x", "y"])).await.unwrap_err();
    assert!(matches!(error, ApplyError::Storage(_)), "{error:?}");
    assert!(Arc::ptr_eq(&before, &registry.snapshot()));
    // What needs no new name goes on.
    registry.apply(vec![Change::Remove(key(&store, "s"))]).await.unwrap();
    registry.apply(put(&["x"])).await.unwrap();
    assert_eq!(full_names(&registry.snapshot(), &store), ["s_x"]);
}

#[tokio::test]
async fn unchanged_entry_makes_no_version_and_keeps_its_features() {
    let store = Scope::Store;
    let registry = registry([entry(&store, "s", &["x"])]).await;
    let before = registry.snapshot();
    let mut same = entry(&store, "s", &["x"]);
    same.registered_at = Timestamp::MAX;
    registry.apply(vec![Change::Put(same.clone())]).await.unwrap();
    assert!(Arc::ptr_eq(&before, &registry.snapshot()));
    same.content_hash = "other".into();
    registry.apply(vec![Change::Put(same)]).await.unwrap();
    let after = registry.snapshot();
    assert!(after.version() > before.version());
    let (old, new) = (before.get(&key(&store, "s")).unwrap(), after.get(&key(&store, "s")).unwrap());
    assert!(Arc::ptr_eq(&old.features, &new.features));
    assert_eq!(new.registered_at, Timestamp::UNIX_EPOCH);
}

#[tokio::test]
async fn changes_and_statuses_come_as_events_and_the_status_costs_no_version() {
    let store = Scope::Store;
    let registry = registry([]).await;
    let (mut events, mut version) = (registry.events(), registry.version());
    let server = key(&store, "s");
    registry.apply(vec![Change::Put(entry(&store, "s", &["x"]))]).await.unwrap();
    version.changed().await.unwrap();
    assert_eq!(*version.borrow_and_update(), Version(1));
    assert_eq!(registry.status(&server).unwrap().state, ServerState::Dormant);

    let healthy =
        ServerStatus { state: ServerState::Healthy, ..ServerStatus::dormant(Timestamp::UNIX_EPOCH) };
    registry.set_status(&server, healthy.clone());
    registry.set_status(&server, healthy.clone());
    // A changed entry keeps the status.
    registry.apply(vec![Change::Put(entry(&store, "s", &["x", "y"]))]).await.unwrap();
    assert_eq!(*registry.status(&server).unwrap(), healthy);
    registry.apply(vec![Change::Remove(server.clone())]).await.unwrap();
    assert_eq!(registry.status(&server), None);
    registry.apply(vec![Change::Remove(server.clone())]).await.unwrap();

    let changed = Event::ServerChanged { server: server.clone() };
    let status = Event::StatusChanged { server: server.clone(), status: Arc::new(healthy) };
    let removed = Event::ServerRemoved { server, agents: Vec::new() };
    let mut seen = Vec::new();
    while let Ok(event) = events.try_recv() {
        seen.push(event);
    }
    assert_eq!(seen, [changed.clone(), status, changed, removed]);
    assert_eq!(registry.snapshot().version(), Version(3));
}

#[tokio::test]
async fn tool_listed_twice_by_a_faulty_server_counts_once() {
    let store = Scope::Store;
    let registry = registry([entry(&store, "s", &["x", "x", "y"])]).await;
    assert_eq!(full_names(&registry.snapshot(), &store), ["s_x", "s_y"]);
    registry.apply(vec![Change::Remove(key(&store, "s"))]).await.unwrap();
    assert!(find(&registry.snapshot(), &store, "x").is_err());
}

#[tokio::test]
async fn reader_keeps_its_version_while_others_come() {
    let store = Scope::Store;
    let registry = registry([entry(&store, "s", &["x"])]).await;
    let old = registry.snapshot();
    registry.apply(vec![Change::Remove(key(&store, "s"))]).await.unwrap();
    assert!(find(&old, &store, "s_x").is_ok());
    assert!(find(&registry.snapshot(), &store, "s_x").is_err());
}

#[tokio::test]
async fn two_hubs_on_one_storage_never_give_one_name_twice() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let (one, other) =
        (Registry::open(storage.clone()).await.unwrap(), Registry::open(storage.clone()).await.unwrap());
    let store = Scope::Store;
    // Both would be called `a_b_c`, and each hub sees its own server first.
    let (first, second) = (entry(&store, "a_b", &["c"]), entry(&store, "a", &["b_c"]));
    one.apply(vec![Change::Put(first.clone())]).await.unwrap();
    other.apply(vec![Change::Put(second.clone())]).await.unwrap();
    let alone = full_names(&other.snapshot(), &store);
    assert_ne!(alone, ["a_b_c"]);
    one.apply(vec![Change::Put(second)]).await.unwrap();
    other.apply(vec![Change::Put(first)]).await.unwrap();
    let (one, other) = (full_names(&one.snapshot(), &store), full_names(&other.snapshot(), &store));
    assert_eq!(one, other);
    assert!(one.contains(&"a_b_c".to_owned()) && one.contains(&alone[0]), "{one:?}");
}
