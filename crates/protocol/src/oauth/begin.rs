//! A person's way through the browser and back.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use dormouse_types::Auth;
use tokio::time::Instant;
use url::Url;

use super::authority::Authority;
use super::callback::{Callback, Page};
use super::grant::Client;
use super::key::GrantKey;
use super::sign_ins::{Home, SignIns};
use super::source::Place;
use crate::error::SignInError;

/// A sign-in that waits for a person.
pub struct SigningIn {
    /// What the person's browser opens, on this machine: it comes back to 127.0.0.1.
    pub authorize_url: Url,
    home: Arc<Home>,
    key: GrantKey,
    authority: Authority,
    client: Client,
    scopes: Vec<String>,
    state: String,
    callback: Callback,
    deadline: Instant,
}

impl SignIns {
    /// Begins a sign-in: finds out where, registers the hub if it must, and listens for the browser.
    ///
    /// # Errors
    /// [`SignInError::NotOffered`] where no person can sign in, [`SignInError::Failed`] where the
    /// authorisation server does not do its part.
    pub async fn begin(
        &self,
        url: &Url,
        auth: &Auth,
        ca_file: Option<&Path>,
    ) -> Result<SigningIn, SignInError> {
        let (Auth::AuthorizationCode { client_id, client_secret, scopes }, Some(key)) =
            (auth, GrantKey::of(&self.owner, url, auth))
        else {
            return Err(SignInError::NotOffered { why: "it is not configured for a person".to_owned() });
        };
        let deadline = Instant::now() + self.home.patience;
        let unheard =
            |error: std::io::Error| SignInError::Failed { why: format!("the hub cannot listen: {error}") };
        let callback = Callback::bind().await.map_err(unheard)?;
        let place = Place { resource: url.clone(), ca_file: ca_file.map(Path::to_owned) };
        let mut authority = self.home.authority(&place).await?;
        let mut scopes = authority.scopes(scopes).await;
        let wanted = self.home.wanted(&key);
        if !wanted.is_empty() {
            // What is granted already is asked for again, or it would be lost.
            let granted = self.home.vault.get(&key).await?.map(|grant| grant.tokens.scopes);
            for scope in granted.into_iter().flatten().chain(wanted) {
                if !scopes.contains(&scope) {
                    scopes.push(scope);
                }
            }
        }
        let redirect = callback.redirect();
        let configured = client_id.as_deref().map(|id| (id, client_secret.as_deref()));
        let client = authority.introduce(configured, &redirect, &scopes).await?;
        let authorize_url = authority.address(&scopes).await?;
        let state = authorize_url.query_pairs().find(|(name, _)| name == "state");
        let state = state.map(|(_, state)| state.into_owned()).expect("rmcp puts a state into each address");
        let home = Arc::clone(&self.home);
        Ok(SigningIn { authorize_url, home, key, authority, client, scopes, state, callback, deadline })
    }
}

impl SigningIn {
    /// Waits for the person, and keeps what they grant. Dropping it gives the sign-in up.
    ///
    /// # Errors
    /// [`SignInError`]; then nothing is kept.
    pub async fn finished(mut self) -> Result<(), SignInError> {
        let after = self.home.patience;
        let arrival = tokio::time::timeout_at(self.deadline, self.callback.arrival(&self.state)).await;
        let arrival = arrival
            .map_err(|_| SignInError::TimedOut { after })?
            .map_err(|error| SignInError::Failed { why: format!("the hub cannot listen: {error}") })?;
        let outcome = match &arrival.answer {
            Err(code) => Err(SignInError::Denied { code: code.clone() }),
            Ok(back) => match self.authority.redeem(back, &self.client, &self.scopes).await {
                Ok(grant) => self.keep(grant).await,
                Err(error) => Err(error),
            },
        };
        let page = match &outcome {
            Ok(()) => Page::SignedIn,
            Err(SignInError::Denied { .. }) => Page::Denied,
            Err(_) => Page::Failed,
        };
        self.callback.leave(arrival, page).await;
        outcome
    }

    async fn keep(&self, grant: super::grant::Grant) -> Result<(), SignInError> {
        // A renewal under way would write its own grant over this one.
        let _held = self.home.vault.hold(&self.key).await?;
        self.home.vault.put(&self.key, &grant).await?;
        self.home.is_wanted_no_more(&self.key);
        for source in self.home.sources() {
            if source.key == self.key {
                source.set(Some(grant.clone()));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for SigningIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningIn").field("key", &self.key).finish_non_exhaustive()
    }
}
