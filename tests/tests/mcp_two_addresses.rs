//! The transport of 2024-11-05, at the same URL as that of all later revisions.

use std::process::Stdio;

use dormouse::Scope;
use dormouse_testing::environment;
use dormouse_tests::{Served, TestSpace, repository};
use serde_json::{Value, json};

const SERVER: &str = r#"
from mcp.server.fastmcp import Context, FastMCP
from pydantic import BaseModel

mcp = FastMCP("two")


class Name(BaseModel):
    name: str


@mcp.tool()
def add(a: int, b: int) -> int:
    return a + b


@mcp.tool()
async def slow(n: int, ctx: Context) -> str:
    for step in range(n):
        await ctx.report_progress(step + 1, n, f"step {step}")
    return "done"


@mcp.tool()
async def hello(ctx: Context) -> str:
    said = await ctx.elicit("who are you?", Name)
    return f"hello {said.data.name}"


mcp.run()
"#;

async fn served() -> Served {
    let space = TestSpace::new();
    space.write("servers/two.py", SERVER);
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "two", "hello").await;
    served
}

#[tokio::test]
async fn a_client_that_knows_no_other_transport_is_served() {
    let served = served().await;
    let run = tokio::process::Command::new(environment("mcp1"))
        .arg(repository("tests/clients/two_addresses.py"))
        .arg(format!("{}/mcp", served.address))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    let seen: Value = serde_json::from_str(said.trim())
        .unwrap_or_else(|_| panic!("{said}\n{}", String::from_utf8_lossy(&run.stderr)));
    assert_eq!(seen["revision"], "2025-11-25");
    assert_eq!(seen["tools"], json!(["two_add", "two_hello", "two_slow"]));
    assert_eq!(seen["slow"], "done");
    let steps: Vec<&str> = seen["steps"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(steps.ends_with(&["step 0", "step 1", "step 2"]), "{steps:?}");
    assert_eq!((&seen["hello"], &seen["asked"]), (&json!("hello Ada"), &json!(["who are you?"])));
    let sums: Vec<String> = (1..=8).map(|sum: u8| sum.to_string()).collect();
    assert_eq!(seen["sums"], json!(sums));
    served.end().await;
}

#[tokio::test]
async fn a_message_to_a_talk_that_is_not_there_is_refused() {
    let served = served().await;
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let (status, answer) = served.post("/mcp?sessionId=nobody", &ping).await;
    assert_eq!((status, &answer["error"]["message"]), (404, &json!("Session not found")));

    let stream = served.http.get(format!("{}/mcp?mode=search", served.address));
    let mut stream = stream.header("accept", "text/event-stream").send().await.unwrap();
    let first = String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    let address = first.trim_end().rsplit_once("data: ").unwrap().1.to_owned();
    assert!(address.ends_with("&mode=search"), "the endpoint stays the same: {first}");
    let own = format!("{}/mcp{address}", served.address);
    let post = async |url: &str, body: String| {
        let request = served.http.post(url).header("content-type", "application/json").body(body);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(post(&own, "no json".to_owned()).await, 400);
    // Of another endpoint, though the name is right.
    let elsewhere = own.replace("mode=search", "mode=all");
    assert_eq!(post(&elsewhere, ping.to_string()).await, 404);
    assert_eq!(post(&own, ping.to_string()).await, 202);
    drop(stream);
    // What is sent meanwhile is taken, and answered to nobody.
    while post(&own, ping.to_string()).await != 404 {
        tokio::task::yield_now().await;
    }
    served.end().await;
}
