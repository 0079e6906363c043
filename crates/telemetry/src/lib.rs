//! Exporters for what the hub measures.
//!
//! Each crate declares its own metrics, in one module, on a [`Meter`] that is handed down;
//! here is only where the numbers go. Nothing is global: two hubs in one process have two
//! [`Telemetry`] values, or none.
//!
//! # Invariants
//!
//! * No instrument is declared here, and no number is changed on its way out.
//! * The limit of series per instrument is the one place that knows how large a hub may grow.
//!
//! [`Meter`]: opentelemetry::metrics::Meter

#![warn(missing_docs)]

mod metrics;

pub use metrics::{Telemetry, TelemetryError};
