//! Warm calls of one echo server, side by side.

use std::rc::Rc;
use std::time::{Duration, Instant};

use dormouse_tests::gauge::{cpu, median, quantile};
use futures::future::join_all;

use crate::client::{Client, Life};
use crate::hub::{DIRECT, OVER_HTTP, OVER_STDIO, Process, Site};

/// Where a tool is called, and by what name.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) url: String,
    pub(crate) tool: &'static str,
}

/// One round of a way.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) p50: f64,
    p95: f64,
    p99: f64,
    pub(crate) per_second: f64,
}

/// Calls by so many clients at once, each with a connection of its own.
pub(crate) async fn round(way: &Way, life: Life, clients: usize, calls: usize) -> Round {
    let mut opened = Vec::new();
    for _ in 0..clients {
        opened.push(Client::open(&way.url, life).await);
    }
    let left = Rc::new(std::cell::Cell::new(calls));
    let began = Instant::now();
    let callers = opened.into_iter().map(|mut client| {
        let left = left.clone();
        async move {
            let mut times = Vec::with_capacity(calls / clients);
            while let Some(rest) = left.get().checked_sub(1) {
                left.set(rest);
                let began = Instant::now();
                client.echo(way.tool).await;
                times.push(began.elapsed());
            }
            (client, times)
        }
    });
    let done = join_all(callers).await;
    let took = began.elapsed();
    let mut times: Vec<Duration> = Vec::with_capacity(calls);
    for (mut client, of_one) in done {
        times.extend(of_one);
        if client.has_session() {
            client.leave().await;
        }
    }
    times.sort();
    let micros = |q| quantile(&times, q).as_secs_f64() * 1e6;
    Round {
        p50: micros(0.5),
        p95: micros(0.95),
        p99: micros(0.99),
        per_second: calls as f64 / took.as_secs_f64(),
    }
}

const LOADS: [(usize, usize); 3] = [(1, 4_000), (16, 12_000), (64, 12_000)];

/// All three ways, a round of each after the other; medians of the rounds.
pub(crate) async fn compared(life: Life) {
    let (server, json) = match life {
        Life::Session => ("rmcp's default: sessions, answers as event streams", false),
        Life::Stateless => ("rmcp without sessions, answers as JSON", true),
    };
    println!("\n## Warm tools/call of an rmcp echo server, clients of {} ({server})", life.revision());
    let site = Site::start(json).await;
    let ways = [
        Way { name: "(a) direct, HTTP", url: site.echo.url.clone(), tool: DIRECT },
        Way { name: "(b) hub → HTTP", url: site.endpoint(), tool: OVER_HTTP },
        Way { name: "(c) hub → stdio", url: site.endpoint(), tool: OVER_STDIO },
    ];
    println!(
        "clients  way                  p50 µs   p95 µs   p99 µs   calls/s   hub CPU µs   +p50 µs   of direct"
    );
    for (clients, calls) in LOADS {
        let mut rounds: Vec<Vec<Round>> = ways.iter().map(|_| Vec::new()).collect();
        let mut spent = vec![Vec::new(); ways.len()];
        // The first round warms all up.
        for number in 0..8 {
            for (n, way) in ways.iter().enumerate() {
                let before = site.hub.cpu();
                let measured = round(way, life, clients, calls).await;
                if number > 0 {
                    rounds[n].push(measured);
                    spent[n].push(site.hub.cpu().saturating_sub(before).as_secs_f64() * 1e6 / calls as f64);
                }
            }
        }
        let of = |way: usize, figure: fn(&Round) -> f64| median(rounds[way].iter().map(figure).collect());
        for (n, way) in ways.iter().enumerate() {
            println!(
                "{clients:>7}  {:<19} {:>7.0}  {:>7.0}  {:>7.0}  {:>8.0}   {:>10.0}  {:>+8.0}      {:>4.0} %",
                way.name,
                of(n, |round| round.p50),
                of(n, |round| round.p95),
                of(n, |round| round.p99),
                of(n, |round| round.per_second),
                median(spent[n].clone()),
                of(n, |round| round.p50) - of(0, |round| round.p50),
                of(n, |round| round.per_second) / of(0, |round| round.per_second) * 100.0,
            );
        }
    }
    site.end().await;
}

/// The server and the load client alone, in both lives and with both kinds of answers.
pub(crate) async fn direct() {
    println!("\n## Warm tools/call of an rmcp echo server, direct");
    println!("clients  way                     p50 µs   p95 µs   p99 µs   calls/s");
    let (streams, json) = (Process::echo(false).await, Process::echo(true).await);
    let way = |name, server: &Process| Way { name, url: server.url.clone(), tool: DIRECT };
    let ways = [
        (way("session, event streams", &streams), Life::Session),
        (way("stateless, event streams", &streams), Life::Stateless),
        (way("stateless, JSON", &json), Life::Stateless),
    ];
    for (clients, calls) in LOADS {
        for (way, life) in &ways {
            round(way, *life, clients, calls).await;
            let Round { p50, p95, p99, per_second } = round(way, *life, clients, calls).await;
            println!("{clients:>7}  {:<24} {p50:>5.0}  {p95:>7.0}  {p99:>7.0}  {per_second:>8.0}", way.name);
        }
    }
}

/// Calls of one way alone, after it has said which process the hub is.
pub(crate) async fn steady(words: &[String]) {
    let has = |word: &str| words.iter().any(|w| w == word);
    let mut numbers = words.iter().filter_map(|word| word.parse::<usize>().ok());
    let clients = numbers.next().unwrap_or(64);
    let calls = numbers.next().unwrap_or(100_000);
    let life = if has("stateless") { Life::Stateless } else { Life::Session };
    let site = Site::start(has("stateless")).await;
    let (url, tool) = match (has("direct"), has("stdio")) {
        (true, _) => (site.echo.url.clone(), DIRECT),
        (_, true) => (site.endpoint(), OVER_STDIO),
        _ => (site.endpoint(), OVER_HTTP),
    };
    let way = Way { name: "steady", url, tool };
    println!("hub {}, server {}", site.hub.pid(), site.echo.pid());
    round(&way, life, clients, calls / 20).await;
    let (hub, server, own) = (site.hub.cpu(), site.echo.cpu(), cpu());
    let Round { p50, per_second, .. } = round(&way, life, clients, calls).await;
    let each = |now: Duration, before: Duration| (now - before).as_secs_f64() * 1e6 / calls as f64;
    println!(
        "{clients} clients, {calls} calls: p50 {p50:.0} µs, {per_second:.0} calls/s; CPU a call: hub {:.0} µs, \
         server at the address {:.0} µs, client {:.0} µs",
        each(site.hub.cpu(), hub),
        each(site.echo.cpu(), server),
        each(cpu(), own),
    );
    site.end().await;
}
