//! A protected MCP server, from its URL to a call.

use std::sync::Arc;
use std::time::Duration;

use dormouse_protocol::{
    Connection, Endpoint, RemoteClient, RemoteSettings, SignInError, SignIns, StartError, StartFault,
};
use dormouse_testing::office::{Habits, Office};
use dormouse_types::{BackChannel, Env, NoBackChannel, RemoteTransport, ToolName};
use serde_json::json;

use crate::support::{Space, hub, person};

const LONG: Duration = Duration::from_secs(60);

async fn open(office: &Office, sign_ins: &SignIns) -> Result<Connection, StartError> {
    let endpoint = Endpoint {
        url: office.url.clone(),
        transport: RemoteTransport::StreamableHttp,
        headers: Env::default(),
        ca_file: None,
        signer: sign_ins.signer(&office.url, &person(), None),
    };
    let client = RemoteClient::new(RemoteSettings::default()).unwrap();
    Connection::open_url(&client, &endpoint, LONG).await
}

async fn echo(connection: &Connection, text: &str) -> String {
    let nobody: Arc<dyn BackChannel> = Arc::new(NoBackChannel);
    let arguments = json!({ "text": text });
    let tool = ToolName::try_new("echo").unwrap();
    connection.call(&tool, arguments.as_object().unwrap(), LONG, &nobody).await.unwrap().text()
}

#[tokio::test]
async fn a_protected_server_is_called_and_its_tokens_end_unnoticed() {
    let habits = Habits { lifetime: Duration::from_secs(1), ..Habits::default() };
    let (office, space) = (Office::open(habits).await, Space::new());
    space.sign_in(&office).await;
    let connection = open(&office, &space.sign_ins).await.unwrap();
    while office.books(|books| books.refreshed) < 2 {
        assert_eq!(echo(&connection, "still here").await, "still here");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    connection.close(LONG).await;
}

#[tokio::test]
async fn a_token_that_the_server_ended_early_is_renewed_on_the_way() {
    let (office, space) = (Office::open(Habits::default()).await, Space::new());
    space.sign_in(&office).await;
    space.make_older();
    let later = hub(space.folder.path());
    let connection = open(&office, &later).await.unwrap();
    assert_eq!(office.books(|books| books.refreshed), 0);
    office.revoke_access();
    assert_eq!(echo(&connection, "again").await, "again");
    assert_eq!(office.books(|books| books.refreshed), 1);
    connection.close(LONG).await;
}

#[tokio::test]
async fn a_server_that_nobody_signed_in_at_says_what_it_needs() {
    let (office, space) = (Office::open(Habits::default()).await, Space::new());
    let error = open(&office, &space.sign_ins).await.unwrap_err();
    assert!(matches!(error.fault, StartFault::SignIn(SignInError::PersonNeeded)), "{:?}", error.fault);
}
