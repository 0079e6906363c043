//! What only the space's own socket offers.

use axum::http::StatusCode;
use dormouse_http::{Door, router};
use tokio_util::sync::CancellationToken;

use crate::support::{hub, send};

#[tokio::test]
async fn nobody_in_the_network_can_ask_the_hub_to_make_way() {
    let mut hub = hub(&[]).await;
    let retire = CancellationToken::new();
    hub.settings.retire = Some(retire.clone());
    let answer = hub.post("/retire", "").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::NOT_FOUND, "not_found"));
    assert!(!retire.is_cancelled());
    assert_eq!(hub.get("/mcp/lines").await.code(), "not_found");
    hub.hub.shutdown().await;
}

#[tokio::test]
async fn a_hub_in_the_background_says_so_and_makes_way() {
    let mut hub = hub(&[]).await;
    let local = router(hub.hub.clone(), hub.settings.clone(), Door::Local);
    let answer = send(local, "POST /retire", &[], "").await;
    assert_eq!(answer.code(), "not_supported");
    let retire = CancellationToken::new();
    hub.settings.retire = Some(retire.clone());
    assert_eq!(hub.get("/health").await.json()["background"], true);
    assert_eq!(hub.get("/doctor").await.json()["background"], true);
    let local = router(hub.hub.clone(), hub.settings.clone(), Door::Local);
    assert_eq!(send(local, "POST /retire", &[], "").await.status, StatusCode::ACCEPTED);
    assert!(retire.is_cancelled());
    hub.hub.shutdown().await;
}

#[tokio::test]
async fn a_request_that_wants_no_stream_is_told_what_it_is() {
    let hub = hub(&[]).await;
    let local = router(hub.hub.clone(), hub.settings.clone(), Door::Local);
    let answer = send(local, "GET /agents/ann/mcp/lines", &[("upgrade", "mcp")], "").await;
    // Where there is no connection, there is none to turn into a stream.
    assert_eq!(answer.code(), "bad_request");
    hub.hub.shutdown().await;
}
