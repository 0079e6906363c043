//! Real Python servers over HTTP, and one in this process that answers by a script.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_protocol::{Connection, Endpoint, RemoteClient, RemoteSettings, StartError};
use dormouse_types::{
    Arguments, BackChannel, CallEvent, Env, NoBackChannel, PeerAnswer, PeerRequest, RemoteTransport, ToolName,
};
use serde_json::{Value, json};

/// Long enough for a loaded machine; no test waits for it unless it fails.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A Python server; it is killed when this is dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) port: u16,
    path: &'static str,
}

impl Served {
    /// `None`, with a word, where `cargo xtask setup` did not make the environment.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    pub(crate) fn start(env: &str, transport: &'static str) -> Option<Self> {
        let envs = match std::env::var_os("DORMOUSE_TEST_CACHE") {
            Some(envs) => PathBuf::from(envs),
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-envs"),
        };
        let python = envs.join(env).join("bin/python");
        if !python.exists() {
            eprintln!("skipped: `cargo xtask setup` makes the environment {env}");
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/http_server.py");
        let mut child = Command::new(python)
            .arg(script)
            .arg(transport)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("the server says its port");
        Some(Self { child, port, path: if transport == "sse" { "/sse" } else { "/mcp" } })
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        let transport =
            if self.path == "/sse" { RemoteTransport::Sse } else { RemoteTransport::StreamableHttp };
        Endpoint { transport, ..endpoint(&format!("http://127.0.0.1:{}{}", self.port, self.path)) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn endpoint(url: &str) -> Endpoint {
    Endpoint {
        url: url.parse().unwrap(),
        transport: RemoteTransport::StreamableHttp,
        headers: Env::default(),
        ca_file: None,
        signer: None,
    }
}

pub(crate) fn client() -> RemoteClient {
    RemoteClient::new(RemoteSettings::default()).unwrap()
}

pub(crate) async fn open(endpoint: &Endpoint) -> Connection {
    Connection::open_url(&client(), endpoint, LONG).await.unwrap()
}

pub(crate) async fn open_error(endpoint: &Endpoint, deadline: Duration) -> StartError {
    Connection::open_url(&client(), endpoint, deadline).await.unwrap_err()
}

pub(crate) fn tool(name: &str) -> ToolName {
    ToolName::try_new(name).unwrap()
}

pub(crate) fn arguments(value: Value) -> Arguments {
    value.as_object().unwrap().clone()
}

pub(crate) fn nobody() -> Arc<dyn BackChannel> {
    Arc::new(NoBackChannel)
}

pub(crate) async fn text(connection: &Connection, name: &str, args: Value) -> String {
    connection.call(&tool(name), &arguments(args), LONG, &nobody()).await.unwrap().text()
}

/// A caller who writes down what comes, and answers questions.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    pub(crate) events: Mutex<Vec<CallEvent>>,
    pub(crate) answer: Option<Value>,
}

#[async_trait]
impl BackChannel for Listener {
    fn notify(&self, event: CallEvent) {
        self.events.lock().unwrap().push(event);
    }

    async fn ask(&self, _: PeerRequest) -> PeerAnswer {
        self.answer.clone().map_or(PeerAnswer::Unsupported, PeerAnswer::Result)
    }
}

/// One request as the scripted server sees it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) verb: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The result, as JSON.
    pub(crate) fn result(&self, result: &Value) -> String {
        page("200 OK", "application/json", &self.message(result))
    }

    /// The message that holds the result.
    pub(crate) fn message(&self, result: &Value) -> String {
        json!({ "jsonrpc": "2.0", "id": self.body["id"], "result": result }).to_string()
    }

    /// What a server of 2025-11-25 with a session answers to everything but calls.
    pub(crate) fn usual(&self) -> String {
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

pub(crate) fn page(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    let head = format!("content-type: {kind}\r\ncontent-length: {length}\r\nconnection: close");
    format!("HTTP/1.1 {status}\r\n{head}\r\n\r\n{body}")
}

pub(crate) fn events(events: &[&str]) -> String {
    let body: String = events.iter().map(|data| format!("data: {data}\n\n")).collect();
    page("200 OK", "text/event-stream", &body)
}

/// A server that answers each request by what the script writes; then it hangs up.
pub(crate) struct Scripted {
    pub(crate) port: u16,
    pub(crate) seen: Arc<Mutex<Vec<Asked>>>,
}

impl Scripted {
    pub(crate) fn start(script: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> Self {
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
    pub(crate) fn calls(answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Self {
        Self::start(move |asked, stream| {
            let answer = if asked.method() == "tools/call" { answer(asked) } else { asked.usual() };
            let _ = stream.write_all(answer.as_bytes());
        })
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        endpoint(&format!("http://127.0.0.1:{}/mcp?key=hidden", self.port))
    }

    pub(crate) fn count(&self, method: &str) -> usize {
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
