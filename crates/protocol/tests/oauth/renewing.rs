//! Tokens that end, are refused, are renewed.

use std::sync::Arc;
use std::time::Duration;

use dormouse_protocol::{SignInError, SignInState, Signer};
use dormouse_testing::office::{Habits, Office};
use dormouse_types::Auth;

use crate::support::{Space, hub, person};

/// A token of one second: its renewal is due after three quarters of that.
fn short() -> Habits {
    Habits { lifetime: Duration::from_secs(1), ..Habits::default() }
}

fn robot(secret: &str) -> Auth {
    Auth::ClientCredentials {
        client_id: "robot".to_owned(),
        client_secret: secret.to_owned(),
        scopes: Vec::new(),
    }
}

async fn hundred(signers: &[Arc<dyn Signer>]) -> Vec<Result<Option<String>, SignInError>> {
    let tasks: Vec<_> = (0..100)
        .map(|turn| {
            let signer = Arc::clone(&signers[turn % signers.len()]);
            tokio::spawn(async move { signer.token().await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

/// Waits until the server does not accept a token any more.
async fn until_ended(office: &Office, token: &str) {
    while office.accepts(token) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_hundred_calls_renew_an_ended_token_once() {
    let (office, space) = (Office::open(short()).await, Space::new());
    space.sign_in(&office).await;
    let first = space.token(&office).await;
    until_ended(&office, &first).await;
    office.change(|habits| habits.lifetime = Duration::from_secs(3600));

    // Two generations of one server, two servers of one address: one sign-in.
    let signers: Vec<_> =
        (0..4).map(|_| space.sign_ins.signer(&office.url, &person(), None).unwrap()).collect();
    let mut tokens: Vec<_> = hundred(&signers).await.into_iter().map(|it| it.unwrap().unwrap()).collect();
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert!(office.accepts(&tokens[0]));
    assert_eq!(office.books(|books| books.refreshed), 1);
}

#[tokio::test]
async fn several_hubs_on_one_folder_renew_once() {
    let (office, space) = (Office::open(short()).await, Space::new());
    space.sign_in(&office).await;
    let first = space.token(&office).await;
    until_ended(&office, &first).await;
    office.change(|habits| habits.lifetime = Duration::from_secs(3600));

    let hubs: Vec<_> = (0..5).map(|_| hub(space.folder.path())).collect();
    let signers: Vec<_> = hubs.iter().map(|hub| hub.signer(&office.url, &person(), None).unwrap()).collect();
    for token in hundred(&signers).await {
        assert!(office.accepts(&token.unwrap().unwrap()));
    }
    assert_eq!(office.books(|books| books.refreshed), 1);
}

#[tokio::test]
async fn a_rotated_token_outlives_the_hub() {
    let (office, space) = (Office::open(short()).await, Space::new());
    space.sign_in(&office).await;
    let mut token = space.token(&office).await;
    for turn in 1..=3 {
        until_ended(&office, &token).await;
        // Each time another hub, which knows only what the one before kept.
        let signer = hub(space.folder.path()).signer(&office.url, &person(), None).unwrap();
        token = signer.token().await.unwrap().unwrap();
        assert!(office.accepts(&token));
        assert_eq!(office.books(|books| books.refreshed), turn);
    }
}

#[tokio::test]
async fn a_hundred_refusals_of_one_token_renew_it_once() {
    let (office, space) = (Office::open(Habits::default()).await, Space::new());
    space.sign_in(&office).await;
    let signer = space.sign_ins.signer(&office.url, &person(), None).unwrap();
    let old = signer.token().await.unwrap().unwrap();
    office.revoke_access();
    space.make_older();
    let other = hub(space.folder.path());
    let signer = other.signer(&office.url, &person(), None).unwrap();
    let challenge = office.challenge(&old);
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (signer, old, challenge) = (Arc::clone(&signer), old.clone(), challenge.clone());
            tokio::spawn(async move { signer.refused(Some(&old), Some(&challenge)).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(true));
    }
    assert!(office.accepts(&signer.token().await.unwrap().unwrap()));
    assert_eq!(office.books(|books| books.refreshed), 1);
}

#[tokio::test]
async fn a_server_that_refuses_new_tokens_is_not_fed_with_more() {
    let (office, space) = (Office::open(Habits::default()).await, Space::new());
    space.sign_in(&office).await;
    let signer = space.sign_ins.signer(&office.url, &person(), None).unwrap();
    let new = signer.token().await.unwrap().unwrap();
    for _ in 0..3 {
        assert_eq!(signer.refused(Some(&new), None).await, Err(SignInError::Refused { status: 401 }));
    }
    assert_eq!(office.books(|books| books.refreshed), 0);
}

#[tokio::test]
async fn a_revoked_grant_needs_a_person_and_is_forgotten() {
    let (office, space) = (Office::open(short()).await, Space::new());
    space.sign_in(&office).await;
    let signer = space.sign_ins.signer(&office.url, &person(), None).unwrap();
    let token = signer.token().await.unwrap().unwrap();
    office.revoke_all();
    until_ended(&office, &token).await;
    tokio::time::sleep(Duration::from_secs(1)).await; // our own clock's end of the token
    assert_eq!(signer.token().await, Err(SignInError::PersonNeeded));
    let state = space.sign_ins.state(&office.url, &person()).await.unwrap();
    assert_eq!(state, SignInState::PersonNeeded);
    let kept = std::fs::read_to_string(space.file()).unwrap();
    assert!(!kept.contains("s3cret"), "{kept}");

    space.sign_in(&office).await;
    assert!(office.accepts(&signer.token().await.unwrap().unwrap()));
}

#[tokio::test]
async fn an_outage_of_the_authorisation_server_forgets_nothing() {
    let (office, space) = (Office::open(short()).await, Space::new());
    space.sign_in(&office).await;
    let signer = space.sign_ins.signer(&office.url, &person(), None).unwrap();
    let token = signer.token().await.unwrap().unwrap();
    until_ended(&office, &token).await;
    office.change(|habits| habits.is_down = true);
    let error = signer.token().await.unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
    office.change(|habits| habits.is_down = false);
    assert!(office.accepts(&signer.token().await.unwrap().unwrap()));
}

#[tokio::test]
async fn a_missing_scope_is_asked_for_at_the_next_sign_in() {
    let (office, space) =
        (Office::open(Habits { wants: Some("write"), ..Habits::default() }).await, Space::new());
    space.sign_in(&office).await;
    let signer = space.sign_ins.signer(&office.url, &person(), None).unwrap();
    let token = signer.token().await.unwrap().unwrap();
    let challenge = office.challenge(&token);
    let error = signer.refused(Some(&token), Some(&challenge)).await.unwrap_err();
    assert_eq!(error, SignInError::MoreNeeded { scopes: vec!["write".to_owned()] });

    space.sign_in(&office).await;
    let token = signer.token().await.unwrap().unwrap();
    assert!(office.accepts(&token), "it has what it had and what was missing");
    let state = space.sign_ins.state(&office.url, &person()).await.unwrap();
    assert!(
        matches!(&state, SignInState::SignedIn { scopes, .. } if scopes == &["read", "write"]),
        "{state:?}"
    );
}

#[tokio::test]
async fn a_client_with_a_secret_signs_in_without_a_person_and_keeps_nothing() {
    let (office, space) = (Office::open(short()).await, Space::new());
    let auth = robot("robot-s3cret");
    let signer = space.sign_ins.signer(&office.url, &auth, None).unwrap();
    let first = signer.token().await.unwrap().unwrap();
    assert!(office.accepts(&first));
    until_ended(&office, &first).await;
    office.change(|habits| habits.lifetime = Duration::from_secs(3600));
    for token in hundred(&[signer]).await {
        assert!(office.accepts(&token.unwrap().unwrap()));
    }
    assert_eq!(office.books(|books| books.exchanged), 2);
    assert_eq!(space.sign_ins.state(&office.url, &auth).await.unwrap(), SignInState::Automatic);
    assert!(!space.file().exists());
    let resources = office.books(|books| books.resources.clone());
    assert_eq!(resources.into_iter().collect::<Vec<_>>(), [office.url.as_str()]);
}

#[tokio::test]
async fn a_wrong_secret_is_an_error_that_does_not_repeat_it() {
    let (office, space) = (Office::open(Habits::default()).await, Space::new());
    let auth = robot("wrong-s3cret");
    let signer = space.sign_ins.signer(&office.url, &auth, None).unwrap();
    let error = signer.token().await.unwrap_err();
    assert!(error.to_string().contains("invalid_client"), "{error}");
    assert!(!format!("{error:?} {signer:?}").contains("wrong-s3cret"));
    // A corrected secret is not mistaken for the old one.
    let signer = space.sign_ins.signer(&office.url, &robot("robot-s3cret"), None).unwrap();
    assert!(signer.token().await.is_ok());
}

#[tokio::test]
async fn a_client_with_a_secret_gets_a_missing_scope_by_itself_once() {
    let (office, space) =
        (Office::open(Habits { wants: Some("write"), ..Habits::default() }).await, Space::new());
    let signer = space.sign_ins.signer(&office.url, &robot("robot-s3cret"), None).unwrap();
    let token = signer.token().await.unwrap().unwrap();
    let challenge = office.challenge(&token);
    assert_eq!(signer.refused(Some(&token), Some(&challenge)).await, Ok(true));
    let token = signer.token().await.unwrap().unwrap();
    assert!(office.accepts(&token));
    let again = signer.refused(Some(&token), Some(&challenge)).await;
    assert_eq!(again, Err(SignInError::MoreNeeded { scopes: vec!["write".to_owned()] }));
}
