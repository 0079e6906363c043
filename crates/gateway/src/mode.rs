//! What an endpoint shows of its context.

use std::fmt;
use std::str::FromStr;

use dormouse::ServerName;

/// What an endpoint shows of its context.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Every tool under its full name.
    #[default]
    All,
    /// Three tools that never change: find, describe, call. For clients that ignore announcements
    /// of changes, and for models that many tools confuse.
    Search,
    /// One server, with its own names.
    Single(String),
}

/// A word that names no mode, or a server where none belongs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownMode {
    /// The word is not known.
    #[error("`{word}` is no mode: it is `all`, `search` or `single`")]
    Word {
        /// The word.
        word: String,
    },
    /// One server, but which?
    #[error("the mode `single` needs a server's name (`server=NAME`)")]
    NoServer,
    /// A server's name where it means nothing.
    #[error("a server is named, which the mode `{word}` has no use for")]
    Server {
        /// The mode's word.
        word: String,
    },
    /// The server's name cannot be one.
    #[error("`{name}` is no server's name")]
    Name {
        /// The name.
        name: String,
    },
}

impl Mode {
    /// The mode of a word and a server's name, as they stand in an address or in the settings.
    ///
    /// # Errors
    /// [`UnknownMode`]
    pub fn of(word: Option<&str>, server: Option<&str>) -> Result<Self, UnknownMode> {
        match (word, server) {
            (None | Some("all"), None) => Ok(Self::All),
            (Some("search"), None) => Ok(Self::Search),
            (Some("single") | None, Some(name)) => {
                ServerName::from_str(name)
                    .map_err(|_| UnknownMode::Name { name: name.chars().take(100).collect() })?;
                Ok(Self::Single(name.to_owned()))
            }
            (Some("single"), None) => Err(UnknownMode::NoServer),
            (Some(word @ ("all" | "search")), Some(_)) => Err(UnknownMode::Server { word: word.to_owned() }),
            (Some(word), _) => Err(UnknownMode::Word { word: word.chars().take(40).collect() }),
        }
    }

    /// Its word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Search => "search",
            Self::Single(_) => "single",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(server) => write!(f, "single:{server}"),
            other => f.write_str(other.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_read_from_its_words() {
        assert_eq!(Mode::of(None, None), Ok(Mode::All));
        assert_eq!(Mode::of(Some("search"), None), Ok(Mode::Search));
        assert_eq!(Mode::of(Some("single"), Some("time")), Ok(Mode::Single("time".to_owned())));
        assert_eq!(Mode::of(None, Some("time")), Ok(Mode::Single("time".to_owned())));
        assert_eq!(Mode::of(Some("single"), None), Err(UnknownMode::NoServer));
        assert!(matches!(Mode::of(Some("all"), Some("time")), Err(UnknownMode::Server { .. })));
        assert!(matches!(Mode::of(Some("ALL"), None), Err(UnknownMode::Word { .. })));
        assert!(matches!(Mode::of(Some("single"), Some("a/b")), Err(UnknownMode::Name { .. })));
    }
}
