//! Python environments: which one a script needs, and making it.
//!
//! An environment is addressed by its content: the sorted requirements, `requires-python`, the
//! interpreter's version and platform, and the installer. All spaces of a user share them in one
//! cache folder; [`Environments`] finds and builds them. Without requirements a script runs on
//! the base Python and there is nothing to build.
//!
//! # Invariants
//!
//! * Nothing of a package runs while it is installed: wheels only, no build steps, and no
//!   interpreter starts inside an environment once it holds packages (a `.pth` file would run).
//! * A folder without its marker is no environment. The marker is written last, under a lock
//!   that the installer holds too, so that an installer that outlives a killed hub is waited for.
//! * Interpreters are found on the machine, never downloaded.

mod answers;
mod build;
mod cache;
mod environments;
mod error;
mod fault;
mod garbage;
mod installer;
mod lock_record;
mod python;
mod requirement;
mod run;
mod settings;

pub use environments::Environments;
pub use error::EnvironmentError;
pub use fault::InstallFault;
pub use garbage::Garbage;
pub use settings::EnvironmentSettings;
