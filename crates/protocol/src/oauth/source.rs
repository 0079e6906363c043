//! Who has the token of one server, and renews it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use rmcp::transport::auth::WWWAuthenticateParams;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use url::Url;

use super::authority::{Authority, Lapse};
use super::grant::Grant;
use super::key::GrantKey;
use super::sign_ins::Home;
use crate::error::SignInError;
use crate::remote::Signer;

/// A token that is refused at this age is not the problem, so another one would not help.
const JUST_RENEWED: Duration = Duration::from_secs(10);
/// For so long after a failure the token that still counts is used without another try.
const REST: Duration = Duration::from_secs(5);

/// The token of all servers with one key.
pub(super) struct Source {
    pub(super) home: Arc<Home>,
    pub(super) key: GrantKey,
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) current: RwLock<Option<Grant>>,
    pub(super) renewing: Arc<AsyncMutex<Renewing>>,
    /// What a server asked for beyond what is configured; only without a person.
    pub(super) more: Mutex<BTreeSet<String>>,
}

/// Where to sign in.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) resource: Url,
    pub(super) ca_file: Option<PathBuf>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Person,
    Secret { id: String, secret: String, scopes: Vec<String> },
}

/// What only the one who renews has.
#[derive(Default)]
pub(super) struct Renewing {
    authority: Option<Authority>,
    failed: Option<(Instant, SignInError)>,
}

impl Source {
    fn current(&self) -> Option<Grant> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, grant: Option<Grant>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = grant;
    }

    /// A token that counts and is not the one that was refused.
    ///
    /// Cancel safe: the renewal goes on without the one who asked for it.
    async fn renew(self: &Arc<Self>, refused: Option<&str>) -> Result<String, SignInError> {
        let came = Instant::now();
        let renewing = Arc::clone(&self.renewing).lock_owned().await;
        let now = SystemTime::now();
        if let Some(grant) = self.current() {
            let rests = refused.is_none()
                && grant.tokens.is_alive(now)
                && renewing.failed.as_ref().is_some_and(|(at, _)| at.elapsed() < REST);
            if rests || is_usable(&grant, refused, now) {
                return Ok(grant.tokens.access);
            }
        }
        if let Some((at, error)) = &renewing.failed
            && *at >= came
        {
            // Somebody tried while we waited, for all who waited.
            return Err(error.clone());
        }
        let (this, refused) = (Arc::clone(self), refused.map(str::to_owned));
        // On a task of its own: a caller who gives up in the middle would take a refresh token
        // with them that the server has already replaced. It ends with its requests, which have
        // deadlines.
        let task = tokio::spawn(async move { this.renew_alone(renewing, refused.as_deref()).await });
        let ended = || SignInError::Failed { why: "the renewal was interrupted".to_owned() };
        task.await.unwrap_or_else(|_| Err(ended()))
    }

    async fn renew_alone(
        &self,
        mut renewing: OwnedMutexGuard<Renewing>,
        refused: Option<&str>,
    ) -> Result<String, SignInError> {
        let renewed = match &self.kind {
            Kind::Person => self.by_refresh(&mut renewing, refused).await,
            Kind::Secret { id, secret, scopes } => {
                self.by_secret(&mut renewing, refused, (id, secret, scopes)).await
            }
        };
        match renewed {
            Ok(grant) => {
                let access = grant.tokens.access.clone();
                self.set(Some(grant));
                Ok(access)
            }
            Err(error) => {
                // Perhaps it moved.
                renewing.authority = None;
                renewing.failed = Some((Instant::now(), error.clone()));
                let alive = |grant: &Grant| refused.is_none() && grant.tokens.is_alive(SystemTime::now());
                match self.current().filter(alive) {
                    Some(grant) => {
                        tracing::warn!(key = ?self.key, %error, "a token that still counts could not be renewed");
                        Ok(grant.tokens.access)
                    }
                    None => Err(error),
                }
            }
        }
    }

    async fn by_refresh(&self, renewing: &mut Renewing, refused: Option<&str>) -> Result<Grant, SignInError> {
        let vault = &self.home.vault;
        // Most often another generation, or another hub, has been here before.
        let _held = vault.hold(&self.key).await?;
        let now = SystemTime::now();
        let kept = vault.get(&self.key).await?;
        self.set(kept.clone());
        let Some(kept) = kept else { return Err(SignInError::PersonNeeded) };
        if is_usable(&kept, refused, now) {
            return Ok(kept);
        }
        if refused.is_some() && kept.tokens.age(now) < JUST_RENEWED {
            return Err(SignInError::Refused { status: 401 });
        }
        if kept.tokens.refresh.is_none() {
            return if refused.is_none() && kept.tokens.is_alive(now) {
                Ok(kept)
            } else {
                self.lapse(&kept).await
            };
        }
        let authority = match &mut renewing.authority {
            Some(authority) => authority,
            none => none.insert(self.home.authority(&self.place).await?),
        };
        match authority.renew(&kept).await {
            Ok(grant) => {
                if let Err(error) = vault.put(&self.key, &grant).await {
                    // The old refresh token may be gone; this hub at least can go on.
                    tracing::warn!(key = ?self.key, %error, "a renewed sign-in could not be kept");
                }
                Ok(grant)
            }
            Err(Lapse::Rejected) => self.lapse(&kept).await,
            Err(Lapse::Failed(error)) => Err(error),
        }
    }

    async fn lapse(&self, kept: &Grant) -> Result<Grant, SignInError> {
        self.home.vault.remove(&self.key, &kept.tokens.access).await?;
        self.set(None);
        Err(SignInError::PersonNeeded)
    }

    async fn by_secret(
        &self,
        renewing: &mut Renewing,
        refused: Option<&str>,
        (id, secret, scopes): (&str, &str, &[String]),
    ) -> Result<Grant, SignInError> {
        if let Some(grant) = self.current()
            && refused == Some(&grant.tokens.access)
            && grant.tokens.age(SystemTime::now()) < JUST_RENEWED
        {
            return Err(SignInError::Refused { status: 401 });
        }
        let more = self.more.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let authority = match &mut renewing.authority {
            Some(authority) => authority,
            none => none.insert(self.home.authority(&self.place).await?),
        };
        let mut scopes = if scopes.is_empty() { authority.scopes(&[]).await } else { scopes.to_vec() };
        scopes.extend(more);
        scopes.sort();
        scopes.dedup();
        authority.by_secret(id, secret, &scopes).await
    }

    /// The server wants scopes that the token does not have.
    async fn extend(self: &Arc<Self>, token: Option<&str>, scope: &str) -> Result<bool, SignInError> {
        let scopes: Vec<String> = scope.split_whitespace().map(str::to_owned).collect();
        match &self.kind {
            Kind::Person => {
                self.home.want(&self.key, &scopes);
                let kept = self.home.vault.get(&self.key).await?;
                if let Some(kept) = kept
                    && is_usable(&kept, token, SystemTime::now())
                {
                    self.set(Some(kept));
                    return Ok(true);
                }
                Err(SignInError::MoreNeeded { scopes })
            }
            Kind::Secret { .. } => {
                let is_new = {
                    let mut more = self.more.lock().unwrap_or_else(PoisonError::into_inner);
                    scopes.iter().filter(|scope| more.insert((*scope).clone())).count() > 0
                };
                if is_new {
                    self.set(None);
                }
                match self.current() {
                    Some(grant) if !is_usable(&grant, token, SystemTime::now()) => {
                        Err(SignInError::MoreNeeded { scopes })
                    }
                    _ => self.renew(token).await.map(|_| true),
                }
            }
        }
    }
}

fn is_usable(grant: &Grant, refused: Option<&str>, now: SystemTime) -> bool {
    grant.tokens.is_fresh(now) && refused != Some(&grant.tokens.access)
}

/// What a connection gets.
pub(super) struct Handle(pub(super) Arc<Source>);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignedIn").field(&self.0.key).finish()
    }
}

#[async_trait]
impl Signer for Handle {
    async fn token(&self) -> Result<Option<String>, SignInError> {
        match self.0.current() {
            Some(grant) if grant.tokens.is_fresh(SystemTime::now()) => Ok(Some(grant.tokens.access)),
            _ => self.0.renew(None).await.map(Some),
        }
    }

    async fn refused(&self, token: Option<&str>, challenge: Option<&str>) -> Result<bool, SignInError> {
        let told = challenge.map(|text| WWWAuthenticateParams::parse(text, &self.0.place.resource));
        match told {
            Some(told) if told.is_insufficient_scope() => {
                self.0.extend(token, told.scope.as_deref().unwrap_or_default()).await
            }
            _ => self.0.renew(token).await.map(|_| true),
        }
    }
}
