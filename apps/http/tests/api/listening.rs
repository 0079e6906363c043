//! Real ports and sockets.

use std::os::unix::fs::PermissionsExt;

use dormouse_http::{ListenError, Listening};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::support::hub;

const REQUEST: &[u8] = b"GET /tools HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_port_is_served_until_the_end_streams_included() {
    let hub = hub(&[]).await;
    let listening = Listening::on(&hub.hub, "127.0.0.1", 0).await.unwrap();
    let address = listening.address().unwrap();
    let serving = tokio::spawn(listening.serve(hub.hub.clone(), hub.settings.clone()));

    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");

    let mut events = TcpStream::connect(address).await.unwrap();
    events.write_all(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut head = [0; 15];
    events.read_exact(&mut head).await.unwrap();
    hub.settings.ending.cancel();
    serving.await.unwrap().unwrap();
    let mut rest = Vec::new();
    events.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream ends in good order");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let hub = hub(&[]).await;
    let first = Listening::on(&hub.hub, "127.0.0.1", 0).await.unwrap();
    let port = first.address().unwrap().port();
    let error = Listening::on(&hub.hub, "127.0.0.1", port).await.unwrap_err();
    assert_eq!(error.to_string(), format!("another program listens on 127.0.0.1:{port}"));
}

#[tokio::test]
async fn without_a_token_the_hub_stays_on_loopback() {
    let hub = hub(&[]).await;
    let error = Listening::on(&hub.hub, "0.0.0.0", 0).await.unwrap_err();
    assert!(matches!(error, ListenError::NeedsToken { .. }), "{error}");
    hub.token("me", dormouse::Scope::Store).await;
    Listening::on(&hub.hub, "0.0.0.0", 0).await.unwrap();
}

#[tokio::test]
async fn the_socket_is_for_its_owner_and_goes_with_the_hub() {
    let hub = hub(&[]).await;
    let path = hub.space.path().join("hub.sock");
    // Left from an earlier life.
    std::fs::write(&path, "").unwrap();
    let listening = Listening::at(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let serving = tokio::spawn(listening.serve(hub.hub.clone(), hub.settings.clone()));
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    hub.settings.ending.cancel();
    serving.await.unwrap().unwrap();
    assert!(!path.exists());
}
