//! The HTTP router of an embedded hub, in one line, beside routes of one's own.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use dormouse::{Config, Hub, Memory};
use dormouse_http::{Door, HttpSettings, router};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let config = Config { model: "none".to_owned(), ..Config::default() };
    let hub =
        Hub::builder().space(folder.path()).config(config).storage(Arc::new(Memory::new())).open().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;

    let app: Router = router(hub.clone(), HttpSettings::default(), Door::Tcp(address));
    let app = app.route("/mine", get(|| async { "mine" }));

    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    for (path, expected) in [("/health", "\"status\""), ("/tools?format=openai", "[]"), ("/mine", "mine")] {
        let answer = fetch(&address.to_string(), path).await?;
        println!("{path}: {}", answer.lines().last().unwrap_or_default());
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(expected), "{answer}");
    }
    serving.abort();
    hub.shutdown().await;
    Ok(())
}

async fn fetch(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
