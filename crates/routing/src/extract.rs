//! Arguments taken from a query without a model.
//!
//! [`Reading`] finds what stands in a query: numbers with units, percentages, expressions,
//! quotes, dates, addresses. [`Parameters`] reads what a tool wants out of its schema.
//! [`fill`] brings the two together.
//!
//! # Invariants
//!
//! * Nothing is invented: each value stands in the query, or follows from it without a guess
//!   (a date from "tomorrow", seconds from "5 minutes").
//! * A required parameter without a value is reported as missing, never filled up.
//! * No text makes it panic; all ranges lie on character boundaries.

mod arithmetic;
mod dates;
mod figures;
mod fill;
mod numbers;
mod parameters;
mod phrases;
mod reading;
mod remainder;
mod texts;
mod typed;

pub(crate) use fill::{Filled, ToolWords, fill};
pub(crate) use numbers::small_number;
pub(crate) use parameters::Parameters;
pub(crate) use reading::{Reading, overlap};
