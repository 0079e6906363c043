//! Servers that answer as they should not.

use serde_json::{Value, json};

use crate::client::{Mcp, rogue, rogue_within, still_well};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_answer_and_answers_to_nobody_change_nothing() {
    let served = rogue(&[]).await;
    let (session, stateless) = (Mcp::newest(&served).await, Mcp::stateless(&served, "/mcp"));
    for client in [&session, &stateless] {
        for round in 0..5 {
            assert_eq!(client.call(round, "rogue_twice", json!({})).await.text(), "first");
            assert_eq!(client.call(round, "rogue_stray", json!({})).await.text(), "after the strays");
            assert_eq!(client.call(round, "rogue_ahead", json!({})).await.text(), "mine");
            let text = format!("own {round}");
            assert_eq!(client.call(round, "rogue_echo", json!({ "text": text })).await.text(), text);
        }
    }
    still_well(served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_late_or_never_costs_that_call_only() {
    let served = rogue_within(2.0, &[]).await;
    let (session, stateless) = (Mcp::newest(&served).await, Mcp::stateless(&served, "/mcp"));
    for client in [&session, &stateless] {
        let late = client.call(1, "rogue_late", json!({ "seconds": 3.0 }));
        let never = client.call(2, "rogue_never", json!({}));
        let well = async {
            for round in 10..20 {
                assert_eq!(client.call(round, "rogue_echo", json!({ "text": "on" })).await.text(), "on");
            }
        };
        let (late, never, ()) = tokio::join!(late, never, well);
        for answer in [late, never] {
            answer.failed("unknown");
            assert!(answer.text().contains("may have run"), "{answer:?}");
        }
    }
    // The server was told to stop both, for each client, and its late answers went to nobody.
    while session.noted("late").await < 2 {}
    assert_eq!(session.noted("cancelled").await, 4);
    still_well(served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_of_a_wrong_shape_are_told_as_errors_or_pass_as_they_are() {
    let served = rogue(&[]).await;
    let (session, stateless) = (Mcp::newest(&served).await, Mcp::stateless(&served, "/mcp"));
    let shape = |client: &Mcp, kind: &str| {
        let (client, kind) = (client.clone(), kind.to_owned());
        async move { client.call(1, "rogue_shape", json!({ "kind": kind })).await }
    };
    for client in [&session, &stateless] {
        for kind in ["null", "text", "number", "list", "neither"] {
            let answer = shape(client, kind).await;
            let last = answer.last();
            // The model is told, or the client; in no case does it pass for a result.
            let told = last["result"]["isError"] == json!(true) || last["error"]["code"].is_i64();
            assert!(told, "{kind}: {answer:?}");
        }
        for kind in ["error is a text", "error without code", "error with odd code"] {
            let answer = shape(client, kind).await;
            let last = answer.last();
            let told = last["result"]["isError"] == json!(true)
                || (last["error"]["code"].is_i64() && last["error"]["message"].is_string());
            assert!(told, "{kind}: {answer:?}");
        }
        // Objects are the server's own business: they pass.
        for (kind, member, passed) in [
            ("content is a text", "content", json!("hello")),
            ("content without type", "content", json!([{ "words": "hello" }])),
            ("content of numbers", "content", json!([1, null])),
            ("empty", "content", Value::Null),
        ] {
            let answer = shape(client, kind).await;
            assert!(answer.last()["result"].is_object(), "{kind}: {answer:?}");
            assert_eq!(answer.last()["result"][member], passed, "{kind}: {answer:?}");
        }
        let both = shape(client, "both").await;
        assert_eq!(both.last()["id"], 1, "{both:?}");
    }
    still_well(served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_in_a_call_fails_that_call_and_is_there_for_the_next() {
    use dormouse::Scope;
    use dormouse_testing::Fixture;
    use dormouse_tests::{Served, TestSpace};

    let space = TestSpace::new();
    space.fixtures(&[("fix", Fixture::new(), json!({}))]);
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "fix", "echo").await;
    let (session, stateless) = (Mcp::newest(&served).await, Mcp::stateless(&served, "/mcp"));
    for client in [&session, &stateless] {
        client.call(1, "fix_crash", json!({})).await.failed("unknown");
        assert_eq!(client.call(2, "fix_echo", json!({ "text": "again" })).await.text(), "again");
    }
    served.end().await;
}
