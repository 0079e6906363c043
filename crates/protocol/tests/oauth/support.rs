//! What the tests share: a hub's side, and a browser.

use std::path::Path;
use std::time::Duration;

use dormouse_protocol::{Proxies, RemoteClient, RemoteSettings, SignIns, SigningIn};
use dormouse_testing::browser::browse;
use dormouse_testing::office::Office;
use dormouse_types::Auth;
use tempfile::TempDir;
use url::Url;

pub(crate) struct Space {
    pub(crate) folder: TempDir,
    pub(crate) sign_ins: SignIns,
}

impl Space {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sign_ins = hub(folder.path());
        Self { folder, sign_ins }
    }

    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("grants/sign-ins.json")
    }

    pub(crate) async fn begin(&self, office: &Office) -> SigningIn {
        self.sign_ins.begin(&office.url, &person(), None).await.unwrap()
    }

    /// Signs in as a person would.
    pub(crate) async fn sign_in(&self, office: &Office) {
        let signing_in = self.begin(office).await;
        let address = signing_in.authorize_url.clone();
        let (outcome, page) = tokio::join!(signing_in.finished(), browse(&address));
        outcome.unwrap();
        assert!(page.1.contains("You can close this window"), "{}", page.1);
    }

    /// Writes into the file that the tokens came a minute earlier.
    pub(crate) fn make_older(&self) {
        let mut kept: serde_json::Value =
            serde_json::from_slice(&std::fs::read(self.file()).unwrap()).unwrap();
        let since = &mut kept["grants"][0]["grant"]["tokens"]["since"];
        *since = (since.as_u64().unwrap() - 60_000).into();
        std::fs::write(self.file(), kept.to_string()).unwrap();
    }

    pub(crate) async fn token(&self, office: &Office) -> String {
        let signer = self.sign_ins.signer(&office.url, &person(), None).unwrap();
        signer.token().await.unwrap().unwrap()
    }
}

/// A hub on a folder; several may be on one.
pub(crate) fn hub(folder: &Path) -> SignIns {
    let settings = RemoteSettings { proxies: Proxies::default(), ..RemoteSettings::default() };
    SignIns::open(&folder.join("grants"), RemoteClient::new(settings).unwrap())
        .keeping_in_file()
        .waiting_for(Duration::from_secs(60))
}

pub(crate) fn person() -> Auth {
    Auth::AuthorizationCode { client_id: None, client_secret: None, scopes: Vec::new() }
}

/// Where the browser will be sent back to.
pub(crate) fn way_back(signing_in: &SigningIn, query: &[(&str, &str)]) -> Url {
    let pairs = signing_in.authorize_url.query_pairs();
    let redirect = pairs.into_iter().find(|(name, _)| name == "redirect_uri").unwrap().1;
    Url::parse_with_params(&redirect, query).unwrap()
}

pub(crate) fn state_of(signing_in: &SigningIn) -> String {
    let mut pairs = signing_in.authorize_url.query_pairs();
    pairs.find(|(name, _)| name == "state").unwrap().1.into_owned()
}
