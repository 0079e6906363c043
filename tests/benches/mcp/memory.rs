//! The hub's memory and open files over many calls.

use std::time::Instant;

use futures::future::join_all;

use crate::client::{Client, Life};
use crate::hub::{OVER_HTTP, OVER_STDIO, Site};

/// How many call at once: every second one the server on stdio, in either life.
const CLIENTS: usize = 16;

/// So many calls, with a look at a few moments.
pub(crate) async fn over(calls: usize) {
    println!(
        "\n## Memory of the hub's process over {calls} calls by {CLIENTS} clients, of both lives and servers"
    );
    let mut site = Site::start(false).await;
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        let life = if n % 4 < 2 { Life::Session } else { Life::Stateless };
        let tool = if n % 2 == 0 { OVER_STDIO } else { OVER_HTTP };
        clients.push((Client::open(&site.endpoint(), life).await, tool));
    }
    println!("    calls   memory KiB   open files   calls/s   in use KiB, against the first line");
    let (mut done, mut counting) = (0, false);
    for until in [1_000, 10_000, 20_000, 50_000, 100_000, 250_000, 500_000, 750_000, 1_000_000] {
        if until > calls {
            break;
        }
        let began = Instant::now();
        let each = (until - done) / CLIENTS;
        join_all(clients.iter_mut().map(|(client, tool)| async move {
            for _ in 0..each {
                client.echo(tool).await;
            }
        }))
        .await;
        let made = each * CLIENTS;
        done += made;
        let speed = made as f64 / began.elapsed().as_secs_f64();
        let held = if counting { site.hub.counted().await.held / 1024 } else { 0 };
        if !counting {
            site.hub.count().await;
            counting = true;
        }
        let (memory, files) = (site.hub.rss_kib(), site.hub.open_files());
        println!("{until:>9}   {memory:>10}   {files:>10}   {speed:>7.0}   {held:>+10}");
    }
    println!("(the records of the newest 10,000 calls stay in memory)");
    drop(clients);
    site.end().await;
}
