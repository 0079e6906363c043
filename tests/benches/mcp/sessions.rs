//! Many open sessions.

use std::time::Instant;

use dormouse_tests::gauge::quantile;

use crate::client::{Client, Life};
use crate::hub::{OVER_STDIO, Site};

/// Opens so many sessions on one connection, calls in many of them, and ends them.
pub(crate) async fn open(sessions: usize) {
    println!("\n## {sessions} open sessions");
    let mut site = Site::start(false).await;
    let mut client = Client::open(&site.endpoint(), Life::Session).await;
    let of_calls = |times: &mut Vec<std::time::Duration>| {
        times.sort();
        format!("p50 {:.0?}, p99 {:.0?}", quantile(times, 0.5), quantile(times, 0.99))
    };
    let mut times = Vec::new();
    for _ in 0..2_000 {
        let began = Instant::now();
        client.echo(OVER_STDIO).await;
        times.push(began.elapsed());
    }
    println!("a call with one session: {}", of_calls(&mut times));

    let before = site.hub.rss_kib();
    site.hub.count().await;
    let (mut ids, mut times) = (Vec::with_capacity(sessions), Vec::with_capacity(sessions));
    for _ in 0..sessions {
        let began = Instant::now();
        ids.push(client.initialize().await.expect("a session"));
        times.push(began.elapsed());
    }
    let held = site.hub.counted().await.held;
    let after = site.hub.rss_kib();
    println!("`initialize` and `notifications/initialized` of one: {}", of_calls(&mut times));
    println!(
        "memory {before} → {after} KiB; in use {:+} KiB, {:.0} bytes a session; {} open files",
        held / 1024,
        held as f64 / sessions as f64,
        site.hub.open_files()
    );
    let mut times = Vec::new();
    for n in 0..2_000 {
        client.enter(&ids[n * 7919 % sessions]);
        let began = Instant::now();
        client.echo(OVER_STDIO).await;
        times.push(began.elapsed());
    }
    println!("a call, each in another session: {}", of_calls(&mut times));
    let began = Instant::now();
    for id in &ids {
        client.enter(id);
        client.leave().await;
    }
    let held = site.hub.counted().await.held;
    println!(
        "all ended in {:.1?}; memory {} KiB, in use {:+} KiB",
        began.elapsed(),
        site.hub.rss_kib(),
        held / 1024
    );
    site.end().await;
}
