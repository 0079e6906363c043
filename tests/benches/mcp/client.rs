//! The load client: HTTP/1.1 on one kept connection, and as little else as MCP allows.
//!
//! It costs the same whoever answers. Every answer is read to its end, parsed, and compared with
//! what was asked: an echo of another call is no answer.

use std::io;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// 2025-11-25: `initialize`, then requests of that session.
    Session,
    /// 2026-07-28: every request says all.
    Stateless,
}

impl Life {
    pub(crate) fn revision(self) -> &'static str {
        match self {
            Self::Session => "2025-11-25",
            Self::Stateless => "2026-07-28",
        }
    }
}

/// One client on one connection.
#[derive(Debug)]
pub(crate) struct Client {
    wire: TcpStream,
    host: String,
    path: String,
    life: Life,
    /// What it was given by `initialize`.
    session: Option<String>,
    next: u64,
    inbox: Vec<u8>,
}

/// What was answered: the head in small letters, and the body.
#[derive(Debug)]
struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1);
        lines.filter_map(|line| line.split_once(':')).find(|(n, _)| *n == name).map(|(_, value)| value.trim())
    }

    /// The message that answers a request, from a body or a stream of events.
    fn message(&self, id: u64) -> Value {
        assert_eq!(self.status(), "200", "{self:?}");
        if self.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
            let message: Value = serde_json::from_slice(&self.body).expect("JSON");
            assert_eq!(message["id"], id, "{message}");
            return message;
        }
        let text = std::str::from_utf8(&self.body).expect("events are text");
        let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
        let mut messages = data.filter(|data| !data.is_empty()).map(|data| {
            let message: Value = serde_json::from_str(data).expect("JSON");
            message
        });
        messages.find(|message| message["id"] == id).expect("the answer is among the events")
    }
}

impl Client {
    /// Connects, and in the session life opens a session.
    pub(crate) async fn open(url: &str, life: Life) -> Self {
        let rest = url.strip_prefix("http://").expect("an address");
        let (host, path) = rest.split_once('/').expect("with a path");
        let wire = TcpStream::connect(host).await.expect("a connection");
        wire.set_nodelay(true).expect("a socket");
        let mut client = Self {
            wire,
            host: host.to_owned(),
            path: format!("/{path}"),
            life,
            session: None,
            next: 0,
            inbox: Vec::with_capacity(16 << 10),
        };
        if life == Life::Session {
            client.initialize().await;
        }
        client
    }

    /// Opens a further session on the same connection; the earlier one stays as it is.
    pub(crate) async fn initialize(&mut self) -> Option<String> {
        self.session = None;
        let params = json!({
            "protocolVersion": self.life.revision(),
            "capabilities": {},
            "clientInfo": { "name": "load", "version": "1" },
        });
        let id = self.id();
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": "initialize", "params": params });
        let answer = self.post("initialize", "", &body.to_string()).await;
        assert!(answer.message(id)["result"]["protocolVersion"] == self.life.revision(), "{answer:?}");
        self.session = answer.header("mcp-session-id").map(str::to_owned);
        let body = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let answer = self.post("notifications/initialized", "", body).await;
        assert_eq!(answer.status(), "202", "{answer:?}");
        self.session.clone()
    }

    /// Goes on in a session that it knows.
    pub(crate) fn enter(&mut self, session: &str) {
        self.session = Some(session.to_owned());
    }

    /// Whether it is in a session that can be ended.
    pub(crate) fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// Ends its session.
    pub(crate) async fn leave(&mut self) {
        let session = self.session.take().expect("a session");
        let request = format!(
            "DELETE {} HTTP/1.1\r\nhost: {}\r\nmcp-session-id: {session}\r\nmcp-protocol-version: {}\r\n\r\n",
            self.path,
            self.host,
            self.life.revision()
        );
        self.wire.write_all(request.as_bytes()).await.expect("the connection takes it");
        let answer = self.answer().await;
        assert!(answer.status().starts_with('2'), "{answer:?}");
    }

    /// Calls an echo tool and checks the echo.
    pub(crate) async fn echo(&mut self, tool: &str) {
        let id = self.id();
        let meta = match self.life {
            Life::Session => "",
            Life::Stateless => {
                r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"load","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#
            }
        };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{"text":"hello {id}"}}{meta}}}}}"#
        );
        let answer = self.post("tools/call", tool, &body).await;
        let message = answer.message(id);
        let echoed = message["result"]["content"][0]["text"].as_str();
        let right = echoed.and_then(|text| text.strip_prefix("hello ")).is_some_and(|n| n.parse() == Ok(id));
        assert!(right, "{message}");
    }

    /// A request that nobody but the hub itself answers.
    pub(crate) async fn ping(&mut self) {
        let id = self.id();
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let answer = self.post("ping", "", &body).await;
        assert!(answer.message(id)["result"].is_object(), "{answer:?}");
    }

    /// A GET of a path that is answered with 200.
    pub(crate) async fn get(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.host);
        self.wire.write_all(request.as_bytes()).await.expect("the connection takes it");
        let answer = self.answer().await;
        assert_eq!(answer.status(), "200", "{answer:?}");
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    async fn post(&mut self, method: &str, name: &str, body: &str) -> Answer {
        use std::fmt::Write as _;

        let mut request = String::with_capacity(512 + body.len());
        let _ = write!(
            request,
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\ncontent-length: {}\r\n",
            self.path,
            self.host,
            body.len()
        );
        if method != "initialize" {
            let _ = write!(request, "mcp-protocol-version: {}\r\n", self.life.revision());
        }
        if self.life == Life::Stateless {
            let _ = write!(request, "mcp-method: {method}\r\nmcp-name: {name}\r\n");
        }
        if let Some(session) = &self.session {
            let _ = write!(request, "mcp-session-id: {session}\r\n");
        }
        request.push_str("\r\n");
        request.push_str(body);
        self.wire.write_all(request.as_bytes()).await.expect("the connection takes it");
        self.answer().await
    }

    async fn answer(&mut self) -> Answer {
        let end = loop {
            if let Some(at) = find(&self.inbox, b"\r\n\r\n") {
                break at;
            }
            self.more().await.expect("the connection stays");
        };
        let head = String::from_utf8_lossy(&self.inbox[..end]).to_ascii_lowercase();
        // Ids of sessions keep their letters.
        let head = match head.find("mcp-session-id:") {
            None => head,
            Some(at) => {
                let line = at + head[at..].find("\r\n").unwrap_or(head.len() - at);
                let kept = String::from_utf8_lossy(&self.inbox[at + 15..line]).into_owned();
                format!("{}mcp-session-id:{kept}{}", &head[..at], &head[line..])
            }
        };
        self.inbox.drain(..end + 4);
        let mut answer = Answer { head, body: Vec::new() };
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk().await {
                answer.body.extend(chunk);
            }
        } else if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().expect("a length");
            answer.body = self.take(length).await;
        }
        answer
    }

    async fn chunk(&mut self) -> Option<Vec<u8>> {
        let end = loop {
            if let Some(at) = find(&self.inbox, b"\r\n") {
                break at;
            }
            self.more().await.expect("the connection stays");
        };
        let size = std::str::from_utf8(&self.inbox[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        self.inbox.drain(..end + 2);
        let mut chunk = self.take(size + 2).await;
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }

    async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.inbox.len() < length {
            self.more().await.expect("the connection stays");
        }
        self.inbox.drain(..length).collect()
    }

    async fn more(&mut self) -> io::Result<()> {
        self.inbox.reserve(16 << 10);
        match self.wire.read_buf(&mut self.inbox).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
