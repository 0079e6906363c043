//! Servers that want their user at an address before they take a call.

use dormouse::Scope;
use dormouse_testing::environment;
use dormouse_tests::mcp_client::STATELESS;
use dormouse_tests::{Served, TestSpace};
use serde_json::{Value, json};

use crate::client::{Client, script};

#[tokio::test]
async fn a_stateless_client_is_asked_to_go_where_an_older_server_wants_its_user() {
    let space = TestSpace::new();
    // It counts its calls, which it would forget in its sleep.
    let server = json!({
        "command": environment("mcp1"), "args": [script("visits.py")], "dormouse": { "idle_seconds": "never" },
    });
    space.write("mcp.json", json!({ "mcpServers": { "visits": server } }).to_string());
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "visits", "pay").await;
    let able = json!({ "elicitation": { "url": {} } });
    let pays = async |client: &Client| client.call("visits_pay", json!({ "amount": 3 })).await;

    let client = Client::of(&served, "/mcp", STATELESS, able.clone()).await;
    let client = client.answering("elicitation/create", json!({ "action": "accept" }));
    let paid = pays(&client).await;
    assert_eq!((paid.text(), paid.rounds), ("paid 3 at call 2", 1), "{paid:#?}");
    let asked = &paid.asked[0]["params"];
    assert_eq!(
        (&asked["mode"], &asked["url"], &asked["message"]),
        (&json!("url"), &json!("https://sign.example/in"), &json!("Sign in.")),
        "{asked}"
    );

    // The server hears nothing of it: its next call is the third.
    let client = client.answering("elicitation/create", json!({ "action": "decline" }));
    let declined = pays(&client).await;
    assert_eq!((&declined.result()["isError"], declined.rounds), (&json!(true), 1), "{declined:#?}");
    assert_eq!(pays(&client).await.text(), "paid 3 at call 4");

    let unable = pays(&Client::of(&served, "/mcp", STATELESS, json!({})).await).await;
    assert_eq!(unable.answer["error"]["code"], -32021, "{unable:#?}");
    let needed = &unable.answer["error"]["data"]["requiredCapabilities"];
    assert_eq!(*needed, able, "{unable:#?}");
    assert_eq!(pays(&client).await.text(), "paid 3 at call 6");

    // A session has the error, which its revision knows.
    let told = pays(&Client::of(&served, "/mcp", "2025-11-25", able).await).await;
    assert_eq!(told.answer["error"]["code"], -32042, "{told:#?}");
    assert_eq!(told.answer["error"]["data"]["elicitations"].as_array().map(Vec::len), Some(1));
    assert_ne!(told.answer["error"]["data"]["elicitations"][0]["elicitationId"], Value::Null);
    served.end().await;
}
