//! The hash of a script's content: what is learned of one content holds for that content only.

use std::path::PathBuf;

/// Hashes a script and the local modules that it imports, in their sorted order.
pub(crate) fn content(source: &str, local_modules: &[PathBuf]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(source.as_bytes());
    for module in local_modules {
        // Names and lengths keep two files from running into one another.
        let name = module.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let bytes = std::fs::read(module).unwrap_or_default();
        hasher.update(&[0]);
        hasher.update(name.as_bytes());
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(&bytes);
    }
    hasher.finalize().to_hex().to_string()
}
