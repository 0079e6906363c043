//! Hubs of programs without a runtime.

use dormouse::blocking::Hub;
use dormouse::{Config, HubBuilder};
use serde_json::json;

#[test]
fn a_hub_opened_twice_lives_on_when_the_first_handle_goes() {
    let space = tempfile::tempdir().unwrap();
    let builder = || {
        let config = Config { model: "none".to_owned(), storage: "memory".to_owned(), ..Config::default() };
        HubBuilder::default().space(space.path()).config(config)
    };
    let first = Hub::open(builder()).unwrap();
    let second = Hub::open(builder()).unwrap();
    drop(first);
    let entry = json!({ "command": "/nowhere/to/be/found" });
    second.store().add("calc".parse().unwrap(), entry).unwrap();
    assert_eq!(second.store().servers().len(), 1);
    second.shutdown().unwrap();
}
