//! What only a shared storage can do, and what can go wrong with it. On real servers.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use dormouse_storage::{
    ConversationKey, Fence, FromOthers, Redis, RedisOpenError, RedisSettings, Storage, StorageError, Table,
    Write,
};
use dormouse_testing::{RedisCluster, RedisServer};
use dormouse_types::{Message, Role, Scope, Timestamp};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;

const SHORT: Duration = Duration::from_millis(500);

async fn open(url: String) -> Redis {
    Redis::open(RedisSettings::new(url, "space")).await.unwrap()
}

async fn open_short(url: String) -> Redis {
    Redis::open(RedisSettings { command_timeout: SHORT, ..RedisSettings::new(url, "space") }).await.unwrap()
}

fn put(key: &str, value: Value) -> Write {
    Write::Put { table: Table::Registrations, key: key.to_owned(), value }
}

fn delete(key: &str) -> Write {
    Write::Delete { table: Table::Registrations, key: key.to_owned() }
}

fn conversation() -> ConversationKey {
    ConversationKey { scope: Scope::Store, session: "s".parse().unwrap() }
}

fn message(content: &str) -> Message {
    Message { role: Role::User, content: content.to_owned(), timestamp: Timestamp::UNIX_EPOCH }
}

async fn next(feed: &mut Receiver<FromOthers>) -> FromOthers {
    tokio::time::timeout(Duration::from_secs(20), feed.recv()).await.expect("something is told").unwrap()
}

/// Waits until it works again; a call says by itself when it does not.
async fn recovered(storage: &Redis) {
    let end = Instant::now() + Duration::from_secs(30);
    while let Err(error) = storage.write(vec![put("again", json!(1))]).await {
        assert!(Instant::now() < end, "{error}");
        tokio::task::yield_now().await;
    }
    while !storage.is_reachable() {
        assert!(Instant::now() < end, "it is reachable and does not say so");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn two_hubs_see_what_the_other_one_does(one: Redis, other: Redis) {
    let (mut to_one, mut to_other) = (one.feed().unwrap(), other.feed().unwrap());
    one.write(vec![put("k", json!(1))]).await.unwrap();
    assert_eq!(next(&mut to_other).await, FromOthers::Written(vec![Table::Registrations]));
    assert_eq!(other.get(Table::Registrations, "k").await.unwrap(), Some(json!(1)));

    let both = vec![Write::Put { table: Table::Settings, key: "a".into(), value: json!(1) }, delete("k")];
    other.write(both).await.unwrap();
    // The first thing that it hears: its own write did not come back.
    assert_eq!(next(&mut to_one).await, FromOthers::Written(vec![Table::Settings, Table::Registrations]));

    one.tell(&json!({"event": ["ü", 1]})).await.unwrap();
    assert_eq!(next(&mut to_other).await, FromOthers::Told(json!({"event": ["ü", 1]})));
    other.write(vec![put("l", json!(1))]).await.unwrap();
    assert_eq!(next(&mut to_one).await, FromOthers::Written(vec![Table::Registrations]));

    // Questions and refused changes tell nothing.
    let unmet = Write::Expect { table: Table::Registrations, key: "l".into(), value: None };
    one.write(vec![unmet, put("m", json!(1))]).await.unwrap_err();
    one.append(&conversation(), &[message("hello")]).await.unwrap();
    one.tell(&json!("the end")).await.unwrap();
    assert_eq!(next(&mut to_other).await, FromOthers::Told(json!("the end")));
    assert_eq!(other.history(&conversation()).await.unwrap(), [message("hello")]);
}

#[tokio::test]
async fn two_hubs_on_one_redis_see_each_other() {
    let server = RedisServer::start();
    two_hubs_see_what_the_other_one_does(open(server.url()).await, open(server.url()).await).await;
}

#[tokio::test]
async fn two_hubs_on_a_cluster_see_each_other() {
    let cluster = RedisCluster::start();
    two_hubs_see_what_the_other_one_does(open(cluster.url()).await, open(cluster.url()).await).await;
}

#[tokio::test]
async fn spaces_and_databases_do_not_mix() {
    let server = RedisServer::start();
    let one = open(server.url()).await;
    let other = Redis::open(RedisSettings::new(server.url(), "other")).await.unwrap();
    let database = open(format!("{}/1", server.url())).await;
    let mut feeds = [other.feed().unwrap(), database.feed().unwrap()];
    one.write(vec![put("k", json!(1))]).await.unwrap();
    for storage in [&other, &database] {
        assert_eq!(storage.all(Table::Registrations).await.unwrap(), []);
        // A stranger's number would be a gap here.
        storage.write(vec![put("k", json!(2))]).await.unwrap();
        storage.tell(&json!(0)).await.unwrap();
    }
    for feed in &mut feeds {
        assert!(feed.try_recv().is_err());
    }
}

#[tokio::test]
async fn only_one_hub_has_a_duty() {
    let server = RedisServer::start();
    let (one, other) = (open(server.url()).await, open(server.url()).await);
    let (long, short) = (Duration::from_secs(600), Duration::from_millis(100));
    assert_eq!(one.lead("probe", long).await.unwrap(), Some(Fence(1)));
    assert_eq!(other.lead("probe", long).await.unwrap(), None);
    assert_eq!(other.lead("migrate", long).await.unwrap(), Some(Fence(2)), "duties are apart");
    // The renewal may shorten the lease; then it ends by itself.
    assert_eq!(one.lead("probe", short).await.unwrap(), Some(Fence(1)));
    let end = Instant::now() + Duration::from_secs(20);
    let fence = loop {
        if let Some(fence) = other.lead("probe", long).await.unwrap() {
            break fence;
        }
        assert!(Instant::now() < end, "the lease does not end");
    };
    assert_eq!(fence, Fence(3), "each holder has a greater fence");
    assert_eq!(one.lead("probe", long).await.unwrap(), None);
    other.close().await;
    assert_eq!(one.lead("probe", long).await.unwrap(), Some(Fence(4)), "closing lets go of it");
    one.close().await;
    // Nothing is left of duties that have ended: a space has many in its life, one for each version.
    let left = server.run(&["KEYS", "*"]);
    assert!(left.contains("dormouse:{space}:meta") && left.starts_with("*1\r\n"), "{left}");
    assert!(server.run(&["HGETALL", "dormouse:{space}:meta"]).starts_with("*2\r\n"));
}

#[tokio::test]
async fn who_lost_a_duty_stores_nothing_under_it() {
    let server = RedisServer::start();
    let (one, other) = (open(server.url()).await, open(server.url()).await);
    let (long, short) = (Duration::from_secs(600), Duration::from_millis(50));
    let duty = "list".to_owned();
    let fence = one.lead(&duty, long).await.unwrap().unwrap();
    let led = |fence| Write::Led { duty: duty.clone(), fence };
    one.write(vec![led(fence), put("k", json!(1))]).await.unwrap();
    // It stands still for longer than its lease, and another one takes over.
    one.lead(&duty, short).await.unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    let next = loop {
        if let Some(next) = other.lead(&duty, long).await.unwrap() {
            break next;
        }
        assert!(Instant::now() < end, "the lease does not end");
    };
    other.write(vec![put("k", json!(2)), led(next)]).await.unwrap();
    for late in [vec![led(fence), put("k", json!(1))], vec![put("k", json!(1)), led(fence)]] {
        let error = one.write(late).await.unwrap_err();
        assert!(matches!(&error, StorageError::Fenced { duty } if duty == "list"), "{error:?}");
    }
    assert_eq!(other.get(Table::Registrations, "k").await.unwrap(), Some(json!(2)));
    // Also when nobody has it any more.
    other.close().await;
    one.write(vec![led(next), put("k", json!(3))]).await.unwrap_err();
    one.write(vec![put("k", json!(4))]).await.unwrap();
}

/// What a hub hears until a record is as it shall be, and the first it hears after that.
async fn told_until(storage: &Redis, feed: &mut Receiver<FromOthers>, value: &Value) -> FromOthers {
    let end = Instant::now() + Duration::from_secs(20);
    while storage.get(Table::Registrations, "k").await.ok().flatten().as_ref() != Some(value) {
        assert!(Instant::now() < end, "it is not stored");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    next(feed).await
}

#[tokio::test]
async fn a_hub_is_told_of_its_own_write_when_it_could_not_know_its_end() {
    let server = RedisServer::start();
    let storage = open_short(server.url()).await;
    let mut feed = storage.feed().unwrap();
    let written = FromOthers::Written(vec![Table::Registrations]);
    server.freeze();
    let error = storage.write(vec![put("k", json!(1))]).await.unwrap_err();
    assert!(matches!(error, StorageError::Unreachable { .. }), "{error:?}");
    assert_eq!(next(&mut feed).await, written);
    // It was on its way, and is made now.
    server.thaw();
    let told = told_until(&storage, &mut feed, &json!(1)).await;
    assert!(told == written || told == FromOthers::Missed, "{told:?}");

    // Nobody waits for the answer any more.
    recovered(&storage).await;
    let mut feed = storage.feed().unwrap();
    server.freeze();
    let given_up = tokio::time::timeout(SHORT / 10, storage.write(vec![put("k", json!(2))])).await;
    assert!(given_up.is_err());
    assert_eq!(next(&mut feed).await, written);
    server.thaw();
    let told = told_until(&storage, &mut feed, &json!(2)).await;
    assert!(told == written || told == FromOthers::Missed, "{told:?}");
}

#[tokio::test]
async fn a_hub_is_told_of_its_own_write_that_too_few_replicas_have() {
    let server = RedisServer::start();
    let settings =
        RedisSettings { command_timeout: SHORT, replicas: 1, ..RedisSettings::new(server.url(), "space") };
    let storage = Redis::open(settings).await.unwrap();
    let mut feed = storage.feed().unwrap();
    let error = storage.write(vec![put("k", json!(1))]).await.unwrap_err();
    assert!(error.to_string().contains("0 of 1 replicas"), "{error}");
    assert_eq!(next(&mut feed).await, FromOthers::Written(vec![Table::Registrations]));
    assert_eq!(storage.get(Table::Registrations, "k").await.unwrap(), Some(json!(1)));
}

#[tokio::test]
async fn lost_message_is_noticed() {
    let server = RedisServer::start();
    let (one, other) = (open(server.url()).await, open(server.url()).await);
    let mut feed = other.feed().unwrap();
    one.write(vec![put("k", json!(1))]).await.unwrap();
    assert_eq!(next(&mut feed).await, FromOthers::Written(vec![Table::Registrations]));
    // As if a message had got lost: a batch was counted, and never told.
    server.run(&["HINCRBY", "dormouse:{space}:meta", "version", "1"]);
    one.write(vec![put("k", json!(2))]).await.unwrap();
    assert_eq!(next(&mut feed).await, FromOthers::Missed);
    // And without a next message, by asking.
    server.run(&["HINCRBY", "dormouse:{space}:meta", "version", "1"]);
    assert_eq!(next(&mut feed).await, FromOthers::Missed);
    one.write(vec![put("k", json!(3))]).await.unwrap();
    assert_eq!(next(&mut feed).await, FromOthers::Written(vec![Table::Registrations]));
}

#[tokio::test]
async fn cut_subscriber_says_that_it_missed_something() {
    let server = RedisServer::start();
    let (one, other) = (open(server.url()).await, open(server.url()).await);
    let mut feed = other.feed().unwrap();
    server.run(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    assert_eq!(next(&mut feed).await, FromOthers::Missed);
    one.write(vec![put("k", json!(1))]).await.unwrap();
    while next(&mut feed).await == FromOthers::Missed {}
}

fn refused(error: &StorageError, words: &str) {
    assert!(matches!(error, StorageError::Refused { .. }) && error.to_string().contains(words), "{error:?}");
}

#[tokio::test]
async fn wrong_password_is_refused_and_not_repeated() {
    let server = RedisServer::with_password("correct-horse");
    open(server.url()).await.write(vec![put("k", json!(1))]).await.unwrap();
    for (user, words) in [("", "it asks for a password"), (":wrong-mouse@", "password is wrong")] {
        let settings = RedisSettings::new(format!("redis://{user}127.0.0.1:{}", server.port()), "space");
        assert!(!format!("{settings:?}").contains("wrong-mouse"));
        let error = Redis::open(settings).await.unwrap_err();
        assert!(matches!(error, RedisOpenError::Refused { .. }), "{error:?}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(words) && !text.contains("wrong-mouse"), "{text}");
    }
    let storage = open(server.url()).await;
    assert!(!format!("{storage:?}").contains("correct-horse"));
}

#[tokio::test]
async fn bad_address_is_said_so_without_its_password() {
    let cases =
        ["", "localhost", "http://:secret@x", "redis://:secret@x:99999", "redis-sentinel://:secret@x"];
    for url in cases {
        let error = Redis::open(RedisSettings::new(url, "space")).await.unwrap_err();
        assert!(matches!(error, RedisOpenError::Address { .. }), "{url}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
    for id in ["", "a b", "a}b", "ü", &"x".repeat(101)] {
        let error = Redis::open(RedisSettings::new("redis://127.0.0.1:1", id)).await.unwrap_err();
        assert!(matches!(error, RedisOpenError::SpaceId { .. }), "{error:?}");
    }
    let error = Redis::open(RedisSettings::new("redis://127.0.0.1:1", "space")).await.unwrap_err();
    assert!(matches!(error, RedisOpenError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn cluster_and_single_server_are_told_apart() {
    let cluster = RedisCluster::start();
    let single = cluster.url().replace("redis-cluster", "redis");
    let single = single.split('?').next().unwrap();
    // The nodes own different slots: two of three ids are elsewhere, and one of many surely is.
    let mut told = 0;
    for number in 0..8 {
        if let Err(error) = Redis::open(RedisSettings::new(single, format!("s{number}"))).await {
            assert!(error.to_string().contains("redis-cluster://"), "{error}");
            told += 1;
        }
    }
    assert!(told > 0);
    let server = RedisServer::start();
    let url = server.url().replace("redis:", "redis-cluster:");
    let error = Redis::open(RedisSettings::new(url, "space")).await.unwrap_err();
    assert!(error.to_string().contains("cluster"), "{error}");
}

#[tokio::test]
async fn newer_format_is_refused() {
    let server = RedisServer::start();
    open(server.url()).await.write(vec![put("k", json!(1))]).await.unwrap();
    server.run(&["HSET", "dormouse:{space}:meta", "format", "99"]);
    let error = Redis::open(RedisSettings::new(server.url(), "space")).await.unwrap_err();
    assert!(matches!(error, RedisOpenError::Newer { found: 99, known: 1 }), "{error:?}");
}

#[tokio::test]
async fn read_only_replica_reads_and_refuses_writes() {
    let master = RedisServer::start();
    open(master.url()).await.write(vec![put("k", json!(1))]).await.unwrap();
    let replica = RedisServer::replica_of(&master);
    let storage = open(replica.url()).await;
    assert_eq!(storage.get(Table::Registrations, "k").await.unwrap(), Some(json!(1)));
    refused(&storage.write(vec![put("k", json!(2))]).await.unwrap_err(), "read-only");
    refused(&storage.append(&conversation(), &[message("hello")]).await.unwrap_err(), "read-only");
    refused(&storage.lead("probe", SHORT).await.unwrap_err(), "read-only");
    assert_eq!(storage.get(Table::Registrations, "k").await.unwrap(), Some(json!(1)));
}

#[tokio::test]
async fn full_memory_fails_clearly_and_loses_nothing() {
    let server = RedisServer::with(&["--maxmemory", "4mb", "--maxmemory-policy", "noeviction"]);
    let storage = open(server.url()).await;
    storage.append(&conversation(), &[message("before")]).await.unwrap();
    let mut stored = 0;
    let error = loop {
        let batch = vec![put(&stored.to_string(), json!("x".repeat(50_000))), put("last", json!(stored))];
        match storage.write(batch).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1000, "the limit does not work");
    };
    refused(&error, "out of memory");
    let big = message(&"y".repeat(500_000));
    refused(&storage.append(&conversation(), &[big]).await.unwrap_err(), "out of memory");
    assert_eq!(storage.get(Table::Registrations, "last").await.unwrap(), Some(json!(stored - 1)));
    assert_eq!(storage.all(Table::Registrations).await.unwrap().len(), stored + 1);
    // What makes room goes in, and then the rest does.
    storage.write((0..stored).map(|number| delete(&number.to_string())).collect()).await.unwrap();
    storage.append(&conversation(), &[message("after")]).await.unwrap();
    assert_eq!(storage.history(&conversation()).await.unwrap(), [message("before"), message("after")]);
}

#[tokio::test]
async fn gone_redis_fails_in_time_and_all_recovers() {
    let mut server = RedisServer::durable();
    let storage = open_short(server.url()).await;
    let mut feed = storage.feed().unwrap();
    storage.write(vec![put("k", json!(1))]).await.unwrap();
    server.kill();
    for _ in 0..3 {
        let within = tokio::time::timeout(SHORT * 4, storage.write(vec![put("k", json!(2))]));
        let error = within.await.expect("the call ends by itself").unwrap_err();
        assert!(matches!(error, StorageError::Unreachable { .. }), "{error:?}");
    }
    assert!(!storage.is_reachable());
    server.resume();
    recovered(&storage).await;
    assert_eq!(storage.get(Table::Registrations, "k").await.unwrap(), Some(json!(1)));
    // Before that it may be told of its own writes, whose end it could not know.
    while next(&mut feed).await != FromOthers::Missed {}
    storage.close().await;
    assert!(!storage.is_reachable());
}

#[tokio::test]
async fn frozen_redis_fails_in_time_and_all_recovers() {
    let server = RedisServer::start();
    let storage = open_short(server.url()).await;
    storage.write(vec![put("k", json!(1))]).await.unwrap();
    server.freeze();
    for _ in 0..2 {
        let within = tokio::time::timeout(SHORT * 4, storage.get(Table::Registrations, "k"));
        let error = within.await.expect("the call ends by itself").unwrap_err();
        assert!(matches!(error, StorageError::Unreachable { .. }), "{error:?}");
    }
    assert!(!storage.is_reachable());
    server.thaw();
    recovered(&storage).await;
}

/// Writes 1,000 records, some at once; gives the numbers of those that were acknowledged.
async fn thousand_writes(storage: Arc<Redis>, mut at_half: impl FnMut()) -> Vec<usize> {
    let mut acknowledged = Vec::new();
    for group in 0..100_usize {
        if group == 50 {
            at_half();
        }
        let write = |number: usize| {
            let storage = Arc::clone(&storage);
            tokio::spawn(async move {
                storage.write(vec![put(&number.to_string(), json!(number))]).await.map(|()| number)
            })
        };
        let writes: Vec<_> = (group * 10..group * 10 + 10).map(write).collect();
        for write in writes {
            acknowledged.extend(write.await.unwrap());
        }
    }
    acknowledged
}

async fn each_is_there(storage: &Redis, acknowledged: &[usize]) {
    let all = storage.all(Table::Registrations).await.unwrap();
    let found: std::collections::HashSet<_> = all.into_iter().map(|(key, _)| key).collect();
    for number in acknowledged {
        assert!(found.contains(&number.to_string()), "{number} was acknowledged and is gone");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_in_the_middle_of_writes_loses_none_that_was_acknowledged() {
    let mut server = RedisServer::durable();
    let storage = Arc::new(open(server.url()).await);
    let acknowledged = thousand_writes(Arc::clone(&storage), || {
        server.kill();
        server.resume();
    })
    .await;
    assert!(acknowledged.len() >= 900, "{} of 1000", acknowledged.len());
    each_is_there(&storage, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failover_in_the_middle_of_writes_loses_none_that_was_acknowledged() {
    let mut master = RedisServer::start();
    let replica = RedisServer::replica_of(&master);
    let sentinel = RedisServer::sentinel_of(&master, "mouse");
    let url = format!("redis-sentinel://127.0.0.1:{}?sentinelServiceName=mouse", sentinel.port());
    let settings = RedisSettings { replicas: 1, ..RedisSettings::new(url, "space") };
    let storage = Arc::new(Redis::open(settings).await.unwrap());
    let acknowledged = thousand_writes(Arc::clone(&storage), || master.kill()).await;
    assert!(acknowledged.len() >= 500, "{} of 1000", acknowledged.len());
    replica.wait_until(&["INFO", "replication"], "role:master");
    // The new master has no replica: a change is stored there, and rightly not acknowledged.
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        match storage.write(vec![put("later", json!(1))]).await.unwrap_err() {
            StorageError::Unreachable { reason } if reason.contains("0 of 1 replicas") => break,
            other => assert!(Instant::now() < end, "{other}"),
        }
    }
    each_is_there(&storage, &acknowledged).await;
}

#[tokio::test]
async fn lost_connections_do_not_repeat_what_was_sent() {
    let server = RedisServer::start();
    let storage = Arc::new(open(server.url()).await);
    for round in 0..20 {
        let append = {
            let storage = Arc::clone(&storage);
            tokio::spawn(async move { storage.append(&conversation(), &[message(&round.to_string())]).await })
        };
        server.run(&["CLIENT", "KILL", "TYPE", "normal"]);
        let _ = append.await.unwrap();
    }
    recovered(&storage).await;
    let history = storage.history(&conversation()).await.unwrap();
    let mut contents: Vec<_> = history.iter().map(|message| message.content.clone()).collect();
    contents.sort();
    contents.dedup();
    assert_eq!(contents.len(), history.len(), "a message stands there twice");
}
