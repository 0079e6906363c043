//! Connections to servers at URLs: real ones of the Python SDKs, and scripted ones that misbehave.

#![cfg(feature = "remote")]

mod bad;
mod real;
mod support;
