//! Metrics, in Prometheus' text format.
//!
//! The exporter appends to names: `_total` to every counter, `_seconds` to the unit `s`.
//! So `queries` is exported as `queries_total`, and `query_duration` in `s` as
//! `query_duration_seconds`; an instrument that already has the suffix would get it twice.
//! Its other traps: two instruments of one name and different types lose the second one,
//! and histogram boundaries default to milliseconds.

use std::fmt;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use prometheus::{Registry, TextEncoder};

/// The most tools of one hub that it is designed for.
const TOOLS: usize = 10_000;

/// The ways in which a call can end.
const OUTCOMES: usize = 4;

/// Instruments of this name are labelled by tool; the others have far fewer series.
const BY_TOOL: &str = "tool_";

/// Collects what is measured on its [`meter`](Self::meter), for whoever asks.
pub struct Telemetry {
    registry: Registry,
    provider: SdkMeterProvider,
}

/// The exporter could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the metrics exporter")]
pub struct TelemetryError(#[from] OTelSdkError);

impl Telemetry {
    /// The content type of what [`render`](Self::render) returns.
    pub const CONTENT_TYPE: &'static str = prometheus::TEXT_FORMAT;

    /// Sets up an exporter that nothing is measured on yet.
    pub fn new() -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            // One meter serves all crates, so its name on every series would say nothing.
            .scope_info_enabled(false)
            .build()?;
        let resource = Resource::builder_empty()
            .with_service_name("dormouse")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkMeterProvider::builder()
            .with_reader(exporter)
            .with_resource(resource)
            .with_view(series_by_tool)
            .build();
        Ok(Self { registry, provider })
    }

    /// The meter to hand down.
    pub fn meter(&self) -> Meter {
        self.provider.meter("dormouse")
    }

    /// Everything that was measured until now, as Prometheus reads it.
    pub fn render(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("a registry hands out only families that have a name and a metric")
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

/// Lifts the SDK's limit of 2,000 series where a hub of its full size needs more.
///
/// Only there: the SDK reserves room for as many series as the limit says, for each instrument.
fn series_by_tool(instrument: &Instrument) -> Option<Stream> {
    if !instrument.name().starts_with(BY_TOOL) {
        return None;
    }
    // The boundaries that an instrument asks for stay its own, as the view names none.
    let stream = Stream::builder().with_cardinality_limit(TOOLS * OUTCOMES).build();
    Some(stream.expect("the limit is more than nothing and less than memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The six metrics as the crates declare them.
    fn measure(meter: &Meter) {
        let query = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0].to_vec();
        let (server, tool) = (KeyValue::new("server", "calculator"), KeyValue::new("tool", "calculate"));

        let queries = meter.u64_counter("queries").with_description("Queries by status").build();
        queries.add(2, &[KeyValue::new("status", "success")]);
        queries.add(1, &[KeyValue::new("status", "error")]);
        let durations = meter.f64_histogram("query_duration").with_unit("s").with_boundaries(query).build();
        durations.record(0.3, &[]);
        let calls = meter.u64_counter("tool_calls").with_description("Calls by outcome").build();
        calls.add(3, &[server.clone(), tool.clone(), KeyValue::new("status", "success")]);
        let boundaries = vec![0.005, 1.0];
        let call =
            meter.f64_histogram("tool_call_duration").with_unit("s").with_boundaries(boundaries).build();
        call.record(0.004, &[server, tool]);
        meter.u64_gauge("active_servers_count").build().record(1, &[]);
        let _kept = meter
            .u64_observable_gauge("available_tools_count")
            .with_callback(|gauge| gauge.observe(15, &[]))
            .build();
    }

    #[test]
    fn the_six_metrics_have_the_names_of_the_seed() {
        let telemetry = Telemetry::new().unwrap();
        measure(&telemetry.meter());
        let text = telemetry.render().replace(env!("CARGO_PKG_VERSION"), "VERSION");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_hub_of_its_full_size_loses_no_series() {
        let telemetry = Telemetry::new().unwrap();
        let calls = telemetry.meter().u64_counter("tool_calls").build();
        let durations = telemetry.meter().f64_histogram("tool_call_duration").with_unit("s").build();
        for number in 0..TOOLS {
            let server = KeyValue::new("server", format!("server{}", number / 10));
            let tool = KeyValue::new("tool", format!("tool{number}"));
            durations.record(0.1, &[server.clone(), tool.clone()]);
            for status in ["success", "error", "failed", "unknown"] {
                calls.add(1, &[server.clone(), tool.clone(), KeyValue::new("status", status)]);
            }
        }
        let text = telemetry.render();
        let lines = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(lines("tool_calls_total{"), TOOLS * OUTCOMES);
        assert_eq!(lines("tool_call_duration_seconds_count{"), TOOLS);
        assert!(!text.contains("overflow"));
    }

    #[test]
    fn two_hubs_in_one_process_measure_apart() {
        let (one, two) = (Telemetry::new().unwrap(), Telemetry::new().unwrap());
        one.meter().u64_counter("queries").build().add(1, &[]);
        assert!(one.render().contains("queries_total 1"));
        assert!(!two.render().contains("queries"));
    }

    #[test]
    fn a_label_is_escaped() {
        let telemetry = Telemetry::new().unwrap();
        let server = KeyValue::new("server", "a\"b\\c\nd");
        telemetry.meter().u64_counter("queries").build().add(1, &[server]);
        assert!(telemetry.render().contains(r#"queries_total{server="a\"b\\c\nd"} 1"#));
    }
}
