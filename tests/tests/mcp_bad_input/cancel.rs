//! Cancellation that comes before, during and after the answer.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, Mcp, asleep, events, next_message, rogue, still_well};

fn cancelled(id: Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_before_and_after_the_answer_changes_nothing() {
    let served = rogue(&[]).await;
    let client = Mcp::newest(&served).await;
    for id in [json!(7), json!("seven")] {
        assert_eq!(client.post(&cancelled(id.clone())).await.status, 202);
        assert_eq!(client.call(id.clone(), "rogue_echo", json!({ "text": "a" })).await.text(), "a");
        assert_eq!(client.post(&cancelled(id.clone())).await.status, 202);
        assert_eq!(client.call(id.clone(), "rogue_echo", json!({ "text": "b" })).await.text(), "b");
    }
    for odd in [json!(null), json!({}), json!([7]), json!(1.5), json!("nobody")] {
        assert_eq!(client.post(&cancelled(odd)).await.status, 202);
    }
    let lacking = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled" });
    assert_eq!(client.post(&lacking).await.status, 202);
    assert_eq!(client.noted("cancelled").await, 0);
    still_well(served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_during_the_call_reaches_the_server_and_gets_no_answer() {
    let served = rogue(&[]).await;
    let (client, other) = (Mcp::newest(&served).await, Mcp::newest(&served).await);
    // With a stream, and without one.
    let mut call = client.calling(1, "rogue_nap", json!({}));
    call["params"]["_meta"] = json!({ "progressToken": "p" });
    let mut streamed = events(client.request(&call).send().await.unwrap());
    asleep(&mut streamed).await;
    let silent = tokio::spawn({
        let client = client.clone();
        async move { client.call(2, "rogue_nap", json!({})).await }
    });
    // An id is of its own session only.
    assert_eq!(other.post(&cancelled(json!(1))).await.status, 202);
    assert_eq!(other.noted("cancelled").await, 0);

    assert_eq!(client.post(&cancelled(json!(1))).await.status, 202);
    let rest: Vec<_> = futures::StreamExt::collect(streamed).await;
    assert!(rest.iter().all(|event| event.as_ref().is_ok_and(|event| event.message.is_none())), "{rest:?}");
    while other.noted("cancelled").await < 1 {}
    // The second one may have arrived only now; it is cancelled once it runs.
    while other.noted("cancelled").await < 2 {
        assert_eq!(client.post(&cancelled(json!(2))).await.status, 202);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let silent: Answer = silent.await.unwrap();
    assert!(silent.messages.is_empty(), "{silent:?}");
    // The ids are free again.
    assert_eq!(client.call(1, "rogue_echo", json!({ "text": "free" })).await.text(), "free");
    still_well(served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_under_way_cannot_be_used_a_second_time() {
    let served = rogue(&[]).await;
    let client = Mcp::newest(&served).await;
    let mut call = client.calling(1, "rogue_nap", json!({}));
    call["params"]["_meta"] = json!({ "progressToken": "p" });
    let mut streamed = events(client.request(&call).send().await.unwrap());
    asleep(&mut streamed).await;
    client.call(1, "rogue_echo", json!({ "text": "same" })).await.refused(200, -32600, json!(1));
    // "1" is another id than 1, and other sessions number their own requests.
    assert_eq!(client.call("1", "rogue_echo", json!({ "text": "text" })).await.text(), "text");
    let other = Mcp::newest(&served).await;
    assert_eq!(other.call(1, "rogue_echo", json!({ "text": "theirs" })).await.text(), "theirs");
    other.call(2, "rogue_wake", json!({})).await;
    let last = loop {
        let message = next_message(&mut streamed).await.message.unwrap();
        if message["id"] == json!(1) {
            break message;
        }
    };
    assert_eq!(last["result"]["content"][0]["text"], "rested", "{last}");
    still_well(served).await;
}
