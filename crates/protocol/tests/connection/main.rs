//! Connections to real servers: Python children of a real keeper.

mod calls;
mod support;
