//! What a hub remembers, taken out, put in and moved: the program, and a real Redis.

use std::os::unix::fs::PermissionsExt;

use dormouse_testing::{Fixture, RedisServer};
use dormouse_tests::serving;
use serde_json::json;

use crate::{Ended, Person, text};

/// A person whose hub has something to remember.
async fn with_records(redis: Option<&str>) -> Person {
    let person = Person::new();
    person.space.fixtures(&[("fix", Fixture::new(), json!({}))]);
    if let Some(address) = redis {
        person.space.write("dormouse.toml", format!("storage = \"{address}\"\n"));
    }
    person.ok(&["servers", "share", "fix", "ada"]).await;
    person.ok(&["tools", "rename", "fix_echo", "say", "--agent", "ada"]).await;
    person.ok(&["ask", "echo the text remember", "--session", "s"]).await;
    person
}

/// What is remembered, as a person sees it.
async fn remembered(person: &Person) -> (String, String) {
    let tools = person.ok(&["tools", "list", "--agent", "ada"]).await;
    assert!(tools.starts_with("say\t") || tools.contains("\nsay\t"), "{tools}");
    (tools, person.ok(&["history", "show", "s"]).await)
}

fn said(ended: &Ended, code: i32, words: &str) {
    assert_eq!(ended.code, code, "{ended:?}");
    assert!(ended.err.contains(words), "`{words}` is not in {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_fills_another_space() {
    let person = with_records(None).await;
    let file = person.home("all.jsonl");
    let file = file.to_str().unwrap();
    person.ok(&["storage", "export", file]).await;
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    said(&person.run(&["storage", "export", file]).await, 11, "exists already");
    let lines = person.ok(&["storage", "export"]).await;
    assert!(lines.starts_with(r#"{"dormouse":"storage""#), "{lines}");

    let other = Person::new();
    other.space.fixtures(&[("fix", Fixture::new(), json!({}))]);
    other.ok(&["storage", "import", file]).await;
    other.ok(&["storage", "import", file]).await;
    assert_eq!(remembered(&other).await, remembered(&person).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_moves_into_redis_and_back() {
    let redis = RedisServer::with_password("s3cret");
    let address = redis.url();
    let person = with_records(None).await;
    let before = remembered(&person).await;

    let moved = person.run(&["storage", "migrate", "--to", &address]).await;
    said(&moved, 0, "copied:");
    assert!(!moved.err.contains("s3cret") && !moved.out.contains("s3cret"), "{moved:?}");
    person.space.write("dormouse.toml", format!("storage = \"{address}\"\n"));
    std::fs::remove_file(person.space.root().join(".dormouse/hub.redb")).unwrap();
    assert_eq!(remembered(&person).await, before);

    person.ok(&["storage", "migrate", "--to", "embedded"]).await;
    person.space.write("dormouse.toml", "");
    redis.run(&["FLUSHALL"]);
    assert_eq!(remembered(&person).await, before);
    said(&person.run(&["storage", "migrate", "--to", "embedded"]).await, 11, "kept there already");
    said(&person.run(&["storage", "migrate", "--to", "memory"]).await, 11, "keeps nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_changes_what_a_hub_remembers_while_it_serves() {
    let person = with_records(None).await;
    let file = person.home("all.jsonl");
    let file = file.to_str().unwrap();
    let (mut hub, address) = serving(&person.space).await;
    // A hub that serves is asked for its dump, over its socket and over HTTP.
    person.ok(&["storage", "export", file]).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.get(format!("{address}/storage/export")).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/jsonl");
    assert_eq!(answer.text().await.unwrap().lines().count(), text(file.as_ref()).lines().count());

    said(&person.run(&["storage", "import", file]).await, 11, "another hub serves the space");
    said(&person.run(&["storage", "migrate", "--to", "redis://127.0.0.1:1"]).await, 11, "another hub serves");
    hub.start_kill().unwrap();
    hub.wait().await.unwrap();
    person.ok(&["storage", "import", file]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_elsewhere_on_the_same_redis_is_noticed() {
    let redis = RedisServer::start();
    let here = with_records(Some(&redis.url())).await;
    let file = here.home("all.jsonl");
    let file = file.to_str().unwrap();
    here.ok(&["storage", "export", file]).await;
    let elsewhere = Person::new();
    elsewhere.space.write("dormouse.toml", format!("storage = \"{}\"\n", redis.url()));
    let (mut hub, _) = serving(&elsewhere.space).await;

    said(&here.run(&["storage", "import", file]).await, 11, "another hub serves");
    said(&here.run(&["storage", "migrate", "--to", "embedded"]).await, 11, "another hub serves");
    let third = Person::new();
    said(&third.run(&["storage", "migrate", "--to", &redis.url()]).await, 11, "another hub serves");
    hub.start_kill().unwrap();
    hub.wait().await.unwrap();
    redis.wait_until(&["PUBSUB", "NUMSUB", "dormouse:{default}:feed"], ":0");
    here.ok(&["storage", "import", file]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_redis_is_never_shown() {
    let redis = RedisServer::with_password("s3cret");
    let person = Person::new();
    let wrong = format!("redis://someone:n0tright@127.0.0.1:{}", redis.port());
    let closed = "redis://someone:n0tright@127.0.0.1:1";
    let odd = "redis://someone:n0tright@:x:y";
    for address in [wrong.as_str(), closed, odd, "redsi://someone:n0tright@h", "someone:n0tright@h"] {
        person.space.write("dormouse.toml", format!("storage = \"{address}\"\n"));
        let shown = person.run(&["config", "show"]).await;
        for ended in [
            &shown,
            &person.run(&["-vvv", "servers", "list"]).await,
            &person.run(&["-vvv", "storage", "migrate", "--to", "embedded"]).await,
            &person.run(&["-vvv", "doctor"]).await,
            &person.run(&["--json", "config", "show"]).await,
            &person.run(&["config", "validate"]).await,
        ] {
            let all = format!("{ended:?}");
            assert!(!all.contains("n0tright"), "{address}: {all}");
        }
    }
    person.space.write("dormouse.toml", format!("storage = \"{}\"\nmodel = 7\n", redis.url()));
    let ended = person.run(&["config", "validate"]).await;
    assert!(ended.code == 9 && !format!("{ended:?}").contains("s3cret"), "{ended:?}");
    person.space.write("dormouse.toml", format!("storage = \"{}\" x\n", redis.url()));
    let ended = person.run(&["servers", "list"]).await;
    assert!(ended.code == 9 && !format!("{ended:?}").contains("s3cret"), "{ended:?}");
}
