//! A hub that did not open leaves nothing behind.

use dormouse::{Config, Hub, OpenError};

#[tokio::test]
async fn a_hub_that_did_not_open_can_be_opened_once_the_fault_is_mended() {
    let space = tempfile::tempdir().unwrap();
    let open = || {
        let config = Config { model: "none".to_owned(), ..Config::default() };
        Hub::builder().space(space.path()).config(config).open()
    };
    // A file lies where the drop folder should be: found late, when all else is open.
    let in_the_way = space.path().join("servers");
    std::fs::write(&in_the_way, "").unwrap();
    assert!(matches!(open().await, Err(OpenError::Orchestrator(_))));
    std::fs::remove_file(&in_the_way).unwrap();
    let hub = open().await.unwrap();
    hub.shutdown().await;
}
