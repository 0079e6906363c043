//! One authorisation server, as rmcp found it for one server.

use std::sync::Arc;
use std::time::SystemTime;

use rmcp::transport::auth::{
    AuthError, AuthorizationManager, AuthorizationMetadata, ClientCredentialsConfig, CredentialStore,
    InMemoryCredentialStore, OAuthClientConfig, OAuthHttpClient, OAuthTokenResponse, StoredCredentials,
};
use serde_json::{Value, json};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;
use url::Url;

use super::grant::{Client, Grant, Tokens, millis};
use super::web::Web;
use crate::error::SignInError;

/// The name that the hub registers under.
const CLIENT_NAME: &str = "Dormouse";

pub(super) struct Authority {
    manager: AuthorizationManager,
    /// Where rmcp reads and writes what it refreshes; filled anew each time.
    scratch: InMemoryCredentialStore,
    metadata: AuthorizationMetadata,
    /// rmcp found nothing and took the addresses that 2025-03-26 prescribes for that.
    guessed: bool,
    resource: Url,
    web: Arc<Web>,
}

/// Why a grant was not renewed.
#[derive(Debug)]
pub(super) enum Lapse {
    /// The grant does not count any more.
    Rejected,
    /// It may count, and this went wrong.
    Failed(SignInError),
}

/// What came back from the browser.
pub(super) struct Returned {
    pub(super) code: String,
    pub(super) state: String,
    pub(super) issuer: Option<String>,
}

impl Authority {
    pub(super) async fn discover(web: Web, resource: &Url) -> Result<Self, SignInError> {
        if let Some(objection) = web.objection(resource) {
            return Err(SignInError::NotOffered { why: format!("its address is not trusted: {objection}") });
        }
        let web = Arc::new(web);
        let client = Arc::clone(&web) as Arc<dyn OAuthHttpClient>;
        let made = AuthorizationManager::new_with_oauth_http_client(resource.clone(), client).await;
        let mut manager = made.map_err(|error| explained(&web, &error))?;
        let scratch = InMemoryCredentialStore::new();
        manager.set_credential_store(scratch.clone());
        let challenge = web.challenge(resource).await;
        let found = manager.resolve_metadata_from_challenge(challenge.as_deref()).await;
        let found = found.map_err(|error| explained(&web, &error))?;
        let guessed = !found.source.is_discovered();
        manager.set_metadata(found.metadata.clone());
        Ok(Self { manager, scratch, metadata: found.metadata, guessed, resource: resource.clone(), web })
    }

    pub(super) fn issuer(&self) -> Option<String> {
        self.metadata.issuer.clone()
    }

    /// What to ask for: what a person configured, else what the server proposes.
    pub(super) async fn scopes(&self, configured: &[String]) -> Vec<String> {
        let mut scopes = match configured {
            [] => self.manager.select_initial_scopes(&[]).await,
            configured => configured.to_vec(),
        };
        let offline = "offline_access";
        let offered = self.metadata.scopes_supported.iter().flatten().any(|scope| scope == offline);
        if offered && !scopes.is_empty() && !scopes.iter().any(|scope| scope == offline) {
            scopes.push(offline.to_owned());
        }
        scopes
    }

    /// Becomes the client that a person configured, with its secret if it has one, or registers one.
    pub(super) async fn introduce(
        &mut self,
        configured: Option<(&str, Option<&str>)>,
        redirect: &str,
        scopes: &[String],
    ) -> Result<Client, SignInError> {
        if let Some((id, secret)) = configured {
            let (id, secret) = (id.to_owned(), secret.map(str::to_owned));
            let client = Client { id, secret, redirect: redirect.to_owned() };
            self.be(&client)?;
            return Ok(client);
        }
        if self.metadata.registration_endpoint.is_none() {
            let why = "the authorisation server registers no clients; configure a client id".to_owned();
            return Err(SignInError::NotOffered { why });
        }
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        match self.manager.register_client(CLIENT_NAME, redirect, &scopes).await {
            Ok(made) => {
                Ok(Client { id: made.client_id, secret: made.client_secret, redirect: redirect.to_owned() })
            }
            Err(_) if self.guessed => {
                Err(SignInError::NotOffered { why: "the server does not say where".to_owned() })
            }
            Err(error) => Err(explained(&self.web, &error)),
        }
    }

    /// Where the person's browser goes.
    pub(super) async fn address(&self, scopes: &[String]) -> Result<Url, SignInError> {
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let asked = self.manager.get_authorization_url(&scopes).await;
        let address = asked.map_err(|error| explained(&self.web, &error))?;
        let address = Url::parse(&address).map_err(|_| failed("its address for the browser is broken"))?;
        // It is opened on the person's machine, so it must be a web address and nothing else.
        match self.web.objection(&address) {
            None => Ok(address),
            Some(objection) => {
                Err(failed(&format!("its address for the browser is not trusted: {objection}")))
            }
        }
    }

    /// Makes a grant of what came back.
    pub(super) async fn redeem(
        &self,
        back: &Returned,
        client: &Client,
        scopes: &[String],
    ) -> Result<Grant, SignInError> {
        let since = millis(SystemTime::now());
        let exchange =
            self.manager.exchange_code_for_token_with_issuer(&back.code, &back.state, back.issuer.as_deref());
        // rmcp writes the code, and what else came with the tokens, to the log.
        let answer = exchange.with_subscriber(NoSubscriber::new()).await;
        let answer = answer.map_err(|error| explained(&self.web, &error))?;
        Ok(Grant { tokens: tokens(&answer, since, scopes)?, client: client.clone(), issuer: self.issuer() })
    }

    /// Renews a grant by its refresh token.
    pub(super) async fn renew(&mut self, grant: &Grant) -> Result<Grant, Lapse> {
        if let (Some(then), Some(now)) = (&grant.issuer, &self.metadata.issuer)
            && then != now
        {
            return Err(Lapse::Rejected);
        }
        self.be(&grant.client).map_err(Lapse::Failed)?;
        let kept = kept(grant).map_err(Lapse::Failed)?;
        let saved = self.scratch.save(kept).await;
        saved.map_err(|error| Lapse::Failed(explained(&self.web, &error)))?;
        let since = millis(SystemTime::now());
        match self.manager.refresh_token().with_subscriber(NoSubscriber::new()).await {
            Ok(answer) => {
                let mut tokens = tokens(&answer, since, &grant.tokens.scopes).map_err(Lapse::Failed)?;
                tokens.refresh = tokens.refresh.or_else(|| grant.tokens.refresh.clone());
                Ok(Grant { tokens, client: grant.client.clone(), issuer: self.issuer() })
            }
            Err(AuthError::TokenRefreshRejected(_) | AuthError::AuthorizationRequired) => {
                Err(Lapse::Rejected)
            }
            Err(error) => Err(Lapse::Failed(explained(&self.web, &error))),
        }
    }

    /// Signs in without a person.
    pub(super) async fn by_secret(
        &mut self,
        id: &str,
        secret: &str,
        scopes: &[String],
    ) -> Result<Grant, SignInError> {
        let config = |resource: String| {
            let (client_id, client_secret, scopes) = (id.to_owned(), secret.to_owned(), scopes.to_vec());
            ClientCredentialsConfig::ClientSecret {
                client_id,
                client_secret,
                scopes,
                resource: Some(resource),
            }
        };
        // Which resource the server's metadata names, rmcp tells only within an address.
        let first = config(String::new());
        self.manager
            .validate_client_credentials_metadata(&first)
            .map_err(|error| explained(&self.web, &error))?;
        self.manager.configure_client_credentials(&first).map_err(|error| explained(&self.web, &error))?;
        let resource = match self.manager.get_authorization_url(&[]).await.map(|it| Url::parse(&it)) {
            Ok(Ok(address)) => address
                .query_pairs()
                .find(|(name, _)| name == "resource")
                .map(|(_, value)| value.into_owned()),
            _ => None,
        };
        let config = config(resource.unwrap_or_else(|| self.resource.to_string()));
        let since = millis(SystemTime::now());
        let exchange = self.manager.exchange_client_credentials(&config);
        let answer = exchange.with_subscriber(NoSubscriber::new()).await;
        let answer = answer.map_err(|error| explained(&self.web, &error))?;
        let client = Client { id: id.to_owned(), secret: None, redirect: String::new() };
        Ok(Grant { tokens: tokens(&answer, since, scopes)?, client, issuer: self.issuer() })
    }

    fn be(&mut self, client: &Client) -> Result<(), SignInError> {
        let mut config = OAuthClientConfig::new(&client.id, &client.redirect);
        if let Some(secret) = &client.secret {
            config = config.with_client_secret(secret);
        }
        self.manager.configure_client(config).map_err(|error| explained(&self.web, &error))
    }
}

fn kept(grant: &Grant) -> Result<StoredCredentials, SignInError> {
    let response: OAuthTokenResponse = serde_json::from_value(json!({
        "access_token": grant.tokens.access,
        "token_type": "bearer",
        "refresh_token": grant.tokens.refresh,
    }))
    .map_err(|_| failed("the grant that is kept is broken"))?;
    let kept = StoredCredentials::new(
        grant.client.id.clone(),
        Some(response),
        grant.tokens.scopes.clone(),
        Some(grant.tokens.since / 1000),
    );
    Ok(kept.with_issuer(grant.issuer.clone()))
}

fn tokens(answer: &OAuthTokenResponse, since: u64, asked: &[String]) -> Result<Tokens, SignInError> {
    let answer = serde_json::to_value(answer).map_err(|_| failed("its tokens cannot be read"))?;
    let text = |name| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err(failed("its tokens are no bearer tokens"));
    }
    let access = text("access_token").ok_or_else(|| failed("it sent no token"))?;
    // It becomes a header's value.
    if access.chars().any(|letter| !letter.is_ascii_graphic()) {
        return Err(failed("its token cannot be sent"));
    }
    Ok(Tokens {
        access: access.to_owned(),
        refresh: text("refresh_token").map(str::to_owned),
        since,
        lifetime_ms: answer
            .get("expires_in")
            .and_then(Value::as_u64)
            .map(|seconds| seconds.saturating_mul(1000)),
        // Without a word about scopes all that was asked is granted.
        scopes: match text("scope") {
            Some(scopes) => scopes.split_whitespace().map(str::to_owned).collect(),
            None => asked.to_vec(),
        },
    })
}

fn failed(why: &str) -> SignInError {
    SignInError::Failed { why: why.to_owned() }
}

/// rmcp's error in words that hold nothing of what a server wrote, except what [`Web`] let through.
fn explained(web: &Web, error: &AuthError) -> SignInError {
    let heard = web.take_trouble();
    match error {
        AuthError::NoAuthorizationSupport => {
            SignInError::NotOffered { why: "the server does not say where".to_owned() }
        }
        AuthError::PkceUnsupported => SignInError::NotOffered {
            why: "the authorisation server does not support PKCE with S256".to_owned(),
        },
        AuthError::AuthorizationServerMismatch { .. }
        | AuthError::AuthorizationServerMissingIssuer { .. } => {
            failed("it does not say the name that it was looked up by")
        }
        AuthError::ProtectedResourceMetadataInvalid { reason, .. } if heard.is_none() => {
            tracing::debug!(%reason, "protected resource metadata is unusable");
            failed("what the server says about signing in is for another server, or broken")
        }
        _ => match heard {
            Some(why) => SignInError::Failed { why },
            None => failed(match error {
                AuthError::AuthorizationServersUnavailable { .. } => {
                    "none of those that the server names can be used"
                }
                AuthError::MetadataError(_) => "what it says about itself is broken",
                AuthError::RegistrationFailed(_) => "it did not register the hub",
                AuthError::TokenExchangeFailed(_) | AuthError::ClientCredentialsError(_) => {
                    "it gave no token"
                }
                AuthError::TokenRefreshFailed(_) => "it did not renew the token",
                AuthError::InvalidScope(_) => "it does not offer what is asked",
                _ => "it cannot be used",
            }),
        },
    }
}
