//! What a hub can say about its Python environments.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

/// Variables that an installer may see: where programs and the user's files are, the language of
/// messages, the way to the network, and where packages come from. Options that change what is
/// installed or how (`PIP_NO_BINARY`, `PIP_TARGET`, `UV_BUILD_…`) are left out on purpose.
const SEEN_BY_INSTALLERS: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "NETRC",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_NO_INDEX",
    "PIP_TRUSTED_HOST",
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "PIP_PROXY",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_TIMEOUT",
    "PIP_RETRIES",
    "PIP_CONFIG_FILE",
    "PIP_CACHE_DIR",
    "PIP_KEYRING_PROVIDER",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_NO_INDEX",
    "UV_INDEX_STRATEGY",
    "UV_INSECURE_HOST",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
    "UV_HTTP_TIMEOUT",
    "UV_CACHE_DIR",
    "UV_KEYRING_PROVIDER",
    "UV_OFFLINE",
    "UV_CONFIG_FILE",
];

/// How environments are made. The default fits a person's machine.
#[derive(Clone)]
pub struct EnvironmentSettings {
    /// Where `uv` and Python are looked up, in the form of `PATH`.
    pub search_path: OsString,
    /// The only Python to use; `None` takes the first that fits from the search path.
    pub python: Option<PathBuf>,
    /// What an installer sees of the environment. `PATH` is always the search path.
    pub variables: BTreeMap<OsString, OsString>,
    /// Requirements that name a URL, a repository or a path and are allowed all the same, word
    /// for word as the script has them. Their build steps run on this machine.
    pub allow_direct: BTreeSet<String>,
    /// For one build, and for waiting on another process that builds the same.
    pub deadline: Duration,
    /// How long a failed build is answered from memory; doubles with each failure in a row.
    pub back_off: Duration,
    /// How many builds run at once.
    pub builds: usize,
    /// Garbage collection spares what was handed out this recently: a start may be under way.
    pub spare: Duration,
}

impl EnvironmentSettings {
    /// The settings for a hub with these environment variables.
    pub fn from_variables(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let variables: BTreeMap<_, _> =
            variables.into_iter().filter(|(name, _)| seen_by_installers(name)).collect();
        Self {
            search_path: variables.get(OsStr::new("PATH")).cloned().unwrap_or_default(),
            python: None,
            variables,
            allow_direct: BTreeSet::new(),
            deadline: Duration::from_secs(600),
            back_off: Duration::from_secs(30),
            builds: 2,
            spare: Duration::from_secs(60),
        }
    }
}

impl Default for EnvironmentSettings {
    /// The settings for this process's own environment.
    fn default() -> Self {
        Self::from_variables(std::env::vars_os())
    }
}

impl std::fmt::Debug for EnvironmentSettings {
    /// Leaves the values of variables out: an index URL may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnvironmentSettings")
            .field("search_path", &self.search_path)
            .field("python", &self.python)
            .field("variables", &self.variables.keys().collect::<Vec<_>>())
            .field("allow_direct", &self.allow_direct)
            .field("deadline", &self.deadline)
            .field("back_off", &self.back_off)
            .field("builds", &self.builds)
            .field("spare", &self.spare)
            .finish()
    }
}

fn seen_by_installers(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    // uv reads the credentials of a named index from `UV_INDEX_<NAME>_USERNAME` and `_PASSWORD`.
    let credential =
        name.starts_with("UV_INDEX_") && (name.ends_with("_USERNAME") || name.ends_with("_PASSWORD"));
    credential || SEEN_BY_INSTALLERS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installers_see_the_index_but_no_secret_and_no_build_option() {
        let given = [
            "PATH",
            "PIP_INDEX_URL",
            "UV_INDEX_CORP_PASSWORD",
            "OPENAI_API_KEY",
            "PIP_NO_BINARY",
            "PYTHONPATH",
        ]
        .map(|name| (OsString::from(name), OsString::from("x")));
        let settings = EnvironmentSettings::from_variables(given);
        let seen: Vec<_> = settings.variables.keys().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(seen, ["PATH", "PIP_INDEX_URL", "UV_INDEX_CORP_PASSWORD"]);
        assert!(!format!("{settings:?}").contains("\"x\": \"x\""));
    }
}
