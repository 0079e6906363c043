//! Whose endpoint it is, and what it shows.

use dormouse::{AgentId, Scope};
use dormouse_testing::Fixture;
use dormouse_tests::{Served, TestSpace};
use serde_json::{Value, json};

use crate::client::{Mcp, NEWEST_GREETED, greeting, message, refused};

async fn served() -> Served {
    let space = TestSpace::new();
    space.fixtures(&[("one", Fixture::new(), json!({})), ("two", Fixture::new(), json!({}))]);
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "one", "echo").await;
    served.knows(&Scope::Store, "two", "echo").await;
    let (status, answer) = served.send(reqwest::Method::PUT, "/servers/one/agents/a1", "").await;
    assert!(status < 300, "{answer}");
    served
}

async fn names(mcp: &Mcp) -> Vec<String> {
    let listed = mcp.ask("tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().unwrap().iter();
    tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_session_belongs_to_its_path_and_mode() {
    let served = served().await;
    let store = Mcp::greeted(&served, "/mcp", NEWEST_GREETED).await;
    let agent = Mcp::greeted(&served, "/agents/a1/mcp", NEWEST_GREETED).await;
    assert!(names(&store).await.iter().any(|name| name.starts_with("two")));
    assert!(!names(&agent).await.iter().any(|name| name.starts_with("two")));
    let list = message(3, "tools/list", json!({}));
    for path in ["/agents/a1/mcp", "/agents/a2/mcp", "/mcp?mode=search"] {
        let elsewhere = Mcp { url: format!("{}{path}", served.address), ..store.clone() };
        refused(elsewhere.send(&list).await, 404, -32600, json!(3)).await;
    }
    served.end().await;
}

#[tokio::test]
async fn an_address_says_what_is_shown() {
    let served = served().await;
    let single = Mcp::greeted(&served, "/mcp?mode=single&server=one", NEWEST_GREETED).await;
    assert!(names(&single).await.contains(&"echo".to_owned()));
    let called = single.ask("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } })).await;
    assert_eq!(called["result"]["content"][0]["text"], "x");
    let search = Mcp::greeted(&served, "/mcp?mode=search", NEWEST_GREETED).await;
    assert_eq!(names(&search).await.len(), 3);
    for (query, status) in [
        ("?mode=everything", 400),
        ("?mode=single", 400),
        ("?mode=all&server=one", 400),
        ("?mode=single&server=a%2Fb", 400),
        ("?mode=single&server=three", 404),
    ] {
        let odd = Mcp::new(&served, &format!("/mcp{query}"));
        refused(odd.send(&greeting(NEWEST_GREETED, json!({}))).await, status, -32600, Value::Null).await;
    }
    served.end().await;
}

#[tokio::test]
async fn the_settings_say_what_is_shown_where_the_address_does_not() {
    let space = TestSpace::new();
    space.fixtures(&[("one", Fixture::new(), json!({}))]);
    let hub = space
        .hub(|config| {
            config.mcp = toml_of("mode = 'search'\n[agents.a1]\nmode = 'all'");
        })
        .await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "one", "echo").await;
    let store = Mcp::greeted(&served, "/mcp", NEWEST_GREETED).await;
    assert_eq!(names(&store).await.len(), 3);
    let all = Mcp::greeted(&served, "/mcp?mode=all", NEWEST_GREETED).await;
    assert!(names(&all).await.contains(&"one_echo".to_owned()));
    let agent = Mcp::greeted(&served, "/agents/a1/mcp", NEWEST_GREETED).await;
    assert_eq!(names(&agent).await, Vec::<String>::new());
    served.end().await;
}

fn toml_of(_text: &str) -> dormouse::Mcp {
    let agents = [("a1".to_owned(), dormouse::McpSection::default())].into();
    dormouse::Mcp { mode: dormouse::McpMode::Search, agents, ..dormouse::Mcp::default() }
}

#[tokio::test]
async fn a_token_for_an_agent_opens_its_endpoint_only() {
    let served = served().await;
    let scope = Scope::Agent(AgentId::try_new("a1").unwrap());
    let token = served.hub.tokens().create("a", scope).await.unwrap().secret;
    let hello = greeting(NEWEST_GREETED, json!({})).to_string();
    let send = async |path: &str, token: Option<&str>| {
        let mut request = Mcp::new(&served, path).post(hello.clone());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap()
    };
    for path in ["/mcp", "/agents/a2/mcp"] {
        let no = send(path, Some(&token)).await;
        let told = no.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(
            told.starts_with(r#"Bearer realm="dormouse", error="insufficient_scope", resource_"#),
            "{told}"
        );
        let no = refused(no, 403, -32600, Value::Null).await;
        assert_eq!(no["error"]["data"]["code"], "forbidden");
    }
    assert_eq!(send("/agents/a1/mcp", Some(&token)).await.status(), 200);
    for path in ["/mcp", "/agents/a1/mcp"] {
        for (wrong, error) in [(None, ""), (Some("dm_wrong"), r#", error="invalid_token""#)] {
            let no = send(path, wrong).await;
            let told = no.headers()["www-authenticate"].to_str().unwrap().to_owned();
            let metadata = format!("{}/.well-known/oauth-protected-resource{path}", served.address);
            assert_eq!(told, format!(r#"Bearer realm="dormouse"{error}, resource_metadata="{metadata}""#));
            refused(no, 401, -32600, Value::Null).await;
            let found: Value = served.http.get(metadata).send().await.unwrap().json().await.unwrap();
            assert_eq!(found["resource"], format!("{}{path}", served.address));
            assert_eq!(found["bearer_methods_supported"], json!(["header"]));
        }
    }
    served.end().await;
}
