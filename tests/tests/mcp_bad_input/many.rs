//! Many sessions at once.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _};
use serde_json::json;

use crate::client::{Mcp, rogue, still_well};

const SESSIONS: usize = 500;
/// How many of their clients speak at a time.
const AT_ONCE: usize = 32;

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_sessions_are_kept_apart_and_end_one_by_one() {
    let served = rogue(&[]).await;
    let served_ref = &served;
    let clients: Vec<Mcp> = stream::iter(0..SESSIONS)
        .map(|n| async move {
            let path = if n % 2 == 0 { "/mcp" } else { "/agents/ada/mcp" };
            let revision = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"][n % 4];
            Mcp::session(served_ref, path, revision).await
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let ids: BTreeSet<&str> = clients.iter().map(|client| client.header("Mcp-Session-Id")).collect();
    assert_eq!(ids.len(), SESSIONS);
    stream::iter(clients.iter().enumerate())
        .for_each_concurrent(AT_ONCE, |(n, client)| async move {
            // The same id of a request in all of them.
            let text = format!("session {n}");
            let answer = client.call(1, "rogue_echo", json!({ "text": text })).await;
            assert_eq!(answer.text(), text);
        })
        .await;
    let (ends, stay): (Vec<_>, Vec<_>) = clients.iter().enumerate().partition(|(n, _)| n % 3 == 0);
    stream::iter(ends)
        .for_each_concurrent(AT_ONCE, |(_, client)| async move {
            assert!((200..300).contains(&client.end().await));
            client.call(2, "rogue_echo", json!({ "text": "x" })).await.refused(404, -32600, json!(2));
        })
        .await;
    stream::iter(stay)
        .for_each_concurrent(AT_ONCE, |(n, client)| async move {
            let text = format!("still {n}");
            assert_eq!(client.call(2, "rogue_echo", json!({ "text": text })).await.text(), text);
        })
        .await;
    still_well(served).await;
}
