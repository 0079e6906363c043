//! A server at a URL that answers by a script, byte by byte, and hangs up.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// One request as the scripted server sees it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET`, `POST` or another.
    pub verb: String,
    /// What stands there beside it.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The JSON that came; `null` when none did.
    pub body: Value,
}

impl Asked {
    /// The method that the message names; empty for an answer.
    pub fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The result, as JSON.
    pub fn result(&self, result: &Value) -> String {
        page("200 OK", "application/json", &self.message(result))
    }

    /// The message that holds the result.
    pub fn message(&self, result: &Value) -> String {
        json!({ "jsonrpc": "2.0", "id": self.body["id"], "result": result }).to_string()
    }

    /// What a server of 2025-11-25 with a session answers to everything but calls.
    pub fn usual(&self) -> String {
        match (self.verb.as_str(), self.method()) {
            ("POST", "initialize") => {
                let body = self.message(&json!({
                    "protocolVersion": "2025-11-25",
                    "capabilities": { "tools": {} },
                    "serverInfo": { "name": "Scripted", "version": "1" },
                }));
                page("200 OK\r\nmcp-session-id: one", "application/json", &body)
            }
            ("POST", "server/discover") => page("400 Bad Request", "text/plain", "no session"),
            ("POST", "tools/list") => {
                let tool = json!({ "name": "act", "inputSchema": { "type": "object" }, "unknown": [1] });
                self.result(&json!({ "tools": [tool] }))
            }
            ("POST", "ping") => self.result(&json!({})),
            ("POST", _) => page("202 Accepted", "", ""),
            _ => page("405 Method Not Allowed", "", ""),
        }
    }
}

/// A whole answer with a body of a kind. After the status further headers may stand.
pub fn page(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    let head = format!("content-type: {kind}\r\ncontent-length: {length}\r\nconnection: close");
    format!("HTTP/1.1 {status}\r\n{head}\r\n\r\n{body}")
}

/// A whole answer as server-sent events.
pub fn events(events: &[&str]) -> String {
    let body: String = events.iter().map(|data| format!("data: {data}\n\n")).collect();
    page("200 OK", "text/event-stream", &body)
}

/// A server that answers each request by what the script writes; then it hangs up.
#[derive(Debug)]
pub struct Scripted {
    /// Its port on loopback.
    pub port: u16,
    /// What was asked, in its order.
    pub seen: Arc<Mutex<Vec<Asked>>>,
}

impl Scripted {
    /// Begins to listen. It ends with the process of the test.
    pub fn start(script: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (script, seen) = (Arc::new(script), Arc::new(Mutex::new(Vec::new())));
        let written = Arc::clone(&seen);
        // Ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, written) = (Arc::clone(&script), Arc::clone(&written));
                std::thread::spawn(move || {
                    let mut stream = stream;
                    if let Some(asked) = read(&mut stream) {
                        written.lock().unwrap().push(asked.clone());
                        script(&asked, &mut stream);
                    }
                });
            }
        });
        Self { port, seen }
    }

    /// One that answers a call by `answer`, and everything else as usual.
    pub fn calls(answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Self {
        Self::start(move |asked, stream| {
            let answer = if asked.method() == "tools/call" { answer(asked) } else { asked.usual() };
            let _ = stream.write_all(answer.as_bytes());
        })
    }

    /// Its address; the query is a secret.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp?key=hidden", self.port)
    }

    /// How often a method was asked.
    pub fn count(&self, method: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|asked| asked.method() == method).count()
    }
}

fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (verb, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(Asked { verb, path, headers, body })
}
