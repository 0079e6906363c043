//! Signing in: with a person at a browser, or by a secret; and what happens when a grant ends.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use dormouse::mcp_json::intake;
use dormouse::{AgentId, Alert, Hub, LoginError, Outcome, ServerState, SignInState, SignInsKept};
use dormouse_testing::browser::browse;
use dormouse_testing::office::{Habits, Office};
use dormouse_tests::{TestSpace, call, serve, until};
use serde_json::{Value, json};
use url::Url;

use crate::support::{becomes, comes, configure, fails, hasty, name, reason, status};

/// What an entry says of a server where a person signs in.
fn guarded(office: &Office) -> Value {
    json!({ "url": office.url.as_str(), "auth": "oauth" })
}

/// Goes through the browser as a person does.
async fn goes_through(address: Option<String>) -> String {
    let address: Url = address.expect("a sign-in waits for a person").parse().unwrap();
    browse(&address).await.1
}

async fn signs_in(hub: &Hub, server: &str) {
    let begun = hub.store().login(&name(server)).await.unwrap();
    let page = goes_through(begun.authorize_url).await;
    assert!(page.contains("You can close this window"), "{page}");
    let then = hub.store().wait_sign_in(&name(server)).await.unwrap();
    assert!(matches!(then.state, SignInState::SignedIn { .. }), "{then:?}");
}

async fn echo(hub: &Hub, server: &str) -> String {
    let called = call(hub, &format!("{server}_echo"), json!({ "text": "in" })).await;
    called.unwrap().result.text()
}

fn alerts(hub: &Hub, title: &str) -> Vec<Alert> {
    let all = hub.store().orchestrator().alerts();
    all.into_iter().filter(|alert| alert.title == title).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_and_the_server_is_used_until_they_sign_out() {
    let (space, office) = (TestSpace::new(), Office::open(Habits::default()).await);
    configure(&space, &[("far", guarded(&office))]);
    let hub = hasty(&space).await;
    let why = fails(&hub, "far").await;
    assert_eq!(why, "it needs a person to sign in: `dormouse servers login far`");
    assert_eq!(alerts(&hub, "sign-in needed").len(), 1);
    let attached = hub.store().attach(&name("far")).await.unwrap_err();
    assert!(format!("{attached:?}").contains("dormouse servers login far"), "{attached:?}");
    assert_eq!(hub.store().sign_in(&name("far")).await.unwrap().state, SignInState::PersonNeeded);

    // Whoever asks twice gets the same sign-in.
    let begun = hub.store().login(&name("far")).await.unwrap();
    let again = hub.store().login(&name("far")).await.unwrap();
    assert!(begun.authorize_url.is_some());
    assert_eq!(begun, again);
    signs_in(&hub, "far").await;
    comes(&hub, "far").await;
    assert_eq!(echo(&hub, "far").await, "in");
    until("the alert is over", || !alerts(&hub, "server recovered").is_empty()).await;
    assert_eq!((alerts(&hub, "sign-in needed").len(), status(&hub, "far").failures), (1, 0));

    let SignInsKept::File(file) = hub.doctor().await.sign_ins else { panic!("there is no keyring here") };
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&file).unwrap().contains("s3cret"));
    let configured = std::fs::read_to_string(space.root().join("mcp.json")).unwrap();
    assert!(!configured.contains("s3cret"), "{configured}");
    hub.shutdown().await;

    // The next hub has the grant.
    let hub = hasty(&space).await;
    comes(&hub, "far").await;
    assert_eq!(echo(&hub, "far").await, "in");
    let gone = hub.store().logout(&name("far")).await.unwrap();
    assert_eq!(gone.state, SignInState::PersonNeeded);
    until("it says what it needs", || reason(&hub, "far").contains("dormouse servers login far")).await;
    assert!(!std::fs::read_to_string(&file).unwrap().contains("s3cret"));
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_secret_needs_nobody() {
    let (space, office) = (TestSpace::new(), Office::open(Habits::default()).await);
    let entry = |secret: &str| {
        let oauth = json!({ "flow": "client_credentials", "client_id": "robot", "client_secret": secret });
        json!({ "url": office.url.as_str(), "dormouse": { "oauth": oauth } })
    };
    configure(&space, &[("far", entry("robot-s3cret")), ("wrong", entry("other-s3cret"))]);
    let hub = space.hub(|_| {}).await;
    comes(&hub, "far").await;
    assert_eq!(echo(&hub, "far").await, "in");
    let now = hub.store().sign_in(&name("far")).await.unwrap();
    assert_eq!(now.state, SignInState::Automatic);
    let refused = hub.store().login(&name("far")).await.unwrap_err();
    assert!(refused.to_string().contains("signs in by itself"), "{refused}");
    let why = fails(&hub, "wrong").await;
    assert!(why.contains("invalid_client") && !why.contains("other-s3cret"), "{why}");
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_renewed_before_they_end_and_no_call_is_lost() {
    let habits = Habits { lifetime: Duration::from_secs(1), ..Habits::default() };
    let (space, office) = (TestSpace::new(), Office::open(habits).await);
    configure(&space, &[("far", guarded(&office))]);
    let hub = space.hub(|_| {}).await;
    signs_in(&hub, "far").await;
    comes(&hub, "far").await;
    let before = office.books(|books| books.refreshed);
    while office.books(|books| books.refreshed) < before + 2 {
        assert_eq!(echo(&hub, "far").await, "in");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(status(&hub, "far").state, ServerState::Healthy);
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_grant_is_an_alert_and_a_reason_and_a_new_one_mends_it() {
    let (space, office) = (TestSpace::new(), Office::open(Habits::default()).await);
    configure(&space, &[("far", guarded(&office)), ("twin", guarded(&office))]);
    let hub = hasty(&space).await;
    signs_in(&hub, "far").await;
    // One sign-in is for all servers at that address.
    comes(&hub, "far").await;
    comes(&hub, "twin").await;
    hub.shutdown().await;
    // Another hub, since the alerts of the first sign-in are not a minute old.
    let hub = hasty(&space).await;
    comes(&hub, "far").await;
    comes(&hub, "twin").await;

    office.revoke_all();
    let error = loop {
        match call(&hub, "far_echo", json!({ "text": "in" })).await {
            Err(error) => break error,
            Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    assert_eq!(error.outcome(), Outcome::Failed, "{error}");
    until("the status says so", || reason(&hub, "far").contains("`dormouse servers login far`")).await;
    until("each is told of once", || alerts(&hub, "sign-in needed").len() == 2).await;
    until("it is away", || status(&hub, "far").state != ServerState::Healthy).await;

    signs_in(&hub, "far").await;
    becomes(&hub, "far", ServerState::Healthy).await;
    becomes(&hub, "twin", ServerState::Healthy).await;
    assert_eq!((echo(&hub, "far").await, echo(&hub, "twin").await), ("in".to_owned(), "in".to_owned()));
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_says_no_is_told_and_may_try_again() {
    let (space, office) =
        (TestSpace::new(), Office::open(Habits { denies: true, ..Habits::default() }).await);
    configure(&space, &[("far", guarded(&office))]);
    let hub = space.hub(|_| {}).await;
    let begun = hub.store().login(&name("far")).await.unwrap();
    goes_through(begun.authorize_url).await;
    let then = hub.store().wait_sign_in(&name("far")).await.unwrap();
    assert_eq!(then.state, SignInState::PersonNeeded);
    assert_eq!(then.failed.as_deref(), Some("the sign-in was denied (access_denied)"));
    office.change(|habits| habits.denies = false);
    signs_in(&hub, "far").await;
    comes(&hub, "far").await;
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_can_sign_in_it_is_said() {
    let space = TestSpace::new();
    let plain = crate::support::well();
    configure(
        &space,
        &[
            ("plain", json!({ "url": plain.url() })),
            ("open", json!({ "url": plain.url(), "auth": "oauth" })),
            ("command", json!({ "command": "python3", "dormouse": { "wanted": "stopped" } })),
        ],
    );
    let hub = space.hub(|_| {}).await;
    let told = async |server: &str| {
        let error = hub.store().login(&name(server)).await.unwrap_err();
        dormouse::chain(&error)
    };
    assert!(told("plain").await.contains(r#"it would say `"auth": "oauth"`"#), "{}", told("plain").await);
    assert!(told("command").await.contains("it is not at a URL"), "{}", told("command").await);
    assert!(told("open").await.contains("there is no way to sign in"), "{}", told("open").await);
    assert!(told("nobody").await.contains("nobody"));
    for server in ["plain", "command"] {
        let now = hub.store().sign_in(&name(server)).await.unwrap();
        assert_eq!(now.state, SignInState::NotUsed);
    }
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_signs_in_for_its_own_servers_only() {
    let (space, office) = (TestSpace::new(), Office::open(Habits::default()).await);
    configure(&space, &[("far", guarded(&office))]);
    let hub = space.hub(|_| {}).await;
    let ada = AgentId::try_new("ada").unwrap();
    let agent = hub.agent(ada.clone());
    let document = json!({ "mcpServers": { "own": guarded(&office) } });
    assert!(agent.add_all(intake(&document).unwrap()).await.failed.is_empty());
    hub.store().assign(&name("far"), &ada).await.unwrap();

    hub.store().login(&name("far")).await.unwrap();
    for refused in [agent.login(&name("far")).await, agent.logout(&name("far")).await] {
        assert!(matches!(refused, Err(LoginError::NotYours { .. })), "{refused:?}");
    }
    let seen = agent.sign_in(&name("far")).await.unwrap();
    assert_eq!((seen.state, seen.authorize_url), (SignInState::PersonNeeded, None));
    assert!(matches!(
        hub.agent(AgentId::try_new("bob").unwrap()).login(&name("own")).await,
        Err(LoginError::UnknownServer(_))
    ));

    let why = || {
        let own = agent.server(&name("own")).unwrap();
        own.status.reason.clone().unwrap_or_default()
    };
    until("it says what it needs", || why().contains("`dormouse servers login own --agent ada`")).await;
    let begun = agent.login(&name("own")).await.unwrap();
    goes_through(begun.authorize_url).await;
    let then = agent.wait_sign_in(&name("own")).await.unwrap();
    assert!(matches!(then.state, SignInState::SignedIn { .. }), "{then:?}");
    agent.wait(&name("own"), &[ServerState::Healthy], Duration::from_secs(30)).await.unwrap();

    // What the agent was granted opens nothing of the store's at the same address, nor ends it.
    let far = hub.store().sign_in(&name("far")).await.unwrap();
    assert_eq!(far.state, SignInState::PersonNeeded);
    assert_eq!(hub.store().server(&name("far")).unwrap().tools.len(), 0);
    goes_through(far.authorize_url).await;
    hub.store().wait_sign_in(&name("far")).await.unwrap();
    hub.store().wait(&name("far"), &[ServerState::Healthy], Duration::from_secs(30)).await.unwrap();
    agent.logout(&name("own")).await.unwrap();
    let far = hub.store().sign_in(&name("far")).await.unwrap();
    assert!(matches!(far.state, SignInState::SignedIn { .. }), "{far:?}");
    assert_eq!(hub.store().server(&name("far")).unwrap().status.state, ServerState::Healthy);
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_over_http() {
    let (space, office) = (TestSpace::new(), Office::open(Habits::default()).await);
    configure(&space, &[("far", guarded(&office))]);
    let hub = space.hub(|_| {}).await;
    let base = serve(&hub).await;
    let web = reqwest::Client::builder().no_proxy().build().unwrap();
    let login = format!("{base}/servers/far/login");
    let get =
        async |address: String| -> Value { web.get(address).send().await.unwrap().json().await.unwrap() };
    let needed = get(login.clone()).await;
    assert_eq!((&needed["state"], &needed["authorize_url"]), (&json!("person_needed"), &Value::Null));
    let begun: Value = web.post(&login).send().await.unwrap().json().await.unwrap();
    let waits = tokio::spawn({
        let (web, address) = (web.clone(), format!("{login}?timeout_ms=30000"));
        async move { web.get(address).send().await.unwrap().json::<Value>().await.unwrap() }
    });
    goes_through(begun["authorize_url"].as_str().map(str::to_owned)).await;
    let then = waits.await.unwrap();
    assert_eq!((&then["state"], &then["renewable"]), (&json!("signed_in"), &json!(true)), "{then}");
    assert!(!then.to_string().contains("s3cret"), "{then}");
    comes(&hub, "far").await;
    let called =
        web.post(format!("{base}/tools/far_echo/call")).json(&json!({ "arguments": { "text": "in" } }));
    let called: Value = called.send().await.unwrap().json().await.unwrap();
    assert_eq!(called["result"], "in", "{called}");

    let gone: Value = web.delete(&login).send().await.unwrap().json().await.unwrap();
    assert_eq!(gone["state"], "person_needed", "{gone}");
    let refused = web.post(format!("{base}/servers/far/attach")).send().await.unwrap();
    assert_eq!(refused.status(), 502);
    let refused: Value = refused.json().await.unwrap();
    assert!(refused.to_string().contains("dormouse servers login far"), "{refused}");
    let plain = web.post(format!("{base}/servers/nobody/login")).send().await.unwrap();
    assert_eq!(plain.status(), 404);
    hub.shutdown().await;
}
