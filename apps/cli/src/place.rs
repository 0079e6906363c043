//! Where the command works and with what settings: flag, then environment, then file, then default.

use std::path::PathBuf;

use dormouse::{Config, ConfigError, Space};

use crate::exit::Exit;
use crate::failure::Failure;

/// What the command line says about the space and its hub.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    pub(crate) space: Option<PathBuf>,
    pub(crate) storage: Option<String>,
    pub(crate) model: Option<String>,
}

impl Place {
    /// The space to work in.
    pub(crate) fn space(&self) -> Result<Space, Failure> {
        let space = match &self.space {
            // A mistyped folder must not become an empty space; `config init` makes new ones.
            Some(folder) if !folder.is_dir() => Err(std::io::ErrorKind::NotADirectory.into()),
            Some(folder) => Space::at(folder),
            None => Space::find(),
        };
        space.map_err(|error| {
            let message = match &self.space {
                Some(folder) => format!("cannot use the space {}", folder.display()),
                None => "there is no space to work in".to_owned(),
            };
            let failure = Failure::new(Exit::Configuration, message).caused_by(&error);
            failure.hint(
                "name a folder with --space, or make the current one a space with `dormouse config init`",
            )
        })
    }

    /// The settings of that space, under the flags.
    pub(crate) fn config(&self, space: &Space) -> Result<Config, Failure> {
        let mut config = Config::read(&space.settings(), &|name| std::env::var(name).ok())?;
        if let Some(storage) = &self.storage {
            config.storage.clone_from(storage);
        }
        if let Some(model) = &self.model {
            config.model.clone_from(model);
        }
        Ok(config)
    }

    /// The flags that only a new hub can follow.
    pub(crate) fn flags_of_a_hub(&self) -> Vec<&'static str> {
        let said = [(self.storage.is_some(), "--storage"), (self.model.is_some(), "--model")];
        said.into_iter().filter(|(said, _)| *said).map(|(_, flag)| flag).collect()
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::of(Exit::Configuration, &error)
    }
}
