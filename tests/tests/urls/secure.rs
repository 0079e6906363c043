//! On the way to a server: TLS with a certificate authority of one's own, and proxies.

use std::process::Command;

use dormouse_testing::{Certificates, HttpServer, Proxy};
use dormouse_tests::{TestSpace, call};
use serde_json::json;

use crate::support::{comes, configure, fails, name, tools};

fn over_tls(certificates: &Certificates) -> HttpServer {
    let (cert, key) = (certificates.certificate(), certificates.key());
    HttpServer::with(
        "mcp2",
        "streamable",
        &["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap()],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_trusted_by_the_authority_that_its_entry_names() {
    let space = TestSpace::new();
    let certificates = Certificates::new();
    let served = over_tls(&certificates);
    std::fs::copy(certificates.authority(), space.root().join("ours.pem")).unwrap();
    let other = Certificates::new();
    let entry = |ca: serde_json::Value| json!({ "url": served.url(), "dormouse": ca });
    configure(
        &space,
        &[
            ("ours", entry(json!({ "ca_file": "ours.pem" }))),
            ("nobody", entry(json!({}))),
            ("other", entry(json!({ "ca_file": other.authority() }))),
            ("missing", entry(json!({ "ca_file": "not-there.pem" }))),
            ("broken", entry(json!({ "ca_file": "mcp.json" }))),
        ],
    );
    let hub = space.hub(|_| {}).await;
    comes(&hub, "ours").await;
    assert_eq!(call(&hub, "ours_echo", json!({ "text": "safe" })).await.unwrap().result.text(), "safe");
    for server in ["nobody", "other"] {
        let why = fails(&hub, server).await;
        assert!(why.contains("certificate"), "{server}: {why}");
    }
    let why = fails(&hub, "missing").await;
    assert!(why.contains("not-there.pem"), "{why}");
    let why = fails(&hub, "broken").await;
    assert!(why.contains("holds no certificate"), "{why}");

    // A file that comes later is read then.
    std::fs::copy(certificates.authority(), space.root().join("not-there.pem")).unwrap();
    hub.store().attach(&name("missing")).await.unwrap();
    assert_eq!(tools(&hub, "missing").len(), 5);
    hub.shutdown().await;
}

/// Runs a test of this file in a process of its own, under these variables.
fn under(variables: &[(&str, &str)], test: &str) {
    let mut inner = Command::new(std::env::current_exe().unwrap());
    inner.args(["--exact", test, "--ignored", "--nocapture"]);
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        inner.env_remove(variable).env_remove(variable.to_ascii_lowercase());
    }
    let done = inner.envs(variables.iter().copied()).output().unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && told.contains("1 passed"), "{told}{said}");
}

#[test]
fn servers_are_reached_by_the_proxies_that_the_variables_name() {
    let (proxy, plain) = (Proxy::start(), HttpServer::start("mcp1", "streamable"));
    let certificates = Certificates::new();
    let tls = over_tls(&certificates);
    let authority = certificates.authority();
    let servers = [
        ("TEST_PLAIN", plain.url()),
        ("TEST_TLS", tls.url()),
        ("TEST_AUTHORITY", authority.to_str().unwrap().to_owned()),
        ("HTTP_PROXY", proxy.url()),
        ("HTTPS_PROXY", proxy.url()),
    ];
    let mut variables: Vec<(&str, &str)> =
        servers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    under(&variables, "secure::within_the_variables");
    let seen = proxy.seen();
    assert!(seen.contains(&format!("POST 127.0.0.1:{}", plain.port())), "{seen:?}");
    assert!(seen.contains(&format!("CONNECT 127.0.0.1:{}", tls.port())), "{seen:?}");

    variables.push(("NO_PROXY", "127.0.0.1"));
    under(&variables, "secure::within_the_variables");
    assert_eq!(proxy.seen(), seen, "both were reached without it");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "servers_are_reached_by_the_proxies_that_the_variables_name runs it, with variables"]
async fn within_the_variables() {
    let space = TestSpace::new();
    configure(
        &space,
        &[
            ("plain", json!({ "url": "${TEST_PLAIN}" })),
            (
                "tls",
                json!({ "url": "${TEST_TLS}", "dormouse": { "ca_file": std::env::var("TEST_AUTHORITY").unwrap() } }),
            ),
        ],
    );
    let hub = space.hub(|_| {}).await;
    for server in ["plain", "tls"] {
        comes(&hub, server).await;
        let tool = format!("{server}_echo");
        assert_eq!(call(&hub, &tool, json!({ "text": "there" })).await.unwrap().result.text(), "there");
    }
    hub.shutdown().await;
}
