//! The folder that a hub works in.

use std::path::{Path, PathBuf};

/// The file that marks a folder as a space.
pub const MARK: &str = "dormouse.toml";

/// A space: its folder, and where things lie in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    root: PathBuf,
}

impl Space {
    /// The space in this folder, whether it is marked yet or not.
    ///
    /// # Errors
    /// When the folder cannot be made or found.
    pub fn at(root: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(root)?;
        Ok(Self { root: std::fs::canonicalize(root)? })
    }

    /// The current folder if it is marked as a space, else the user's own: running in a
    /// stranger's folder must not run its scripts.
    ///
    /// # Errors
    /// When there is no such folder and none can be made.
    pub fn find() -> std::io::Result<Self> {
        let here = std::env::current_dir()?;
        if here.join(MARK).is_file() {
            return Self::at(&here);
        }
        let Some(data) = dirs::data_dir() else {
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the user has no data folder"));
        };
        Self::at(&data.join("dormouse"))
    }

    /// Its folder, absolute and without links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The hub's own folder in it: database, logs, socket, lock.
    pub fn state(&self) -> PathBuf {
        self.root.join(".dormouse")
    }

    /// Its settings.
    pub fn settings(&self) -> PathBuf {
        self.root.join(MARK)
    }

    /// Its configured servers.
    pub fn mcp_json(&self) -> PathBuf {
        self.root.join("mcp.json")
    }

    /// The socket on which its hub listens. A path that no socket can have lies in the runtime
    /// folder instead, under the hash of the space.
    pub fn socket(&self) -> PathBuf {
        /// `sun_path` holds 108 bytes with its end.
        const LONGEST: usize = 100;
        let socket = self.state().join("hub.sock");
        if socket.as_os_str().len() <= LONGEST {
            return socket;
        }
        let hash = blake3::hash(self.root.as_os_str().as_encoded_bytes()).to_hex();
        let folder = dirs::runtime_dir().unwrap_or_else(std::env::temp_dir);
        folder.join(format!("dormouse-{}.sock", &hash[..32]))
    }
}
