//! What is kept, and how.

use std::os::unix::fs::PermissionsExt;

use dormouse_protocol::{KeptIn, SignInError, SignInState};
use dormouse_testing::browser::browse;
use dormouse_testing::office::{Habits, Office};
use dormouse_types::Auth;

use crate::support::{Space, hub, person};

#[tokio::test]
async fn only_the_owner_can_read_what_is_kept() {
    let (office, space) = (Office::open(Habits::default()).await, Space::new());
    let folder = space.file().parent().unwrap().to_owned();
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    space.sign_in(&office).await;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert_eq!(space.sign_ins.kept_in(), KeptIn::File(space.file()));
}

#[tokio::test]
async fn forgetting_takes_one_server_and_leaves_the_others() {
    let (one, two) = (Office::open(Habits::default()).await, Office::open(Habits::default()).await);
    let space = Space::new();
    space.sign_in(&one).await;
    space.sign_in(&two).await;
    let signer = space.sign_ins.signer(&one.url, &person(), None).unwrap();
    signer.token().await.unwrap();
    space.sign_ins.forget(&one.url).await.unwrap();
    assert_eq!(signer.token().await, Err(SignInError::PersonNeeded));
    assert_eq!(space.sign_ins.state(&one.url, &person()).await.unwrap(), SignInState::PersonNeeded);
    assert!(two.accepts(&space.token(&two).await));
}

#[tokio::test]
async fn a_damaged_file_is_said_and_not_overwritten() {
    let (office, space) = (Office::open(Habits::default()).await, Space::new());
    std::fs::create_dir(space.file().parent().unwrap()).unwrap();
    for (text, why) in
        [(r#"{"format":1,"grants":[{"s3cret"#, "damaged"), (r#"{"format":9,"grants":[]}"#, "another version")]
    {
        std::fs::write(space.file(), text).unwrap();
        let signer = space.sign_ins.signer(&office.url, &person(), None).unwrap();
        let error = signer.token().await.unwrap_err();
        assert!(matches!(error, SignInError::Store { .. }), "{error}");
        assert!(error.to_string().contains(why) && !error.to_string().contains("s3cret"), "{error}");
        let signing_in = space.begin(&office).await;
        let address = signing_in.authorize_url.clone();
        let (outcome, page) = tokio::join!(signing_in.finished(), browse(&address));
        assert!(matches!(outcome, Err(SignInError::Store { .. })), "{outcome:?}");
        assert!(page.1.contains("failed"), "{}", page.1);
        assert_eq!(std::fs::read_to_string(space.file()).unwrap(), text);
    }
}

#[tokio::test]
async fn an_interrupted_write_is_no_hindrance() {
    let (office, space) = (Office::open(Habits::default()).await, Space::new());
    let folder = space.file().parent().unwrap().to_owned();
    std::fs::create_dir(&folder).unwrap();
    let beside = folder.join("sign-ins.json.new");
    std::fs::write(&beside, "half").unwrap();
    space.sign_in(&office).await;
    assert!(!beside.exists());
    assert!(office.accepts(&space.token(&office).await));
}

#[tokio::test]
async fn hubs_that_write_at_once_lose_nothing() {
    let space = Space::new();
    let mut offices = Vec::new();
    for _ in 0..8 {
        offices.push(Office::open(Habits::default()).await);
    }
    let signing = offices.iter().map(|office| {
        let hub = hub(space.folder.path());
        let url = office.url.clone();
        tokio::spawn(async move {
            let signing_in = hub.begin(&url, &person(), None).await.unwrap();
            let address = signing_in.authorize_url.clone();
            let (outcome, _) = tokio::join!(signing_in.finished(), browse(&address));
            outcome.unwrap();
        })
    });
    for task in signing.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    for office in &offices {
        let state = space.sign_ins.state(&office.url, &person()).await.unwrap();
        assert!(matches!(state, SignInState::SignedIn { .. }), "{state:?}");
    }
}

#[tokio::test]
async fn nothing_shows_a_token() {
    let (office, space) = (Office::open(Habits::default()).await, Space::new());
    space.sign_in(&office).await;
    let signer = space.sign_ins.signer(&office.url, &person(), None).unwrap();
    signer.token().await.unwrap();
    let signing_in = space.begin(&office).await;
    let state = space.sign_ins.state(&office.url, &person()).await.unwrap();
    let shown = format!("{:?} {signer:?} {signing_in:?} {state:?}", space.sign_ins);
    assert!(!shown.contains("s3cret"), "{shown}");
    assert_eq!(space.sign_ins.state(&office.url, &Auth::Headers).await.unwrap(), SignInState::NotUsed);
}
