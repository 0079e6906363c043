//! Measures how long a change needs to be visible on a second hub, through Redis.
//!
//! ```text
//! redis-server --port 6399 --save "" &
//! cargo run --release -p dormouse-storage --features redis --example feed -- redis://127.0.0.1:6399
//! ```
#![expect(clippy::print_stdout, reason = "it prints its figures")]

use std::error::Error;
use std::time::{Duration, Instant};

use dormouse_storage::{FromOthers, Redis, RedisSettings, Storage, Table, Write};
use serde_json::json;

const CHANGES: usize = 1000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let open = || Redis::open(RedisSettings::new(url.clone(), "figures"));
    let (one, other) = (open().await?, open().await?);
    let mut feed = other.feed().ok_or("Redis has a feed")?;
    let (mut stored, mut told, mut visible) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..CHANGES {
        let value = json!({"number": number, "text": "x".repeat(500)});
        let begin = Instant::now();
        let put = Write::Put { table: Table::Registrations, key: "k".to_owned(), value: value.clone() };
        one.write(vec![put]).await?;
        stored.push(begin.elapsed());
        while !matches!(feed.recv().await?, FromOthers::Written(_)) {}
        told.push(begin.elapsed());
        if other.get(Table::Registrations, "k").await? != Some(value) {
            return Err("the second hub was told before it could read".into());
        }
        visible.push(begin.elapsed());
    }
    one.write(vec![Write::Delete { table: Table::Registrations, key: "k".to_owned() }]).await?;
    for (what, mut times) in [("acknowledged", stored), ("told", told), ("read on the second hub", visible)] {
        times.sort();
        let at = |share: f64| -> Duration { times[((times.len() - 1) as f64 * share) as usize] };
        println!("{what}: p50 {:?}, p99 {:?}, longest {:?}", at(0.5), at(0.99), at(1.0));
    }
    one.close().await;
    other.close().await;
    Ok(())
}
