//! Real Redis servers on free ports of the loopback.
//!
//! A `redis-server` is looked for where `cargo xtask setup` puts it, then on `PATH`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::unpacked::Unpacked;

/// How long a server may take to start or to be what it shall be.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Redis of its own: nothing is saved, unless it is told to. It ends with this value.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    options: Vec<String>,
    password: Option<String>,
    folder: TempDir,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts one that saves nothing.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts one that has each change on its disk before it answers.
    pub fn durable() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// Starts one that asks for a password.
    pub fn with_password(password: &str) -> Self {
        let mut server = Self::new(&["--requirepass", password]);
        server.password = Some(password.to_owned());
        server.resume();
        server
    }

    /// Starts a copy of another one, which takes no writes.
    pub fn replica_of(master: &Self) -> Self {
        let replica = Self::with(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
        replica.wait_until(&["INFO", "replication"], "master_link_status:up");
        replica
    }

    /// Starts a sentinel alone, which makes a replica of this master the new one when it dies.
    pub fn sentinel_of(master: &Self, name: &str) -> Self {
        let mut sentinel = Self::new(&[]);
        let file = sentinel.folder.path().join("sentinel.conf");
        let text = format!(
            "sentinel monitor {name} 127.0.0.1 {} 1\nsentinel down-after-milliseconds {name} 300\n\
             sentinel failover-timeout {name} 3000\n",
            master.port
        );
        std::fs::write(&file, text).unwrap();
        sentinel.options = vec![file.to_str().unwrap().to_owned(), "--sentinel".to_owned()];
        sentinel.resume();
        sentinel.wait_until(&["SENTINEL", "replicas", name], "127.0.0.1");
        sentinel
    }

    /// Starts one with these options of `redis-server`.
    pub fn with(options: &[&str]) -> Self {
        let mut server = Self::new(options);
        server.resume();
        server
    }

    fn new(options: &[&str]) -> Self {
        Self {
            port: free_port(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            password: None,
            folder: tempfile::Builder::new().prefix("dormouse-redis-").tempdir().unwrap(),
            child: None,
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, with the password.
    pub fn url(&self) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// Its folder, in which it saves.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it, as the power's end does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again on its port, with what it saved.
    pub fn resume(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let end = Instant::now() + PATIENCE;
        loop {
            self.child = Some(self.spawn());
            if self.answers() {
                return;
            }
            // Somebody took the port meanwhile; a server with data must have its own back.
            self.kill();
            assert!(Instant::now() < end, "redis-server does not start: {}", self.log());
            if self.options.iter().all(|option| option != "yes") {
                self.port = free_port();
            }
        }
    }

    /// Stops its process where it stands, so that it neither answers nor hangs up.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets a frozen one go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        // Every shell can do it; a bare Debian has no program for it.
        let mut shell = Command::new("sh");
        shell.args(["-c", "kill \"$0\" \"$1\"", signal, &pid]);
        assert!(shell.status().unwrap().success());
    }

    fn spawn(&self) -> Child {
        let config = self.options.iter().position(|option| Path::new(option).is_absolute());
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let mut command = Unpacked::named("redis").command("redis-server");
        // A configuration file comes first.
        command.args(config.map(|place| &self.options[place]));
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--daemonize", "no"]);
        command.args(["--dir", self.folder.path().to_str().unwrap()]);
        if config.is_none() {
            command.args(["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]);
        }
        let rest = self.options.iter().enumerate().filter(|(place, _)| Some(*place) != config);
        command.args(rest.map(|(_, option)| option));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command.spawn().unwrap()
    }

    fn answers(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                return false;
            }
            let log = self.log();
            // The log names our process, so that a stranger on the port is not taken for it.
            let ready =
                ["Ready to accept connections", "Sentinel ID is"].iter().any(|line| log.contains(line));
            if ready && self.try_run(&["PING"]).is_some_and(|answer| answer.contains("PONG")) {
                return true;
            }
            pause();
        }
        false
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Runs a command and gives the raw answer.
    pub fn run(&self, command: &[&str]) -> String {
        self.try_run(command).unwrap()
    }

    /// Waits until the answer of a command holds a text.
    pub fn wait_until(&self, command: &[&str], text: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.try_run(command).unwrap_or_default();
            if answer.contains(text) {
                return;
            }
            assert!(Instant::now() < end, "no `{text}` in {answer}");
            pause();
        }
    }

    fn try_run(&self, command: &[&str]) -> Option<String> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut text = String::new();
        if let Some(password) = &self.password {
            text += &encoded(&["AUTH", password]);
        }
        text += &encoded(command);
        text += &encoded(&["QUIT"]);
        stream.write_all(text.as_bytes()).ok()?;
        // A sentinel knows no QUIT.
        stream.shutdown(std::net::Shutdown::Write).ok()?;
        let mut answer = Vec::new();
        // It hangs up after the last answer.
        stream.read_to_end(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer).into_owned())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A cluster of three masters.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts it, and waits until each node knows that all slots are served.
    pub fn start() -> Self {
        let nodes: Vec<_> = (0..3)
            .map(|_| {
                // The port of the bus is ours to choose, since port + 10,000 may be none.
                let bus = free_port().to_string();
                RedisServer::with(&[
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &bus,
                    "--cluster-node-timeout",
                    "2000",
                    "--cluster-announce-ip",
                    "127.0.0.1",
                ])
            })
            .collect();
        let slots = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
        for (node, (from, to)) in nodes.iter().zip(slots) {
            assert!(node.run(&["CLUSTER", "ADDSLOTSRANGE", from, to]).starts_with("+OK"));
        }
        for other in &nodes[1..] {
            let bus = other.options[3].as_str();
            let port = other.port.to_string();
            assert!(nodes[0].run(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]).starts_with("+OK"));
        }
        for node in &nodes {
            node.wait_until(&["CLUSTER", "INFO"], "cluster_known_nodes:3");
            node.wait_until(&["CLUSTER", "INFO"], "cluster_state:ok");
            node.wait_until(&["CLUSTER", "INFO"], "cluster_slots_ok:16384");
        }
        Self { nodes }
    }

    /// Its address, which names all nodes.
    pub fn url(&self) -> String {
        let others: Vec<_> =
            self.nodes[1..].iter().map(|node| format!("node=127.0.0.1:{}", node.port)).collect();
        format!("redis-cluster://127.0.0.1:{}?{}", self.nodes[0].port, others.join("&"))
    }

    /// Its nodes.
    pub fn nodes(&mut self) -> &mut [RedisServer] {
        &mut self.nodes
    }
}

fn encoded(command: &[&str]) -> String {
    let parts: String = command.iter().map(|part| format!("${}\r\n{part}\r\n", part.len())).collect();
    format!("*{}\r\n{parts}", command.len())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Between two looks at a condition of another process, which no one announces.
#[expect(clippy::disallowed_methods, reason = "the condition is looked at again, and this is no task")]
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}
