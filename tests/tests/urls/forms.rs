//! The ways in which a server at a URL is written down.

use dormouse::mcp_json::intake;
use dormouse::{Launch, RemoteTransport};
use dormouse_testing::HttpServer;
use dormouse_testing::scripted::Scripted;
use dormouse_tests::{TestSpace, call};
use serde_json::{Value, json};

use crate::support::{comes, configure, fails, name, well};

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_an_entry_is_a_server_with_its_headers() {
    let well = well();
    let url = well.url();
    let home = std::env::var("HOME").unwrap();
    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    let forms: Vec<(Value, Option<(&str, String)>)> = vec![
        (json!({ "url": url }), None),
        (json!({ "serverUrl": url }), None),
        (json!({ "url": url, "type": "http" }), None),
        (json!({ "url": url, "transport": "streamable-http" }), None),
        (json!({ "url": url, "headers": { "X-One": "1" } }), Some(("x-one", "1".to_owned()))),
        (json!({ "url": url, "token": "word" }), Some(bearer("word"))),
        (json!({ "url": url, "auth": "${HOME}" }), Some(bearer(&home))),
        (json!({ "url": url, "api_key": "${HOME}" }), Some(("x-api-key", home.clone()))),
        (
            json!({ "url": url, "headers": { "Authorization": "Basic ${HOME}" } }),
            Some(("authorization", format!("Basic {home}"))),
        ),
    ];
    let space = TestSpace::new();
    let hub = space.hub(|_| {}).await;
    for (form, header) in forms {
        well.seen.lock().unwrap().clear();
        let document = json!({ "mcpServers": { "far": form } });
        let report = hub.store().add_all(intake(&document).unwrap()).await;
        assert!(report.failed.is_empty(), "{form}: {:?}", report.failed);
        comes(&hub, "far").await;
        assert_eq!(call(&hub, "far_act", json!({})).await.unwrap().result.text(), "well", "{form}");
        let mut seen = well.seen.lock().unwrap().clone();
        // The one before says farewell.
        seen.retain(|asked| asked.verb != "DELETE");
        if let Some((name, value)) = header {
            assert!(seen.iter().all(|asked| asked.header(name) == Some(&*value)), "{form}: {seen:?}");
        }
        // What was expanded is written nowhere.
        let written = std::fs::read_to_string(space.root().join("mcp.json")).unwrap();
        assert!(!written.contains(&home), "{written}");
        hub.store().remove(&name("far"), false).await.unwrap();
    }
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_transport_is_guessed_from_the_path_and_may_be_said() {
    let space = TestSpace::new();
    let served = HttpServer::start("mcp1", "sse");
    let url = served.url();
    configure(
        &space,
        &[
            ("guessed", json!({ "url": url })),
            ("said", json!({ "url": url, "type": "sse" })),
            ("wrong", json!({ "url": url, "type": "http" })),
        ],
    );
    let hub = space.hub(|_| {}).await;
    let transport = |server: &str| match &hub.store().server(&name(server)).unwrap().entry.config.launch {
        Launch::Url(remote) => remote.transport,
        other => panic!("{other:?}"),
    };
    for server in ["guessed", "said"] {
        assert_eq!(transport(server), RemoteTransport::Sse);
        comes(&hub, server).await;
    }
    assert_eq!(transport("wrong"), RemoteTransport::StreamableHttp);
    let why = fails(&hub, "wrong").await;
    assert!(why.contains("405"), "{why}");
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_told_and_a_changed_one_tried_at_once() {
    let space = TestSpace::new();
    let served = HttpServer::with("mcp2", "streamable", &["--require", "Authorization: Bearer right"]);
    configure(&space, &[("far", json!({ "url": served.url(), "token": "wr0ng-s3cret" }))]);
    let hub = space.hub(|_| {}).await;
    let why = fails(&hub, "far").await;
    assert!(why.contains("refused the credentials (status 401)"), "{why}");
    assert!(!why.contains("s3cret"), "{why}");
    let alerts = hub.store().orchestrator().alerts();
    assert!(!format!("{alerts:?}").contains("s3cret"));
    assert!(alerts.iter().any(|alert| alert.title == "sign-in needed"), "{alerts:?}");
    hub.store()
        .patch(&name("far"), json!({ "headers": { "Authorization": "Bearer right" }, "token": null }))
        .await
        .unwrap();
    comes(&hub, "far").await;
    assert_eq!(call(&hub, "far_echo", json!({ "text": "in" })).await.unwrap().result.text(), "in");
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_is_not_set_is_named() {
    let space = TestSpace::new();
    let server = Scripted::start(|_, _| {});
    configure(&space, &[("far", json!({ "url": server.url(), "token": "${DORMOUSE_NO_SUCH_VARIABLE}" }))]);
    let hub = space.hub(|_| {}).await;
    let why = fails(&hub, "far").await;
    assert!(why.contains("`DORMOUSE_NO_SUCH_VARIABLE`, which is not set"), "{why}");
    assert!(server.seen.lock().unwrap().is_empty(), "nothing is sent without its key");
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_at_a_url_and_a_command_or_neither_is_refused_with_its_path() {
    let well = well();
    let space = TestSpace::new();
    let hub = space.hub(|_| {}).await;
    let document = json!({ "mcpServers": {
        "both": { "url": well.url(), "command": "python3" },
        "neither": { "headers": { "a": "b" } },
        "ftp": { "url": "ftp://example.com/mcp?key=s3cret" },
        "odd": { "url": 5 },
        "good": { "url": well.url() },
    } });
    let report = hub.store().add_all(intake(&document).unwrap()).await;
    let added: Vec<&str> = report.added.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(added, ["good"]);
    let told = |name: &str| {
        let failed = report.failed.iter().find(|failed| failed.name == name).unwrap();
        failed.reason.to_string()
    };
    assert!(told("both").contains("`url`") && told("both").contains("`command`"), "{}", told("both"));
    assert!(
        told("neither").contains("`url`") && told("neither").contains("`command`"),
        "{}",
        told("neither")
    );
    assert!(told("ftp").contains("mcpServers.ftp.url") && !told("ftp").contains("s3cret"), "{}", told("ftp"));
    assert!(told("odd").contains("mcpServers.odd.url"), "{}", told("odd"));
    comes(&hub, "good").await;
    hub.shutdown().await;

    // The same by hand in the file: the good one works, the others are findings with their paths.
    space.write("mcp.json", document.to_string());
    let hub = space.hub(|_| {}).await;
    comes(&hub, "good").await;
    let findings = hub.doctor().await.findings;
    for entry in ["both", "neither", "ftp", "odd"] {
        let path = format!("mcpServers.{entry}");
        assert!(findings.iter().any(|finding| finding.problem.contains(&path)), "{entry}: {findings:?}");
    }
    hub.shutdown().await;
}
