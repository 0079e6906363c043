//! HTTP+SSE, the transport of 2024-11-05: one stream for all that the server says, and an address
//! that it names to post to.

use std::sync::Arc;

use reqwest_rmcp::Method;
use reqwest_rmcp::header::HeaderMap;
use serde_json::Value;
use tokio_util::bytes::Bytes;
use url::Url;

use super::handshake::{self, Hello};
use super::link::Link;
use super::site::{Ask, Site, content_type, failure, not_mcp};
use super::sse::Events;
use crate::error::CallError;

/// Begins such a connection: what the server said of itself, its stream, and where to post to.
pub(super) async fn shake(site: &Site, hello: &Hello) -> Result<(Value, Events, Url), CallError> {
    let url = &site.url;
    let ask =
        Ask { method: Method::GET, url, headers: HeaderMap::new(), body: None, ticket: None, twice: true };
    let response = site.send(ask).await?;
    if !response.status().is_success() {
        return Err(failure(response).await.0);
    }
    let kind = content_type(&response);
    if kind != "text/event-stream" {
        return Err(not_mcp(&kind));
    }
    let mut events = Events::new(response);
    let post = loop {
        let event = next(&mut events).await?;
        if event.kind == "endpoint" {
            break endpoint(url, &String::from_utf8_lossy(&event.data))?;
        }
    };
    tell(site, &post, &handshake::greeting(hello)).await?;
    let greeting = loop {
        let event = next(&mut events).await?;
        if event.data.is_empty() {
            continue;
        }
        if let Some(result) = handshake::taken(handshake::parse(&event.data)?) {
            break result?;
        }
    };
    handshake::spoken(&greeting)?;
    tell(site, &post, &handshake::initialized()).await?;
    Ok((greeting, events, post))
}

async fn next(events: &mut Events) -> Result<super::sse::Event, CallError> {
    let ended = || CallError::Broken { why: "its stream ended during the handshake".to_owned() };
    events.next().await?.ok_or_else(ended)
}

/// Where to post to. Only at the same origin: what goes there carries our credentials.
fn endpoint(url: &Url, named: &str) -> Result<Url, CallError> {
    let unreadable = |why: &str| CallError::Unreadable { why: why.to_owned() };
    let post = url.join(named.trim()).map_err(|_| unreadable("the address that it names is no URL"))?;
    if post.origin() != url.origin() {
        return Err(unreadable("the address that it names to post to is at another origin"));
    }
    Ok(post)
}

async fn tell(site: &Site, post: &Url, message: &Value) -> Result<(), CallError> {
    let body = Some(Bytes::from(message.to_string()));
    let ask =
        Ask { method: Method::POST, url: post, headers: HeaderMap::new(), body, ticket: None, twice: false };
    let response = site.send(ask).await?;
    if response.status().is_success() { Ok(()) } else { Err(failure(response).await.0) }
}

/// Reads the stream to its end, which is that of the connection.
pub(super) async fn read(link: Arc<Link>, mut events: Events) {
    let reading = async {
        loop {
            match events.next().await {
                Ok(Some(event)) => match handshake::parse(&event.data) {
                    Ok(message) => link.deliver_shared(message, &event.data).await,
                    Err(_) if event.data.is_empty() => {}
                    Err(_) => link.wire.noise.line(&event.data),
                },
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(%error, "a server's stream of events broke");
                    return;
                }
            }
        }
    };
    link.closed.run_until_cancelled(reading).await;
    link.closed.cancel();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_posted_to_the_same_origin_only() {
        let url = Url::parse("https://a.example/sse?key=1").unwrap();
        let check = |named: &str| endpoint(&url, named).ok().map(String::from);
        assert_eq!(check("/m?s=2").as_deref(), Some("https://a.example/m?s=2"));
        assert_eq!(check("https://a.example:443/m").as_deref(), Some("https://a.example/m"));
        for elsewhere in ["http://a.example/m", "//b.example/m", "https://a.example:444/m", "file:///m"] {
            assert_eq!(check(elsewhere), None, "{elsewhere}");
        }
    }
}
