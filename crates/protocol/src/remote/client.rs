//! The HTTP clients behind all servers at URLs: pools, proxies and trust.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest_rmcp::header::HeaderValue;
use reqwest_rmcp::{Client, ClientBuilder, NoProxy, Proxy, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// What we call ourselves.
pub(super) const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("dormouse/", env!("CARGO_PKG_VERSION")));

/// How servers at URLs are reached.
#[derive(Debug, Clone)]
pub struct RemoteSettings {
    /// The proxies on the way.
    pub proxies: Proxies,
    /// How long a connection may take to be made.
    pub connect: Duration,
    /// How long an HTTP connection is kept open that nobody uses.
    pub idle: Duration,
}

impl Default for RemoteSettings {
    fn default() -> Self {
        Self { proxies: Proxies::default(), connect: Duration::from_secs(10), idle: Duration::from_secs(60) }
    }
}

/// Proxies as the usual variables name them. Their values never show, since some hold passwords.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For `http:` (`HTTP_PROXY`).
    pub http: Option<String>,
    /// For `https:` (`HTTPS_PROXY`).
    pub https: Option<String>,
    /// For what neither names (`ALL_PROXY`).
    pub all: Option<String>,
    /// Which hosts are reached without (`NO_PROXY`).
    pub none_for: Option<String>,
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; where both are set, the name
    /// in lower case counts, as with curl.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let read = |name: &str| {
            var(&name.to_ascii_lowercase()).or_else(|| var(name)).filter(|value| !value.trim().is_empty())
        };
        Self {
            http: read("HTTP_PROXY"),
            https: read("HTTPS_PROXY"),
            all: read("ALL_PROXY"),
            none_for: read("NO_PROXY"),
        }
    }

    /// Whether there is no proxy at all.
    pub(super) fn are_none(&self) -> bool {
        self.http.is_none() && self.https.is_none() && self.all.is_none()
    }

    fn list(&self) -> Result<Vec<Proxy>, RemoteError> {
        let none_for = self.none_for.as_deref().and_then(NoProxy::from_string);
        let mut list = Vec::new();
        type Make = fn(&str) -> reqwest_rmcp::Result<Proxy>;
        let kinds: [(&'static str, &Option<String>, Make); 3] = [
            ("HTTP_PROXY", &self.http, |url| Proxy::http(url)),
            ("HTTPS_PROXY", &self.https, |url| Proxy::https(url)),
            ("ALL_PROXY", &self.all, |url| Proxy::all(url)),
        ];
        for (variable, value, make) in kinds {
            let Some(value) = value else { continue };
            let proxy = make(value).map_err(|_| RemoteError::Proxy { variable })?;
            list.push(proxy.no_proxy(none_for.clone()));
        }
        Ok(list)
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .field("all", &self.all.is_some())
            .field("none_for", &self.none_for)
            .finish()
    }
}

/// Why servers at URLs cannot be reached at all.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// A proxy is no URL.
    #[error("the variable {variable} names no proxy")]
    Proxy {
        /// The variable.
        variable: &'static str,
    },
    /// A file of certificates cannot be read.
    #[error("the certificates in `{}` cannot be read", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The client cannot be made.
    #[error("the HTTP client cannot be made: {why}")]
    Client {
        /// Why.
        why: String,
    },
}

/// The HTTP clients of one hub: one pool of connections for each file of certificates.
///
/// Cheap to clone; all clones share the pools.
#[derive(Debug, Clone)]
pub struct RemoteClient {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: RemoteSettings,
    /// By the file, with its content when it was read: a changed file makes a new pool.
    pools: Mutex<Pools>,
}

type Pools = HashMap<Option<PathBuf>, (Vec<u8>, Client)>;

impl RemoteClient {
    /// Makes the clients; nothing is connected yet.
    ///
    /// # Errors
    /// [`RemoteError::Proxy`].
    pub fn new(settings: RemoteSettings) -> Result<Self, RemoteError> {
        settings.proxies.list()?;
        Ok(Self { shared: Arc::new(Shared { settings, pools: Mutex::default() }) })
    }

    /// The client for servers that are trusted by this file, beside the system's certificates.
    ///
    /// It follows no redirects.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub(crate) async fn http(&self, ca_file: Option<&Path>) -> Result<Client, RemoteError> {
        let bytes = read(ca_file).await?;
        let key = ca_file.map(Path::to_owned);
        if let Some((read, client)) = self.pools().get(&key)
            && *read == bytes
        {
            return Ok(client.clone());
        }
        let shared = Arc::clone(&self.shared);
        // Reading the system's certificates takes some milliseconds of file work.
        let made = tokio::task::spawn_blocking({
            let (key, bytes) = (key.clone(), bytes.clone());
            move || shared.make(key.as_deref(), &bytes)
        });
        let client = made.await.map_err(|error| RemoteError::Client { why: error.to_string() })??;
        let mut pools = self.pools();
        let (_, client) = pools
            .entry(key)
            // Of two that were made at once the first stays.
            .and_modify(|kept| {
                if kept.0 != bytes {
                    *kept = (bytes.clone(), client.clone());
                }
            })
            .or_insert_with(|| (bytes.clone(), client.clone()));
        Ok(client.clone())
    }

    /// What a client of its own is made from, with the same trust and proxies.
    ///
    /// # Errors
    /// [`RemoteError`].
    #[cfg(feature = "oauth")]
    pub(crate) async fn builder(&self, ca_file: Option<&Path>) -> Result<ClientBuilder, RemoteError> {
        let bytes = read(ca_file).await?;
        let (shared, path) = (Arc::clone(&self.shared), ca_file.map(Path::to_owned));
        let made = tokio::task::spawn_blocking(move || shared.builder(path.as_deref(), &bytes));
        made.await.map_err(|error| RemoteError::Client { why: error.to_string() })?
    }

    /// The hosts of the proxies.
    #[cfg(feature = "oauth")]
    pub(crate) fn proxy_hosts(&self) -> Vec<String> {
        let proxies = &self.shared.settings.proxies;
        let host = |proxy: &String| {
            let address = if proxy.contains("://") { proxy.clone() } else { format!("http://{proxy}") };
            url::Url::parse(&address).ok()?.host_str().map(str::to_owned)
        };
        [&proxies.http, &proxies.https, &proxies.all].into_iter().flatten().filter_map(host).collect()
    }

    pub(super) fn settings(&self) -> &RemoteSettings {
        &self.shared.settings
    }

    fn pools(&self) -> MutexGuard<'_, Pools> {
        self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(ca_file: Option<&Path>) -> Result<Vec<u8>, RemoteError> {
    let Some(path) = ca_file else { return Ok(Vec::new()) };
    let bytes = tokio::fs::read(path).await;
    bytes.map_err(|source| RemoteError::Certificates { path: path.to_owned(), source })
}

impl Shared {
    fn make(&self, ca_file: Option<&Path>, bytes: &[u8]) -> Result<Client, RemoteError> {
        let client = self.builder(ca_file, bytes)?;
        client.build().map_err(|error| RemoteError::Client { why: error.without_url().to_string() })
    }

    fn builder(&self, ca_file: Option<&Path>, bytes: &[u8]) -> Result<ClientBuilder, RemoteError> {
        let mut client = Client::builder()
            .tls_backend_preconfigured(trust(ca_file, bytes)?)
            .redirect(redirect::Policy::none())
            .retry(reqwest_rmcp::retry::never())
            .connect_timeout(self.settings.connect)
            .pool_idle_timeout(self.settings.idle)
            .user_agent(AGENT)
            // What the process's environment says is given in by the settings, or not at all.
            .no_proxy();
        for proxy in self.settings.proxies.list()? {
            client = client.proxy(proxy);
        }
        Ok(client)
    }
}

/// TLS by ring, with the system's certificates and those of the file. No global provider is set.
fn trust(ca_file: Option<&Path>, bytes: &[u8]) -> Result<ClientConfig, RemoteError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::debug!(%error, "some of the system's certificates cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    if let Some(path) = ca_file {
        let unreadable = |source| RemoteError::Certificates { path: path.to_owned(), source };
        let mut any = false;
        for certificate in CertificateDer::pem_slice_iter(bytes) {
            let added = certificate
                .map_err(|error| error.to_string())
                .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
            added.map_err(|why| unreadable(io::Error::new(io::ErrorKind::InvalidData, why)))?;
            any = true;
        }
        if !any {
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, "it holds no certificate")));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| RemoteError::Client { why: error.to_string() })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
