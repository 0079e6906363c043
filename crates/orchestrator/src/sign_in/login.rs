//! The sign-ins that wait for a person, and the verbs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use dormouse_lifecycle::{Event as Step, Phase};
use dormouse_protocol::{KeptIn, SignInError, SignInState as Granted};
use dormouse_registry::Entry;
use dormouse_types::{Auth, Launch, Scope, ServerKey, Timestamp, Wanted};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{SignIn, SignInFault, SignInState, SignInsKept};
use crate::instance::Instance;
use crate::orchestrator::Orchestrator;
use crate::remotes::Place;
use crate::roster::Roster;

/// The sign-ins that were begun, the latest of each server.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    begun: Mutex<HashMap<ServerKey, Begun>>,
}

#[derive(Debug, Clone)]
struct Begun {
    authorize_url: String,
    /// How it ended.
    ended: watch::Receiver<Option<Result<(), SignInError>>>,
    gives_up: CancellationToken,
}

impl Begun {
    /// Whether somebody still waits for the person.
    fn waits(&self) -> bool {
        self.ended.borrow().is_none() && !self.gives_up.is_cancelled()
    }
}

impl Logins {
    fn of(&self, server: &ServerKey) -> Option<Begun> {
        self.lock().get(server).cloned()
    }

    /// The latest one counts; one before it is given up.
    fn replace(&self, server: &ServerKey, begun: Option<Begun>) {
        let mut all = self.lock();
        let older = match begun {
            Some(begun) => all.insert(server.clone(), begun),
            None => all.remove(server),
        };
        if let Some(older) = older {
            older.gives_up.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ServerKey, Begun>> {
        self.begun.lock().expect("nothing panics while it holds the sign-ins")
    }
}

impl Orchestrator {
    /// Begins to sign in at a server, for a person at a browser. One that waits for the person
    /// already is given again. When they have signed in, the server is started.
    ///
    /// # Errors
    /// [`SignInFault`]
    pub async fn login(&self, server: &ServerKey) -> Result<SignIn, SignInFault> {
        let place = self.place(server)?;
        let why = match &place.auth {
            Auth::AuthorizationCode { .. } => None,
            Auth::ClientCredentials { .. } => Some("it signs in by itself, with its secret"),
            Auth::Headers => Some("its entry says nothing of it; it would say `\"auth\": \"oauth\"`"),
        };
        if let Some(why) = why {
            return Err(SignInFault::NotUsed { server: server.clone(), why });
        }
        if self.logins().of(server).is_some_and(|begun| begun.waits()) {
            return self.sign_in(server).await;
        }
        let remotes = self.engine().starter.remotes();
        let ca_file = place.endpoint.ca_file.as_deref();
        let begun = remotes.sign_ins_of(&server.scope).begin(&place.endpoint.url, &place.auth, ca_file).await;
        let signing_in = begun.map_err(|source| SignInFault::Failed { server: server.clone(), source })?;
        let (told, ended) = watch::channel(None);
        let gives_up = CancellationToken::new();
        let authorize_url = signing_in.authorize_url.to_string();
        self.logins().replace(server, Some(Begun { authorize_url, ended, gives_up: gives_up.clone() }));
        let roster = self.roster().clone();
        let key = server.clone();
        // Ends with the hub, and within the time that a person has.
        self.engine().tasks.spawn(async move {
            let engine = roster.engine().clone();
            let outcome = tokio::select! {
                () = engine.ending.cancelled() => return,
                () = gives_up.cancelled() => return,
                outcome = signing_in.finished() => outcome,
            };
            if outcome.is_ok() {
                for instance in at(&roster, &key.scope, &place) {
                    welcome(&instance, *instance.key() == key).await;
                }
            }
            told.send_replace(Some(outcome));
        });
        self.sign_in(server).await
    }

    /// Forgets what was granted at a server's address, and gives up a sign-in that waits. Servers
    /// that need it end their connections; calls that run finish first.
    ///
    /// # Errors
    /// [`SignInFault`]
    pub async fn logout(&self, server: &ServerKey) -> Result<SignIn, SignInFault> {
        let place = self.place(server)?;
        self.logins().replace(server, None);
        let sign_ins = self.engine().starter.remotes().sign_ins_of(&server.scope);
        let forgotten = sign_ins.forget(&place.endpoint.url).await;
        forgotten.map_err(|source| SignInFault::Failed { server: server.clone(), source })?;
        for instance in at(self.roster(), &server.scope, &place) {
            if instance.connection().is_some() {
                self.detach(instance.key()).await;
                let next = self.known_entry(instance.key()).and_then(|entry| self.roster().instance(&entry));
                if let Some(next) = next
                    && next.config().wanted == Wanted::Always
                {
                    // It fails now, and its status says what is needed.
                    next.feed(Step::Wake);
                }
            }
        }
        self.sign_in(server).await
    }

    /// How it stands with signing in at a server.
    ///
    /// # Errors
    /// [`SignInFault`]
    pub async fn sign_in(&self, server: &ServerKey) -> Result<SignIn, SignInFault> {
        let place = match self.place(server) {
            Err(SignInFault::NotUsed { .. }) => {
                return Ok(SignIn { state: SignInState::NotUsed, authorize_url: None, failed: None });
            }
            place => place?,
        };
        let sign_ins = self.engine().starter.remotes().sign_ins_of(&server.scope);
        let state = sign_ins.state(&place.endpoint.url, &place.auth).await;
        let state = state.map_err(|source| SignInFault::Failed { server: server.clone(), source })?;
        let begun = self.logins().of(server);
        let (authorize_url, failed) = match &begun {
            Some(begun) if begun.waits() => (Some(begun.authorize_url.clone()), None),
            Some(begun) => match &*begun.ended.borrow() {
                Some(Err(error)) => (None, Some(error.to_string())),
                Some(Ok(())) | None => (None, None),
            },
            None => (None, None),
        };
        Ok(SignIn { state: shown(state), authorize_url, failed })
    }

    /// Waits until no sign-in of a server waits for a person any more, and gives how it stands.
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`SignInFault`]
    pub async fn wait_sign_in(&self, server: &ServerKey) -> Result<SignIn, SignInFault> {
        if let Some(Begun { mut ended, gives_up, .. }) = self.logins().of(server) {
            tokio::select! {
                // Whoever tells is gone with the hub, and then nobody waits either.
                _ = ended.wait_for(Option::is_some) => {}
                () = gives_up.cancelled() => {}
            }
        }
        self.sign_in(server).await
    }

    /// Where sign-ins are kept. The first look for a keyring may take a moment.
    pub async fn sign_ins_kept(&self) -> SignInsKept {
        let sign_ins = self.engine().starter.remotes().sign_ins.clone();
        match tokio::task::spawn_blocking(move || sign_ins.kept_in()).await {
            Ok(KeptIn::File(path)) => SignInsKept::File(path),
            Ok(KeptIn::Keyring) => SignInsKept::Keyring,
            Err(_) => SignInsKept::Nowhere,
        }
    }

    fn logins(&self) -> &Logins {
        &self.engine().starter.remotes().logins
    }

    fn place(&self, server: &ServerKey) -> Result<Place, SignInFault> {
        let unknown = || SignInFault::UnknownServer { server: server.clone() };
        let entry = self.known_entry(server).ok_or_else(unknown)?;
        let Launch::Url(remote) = &entry.config.launch else {
            return Err(SignInFault::NotUsed { server: server.clone(), why: "it is not at a URL" });
        };
        let place = self.engine().starter.remotes().place(&server.scope, remote);
        place.map_err(|source| SignInFault::Entry { server: server.clone(), source: Box::new(source) })
    }
}

/// An owner's servers at an address that a person signs in at.
fn at(roster: &Roster, owner: &Scope, place: &Place) -> Vec<Arc<Instance>> {
    let engine = roster.engine();
    // A sign-in does not go by what may be secret of an address.
    let plain = |place: &Place| place.endpoint.url.as_str().split('?').next().map(str::to_owned);
    let here = |entry: &&Arc<Entry>| match &entry.config.launch {
        Launch::Url(remote)
            if entry.key.scope == *owner && matches!(remote.auth, Auth::AuthorizationCode { .. }) =>
        {
            let found = engine.starter.remotes().place(owner, remote);
            found.is_ok_and(|found| plain(&found) == plain(place))
        }
        _ => false,
    };
    let catalog = engine.registry.snapshot();
    catalog.servers(&Scope::Store).filter(here).filter_map(|entry| roster.instance(entry)).collect()
}

fn is_away(instance: &Instance) -> bool {
    matches!(*instance.phases().borrow(), Phase::Waiting | Phase::Down)
}

/// Somebody signed in: what waited for it goes on.
async fn welcome(instance: &Arc<Instance>, asked: bool) {
    match instance.connection() {
        // Its status says so at once.
        Some(connection) => drop(instance.probe(&connection).await),
        None if asked || is_away(instance) => instance.feed(Step::Wake),
        None => {}
    }
}

fn shown(state: Granted) -> SignInState {
    match state {
        Granted::NotUsed => SignInState::NotUsed,
        Granted::Automatic => SignInState::Automatic,
        Granted::PersonNeeded => SignInState::PersonNeeded,
        Granted::SignedIn { ends, renewable, scopes } => {
            let ends = ends.and_then(|ends| Timestamp::try_from(ends).ok());
            SignInState::SignedIn { ends, renewable, scopes }
        }
    }
}
