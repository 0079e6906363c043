//! The plain client, which other tests share.

pub(crate) use dormouse_tests::mcp_client::*;
