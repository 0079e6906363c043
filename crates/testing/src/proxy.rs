//! A small HTTP proxy: it forwards requests and makes tunnels, and remembers where to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A proxy on a port of loopback. It ends with the process of the test.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Begins to listen.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let written = Arc::clone(&written);
                std::thread::spawn(move || {
                    // Whoever hangs up in between is the test's own affair.
                    let _ = serve(stream, &written);
                });
            }
        });
        Self { port, seen }
    }

    /// Its address, as the proxy variables take it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it was asked for: each method with where to.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(client: TcpStream, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let bad = || std::io::Error::other("no request for a proxy");
    let mut reader = BufReader::new(client.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split_whitespace();
    let (method, target) = (words.next().ok_or_else(bad)?, words.next().ok_or_else(bad)?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && head != "\r\n" {
        if reader.read_line(&mut head)? == 0 {
            return Err(bad());
        }
    }
    let mut client = client;
    let server = if method == "CONNECT" {
        seen.lock().unwrap().push(format!("CONNECT {target}"));
        let server = TcpStream::connect(target)?;
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        server
    } else {
        let (host, path) =
            target.strip_prefix("http://").and_then(|it| it.split_once('/')).ok_or_else(bad)?;
        seen.lock().unwrap().push(format!("{method} {host}"));
        let mut server = TcpStream::connect(host)?;
        // One request a connection, so that none for another server comes over this one.
        let kept = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        let kept: String = kept.filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
        write!(server, "{method} /{path} HTTP/1.1\r\n{kept}connection: close\r\n\r\n")?;
        server
    };
    let (mut up, mut down) = (server.try_clone()?, server);
    let upwards = std::thread::spawn(move || {
        let _ = pass(&mut reader, &mut up);
        let _ = up.shutdown(Shutdown::Write);
    });
    let passed = pass(&mut down, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = upwards.join();
    passed
}

/// Passes bytes on as they come.
fn pass(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            count => {
                to.write_all(&buffer[..count])?;
                to.flush()?;
            }
        }
    }
}
