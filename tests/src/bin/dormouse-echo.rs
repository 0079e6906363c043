//! The lightest MCP server on standard input and output: benchmarks measure the hub, not it.
//!
//! `dormouse-echo [NAME [TOOLS]]`: with so many tools, of which the first one echoes.

use std::io::{BufRead as _, Write as _};

use serde_json::{Value, json};

fn main() -> std::io::Result<()> {
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        if let Ok(request) = serde_json::from_str::<Value>(&line)
            && let Some(id) = request.get("id")
        {
            let result = answer(&request);
            serde_json::to_writer(&mut output, &json!({ "jsonrpc": "2.0", "id": id, "result": result }))?;
            writeln!(output)?;
            output.flush()?;
        }
        line.clear();
    }
    Ok(())
}

fn answer(request: &Value) -> Value {
    let params = &request["params"];
    match request["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": params["protocolVersion"],
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "echo", "version": "1" },
        }),
        "tools/list" => json!({ "tools": tools() }),
        "tools/call" => json!({ "content": [{ "type": "text", "text": params["arguments"]["text"] }] }),
        _ => json!({}),
    }
}

fn tools() -> Vec<Value> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let count = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(1_usize);
    let tool = |number: usize| {
        let description = match number {
            0 => "Echoes the text".to_owned(),
            _ => format!("Echoes the text in way number {number} of the server {name}"),
        };
        json!({
            "name": if number == 0 { "echo".to_owned() } else { format!("echo_{number}") },
            "description": description,
            "inputSchema": {
                "type": "object",
                "properties": { "text": { "type": "string" } },
                "required": ["text"],
            },
        })
    };
    (0..count).map(tool).collect()
}
