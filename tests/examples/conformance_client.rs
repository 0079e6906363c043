//! The client that the conformance suite tests: a hub with the suite's server at its URL.
//!
//! `conformance_client URL` is what the suite starts for each of its client scenarios. The
//! hub is told of the server as a person would tell it, in an `mcp.json`; a browser of a few lines
//! signs in where that is asked for; then each tool that the server lists is called, with what the
//! scenario names or with arguments that fit. It fails where the hub does, unless a tool does.

#![expect(clippy::print_stderr, reason = "the suite keeps what it prints there")]

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dormouse::{
    BackChannel, CallError, CallEvent, CallRequest, Context, PeerAnswer, PeerRequest, ServerName, ToolRef,
};
use dormouse_testing::browser::browse;
use dormouse_tests::TestSpace;
use serde_json::{Map, Value, json};

type Failure = Box<dyn Error + Send + Sync>;

const SERVER: &str = "suite";
/// Whoever is asked for more rights again and again gives up.
const MOST_SIGN_INS: usize = 3;
/// Where a client describes itself, for authorisation servers that read such descriptions.
const DESCRIPTION: &str = "https://conformance-test.local/client-metadata.json";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url = std::env::args().next_back().ok_or("the URL of the suite's server is the last argument")?;
    let scenario = std::env::var("MCP_CONFORMANCE_SCENARIO").unwrap_or_default();
    let given = std::env::var("MCP_CONFORMANCE_CONTEXT").unwrap_or_default();
    let given: Value = serde_json::from_str(&given).unwrap_or_default();

    // The suite starts all its scenarios at once; a machine with few cores would be late everywhere.
    let turn = std::env::var_os("DORMOUSE_CONFORMANCE_TURNS").map(|folder| turn(Path::new(&folder)));
    let _turn = turn.transpose()?;
    let space = TestSpace::new();
    let entry = entry(&url, &scenario, &given);
    space.write("mcp.json", json!({ "mcpServers": { SERVER: entry } }).to_string());
    let hub = space.hub(|_| {}).await;
    let visit = Visit { context: hub.store(), name: ServerName::try_new(SERVER)?, sign_ins: 0.into() };
    let done = visit.make(&scenario, &given).await;
    hub.shutdown().await;
    done
}

/// Waits for one of two turns. It is over when the file is closed.
fn turn(folder: &Path) -> std::io::Result<File> {
    let file = File::create(folder.join(format!("turn-{}", std::process::id() % 2)))?;
    file.lock()?;
    Ok(file)
}

/// What a person would write of the server.
fn entry(url: &str, scenario: &str, given: &Value) -> Value {
    let mut oauth = Map::new();
    for member in ["client_id", "client_secret"] {
        if let Some(value) = given.get(member) {
            oauth.insert(member.to_owned(), value.clone());
        }
    }
    if scenario == "auth/basic-cimd" {
        oauth.insert("client_id".to_owned(), json!(DESCRIPTION));
    }
    if scenario.contains("client-credentials") {
        oauth.insert("flow".to_owned(), json!("client_credentials"));
    }
    let mut entry = json!({ "url": url });
    if scenario.starts_with("auth/") {
        entry["auth"] = json!("oauth");
    }
    if !oauth.is_empty() {
        entry["dormouse"] = json!({ "oauth": oauth });
    }
    entry
}

/// The hub and the one server that it is to use.
struct Visit {
    context: Context,
    name: ServerName,
    sign_ins: std::sync::atomic::AtomicUsize,
}

impl Visit {
    async fn make(&self, scenario: &str, given: &Value) -> Result<(), Failure> {
        self.arrive().await?;
        if let Some(calls) = given.get("toolCalls").and_then(Value::as_array) {
            for call in calls {
                let name = call["name"].as_str().unwrap_or_default();
                self.call(name, call["arguments"].as_object().cloned().unwrap_or_default()).await?;
            }
            return Ok(());
        }
        let tools = self.tools();
        for tool in &tools {
            let name = tool.tool().name.to_string();
            self.call(&name, arguments(tool, &tools)).await?;
        }
        if scenario == "auth/authorization-server-migration" {
            // The server has changed where it sends people meanwhile.
            self.arrive().await?;
            for tool in &self.tools() {
                self.call(tool.tool().name.as_ref(), arguments(tool, &tools)).await?;
            }
        }
        Ok(())
    }

    /// Connects, and signs in if that is what the server wants.
    async fn arrive(&self) -> Result<(), Failure> {
        loop {
            match self.context.refresh(&self.name).await {
                Ok(_) => return Ok(()),
                Err(error) if wants_sign_in(&error) => self.sign_in().await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn tools(&self) -> Vec<ToolRef> {
        self.context.tools()
    }

    /// Goes through the browser as a person does.
    async fn sign_in(&self) -> Result<(), Failure> {
        if self.sign_ins.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= MOST_SIGN_INS {
            return Err("it wants a sign-in again and again".into());
        }
        let begun = self.context.login(&self.name).await?;
        let address = begun.authorize_url.ok_or("no person is asked to sign in")?.parse()?;
        let (_, page) = browse(&address).await;
        let then = self.context.wait_sign_in(&self.name).await?;
        match then.failed {
            None => Ok(()),
            Some(why) => Err(format!("{why} ({page})").into()),
        }
    }

    async fn call(&self, tool: &str, arguments: Map<String, Value>) -> Result<(), Failure> {
        loop {
            let request = CallRequest {
                tool: tool.to_owned(),
                server: Some(SERVER.to_owned()),
                arguments: arguments.clone(),
                deadline: Some(Duration::from_secs(20)),
            };
            match self.context.call(request, Arc::new(Agreeable)).await {
                Ok(answer) => {
                    eprintln!("{tool}: {}", answer.result.text());
                    return Ok(());
                }
                // A tool whose arguments are a riddle.
                Err(CallError::Arguments { .. }) => return Ok(()),
                Err(error) if wants_sign_in(&error) => self.sign_in().await?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether an error says that a person can mend it by signing in.
fn wants_sign_in(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let words = error.to_string();
        if words.contains("servers login") || words.contains("a person to sign in") {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Arguments that fit a tool. One that wants a schema gets that of its neighbour, as the hub has it.
fn arguments(tool: &ToolRef, all: &[ToolRef]) -> Map<String, Value> {
    let schema = tool.tool().input_schema.value();
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let wanted = properties.iter().filter(|(name, _)| required.contains(&json!(name)));
    let fitting = wanted.map(|(name, property)| {
        let value = match property["type"].as_str() {
            Some("number" | "integer") => json!(1),
            Some("boolean") => json!(true),
            Some("array") => json!([]),
            Some("object") if name == "schema" => {
                let neighbour = all.iter().find(|other| other.tool().name != tool.tool().name);
                neighbour.map_or_else(|| json!({}), |other| json!(other.tool().input_schema))
            }
            Some("object") => json!({}),
            _ => json!("test"),
        };
        (name.clone(), value)
    });
    fitting.collect()
}

/// A caller who agrees to everything, with the defaults of the form.
#[derive(Debug)]
struct Agreeable;

#[async_trait]
impl BackChannel for Agreeable {
    fn notify(&self, _event: CallEvent) {}

    async fn ask(&self, request: PeerRequest) -> PeerAnswer {
        let result = match request.method.as_str() {
            "elicitation/create" => {
                let fields = request.params["requestedSchema"]["properties"].as_object().cloned();
                let filled = fields.unwrap_or_default().into_iter().filter_map(|(name, field)| {
                    let fallback = (field["type"] == "boolean").then_some(json!(true));
                    Some((name, field.get("default").cloned().or(fallback)?))
                });
                json!({ "action": "accept", "content": filled.collect::<Map<_, _>>() })
            }
            "sampling/createMessage" => json!({
                "role": "assistant",
                "content": { "type": "text", "text": "agreed" },
                "model": "none",
            }),
            "roots/list" => json!({ "roots": [] }),
            _ => return PeerAnswer::Unsupported,
        };
        PeerAnswer::Result(result)
    }

    fn capabilities(&self) -> Arc<Value> {
        Arc::new(json!({ "elicitation": {}, "sampling": {}, "roots": {} }))
    }
}
