//! What `doctor` tells of files and entries that are no servers.

use std::path::PathBuf;

/// A file or entry that a person may have meant as a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, or why it is left aside.
    pub problem: String,
}
