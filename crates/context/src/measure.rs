//! What is measured of queries, on a meter that is handed down.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

/// The seed's buckets: 0.1 to 10 s.
const BUCKETS: [f64; 7] = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0];

/// The instruments of the contexts.
#[derive(Debug, Clone)]
pub struct Measures {
    queries: Counter<u64>,
    durations: Histogram<f64>,
}

impl Measures {
    /// Declares the instruments.
    pub fn new(meter: &Meter) -> Self {
        Self {
            queries: meter.u64_counter("queries").with_description("Queries by how they ended").build(),
            durations: meter
                .f64_histogram("query_duration")
                .with_unit("s")
                .with_description("From the question to the answer")
                .with_boundaries(BUCKETS.to_vec())
                .build(),
        }
    }

    /// Success is an answer whose every call ended well.
    pub(crate) fn answered(&self, success: bool, took: Duration) {
        let status = if success { "success" } else { "error" };
        self.queries.add(1, &[KeyValue::new("status", status)]);
        self.durations.record(took.as_secs_f64(), &[]);
    }
}
