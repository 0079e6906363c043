//! A person's way through the browser.

use std::time::Duration;

use dormouse_protocol::{SignInError, SignInState};
use dormouse_testing::browser::{browse, get};
use dormouse_testing::office::{Habits, Office};
use dormouse_types::Auth;

use crate::support::{Space, hub, person, state_of, way_back};

#[tokio::test]
async fn a_person_signs_in_and_the_resource_opens() {
    let (office, space) = (Office::open(Habits::default()).await, Space::new());
    let before = space.sign_ins.state(&office.url, &person()).await.unwrap();
    assert_eq!(before, SignInState::PersonNeeded);
    let signer = space.sign_ins.signer(&office.url, &person(), None).unwrap();
    assert_eq!(signer.token().await, Err(SignInError::PersonNeeded));

    space.sign_in(&office).await;

    // The signer that was there before needs no restart.
    let token = signer.token().await.unwrap().unwrap();
    assert!(office.accepts(&token));
    let after = space.sign_ins.state(&office.url, &person()).await.unwrap();
    let SignInState::SignedIn { ends: Some(_), renewable: true, scopes } = after else { panic!("{after:?}") };
    assert_eq!(scopes, ["read"], "the scopes that the server proposes");
    let (registered, resources) = office.books(|books| (books.registered, books.resources.clone()));
    assert_eq!(registered, 1);
    assert_eq!(resources.into_iter().collect::<Vec<_>>(), [office.url.as_str()]);
}

#[tokio::test]
async fn a_configured_client_is_not_registered() {
    let office = Office::open(Habits { registers: false, ..Habits::default() }).await;
    let space = Space::new();
    let refused = space.sign_ins.begin(&office.url, &person(), None).await.unwrap_err();
    assert!(matches!(refused, SignInError::NotOffered { .. }), "{refused}");

    let auth = Auth::AuthorizationCode {
        client_id: Some("configured".to_owned()),
        client_secret: None,
        scopes: vec!["write".to_owned()],
    };
    let signing_in = space.sign_ins.begin(&office.url, &auth, None).await.unwrap();
    let address = signing_in.authorize_url.clone();
    let (outcome, _) = tokio::join!(signing_in.finished(), browse(&address));
    outcome.unwrap();
    let state = space.sign_ins.state(&office.url, &auth).await.unwrap();
    assert!(matches!(state, SignInState::SignedIn { scopes, .. } if scopes == ["write"]));
    // Another client of the same server has no part in it.
    assert_eq!(space.sign_ins.state(&office.url, &person()).await.unwrap(), SignInState::PersonNeeded);
}

#[tokio::test]
async fn a_person_who_says_no_is_an_error_of_its_own() {
    let (office, space) = (Office::open(Habits { denies: true, ..Habits::default() }).await, Space::new());
    let signing_in = space.begin(&office).await;
    let address = signing_in.authorize_url.clone();
    let (outcome, page) = tokio::join!(signing_in.finished(), browse(&address));
    assert_eq!(outcome, Err(SignInError::Denied { code: "access_denied".to_owned() }));
    assert!(page.1.contains("denied"), "{}", page.1);
    assert!(!space.file().exists());
}

#[tokio::test]
async fn what_does_not_know_the_state_is_turned_away_and_ends_nothing() {
    let (office, space) = (Office::open(Habits::default()).await, Space::new());
    let signing_in = space.begin(&office).await;
    let address = signing_in.authorize_url.clone();
    let state = state_of(&signing_in);
    let strangers = [
        way_back(&signing_in, &[("code", "x"), ("state", "guess")]),
        way_back(&signing_in, &[("code", "x")]),
        way_back(&signing_in, &[("error", "access_denied")]),
        way_back(&signing_in, &[("code", "x"), ("state", &state), ("state", "guess")]),
    ];
    let rebound = way_back(&signing_in, &[("code", "x"), ("state", &state)]);
    let elsewhere = rebound.join("/else?state=x").unwrap();
    let person = async {
        for stranger in &strangers {
            assert_eq!(get(stranger, None).await.0, 400, "{stranger}");
        }
        assert_eq!(get(&rebound, Some("evil.example")).await.0, 403);
        assert_eq!(get(&elsewhere, None).await.0, 404);
        // A browser's spare connection, which never says a word, holds nobody up.
        let _spare = tokio::net::TcpStream::connect(("127.0.0.1", rebound.port().unwrap())).await.unwrap();
        browse(&address).await
    };
    let (outcome, page) = tokio::join!(signing_in.finished(), person);
    outcome.unwrap();
    assert_eq!(page.0, 200);
}

#[tokio::test]
async fn a_forged_code_is_refused_and_keeps_nothing() {
    let (office, space) = (Office::open(Habits::default()).await, Space::new());
    let signing_in = space.begin(&office).await;
    let iss = office.url.origin().ascii_serialization();
    let forged =
        way_back(&signing_in, &[("code", "forged-s3cret"), ("state", &state_of(&signing_in)), ("iss", &iss)]);
    let (outcome, page) = tokio::join!(signing_in.finished(), get(&forged, None));
    let error = outcome.unwrap_err();
    assert!(error.to_string().contains("invalid_grant"), "{error}");
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    assert!(page.2.contains("failed"), "{}", page.2);
    assert!(!space.file().exists());
}

#[tokio::test]
async fn an_answer_in_the_name_of_another_server_is_refused() {
    let (office, space) = (Office::open(Habits::default()).await, Space::new());
    let signing_in = space.begin(&office).await;
    let state = state_of(&signing_in);
    let mixed = way_back(&signing_in, &[("code", "x"), ("state", &state), ("iss", "https://evil.example")]);
    let (outcome, _) = tokio::join!(signing_in.finished(), get(&mixed, None));
    assert!(matches!(outcome, Err(SignInError::Failed { .. })), "{outcome:?}");
    assert_eq!(office.books(|books| books.exchanged), 0, "the code went nowhere");
}

#[tokio::test]
async fn nobody_at_the_browser_ends_the_wait() {
    let (office, space) = (Office::open(Habits::default()).await, Space::new());
    let patience = Duration::from_millis(300);
    let hub = hub(space.folder.path()).waiting_for(patience);
    let signing_in = hub.begin(&office.url, &person(), None).await.unwrap();
    let back = way_back(&signing_in, &[]);
    assert_eq!(signing_in.finished().await, Err(SignInError::TimedOut { after: patience }));
    let address = ("127.0.0.1", back.port().unwrap());
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nothing listens any more");
}

#[tokio::test]
async fn a_server_cannot_have_tokens_asked_for_anywhere() {
    for (place, why) in [
        ("http://169.254.169.254/token", "not encrypted"),
        ("https://10.0.0.9/token", "private network"),
        ("http://auth.example.com/token", "not encrypted"),
    ] {
        let habits = Habits { token_endpoint: Some(place.to_owned()), ..Habits::default() };
        let (office, space) = (Office::open(habits).await, Space::new());
        let signing_in = space.begin(&office).await;
        let address = signing_in.authorize_url.clone();
        let (outcome, _) = tokio::join!(signing_in.finished(), browse(&address));
        let error = outcome.unwrap_err();
        assert!(error.to_string().contains(why), "{place}: {error}");
    }
}

#[tokio::test]
async fn where_nobody_can_sign_in_it_is_said() {
    let space = Space::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let gone = format!("http://127.0.0.1:{port}/mcp").parse().unwrap();
    let error = space.sign_ins.begin(&gone, &person(), None).await.unwrap_err();
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    let open = "http://mcp.example.com/mcp".parse().unwrap();
    let error = space.sign_ins.begin(&open, &person(), None).await.unwrap_err();
    assert!(error.to_string().contains("not encrypted"), "{error}");
    let error = space.sign_ins.begin(&open, &Auth::Headers, None).await.unwrap_err();
    assert!(matches!(error, SignInError::NotOffered { .. }));
    assert!(space.sign_ins.signer(&open, &Auth::Headers, None).is_none());
}
