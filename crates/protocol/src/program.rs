//! What to run, and the few variables of our own that a child may see.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// A program to start: everything that its process is made of.
#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    /// A path, or a name that is looked up in the `PATH` of `env`.
    pub program: OsString,
    /// Its arguments, without the program itself.
    pub args: Vec<OsString>,
    /// Its whole environment; nothing of ours is added but the keeper's mark.
    pub env: BTreeMap<OsString, OsString>,
    /// Its working directory.
    pub cwd: PathBuf,
}

/// The values of the environment do not show, since many are secrets.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env", &self.env.keys())
            .field("cwd", &self.cwd)
            .finish()
    }
}

/// The variables that a child gets from our own environment.
///
/// What a program needs to find its files, speak its language and check certificates. No
/// proxies and no `PYTHON*` or `LD_*`: the first hold passwords, the others change what runs.
const ALLOWED: [&str; 16] = [
    "HOME",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LC_TIME",
    "LOGNAME",
    "PATH",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
];

/// The short allow-list, filled from our own environment.
pub fn allowed_env() -> BTreeMap<OsString, OsString> {
    ALLOWED.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_variables_pass() {
        let env = allowed_env();
        assert!(env.contains_key(&OsString::from("PATH")));
        assert!(env.keys().all(|name| ALLOWED.iter().any(|allowed| name == allowed)));
    }

    #[test]
    fn debug_shows_no_value_of_the_environment() {
        let program = Program {
            program: "x".into(),
            args: vec![],
            env: BTreeMap::from([("TOKEN".into(), "hunter2".into())]),
            cwd: "/".into(),
        };
        let shown = format!("{program:?}");
        assert!(shown.contains("TOKEN") && !shown.contains("hunter2"));
    }
}
