//! Where grants are kept: the system's keyring where there is one (feature `keyring`), else one
//! file of mode 0600 in a folder of mode 0700.
//!
//! A file that is there already stays the place, so that a keyring that comes up later hides no
//! sign-in.
//!
//! Several hubs may use one folder. Each change reads the file anew under a lock, writes a new
//! file beside it and renames it, so that a reader sees the old one or the new one and a power cut
//! costs neither. Another lock, one for each grant, is held for as long as a grant is renewed.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::grant::Grant;
use super::key::GrantKey;
use crate::error::SignInError;

const FORMAT: u32 = 1;
/// A renewal takes a few requests of 30 s at the worst.
const LONGEST_LOCK: Duration = Duration::from_secs(120);
const LARGEST: u64 = 16 << 20;

/// Where grants are kept, for a person who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptIn {
    /// In this file, which only its owner can read.
    File(PathBuf),
    /// In the system's keyring; only with the feature `keyring`.
    Keyring,
}

#[derive(Debug, Clone)]
pub(super) struct Vault {
    folder: PathBuf,
    /// Found out at the first use, since a keyring is a service to speak with.
    #[cfg(feature = "keyring")]
    keyring: std::sync::Arc<std::sync::OnceLock<Option<super::keyring::Keyring>>>,
}

/// The right to renew one grant; of all hubs on the folder one has it.
#[derive(Debug)]
pub(super) struct Held {
    _file: File,
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    grants: Vec<Kept>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    key: GrantKey,
    grant: Grant,
}

impl Vault {
    pub(super) fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            #[cfg(feature = "keyring")]
            keyring: std::sync::Arc::default(),
        }
    }

    /// Without a look for a keyring.
    pub(super) fn in_file(folder: &Path) -> Self {
        let vault = Self::at(folder);
        #[cfg(feature = "keyring")]
        let _ = vault.keyring.set(None);
        vault
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn kept_in(&self) -> KeptIn {
        #[cfg(feature = "keyring")]
        if self.keyring().is_some() {
            return KeptIn::Keyring;
        }
        KeptIn::File(self.file())
    }

    #[cfg(feature = "keyring")]
    fn keyring(&self) -> Option<&super::keyring::Keyring> {
        let find = || if self.file().exists() { None } else { super::keyring::Keyring::find(&self.folder) };
        self.keyring.get_or_init(find).as_ref()
    }

    fn file(&self) -> PathBuf {
        self.folder.join("sign-ins.json")
    }

    pub(super) async fn get(&self, key: &GrantKey) -> Result<Option<Grant>, SignInError> {
        let (this, key) = (self.clone(), key.clone());
        blocking(move || {
            let document = this.read()?;
            Ok(document.grants.into_iter().find(|kept| kept.key == key).map(|kept| kept.grant))
        })
        .await
    }

    pub(super) async fn put(&self, key: &GrantKey, grant: &Grant) -> Result<(), SignInError> {
        let (key, grant) = (key.clone(), grant.clone());
        self.change(move |grants| {
            grants.retain(|kept| kept.key != key);
            grants.push(Kept { key, grant });
        })
        .await
    }

    /// Removes a grant, unless it was replaced since.
    pub(super) async fn remove(&self, key: &GrantKey, access: &str) -> Result<(), SignInError> {
        let (key, access) = (key.clone(), access.to_owned());
        self.change(move |grants| {
            grants.retain(|kept| kept.key != key || kept.grant.tokens.access != access);
        })
        .await
    }

    pub(super) async fn remove_all(
        &self,
        which: impl Fn(&GrantKey) -> bool + Send + 'static,
    ) -> Result<(), SignInError> {
        self.change(move |grants| grants.retain(|kept| !which(&kept.key))).await
    }

    /// Waits until no other hub renews this grant.
    pub(super) async fn hold(&self, key: &GrantKey) -> Result<Held, SignInError> {
        let name = format!("{}.lock", key.short());
        self.lock(&name).await.map(|file| Held { _file: file })
    }

    async fn change(&self, change: impl FnOnce(&mut Vec<Kept>) + Send + 'static) -> Result<(), SignInError> {
        let lock = self.lock("sign-ins.lock").await?;
        let this = self.clone();
        blocking(move || {
            let mut document = this.read()?;
            change(&mut document.grants);
            let written = this.write(&document);
            drop(lock);
            written
        })
        .await
    }

    /// Locks a file. It looks again and again, so that a waiter can give up and blocks no thread.
    async fn lock(&self, name: &str) -> Result<File, SignInError> {
        let this = self.clone();
        let path = self.folder.join(name);
        let file = blocking(move || {
            this.make_folder()?;
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
        })
        .await?;
        let begun = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if begun.elapsed() < LONGEST_LOCK => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(SignInError::Store { why: "another hub holds them".to_owned() });
                }
                Err(TryLockError::Error(error)) => return Err(stored(&error)),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    fn make_folder(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let mode = self.folder.metadata()?.permissions().mode();
        if mode & 0o077 != 0 {
            std::fs::set_permissions(&self.folder, Permissions::from_mode(0o700))?;
        }
        Ok(())
    }

    fn read(&self) -> io::Result<Document> {
        let empty = Document { format: FORMAT, grants: Vec::new() };
        #[cfg(feature = "keyring")]
        if let Some(keyring) = self.keyring() {
            return keyring.read()?.map_or(Ok(empty), |text| understood(&text));
        }
        let text = match std::fs::metadata(self.file()) {
            Ok(data) if data.len() > LARGEST => return Err(broken("the file is too large")),
            Ok(_) => std::fs::read(self.file())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty),
            Err(error) => return Err(error),
        };
        understood(&text)
    }

    fn write(&self, document: &Document) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(document)?;
        #[cfg(feature = "keyring")]
        if let Some(keyring) = self.keyring() {
            return keyring.write(&text);
        }
        let beside = self.folder.join("sign-ins.json.new");
        // One of an interrupted write may be there, with who knows which mode.
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&beside, self.file())?;
        File::open(&self.folder)?.sync_all()
    }
}

fn understood(text: &[u8]) -> io::Result<Document> {
    // Not serde's own words: they quote what they do not understand.
    let damaged = |_| broken("what is kept is damaged; remove it and sign in again");
    let document: Document = serde_json::from_slice(text).map_err(damaged)?;
    if document.format != FORMAT {
        return Err(broken("what is kept was written by another version"));
    }
    Ok(document)
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, SignInError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| stored(&error)),
        Err(_) => Err(SignInError::Store { why: "the hub is ending".to_owned() }),
    }
}

fn stored(error: &io::Error) -> SignInError {
    SignInError::Store { why: error.to_string() }
}
