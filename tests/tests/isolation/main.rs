//! No agent ever sees or calls what is not its own, by any verb, in any of the four ways of use.
//!
//! Each case is a hub of its own with real servers, of which each tells who it is. Names of servers
//! and agents look like renderings of others, like paths of the API, like options of the program,
//! and like the longest. What must be so is told by a model that knows only what was said to the hub.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod crash;
mod keys;
mod model;
mod ways;

use std::collections::BTreeSet;

use dormouse_http::{HttpSettings, Listening};
use dormouse_tests::{TestSpace, serve, until};
use model::{Change, Key, Model, No, Plan, Said, Says, View, agents, arb_plan};
use proptest::prelude::*;
use serde_json::{Value, json};
use ways::{User, Verb, Way, World};

const WHO: &str = env!("CARGO_BIN_EXE_dormouse-who");

impl World {
    fn open() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let space = TestSpace::new();
        let (hub, address) = runtime.block_on(async {
            // Servers stay awake: a test that stops one that is not its own is found out.
            let hub =
                space.hub(|config| config.timing.idle_seconds = dormouse::IdleSetting::Seconds(600.0)).await;
            let address = serve(&hub).await;
            // So that commands join this very hub.
            let local = Listening::at(&hub.space().socket()).unwrap();
            tokio::spawn(local.serve(hub.clone(), HttpSettings::default()));
            (hub, address)
        });
        let blocking = dormouse::blocking::Hub::open(dormouse::Hub::builder().space(space.root())).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { space, hub, blocking, address, http, runtime }
    }

    fn end(self) {
        self.runtime.block_on(self.hub.shutdown());
        assert_eq!(self.space.processes(), Vec::<u32>::new());
    }

    /// What nobody may change who is not allowed to: the file, and each server's process.
    fn fingerprint(&self) -> (String, Vec<(String, Option<u32>, u64)>) {
        let file = std::fs::read_to_string(self.space.root().join("mcp.json")).unwrap();
        let servers = self.hub.store().servers().into_iter();
        (file, servers.map(|it| (it.entry.key.to_string(), it.status.pid, it.status.generation)).collect())
    }
}

/// Takes the ways in turn, so that each meets every verb and every view; commands, which are
/// processes, less often than the others.
#[derive(Default)]
struct Turns(usize);

impl Turns {
    fn next<'a>(&mut self, world: &'a World, view: &View) -> User<'a> {
        // No number of questions in a row divides it.
        const ROUND: usize = 13;
        self.0 += 1;
        let way = if self.0.is_multiple_of(ROUND) {
            Way::Cli
        } else {
            [Way::Rust, Way::Http, Way::Blocking][self.0 % 3]
        };
        world.user(way, view)
    }
}

/// Says to a hub what a plan holds, in all ways in turn; what the model knows of it.
fn carry_out(world: &World, plan: &Plan, turns: &mut Turns) -> Model {
    let agents = agents();
    let servers = plan.servers(&agents);
    for (place, (key, tools)) in servers.iter().enumerate() {
        let arguments: Vec<&String> = tools.iter().collect();
        let args: Vec<Value> =
            std::iter::once(json!(key.identity())).chain(arguments.into_iter().map(|it| json!(it))).collect();
        let entry = json!({ "command": WHO, "args": args, "description": key.identity() });
        let user = turns.next(world, &key.owner);
        // Some of them come with a file.
        let said =
            if place % 3 == 2 { keys::import(&user, &key.name, &entry) } else { user.add(&key.name, &entry) };
        said.unwrap();
    }
    let mut model = Model { shared: plan.shares(&agents, &servers), servers, agents, ..Model::default() };
    let registry = world.hub.registry();
    let known = || {
        let catalog = registry.snapshot();
        let all = catalog.servers(&dormouse::Scope::Store);
        all.filter(|entry| !entry.features.tools.is_empty()).count() == model.servers.len()
    };
    world.runtime.block_on(until("all tools are known", known));

    for (server, agent) in &model.shared {
        let said = turns.next(world, &None).share(server, agent, true);
        assert_eq!(said, Ok(()), "{server} for {agent}");
    }
    for (view, place, change) in &plan.settings {
        let views = model.views();
        let view = &views[view % views.len()];
        let seen: Vec<Key> = model.seen(view).into_iter().collect();
        let Some(server) = seen.get(place % seen.len().max(1)) else { continue };
        let tools = &model.servers[server];
        let tool = tools[place % tools.len()].clone();
        let at = (view.clone(), server.clone(), tool.clone());
        if model.says.contains_key(&at) {
            continue;
        }
        let says = match change {
            Change::Disable => Says { disabled: true, name: None },
            Change::Rename(place) => Says { disabled: false, name: Some(Plan::chosen(*place).to_owned()) },
        };
        let shown = server.shown(view);
        match turns.next(world, view).say(&tool, &shown, &says) {
            Ok(()) => drop(model.says.insert(at, says)),
            Err(No::Ambiguous) => assert_eq!(model.named(view, &shown), Err(No::Ambiguous)),
            // Another tool of this view has the name.
            Err(No::Other(code)) => assert!(code.contains("taken") || code.contains("name"), "{code}"),
            Err(no) => panic!("{tool} of {server:?} in {view:?}: {no:?}"),
        }
    }
    for view in model.views() {
        let context = world.user(Way::Rust, &view).context();
        for tool in context.all_tools() {
            let key = tool.key();
            let owner = match &key.server.scope {
                dormouse::Scope::Store => None,
                dormouse::Scope::Agent(agent) => Some(agent.to_string()),
            };
            let server = Key { owner, name: key.server.name.to_string() };
            model.given.insert((view.clone(), server, key.tool.to_string()), tool.given_name().to_owned());
        }
    }
    model
}

/// What every list of a view holds, in each way.
fn check_lists(world: &World, model: &Model, view: &View, calls: &[(View, Key, String)]) {
    let seen = model.seen(view);
    let shown = |key: &Key| key.shown(view);
    let servers: BTreeSet<_> = seen.iter().map(|key| (shown(key), key.owner.clone())).collect();
    let names: BTreeSet<String> = seen.iter().map(shown).collect();
    let tools: BTreeSet<_> = model
        .tools(view)
        .iter()
        .map(|it| (shown(&it.server), it.name.clone(), it.full().to_owned()))
        .collect();
    let all: BTreeSet<_> = model.all_tools(view).into_iter().map(|it| listed(&it, view)).collect();
    let full: BTreeSet<String> = tools.iter().map(|(_, _, full)| full.clone()).collect();
    let resources: BTreeSet<_> = seen
        .iter()
        .flat_map(|key| {
            let own = format!("who://{}", key.identity());
            ["who://card".to_owned(), format!("{own}/{{page}}"), own].map(|uri| (shown(key), uri))
        })
        .collect();
    let prompts: BTreeSet<_> = seen
        .iter()
        .flat_map(|key| {
            ["introduce".to_owned(), format!("introduce {}", key.identity())].map(|name| (shown(key), name))
        })
        .collect();
    let own = |key: &&Key| key.owner == *view || view.is_none();
    let configured: BTreeSet<String> = seen.iter().filter(own).map(shown).collect();
    let known = |agent: &&String| view.is_none() || view.as_ref() == Some(*agent);
    let agents: BTreeSet<_> = model
        .agents
        .iter()
        .filter(known)
        .map(|agent| {
            let seen = model.seen(&Some(agent.clone()));
            let own = seen.iter().filter(|key| key.owner.is_some()).count();
            (agent.clone(), own, seen.len() - own)
        })
        .filter(|(_, own, shared)| own + shared > 0)
        .collect();
    let alerts: BTreeSet<_> =
        seen.iter().map(|key| (Some(shown(key)), format!("about {}", key.identity()))).collect();
    let heard = |(caller, ..): &&(View, Key, String)| view.is_none() || caller == view;
    let mut records: Vec<_> = calls
        .iter()
        .filter(heard)
        .map(|(caller, server, tool)| (caller.clone(), shown(server), tool.clone()))
        .collect();
    records.sort();

    for way in Way::ALL {
        let user = world.user(way, view);
        let what = format!("{way:?} {view:?}");
        assert_eq!(user.servers(), servers, "{what}");
        assert_eq!(user.tools(), tools, "{what}");
        assert_eq!((user.all_tools(), user.counted_tools()), (all.clone(), all.clone()), "{what}");
        assert_eq!(user.found("tells who answers"), full, "{what}");
        assert_eq!(user.resources(), resources, "{what}");
        assert_eq!(user.prompts(), prompts, "{what}");
        assert_eq!(user.agents(), agents, "{what}");
        assert_eq!(user.alerts(), alerts, "{what}");
        assert_eq!(user.checked(), names, "{what}");
        assert_eq!(user.calls(), records, "{what}");
        let (counted, tool_count, call_count, agent_count) = user.stats();
        assert_eq!(counted, names, "{what}");
        assert_eq!(
            (tool_count, call_count as usize, agent_count),
            (tools.len(), records.len(), agents.len()),
            "{what}"
        );
        let called: u64 = user.tool_stats().iter().map(|(_, calls)| calls).sum();
        assert_eq!(called as usize, records.len(), "{what}");
        assert_eq!(user.questions("talk"), [question(view)], "{what}");
        let (configures, exports) = (user.configured(), user.exported());
        if view.is_some() {
            assert_eq!(configures, configured, "{what}");
            assert_eq!(exports, configured, "{what}");
        } else {
            // A key of the file is only a rendering, and not that of another server.
            assert_eq!(configures.len(), model.servers.len(), "{what}");
        }
        for (event, server, owner) in user.events().into_iter().flatten() {
            let Some(server) = server else { continue };
            assert!(
                servers.contains(&(server.clone(), owner.clone())),
                "{what} heard {event} of {server} {owner:?}"
            );
            let is_own = view.is_none() || owner == *view;
            assert!(is_own || !event.starts_with("call_"), "{what} heard {event} of {server}");
        }
    }
}

/// A tool as a list shows it, and whether it is disabled.
fn listed(tool: &model::Tool, view: &View) -> (String, String, String, bool) {
    (tool.server.shown(view), tool.name.clone(), tool.full().to_owned(), tool.says.disabled)
}

fn question(view: &View) -> String {
    match view {
        None => "good morning store".to_owned(),
        Some(agent) => format!("good morning {}", &agent[..1]),
    }
}

/// Every name that anybody knows, asked for in every view: it leads where the model says.
fn check_names(world: &World, model: &Model, view: &View, turns: &mut Turns) -> Vec<(View, Key, String)> {
    let mut calls = Vec::new();
    let mut call = |called: &Said<model::Tool>, said: Said<String>, what: String| {
        assert_eq!(said, called.clone().map(|tool| tool.server.identity()), "{what}");
        if let Ok(tool) = called {
            calls.push((view.clone(), tool.server.clone(), tool.name.clone()));
        }
    };
    // Full names of all views, and bare ones.
    let everywhere = model.views().into_iter().flat_map(|view| model.all_tools(&view));
    let names: BTreeSet<String> =
        everywhere.flat_map(|tool| [tool.full().to_owned(), tool.given.clone(), tool.name.clone()]).collect();
    for name in &names {
        let expected = model.tool(view, name, None);
        let user = turns.next(world, view);
        let what = format!("{name} by {:?} in {view:?}", user.way);
        let shown = model.known(view, name, None).map(|tool| (tool.server.shown(view), tool.name));
        assert_eq!(user.tool(name, None), shown, "{what}");
        call(&expected, turns.next(world, view).call(name, None), what);
    }
    for name in model.all_names() {
        let expected = model.named(view, &name);
        let user = turns.next(world, view);
        let what = format!("{name} by {:?} in {view:?}", user.way);
        let shown = expected.clone().map(|key| (key.shown(view), key.owner));
        assert_eq!(user.server(&name), shown, "{what}");
        assert_eq!(turns.next(world, view).waited(&name), expected.clone().map(|_| name.clone()), "{what}");
        let tool = model.tool(view, "who", Some(&name));
        let known = model.known(view, "who", Some(&name));
        let shown = known.map(|tool| (tool.server.shown(view), tool.name));
        assert_eq!(turns.next(world, view).tool("who", Some(&name)), shown, "{what}");
        let of = |key: Key| model.tools(view).into_iter().filter(move |tool| tool.server == key);
        let of = |key| of(key).map(|tool| listed(&tool, view)).collect::<BTreeSet<_>>();
        assert_eq!(turns.next(world, view).tools_of(&name), expected.clone().map(of), "{what}");
        call(&tool, turns.next(world, view).call("who", Some(&name)), what.clone());
        let identity = expected.clone().map(|key| key.identity());
        assert_eq!(turns.next(world, view).read("who://card", Some(&name)), identity, "{what}");
        assert_eq!(turns.next(world, view).prompt("introduce", Some(&name)), identity, "{what}");
        let entry = match &expected {
            Ok(key) if view.is_some() && key.owner.is_none() => Err(No::NotYours),
            Ok(key) => Ok(key.identity()),
            Err(no) => Err(no.clone()),
        };
        assert_eq!(turns.next(world, view).entry(&name), entry, "{what}");
        // A process prints what all who call it bring about, and its owner alone reads it.
        let printed = turns.next(world, view).output(&name);
        assert_eq!(printed.is_ok(), entry.is_ok(), "{what}: {printed:?}");
        for line in printed.unwrap_or_default() {
            assert_eq!(Ok(line), identity.clone().map(|who| format!("{who} was called")), "{what}");
        }
    }
    // Resources and prompts without a server.
    let of = |identity: &str| model.only(view, |key| key.identity() == identity).map(|key| key.identity());
    for key in model.servers.keys() {
        let identity = key.identity();
        let user = turns.next(world, view);
        assert_eq!(user.read(&format!("who://{identity}"), None), of(&identity), "{:?} {view:?}", user.way);
        let user = turns.next(world, view);
        assert_eq!(user.read(&format!("who://{identity}/2"), None), of(&identity), "{:?} {view:?}", user.way);
        let user = turns.next(world, view);
        assert_eq!(
            user.prompt(&format!("introduce {identity}"), None),
            of(&identity),
            "{:?} {view:?}",
            user.way
        );
    }
    let any = model.only(view, |_| true).map(|key| key.identity());
    assert_eq!(turns.next(world, view).read("who://card", None), any, "{view:?}");
    calls
}

/// Whoever is no owner changes nothing, whatever they ask for.
fn check_changes(world: &World, model: &Model, view: &View, turns: &mut Turns) {
    let before = world.fingerprint();
    // Those that somebody has are worth most.
    let known = model.servers.keys().flat_map(|key| [key.name.clone(), key.shown(&None)]);
    let known: BTreeSet<String> = known.filter(|name| name.len() <= 100).collect();
    for name in known {
        let expected = match model.named(view, &name) {
            Ok(key) if key.owner == *view || view.is_none() => continue,
            Ok(_) => No::NotYours,
            Err(no) => no,
        };
        for verb in Verb::ALL {
            let user = turns.next(world, view);
            let said = user.change(verb, &name);
            let what = format!("{verb:?} of {name} by {:?} in {view:?}", user.way);
            match (verb, &expected) {
                // To use it is what it was shared for; and what is given back was not taken.
                (Verb::Attach | Verb::Alert, No::NotYours) => assert_eq!(said, Ok(()), "{what}"),
                (Verb::Remove, No::NotYours) => {
                    assert_eq!(said, Ok(()), "{what}");
                    let agent = view.as_ref().unwrap();
                    assert_eq!(user.server(&name), Err(No::Unknown), "{what}");
                    world.user(Way::Rust, &None).share(&name, agent, true).unwrap();
                }
                (_, no) => assert_eq!(said, Err(no.clone()), "{what}"),
            }
        }
        if view.is_some() {
            let user = turns.next(world, view);
            assert_eq!(user.share(&name, "nobody", true), Err(No::NotYours), "{name} by {:?}", user.way);
            let user = turns.next(world, view);
            assert_eq!(user.share(&name, "nobody", false), Err(No::NotYours), "{name} by {:?}", user.way);
        }
        if expected != No::NotYours {
            let says = Says { disabled: true, name: None };
            let user = turns.next(world, view);
            assert_eq!(user.say("who", &name, &says), Err(expected), "{name} by {:?}", user.way);
        }
    }
    assert_eq!(world.fingerprint(), before, "{view:?} changed something");
}

/// An alert about each server, as the store raises it.
fn raise_alerts(world: &World, model: &Model, title: &str) {
    for key in model.servers.keys() {
        let title = format!("{title} {}", key.identity());
        let store = world.hub.store();
        store.orchestrator().raise_alert(dormouse::AlertLevel::Info, &title, "", Some(key.of_hub()));
    }
}

/// Whoever listens hears of what they see, in the order in which it happens.
fn check_heard(world: &World, model: &Model, view: &View) {
    let seen: Vec<String> = model.seen(view).iter().map(|key| key.of_hub().to_string()).collect();
    for way in [Way::Rust, Way::Blocking] {
        let tell = || raise_alerts(world, model, "again about");
        assert_eq!(world.user(way, view).heard(tell, seen.len()), seen, "{way:?} {view:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn nobody_sees_or_calls_what_is_not_theirs(plan in arb_plan()) {
        let world = World::open();
        let mut turns = Turns::default();
        let model = carry_out(&world, &plan, &mut turns);
        raise_alerts(&world, &model, "about");
        let mut calls = Vec::new();
        for view in model.views() {
            turns.next(&world, &view).ask_question(&question(&view), "talk");
            calls.extend(check_names(&world, &model, &view, &mut turns));
            calls.extend(keys::check_keys(&world, &model, &view));
            calls.extend(keys::check_endpoint(&world, &model, &view));
        }
        for view in model.views() {
            check_lists(&world, &model, &view, &calls);
        }
        for view in model.views() {
            check_heard(&world, &model, &view);
            check_changes(&world, &model, &view, &mut turns);
        }
        world.end();
    }
}
