//! A folder for a hub to work in.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Fixture;

/// A temporary space: `dormouse.toml`, `servers/`, `mcp.json`. Its folder ends with it.
#[derive(Debug)]
pub struct Space {
    folder: TempDir,
}

impl Space {
    /// Makes an empty space.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("dormouse-space-").tempdir().unwrap();
        let space = Self { folder };
        fs::create_dir(space.drop_folder()).unwrap();
        space.write("dormouse.toml", "");
        space
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder that scripts are dropped into.
    pub fn drop_folder(&self) -> PathBuf {
        self.path().join("servers")
    }

    /// Where the hub keeps its own files.
    pub fn state_folder(&self) -> PathBuf {
        self.path().join(".dormouse")
    }

    /// Writes any file of the space, whole or not at all, as an editor does.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let hidden = path.with_file_name(format!(".{}.tmp", path.file_name().unwrap().to_string_lossy()));
        fs::write(&hidden, text).unwrap();
        fs::rename(&hidden, &path).unwrap();
        path
    }

    /// Replaces `dormouse.toml`.
    pub fn settings(&self, toml: &str) -> PathBuf {
        self.write("dormouse.toml", toml)
    }

    /// Drops a script, or replaces it: `servers/{name}.py`.
    pub fn script(&self, name: &str, source: &str) -> PathBuf {
        self.write(&format!("servers/{name}.py"), source)
    }

    /// Removes a dropped script.
    pub fn remove_script(&self, name: &str) {
        fs::remove_file(self.drop_folder().join(format!("{name}.py"))).unwrap();
    }

    /// Adds a server to `mcp.json`, or replaces its entry.
    pub fn configure(&self, name: &str, entry: Value) -> PathBuf {
        let text = fs::read_to_string(self.path().join("mcp.json")).unwrap_or_default();
        let mut file: Value = serde_json::from_str(&text).unwrap_or_else(|_| json!({"mcpServers": {}}));
        file["mcpServers"][name] = entry;
        self.write("mcp.json", serde_json::to_vec_pretty(&file).unwrap())
    }

    /// Adds a fixture server to `mcp.json`.
    pub fn add(&self, name: &str, fixture: &Fixture) -> PathBuf {
        self.configure(name, fixture.entry())
    }
}

impl Default for Space {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_holds_what_was_put_in_and_leaves_nothing() {
        let space = Space::new();
        space.script("greet", crate::scripts::GREET);
        space.add("one", &Fixture::new());
        space.add("two", &Fixture::new().title("two"));
        let file: Value = serde_json::from_slice(&fs::read(space.path().join("mcp.json")).unwrap()).unwrap();
        assert_eq!(file["mcpServers"].as_object().unwrap().len(), 2);
        assert_eq!(fs::read_dir(space.drop_folder()).unwrap().count(), 1);
        let path = space.path().to_owned();
        drop(space);
        assert!(!path.exists());
    }
}
