//! Two hubs in one process: their spaces have servers of the same name, and share nothing.

#[path = "support/call.rs"]
mod call;
mod support;

use call::say;
use dormouse::Hub;
use support::{Done, builder, space};

#[tokio::main]
async fn main() -> Done {
    let (here, there) = (space()?, space()?);
    let (first, second) = (builder(&here).open().await?, builder(&there).open().await?);
    assert_eq!(say(&first.store(), "one").await?, "one");
    assert_eq!(say(&second.store(), "two").await?, "two");

    // Opening a space again gives the hub that is open.
    let again = Hub::builder().space(here.path()).open().await?;
    assert_eq!(again.space().root(), first.space().root());

    first.shutdown().await;
    assert!(say(&again.store(), "gone").await.is_err());
    assert_eq!(say(&second.store(), "still here").await?, "still here");
    second.shutdown().await;
    Ok(())
}
