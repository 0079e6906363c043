//! Two hubs on one Redis come to agree, whatever went wrong in between.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::time::{Duration, Instant};

use dormouse::{Context, Event, Scope};
use dormouse_testing::{Fixture, RedisServer};
use dormouse_tests::{Served, TestSpace, until};
use reqwest::Method;
use serde_json::{Value, json};

/// A hub with a space of its own on a shared Redis.
async fn replica(redis: &RedisServer) -> Served {
    let space = TestSpace::new();
    let hub = space
        .hub(|config| {
            config.storage = redis.url();
            config.redis.timeout_seconds = 0.5;
        })
        .await;
    Served::of(space, hub).await
}

async fn add(to: &Served, name: &str) {
    let mut entry = Fixture::new().title(name).entry();
    entry["name"] = json!(name);
    assert_eq!(to.post("/servers", entry).await.0, 201);
}

/// Waits until a GET answers so at each of them.
async fn all_see(hubs: &[&Served], path: &str, what: &str, holds: impl Fn(&Value) -> bool) {
    let began = Instant::now();
    for hub in hubs {
        loop {
            let (_, answer) = hub.get(path).await;
            if holds(&answer) {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "waited in vain until {what}: {answer:#}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn is_named(name: &str) -> impl Fn(&Value) -> bool {
    move |tools| tools.as_array().is_some_and(|tools| tools.iter().any(|tool| tool["full_name"] == name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_not_acknowledged_shows_at_both_hubs_once_it_is_made() {
    let redis = RedisServer::start();
    let (one, other) = (replica(&redis).await, replica(&redis).await);
    for name in ["calm", "loud"] {
        add(&one, name).await;
        one.knows(&Scope::Store, name, "echo").await;
        other.knows(&Scope::Store, name, "echo").await;
    }
    // Both requests are on their way to a Redis that stands still, and are made when it goes on.
    let unreachable = |(status, problem): (u16, Value)| {
        assert_eq!((status, &problem["code"]), (503, &json!("storage_unreachable")), "{problem:#}");
    };
    redis.freeze();
    unreachable(one.post("/servers/calm/disconnect", json!({ "reason": "leave it" })).await);
    redis.thaw();
    all_see(&[&one, &other], "/health", "all is well again", |health| health["status"] == "ok").await;
    let stopped = |server: &Value| server["status"] == "disconnected";
    all_see(&[&one, &other], "/servers/calm", "it is disconnected", stopped).await;

    redis.freeze();
    let settings = json!({ "name": "say" });
    unreachable(one.send(Method::PUT, "/tools/loud_echo/settings", settings).await);
    redis.thaw();
    all_see(&[&one, &other], "/tools", "it has its new name", is_named("say")).await;

    redis.freeze();
    let mut late = Fixture::new().title("late").entry();
    late["name"] = json!("late");
    let (status, problem) = one.post("/servers", late).await;
    redis.thaw();
    assert!(status == 503, "{status}: {problem:#}");
    all_see(&[&one, &other], "/health", "all is well again", |health| health["status"] == "ok").await;
    // Whether that one was made nobody can say; they agree on it.
    let is_there = |hub: &Served| hub.hub.for_store().server(&"late".parse().unwrap()).is_ok();
    until("they agree", || is_there(&one) == is_there(&other)).await;
    one.end().await;
    other.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_one_list_at_all_hubs() {
    let redis = RedisServer::start();
    let (one, other) = (replica(&redis).await, replica(&redis).await);
    let raise = async |hub: &Served, title: &str| {
        let alert = json!({ "level": "warning", "title": title, "message": "look" });
        assert_eq!(hub.post("/alerts", alert).await.0, 201);
    };
    let titled = |titles: &'static [&str]| {
        move |alerts: &Value| {
            let mut found: Vec<_> =
                alerts.as_array().into_iter().flatten().filter_map(|alert| alert["title"].as_str()).collect();
            found.sort_unstable();
            found == titles
        }
    };
    raise(&one, "a").await;
    raise(&other, "b").await;
    all_see(&[&one, &other], "/alerts", "both know both", titled(&["a", "b"])).await;
    // One that joins knows them too.
    let third = replica(&redis).await;
    all_see(&[&third], "/alerts", "it knows both", titled(&["a", "b"])).await;
    let (status, cleared) = third.delete("/alerts").await;
    assert_eq!((status, &cleared["cleared"]), (200, &json!(2)), "{cleared:#}");
    all_see(&[&one, &other, &third], "/alerts", "nobody has one", titled(&[])).await;
    raise(&other, "c").await;
    all_see(&[&one, &other, &third], "/alerts", "all know the new one", titled(&["c"])).await;
    for hub in [one, other, third] {
        hub.end().await;
    }
}

/// What an agent hears, until it hears that a server is gone for it.
async fn hears_of_the_end(context: &Context, server: &str, end: impl AsyncFnOnce()) -> Event {
    let mut events = context.events();
    end().await;
    let gone = async {
        loop {
            let event = events.recv().await.unwrap();
            let is_end = matches!(event, Event::ServerRemoved { .. } | Event::ServerUnassigned { .. });
            if is_end && event.server().is_some_and(|key| key.name.as_str() == server) {
                return event;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("it is told")
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_hear_at_every_hub_that_a_shared_server_is_gone() {
    let redis = RedisServer::start();
    let (one, other) = (replica(&redis).await, replica(&redis).await);
    for name in ["kept", "gone"] {
        add(&one, name).await;
        for agent in ["ada", "bob"] {
            let path = format!("/servers/{name}/agents/{agent}");
            assert_eq!(one.send(Method::PUT, &path, json!({})).await.0, 200);
        }
    }
    let both = |servers: &Value| servers.as_array().is_some_and(|servers| servers.len() == 2);
    all_see(&[&one, &other], "/agents/ada/servers", "ada has both", both).await;
    all_see(&[&one, &other], "/agents/bob/servers", "bob has both", both).await;
    let ada = |hub: &Served| hub.hub.for_agent("ada").unwrap();
    // Listening to the stream keeps events from now on.
    for hub in [&one, &other] {
        hub.see("/agents/bob/events/recent").await;
    }

    let there = ada(&other);
    let heard_there = hears_of_the_end(&there, "kept", async || {
        let unshare = async || {
            assert_eq!(one.delete("/servers/kept/agents/ada").await.0, 200);
        };
        hears_of_the_end(&ada(&one), "kept", unshare).await;
    });
    assert!(matches!(heard_there.await, Event::ServerUnassigned { agent, .. } if agent.as_str() == "ada"));
    let heard_there = hears_of_the_end(&there, "gone", async || {
        let remove = async || assert_eq!(one.delete("/servers/gone").await.0, 200);
        let heard = hears_of_the_end(&ada(&one), "gone", remove).await;
        assert!(matches!(heard, Event::ServerRemoved { .. }), "{heard:?}");
    });
    heard_there.await;

    // Over HTTP it is the same word for both, and bob hears nothing of what ada lost.
    let told = |agent: &'static str, name: &'static str| {
        let path = format!("/agents/{agent}/events/recent?limit=1024");
        let is_told = move |events: &Value| {
            let mut events = events.as_array().into_iter().flatten();
            events.any(|told| told["event"] == "server_removed" && told["data"]["server_name"] == name)
        };
        (path, is_told)
    };
    for hub in [&one, &other] {
        for agent in ["ada", "bob"] {
            let (path, is_told) = told(agent, "gone");
            all_see(&[hub], &path, "the removal is told", is_told).await;
        }
        let (path, is_told) = told("ada", "kept");
        all_see(&[hub], &path, "the end of the sharing is told", is_told).await;
        let (path, is_told) = told("bob", "kept");
        assert!(!is_told(&hub.see(&path).await));
    }
    one.end().await;
    other.end().await;
}
