//! What the orchestrator measures, on a meter that is handed down.
//!
//! Names follow the seed; the exporter adds `_total` and `_seconds`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dormouse_registry::Registry;
use dormouse_types::{Outcome, Scope, ToolKey};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

/// The default buckets of Prometheus' own clients, which the seed used: 5 ms to 10 s.
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The instruments of the orchestrator.
#[derive(Debug, Clone)]
pub struct Measures {
    calls: Counter<u64>,
    durations: Histogram<f64>,
    attaches: Counter<u64>,
    detaches: Counter<u64>,
    probes: Counter<u64>,
    active: Arc<AtomicU64>,
}

impl Measures {
    /// Declares the instruments. The gauges read the registry when they are asked.
    pub fn new(meter: &Meter, registry: &Registry) -> Self {
        let active = Arc::new(AtomicU64::new(0));
        let seen = active.clone();
        // The SDK keeps the callbacks; the handles are not needed.
        let _ = meter
            .u64_observable_gauge("active_servers_count")
            .with_description("Servers that are attached now")
            .with_callback(move |gauge| gauge.observe(seen.load(Ordering::Relaxed), &[]))
            .build();
        let tools = registry.clone();
        let _ = meter
            .u64_observable_gauge("available_tools_count")
            .with_description("Tools that are known now, asleep or not")
            .with_callback(move |gauge| {
                gauge.observe(tools.snapshot().tools(&Scope::Store).count() as u64, &[])
            })
            .build();
        Self {
            calls: meter
                .u64_counter("tool_calls")
                .with_description("Calls by server, tool and outcome")
                .build(),
            durations: meter
                .f64_histogram("tool_call_duration")
                .with_unit("s")
                .with_description("From the request to the answer, a wake included")
                .with_boundaries(BUCKETS.to_vec())
                .build(),
            attaches: meter.u64_counter("server_attaches").with_description("Starts that succeeded").build(),
            detaches: meter
                .u64_counter("server_detaches")
                .with_description("Ends of attached servers")
                .build(),
            probes: meter
                .u64_counter("server_probes")
                .with_description("Health probes of attached servers by result")
                .build(),
            active,
        }
    }

    pub(crate) fn probed(&self, answered: bool) {
        let result = if answered { "answered" } else { "unanswered" };
        self.probes.add(1, &[KeyValue::new("result", result)]);
    }

    pub(crate) fn called(&self, key: &ToolKey, outcome: Outcome, duration: Duration) {
        let server = KeyValue::new("server", key.server.store_name());
        let tool = KeyValue::new("tool", key.tool.to_string());
        let status = KeyValue::new("status", status(outcome));
        self.durations.record(duration.as_secs_f64(), &[server.clone(), tool.clone()]);
        self.calls.add(1, &[server, tool, status]);
    }

    pub(crate) fn attached(&self) {
        self.active.fetch_add(1, Ordering::Relaxed);
        self.attaches.add(1, &[]);
    }

    pub(crate) fn detached(&self) {
        self.active.fetch_sub(1, Ordering::Relaxed);
        self.detaches.add(1, &[]);
    }
}

/// The seed's word for success; our own words for the rest.
fn status(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "success",
        Outcome::ToolError => "error",
        Outcome::Failed => "failed",
        Outcome::Unknown => "unknown",
    }
}
