//! What a call costs, stage by stage.

use std::time::Instant;

use dormouse_tests::gauge::{median, quantile};

use crate::client::{Client, Life};
use crate::hub::{OVER_HTTP, OVER_STDIO, Site};

/// How far into the hub a request goes.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// A route that does next to nothing: HTTP and the guard.
    Http,
    /// Answered by the gateway.
    Ping,
    /// A call within the hub's process, without HTTP and the gateway.
    Library(&'static str),
    /// All of it.
    Call(&'static str),
}

const STAGES: [(&str, Stage); 6] = [
    ("HTTP alone (GET /health)", Stage::Http),
    ("ping, answered by the gateway", Stage::Ping),
    ("library → HTTP server", Stage::Library(OVER_HTTP)),
    ("library → stdio server", Stage::Library(OVER_STDIO)),
    ("gateway → HTTP server", Stage::Call(OVER_HTTP)),
    ("gateway → stdio server", Stage::Call(OVER_STDIO)),
];

const CALLS: usize = 3_000;

/// What one round of a stage cost, for one request.
struct Cost {
    time: f64,
    cpu: f64,
}

async fn round(site: &mut Site, client: &mut Client, stage: Stage) -> Cost {
    let before = site.hub.cpu();
    let time = if let Stage::Library(tool) = stage {
        site.hub.call(tool, CALLS).await / 1e3
    } else {
        let mut times = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let began = Instant::now();
            match stage {
                Stage::Http => client.get("/health").await,
                Stage::Ping => client.ping().await,
                Stage::Call(tool) | Stage::Library(tool) => client.echo(tool).await,
            }
            times.push(began.elapsed());
        }
        times.sort();
        quantile(&times, 0.5).as_secs_f64() * 1e6
    };
    Cost { time, cpu: site.hub.cpu().saturating_sub(before).as_secs_f64() * 1e6 / CALLS as f64 }
}

/// Time, CPU and allocations of the hub's process, for one request of each stage.
pub(crate) async fn by_stages() {
    println!("\n## What a request costs the hub's process, one client of 2025-11-25");
    let mut site = Site::start(true).await;
    let mut client = Client::open(&site.endpoint(), Life::Session).await;
    println!("stage                              time µs   CPU µs   allocations   bytes   left in use");
    let mut costs: Vec<Vec<Cost>> = STAGES.iter().map(|_| Vec::new()).collect();
    for number in 0..6 {
        for (n, (_, stage)) in STAGES.iter().enumerate() {
            let cost = round(&mut site, &mut client, *stage).await;
            if number > 0 {
                costs[n].push(cost);
            }
        }
    }
    for (n, (name, stage)) in STAGES.iter().enumerate() {
        site.hub.count().await;
        round(&mut site, &mut client, *stage).await;
        let counted = site.hub.counted().await;
        site.hub.stop().await;
        let each = |number: f64| number / CALLS as f64;
        println!(
            "{name:<34} {:>7.0}  {:>7.0}   {:>11.1}   {:>5.0}   {:>+11.1}",
            median(costs[n].iter().map(|cost| cost.time).collect()),
            median(costs[n].iter().map(|cost| cost.cpu).collect()),
            each(counted.allocations as f64),
            each(counted.bytes as f64),
            each(counted.held as f64),
        );
    }
    site.end().await;
}
