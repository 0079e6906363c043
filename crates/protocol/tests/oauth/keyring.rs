//! Sign-ins in a real keyring: gnome-keyring on a D-Bus of its own.

use dormouse_protocol::{KeptIn, RemoteClient, RemoteSettings, SignIns};
use dormouse_testing::Unpacked;
use dormouse_testing::browser::browse;
use dormouse_testing::office::{Habits, Office};

use crate::support::person;

#[test]
fn a_keyring_is_preferred_to_a_file() {
    let home = tempfile::tempdir().unwrap();
    // The variable that leads to the bus has to be there before the process is.
    let inner = "printf word | \"$1\" --unlock --components=secrets >/dev/null && \
                 exec \"$0\" --exact keyring::within_a_session_with_a_keyring --ignored";
    let unpacked = Unpacked::named("keyring");
    let mut session = unpacked.command("dbus-run-session");
    // A bus of the machine knows where its configuration is.
    if let Some(bus) = unpacked.file("usr/bin/dbus-daemon") {
        session.arg("--dbus-daemon").arg(bus);
        session.arg("--config-file").arg(unpacked.file("usr/share/dbus-1/session.conf").unwrap());
    }
    let done = session
        .args(["--", "sh", "-c", inner])
        .arg(std::env::current_exe().unwrap())
        .arg(unpacked.program("gnome-keyring-daemon"))
        .env("HOME", home.path())
        .env("XDG_DATA_HOME", home.path().join("data"))
        .env("XDG_RUNTIME_DIR", home.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && told.contains("1 passed"),
        "{told}{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

#[tokio::test]
#[ignore = "a_keyring_is_preferred_to_a_file runs it, within a session that has a keyring"]
async fn within_a_session_with_a_keyring() {
    let (office, folder) = (Office::open(Habits::default()).await, tempfile::tempdir().unwrap());
    let hub = || {
        let client = RemoteClient::new(RemoteSettings::default()).unwrap();
        SignIns::open(&folder.path().join("grants"), client)
    };
    let first = hub();
    assert_eq!(first.kept_in(), KeptIn::Keyring);
    let signing_in = first.begin(&office.url, &person(), None).await.unwrap();
    let address = signing_in.authorize_url.clone();
    let (outcome, _) = tokio::join!(signing_in.finished(), browse(&address));
    outcome.unwrap();

    let second = hub().signer(&office.url, &person(), None).unwrap();
    assert!(office.accepts(&second.token().await.unwrap().unwrap()));
    assert!(!folder.path().join("grants/sign-ins.json").exists());
    hub().forget(&office.url).await.unwrap();
    assert!(second.token().await.is_ok(), "its hub has the token still");
    let third = hub().signer(&office.url, &person(), None).unwrap();
    assert!(third.token().await.is_err());
}
