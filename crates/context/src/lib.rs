//! The verbs of a hub as one context sees them.

#![warn(missing_docs)]
