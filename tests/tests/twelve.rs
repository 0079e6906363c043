//! The seed's twelve queries over HTTP against the real servers, without a model.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::time::Duration;

use dormouse::{Hub, ServerName, ServerState, WantedSetting};
use dormouse_tests::TestSpace;
use dormouse_tests::shipped::{Balance, QUERIES, ask, shipped};
use serde_json::{Value, json};

/// The servers that the seed keeps awake.
const AWAKE: [&str; 3] = ["web-research", "notes-creator", "youtube-summary"];
/// The tools of the one that it lets sleep.
const PLUGGED: [&str; 3] = ["calculate", "split_bill", "unit_convert"];

async fn ask_all(hub: &Hub) -> Vec<Value> {
    let address = dormouse_tests::serve(hub).await;
    let mut answers = Vec::new();
    for (query, _) in QUERIES {
        answers.push(ask(&address, query).await);
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let history = client.get(format!("{address}/chat/history/e2e")).send().await.unwrap();
    assert_eq!(history.json::<Value>().await.unwrap().as_array().unwrap().len(), 24);
    answers
}

/// Holds the answers against the right tools, and the hot-plug column against what should be plugged.
fn check(answers: &[Value], plugs: impl Fn(&str) -> bool) {
    for ((query, tool), answer) in QUERIES.iter().zip(answers) {
        let expected: Vec<&str> = tool.iter().copied().collect();
        assert_eq!(answer["tools_used"], json!(expected), "{query}: {answer:#}");
        let plugged = !answer["hotplugged_servers"].as_array().unwrap().is_empty();
        assert_eq!(plugged, tool.is_some_and(&plugs), "{query}: {answer:#}");
        assert!(!answer["answer"].as_str().unwrap().is_empty(), "{query}");
    }
    for (place, result) in [(3, "2436"), (7, "1275"), (10, "920"), (11, "62.137")] {
        let said = answers[place]["answer"].as_str().unwrap();
        assert!(said.contains(result), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twelve_queries_with_the_seeds_set_plug_as_the_seed_does() {
    let space = TestSpace::new();
    let hub = shipped(&space, |config| {
        for name in AWAKE {
            config.servers.get_mut(name).unwrap().wanted = Some(WantedSetting::Always);
        }
    })
    .await;
    let balance = Balance::of(&hub);
    for name in AWAKE {
        let name = ServerName::try_new(name).unwrap();
        hub.store().wait(&name, &[ServerState::Healthy], Duration::from_secs(600)).await.unwrap();
    }
    check(&ask_all(&hub).await, |tool| PLUGGED.contains(&tool));
    balance.after(&space, hub).await;
    assert_eq!(balance.wakes("calculator"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn twelve_queries_on_demand_wake_just_what_they_need() {
    let space = TestSpace::new();
    let hub = shipped(&space, |_| {}).await;
    let balance = Balance::of(&hub);
    check(&ask_all(&hub).await, |_| true);
    balance.after(&space, hub).await;
    let wakes = ["calculator", "web-research", "notes-creator"].map(|server| balance.wakes(server));
    assert_eq!(wakes, [4, 5, 0], "nobody asked for a note");
}
