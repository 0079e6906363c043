//! A space that no hub serves, for programs without a runtime.

use std::convert::Infallible;

use dormouse_storage::{DumpError, Dumped};

use super::runtime::{Error, Owned};
use crate::config::Config;
use crate::offline::{IdleError, MigrateError};
use crate::space::Space;

/// A space that no hub serves, with what it remembers; see [`dormouse::IdleSpace`](crate::IdleSpace).
#[derive(Debug)]
pub struct IdleSpace {
    space: crate::IdleSpace,
    runtime: Owned,
}

impl IdleSpace {
    /// Keeps hubs out of a space, and opens what it remembers.
    ///
    /// # Errors
    /// [`IdleError`], also where a hub serves the space.
    pub fn open(space: Space, config: Config) -> Result<Self, Error<IdleError>> {
        let runtime = Owned::start()?;
        let space = runtime.run(crate::IdleSpace::open(space, config))?;
        Ok(Self { space, runtime })
    }

    /// Stores everything that a dump holds, over what is there under the same keys.
    ///
    /// # Errors
    /// [`DumpError`]; nothing is stored, unless it is [`DumpError::Storage`].
    pub fn load(&self, mut dump: &[u8]) -> Result<Dumped, Error<DumpError>> {
        self.runtime.run(self.space.load(&mut dump))
    }

    /// Copies everything into another storage, named as in [`Config::storage`].
    ///
    /// # Errors
    /// [`MigrateError`]
    pub fn migrate(&self, to: &str) -> Result<Dumped, Error<MigrateError>> {
        self.runtime.run(self.space.migrate(to))
    }

    /// Lets hubs in again.
    ///
    /// # Errors
    /// [`Error::InsideRuntime`]
    pub fn close(self) -> Result<(), Error<Infallible>> {
        self.runtime.wait(self.space.close())
    }
}
