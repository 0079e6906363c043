//! An MCP server on standard input and output that tells who it is, whatever it is asked.
//!
//! `dormouse-who IDENTITY [TOOL]...`: its tools, two resources, a template and a prompt all answer
//! with the identity, so that a test sees which of many servers it reached. A call with `user`
//! prints it, and one with `exit` ends the process.

#![expect(clippy::print_stderr, reason = "what it prints there is what a test looks for")]

use std::io::{BufRead as _, Write as _};

use serde_json::{Value, json};

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let identity = arguments.next().unwrap_or_default();
    let tools: Vec<String> = arguments.collect();
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        if let Ok(request) = serde_json::from_str::<Value>(&line)
            && let Some(id) = request.get("id")
        {
            let result = answer(&request, &identity, &tools);
            serde_json::to_writer(&mut output, &json!({ "jsonrpc": "2.0", "id": id, "result": result }))?;
            writeln!(output)?;
            output.flush()?;
        }
        line.clear();
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "it dies in the middle of a call, as it is told to")]
fn answer(request: &Value, identity: &str, tools: &[String]) -> Value {
    let params = &request["params"];
    match request["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": params["protocolVersion"],
            "capabilities": { "tools": {}, "resources": {}, "prompts": {} },
            "serverInfo": { "name": "who", "version": "1" },
        }),
        "tools/list" => {
            let tool = |name: &String| {
                json!({
                    "name": name, "description": "Tells who answers", "inputSchema": { "type": "object" },
                })
            };
            json!({ "tools": tools.iter().map(tool).collect::<Vec<_>>() })
        }
        "tools/call" => {
            // What its owner alone may read.
            let arguments = &params["arguments"];
            if arguments["exit"] == true {
                std::process::exit(3);
            }
            match arguments["user"].as_str() {
                Some(user) => eprintln!("handled for user: {user}"),
                None => eprintln!("{identity} was called"),
            }
            json!({ "content": [{ "type": "text", "text": identity }] })
        }
        "resources/list" => json!({ "resources": [
            { "uri": "who://card", "name": "card" }, { "uri": format!("who://{identity}"), "name": "own card" },
        ] }),
        "resources/templates/list" => json!({ "resourceTemplates": [
            { "uriTemplate": format!("who://{identity}/{{page}}"), "name": "pages" },
        ] }),
        "resources/read" => json!({ "contents": [{ "uri": params["uri"], "text": identity }] }),
        "prompts/list" => {
            json!({ "prompts": [{ "name": "introduce" }, { "name": format!("introduce {identity}") }] })
        }
        "prompts/get" => json!({
            "messages": [{ "role": "user", "content": { "type": "text", "text": identity } }],
        }),
        _ => json!({}),
    }
}
