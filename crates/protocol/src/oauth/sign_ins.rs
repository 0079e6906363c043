//! All sign-ins of one hub.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime};

use dormouse_types::Auth;
use url::Url;

use super::address::AddressRule;
use super::authority::Authority;
use super::key::GrantKey;
use super::source::{Handle, Kind, Place, Source};
use super::vault::{KeptIn, Vault};
use super::web::Web;
use crate::error::SignInError;
use crate::remote::{RemoteClient, Signer};

/// The sign-ins of one hub. Cheap to clone.
#[derive(Clone)]
pub struct SignIns {
    pub(super) home: Arc<Home>,
    /// Whose these are; empty is the hub itself.
    pub(super) owner: Arc<str>,
}

/// What all of a hub's sign-ins share.
pub(super) struct Home {
    client: RemoteClient,
    pub(super) vault: Vault,
    private_allowed: bool,
    pub(super) patience: Duration,
    sources: Mutex<HashMap<GrantKey, Weak<Source>>>,
    /// What servers asked for beyond what was granted; the next sign-in asks for it.
    wanted: Mutex<HashMap<GrantKey, BTreeSet<String>>>,
}

/// How it stands with signing in at a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInState {
    /// It does not sign in, or by its headers.
    NotUsed,
    /// It signs in by itself, with a secret.
    Automatic,
    /// A person signed in.
    SignedIn {
        /// When the token ends, if that is known.
        ends: Option<SystemTime>,
        /// Whether it is renewed then without a person.
        renewable: bool,
        /// What was granted.
        scopes: Vec<String>,
    },
    /// A person has to sign in.
    PersonNeeded,
}

impl SignIns {
    /// Opens the sign-ins that are kept in a folder of their own. It is made by the first one.
    pub fn open(folder: &Path, client: RemoteClient) -> Self {
        let home = Home {
            client,
            vault: Vault::at(folder),
            private_allowed: false,
            patience: Duration::from_secs(600),
            sources: Mutex::default(),
            wanted: Mutex::default(),
        };
        Self { home: Arc::new(home), owner: Arc::default() }
    }

    /// The sign-ins of one owner, such as an agent: none of them is another's.
    #[must_use]
    pub fn of(&self, owner: &str) -> Self {
        Self { home: Arc::clone(&self.home), owner: owner.into() }
    }

    /// Lets servers name authorisation servers in private networks, as companies have them.
    #[must_use]
    pub fn allowing_private_addresses(self) -> Self {
        self.changed(|home| home.private_allowed = true)
    }

    /// Keeps grants in a file, even where there is a keyring.
    #[must_use]
    pub fn keeping_in_file(self) -> Self {
        self.changed(|home| home.vault = Vault::in_file(home.vault.folder()))
    }

    /// How long a person may take at the browser; ten minutes unless told otherwise.
    #[must_use]
    pub fn waiting_for(self, patience: Duration) -> Self {
        self.changed(|home| home.patience = patience)
    }

    /// To be used before the first clone: a clone keeps what it had.
    fn changed(self, change: impl FnOnce(&mut Home)) -> Self {
        let old = &self.home;
        let mut home = Home {
            client: old.client.clone(),
            vault: old.vault.clone(),
            private_allowed: old.private_allowed,
            patience: old.patience,
            sources: Mutex::default(),
            wanted: Mutex::default(),
        };
        change(&mut home);
        Self { home: Arc::new(home), owner: self.owner }
    }

    /// Who signs the requests to a server; `None` if its headers do. `auth` is expanded.
    ///
    /// Servers of one owner with the same address, client and scopes share one sign-in.
    pub fn signer(&self, url: &Url, auth: &Auth, ca_file: Option<&Path>) -> Option<Arc<dyn Signer>> {
        let key = GrantKey::of(&self.owner, url, auth)?;
        let kind = match auth {
            Auth::Headers => return None,
            Auth::AuthorizationCode { .. } => Kind::Person,
            Auth::ClientCredentials { client_id, client_secret, scopes } => {
                Kind::Secret { id: client_id.clone(), secret: client_secret.clone(), scopes: scopes.clone() }
            }
        };
        let place = Place { resource: url.clone(), ca_file: ca_file.map(Path::to_owned) };
        let mut sources = self.home.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|_, source| source.strong_count() > 0);
        if let Some(source) = sources.get(&key).and_then(Weak::upgrade)
            && source.kind == kind
            && source.place == place
        {
            return Some(Arc::new(Handle(source)));
        }
        let source = Arc::new(Source {
            home: Arc::clone(&self.home),
            key: key.clone(),
            place,
            kind,
            current: RwLock::default(),
            renewing: Arc::default(),
            more: Mutex::default(),
        });
        sources.insert(key, Arc::downgrade(&source));
        Some(Arc::new(Handle(source)))
    }

    /// Forgets all of this owner's grants for a server's address.
    ///
    /// # Errors
    /// [`SignInError::Store`].
    pub async fn forget(&self, url: &Url) -> Result<(), SignInError> {
        let (owner, of) = (self.owner.clone(), url.clone());
        self.home.vault.remove_all(move |key| key.is_at(&owner, &of)).await?;
        for source in self.home.sources() {
            if source.key.is_at(&self.owner, url) {
                source.set(None);
            }
        }
        Ok(())
    }

    /// How it stands with signing in at a server.
    ///
    /// # Errors
    /// [`SignInError::Store`].
    pub async fn state(&self, url: &Url, auth: &Auth) -> Result<SignInState, SignInError> {
        let key = match (auth, GrantKey::of(&self.owner, url, auth)) {
            (Auth::Headers, _) | (_, None) => return Ok(SignInState::NotUsed),
            (Auth::ClientCredentials { .. }, _) => return Ok(SignInState::Automatic),
            (Auth::AuthorizationCode { .. }, Some(key)) => key,
        };
        let kept = self.home.vault.get(&key).await?;
        let counts =
            |tokens: &super::grant::Tokens| tokens.refresh.is_some() || tokens.is_alive(SystemTime::now());
        Ok(match kept.map(|grant| grant.tokens).filter(counts) {
            None => SignInState::PersonNeeded,
            Some(tokens) => SignInState::SignedIn {
                ends: tokens.ends(),
                renewable: tokens.refresh.is_some(),
                scopes: tokens.scopes,
            },
        })
    }

    /// Where grants are kept. The first use looks for a keyring, which may take a moment.
    pub fn kept_in(&self) -> KeptIn {
        self.home.vault.kept_in()
    }
}

impl Home {
    pub(super) async fn authority(&self, place: &Place) -> Result<Authority, SignInError> {
        let rule = AddressRule::new(&place.resource, self.private_allowed, self.client.proxy_hosts());
        let unmade = |why: String| SignInError::NotOffered { why };
        let builder =
            self.client.builder(place.ca_file.as_deref()).await.map_err(|e| unmade(e.to_string()))?;
        let client = builder
            .dns_resolver(Arc::new(rule.clone()))
            .build()
            .map_err(|error| unmade(error.without_url().to_string()))?;
        Authority::discover(Web::new(client, rule), &place.resource).await
    }

    pub(super) fn sources(&self) -> Vec<Arc<Source>> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.values().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn want(&self, key: &GrantKey, scopes: &[String]) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.entry(key.clone()).or_default().extend(scopes.iter().cloned());
    }

    pub(super) fn wanted(&self, key: &GrantKey) -> BTreeSet<String> {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.get(key).cloned().unwrap_or_default()
    }

    pub(super) fn is_wanted_no_more(&self, key: &GrantKey) {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

impl fmt::Debug for SignIns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIns").field("folder", &self.home.vault.folder()).finish_non_exhaustive()
    }
}
