//! What people order of the inventory: register, edit, say, reset, remove.

use std::collections::BTreeSet;
use std::path::PathBuf;

use dormouse_registry::Entry;
use dormouse_scan::Scanned;
use dormouse_storage::{StorageError, Table, Write};
use dormouse_types::{Launch, Origin, Scope, ServerKey, chain};
use serde_json::json;
use tracing::warn;

use crate::edit::{Edit, EditError, EditKind, Reset};
use crate::error::{RegisterError, RemoveError};
use crate::inventory::{Inventory, Say};
use crate::reconcile::source_of;
use crate::said::{Said, ShareError, Shared, stored_key};

impl Inventory {
    pub(crate) async fn register(&mut self, key: ServerKey, asked: PathBuf) -> Result<(), RegisterError> {
        let Ok(path) = std::fs::canonicalize(self.settings.space.join(&asked)) else {
            return Err(RegisterError::Missing { path: asked });
        };
        let inside = |folder: &PathBuf| {
            std::fs::canonicalize(folder)
                .is_ok_and(|folder| path.parent() == Some(&folder))
                .then(|| folder.join(path.file_name().unwrap_or_default()))
        };
        let Some(path) = self.settings.drop_folders.iter().find_map(inside) else {
            let folders = self.settings.drop_folders.clone();
            return Err(RegisterError::Outside { path: asked, folders });
        };
        self.rescan().await;
        match self.scripts.get(&path).map(|scanned| scanned.as_deref()) {
            Some(Ok(Scanned::Server(_))) => {}
            Some(Ok(Scanned::NoServer { reason })) => {
                return Err(RegisterError::NoServer { path: asked, reason: reason.clone() });
            }
            Some(Err(problem)) => {
                return Err(RegisterError::NoServer { path: asked, reason: problem.clone() });
            }
            None => {
                let reason = "only Python files that lie directly in the folder count".to_owned();
                return Err(RegisterError::NoServer { path: asked, reason });
            }
        }
        if let Some(known) = self.roster.engine().registry.snapshot().get(&key) {
            let same = matches!(&known.config.launch, Launch::Script { path: of, .. } if *of == path);
            if !same {
                let taken_by = source_of(&known.config.launch);
                return Err(RegisterError::Conflict { name: key.name, taken_by });
            }
            if known.config.origin == Origin::Registered {
                return Ok(());
            }
        }
        let value = json!({ "server": key, "path": path });
        let write = Write::Put { table: Table::Registrations, key: stored_key(&key), value };
        self.storage.write(vec![write]).await?;
        self.registrations.insert(key, path);
        self.reconcile().await;
        Ok(())
    }

    pub(crate) async fn edit(&mut self, edits: Vec<Edit>) -> Vec<Result<(), EditError>> {
        let catalog = self.roster.engine().registry.snapshot();
        let taken = |edit: &Edit| match (catalog.get(&edit.server), &edit.kind) {
            (Some(known), EditKind::Add(_) | EditKind::Put(_))
                if known.config.origin != Origin::Configured =>
            {
                let taken_by = source_of(&known.config.launch);
                Err(EditError::Conflict { server: edit.server.clone(), taken_by })
            }
            _ => Ok(()),
        };
        let free: Vec<Result<(), EditError>> = edits.iter().map(taken).collect();
        let allowed = edits.iter().zip(&free).filter(|(_, free)| free.is_ok()).map(|(edit, _)| edit.clone());
        let mut done = crate::configured::edit(&*self.source, allowed.collect()).await.into_iter();
        let results = free.into_iter().map(|free| match free {
            Ok(()) => done.next().unwrap_or(Err(EditError::Ending)),
            refused => refused,
        });
        let results = results.collect();
        self.reread().await;
        results
    }

    pub(crate) async fn say(&mut self, say: Say) -> Result<(), ShareError> {
        let mut said = self.said.clone();
        match say {
            Say::Assign { server, .. } if server.scope != Scope::Store => {
                return Err(ShareError::NotTheStores { server });
            }
            Say::Assign { server, agent } => drop(said.shared.insert(Shared { server, agent })),
            Say::Unassign { server, agent } => drop(said.shared.remove(&Shared { server, agent })),
            Say::Tool { scope, tool, settings } if settings.is_empty() => {
                drop(said.tools.remove(&(scope, tool)));
            }
            Say::Tool { scope, tool, settings } => drop(said.tools.insert((scope, tool), settings)),
        }
        self.said_anew(said).await
    }

    /// First the registry, which may refuse, then the storage; what cannot be stored is taken back.
    async fn said_anew(&mut self, said: Said) -> Result<(), ShareError> {
        let registry = &self.roster.engine().registry;
        registry.apply(said.since(&self.said)).await?;
        if let Err(error) = self.storage.write(said.writes_since(&self.said)).await {
            if let Err(error) = registry.apply(self.said.since(&said)).await {
                warn!(%error, "what could not be stored is said until the hub ends");
            }
            return Err(error.into());
        }
        self.said = said;
        Ok(())
    }

    pub(crate) async fn reset(&mut self, scope: &Scope, what: Reset) -> Result<Vec<ServerKey>, EditError> {
        let mut gone = BTreeSet::new();
        let forgotten = self.forget_all(scope, what, &mut gone).await;
        // Also when only a part of it could be done: the lists show what is.
        self.rescan().await;
        let unsaid = self.unsay(&gone).await;
        forgotten?;
        unsaid.map_err(not_said)?;
        Ok(gone.into_iter().collect())
    }

    /// Forgets what contexts configured and registered; `gone` says what it was, also where the
    /// rest of it could not be forgotten.
    async fn forget_all(
        &mut self,
        scope: &Scope,
        what: Reset,
        gone: &mut BTreeSet<ServerKey>,
    ) -> Result<(), EditError> {
        let all = *scope == Scope::Store && what.agents;
        let concerned = |of: &Scope| of == scope || all;
        gone.extend(crate::configured::forget(&*self.source, concerned, all).await?);
        let catalog = self.roster.engine().registry.snapshot();
        for entry in catalog.servers(&Scope::Store).filter(|entry| concerned(&entry.key.scope)) {
            if entry.config.origin == Origin::Registered
                && let (Launch::Elsewhere { .. }, Some(replicas)) = (&entry.config.launch, &mut self.replicas)
            {
                replicas.forget(&entry.key).await?;
                gone.insert(entry.key.clone());
            }
        }
        // Also those whose script is not there any more.
        let registered: Vec<_> =
            self.registrations.keys().filter(|it| concerned(&it.scope)).cloned().collect();
        for key in registered {
            self.forget(&key).await?;
            gone.insert(key);
        }
        let mut said = self.said.clone();
        if what.shares {
            said.shared.retain(|shared| match scope {
                Scope::Store => false,
                Scope::Agent(agent) => shared.agent != *agent,
            });
        }
        if what.tools {
            said.tools.retain(|(of, _), _| !concerned(of));
        }
        self.said_anew(said).await.map_err(not_said)
    }

    pub(crate) async fn remove(&mut self, key: ServerKey, file: bool) -> Result<(), RemoveError> {
        let entry = self.roster.engine().registry.snapshot().get(&key).cloned();
        let taken = match entry {
            Some(entry) => self.take_away(&entry, file).await,
            None => self.take_out(&key).await,
        };
        if taken.is_ok() {
            // A script that stays is dormant again, as in the seed.
            self.roster.let_go(&key);
        }
        // Also when only a part of it could be done: the lists show what is.
        self.rescan().await;
        taken?;
        if let Err(error) = self.unsay(&BTreeSet::from([key.clone()])).await {
            warn!(server = %key, %error, "what was said of it stays for the next one of its name");
        }
        Ok(())
    }

    /// Takes away what would make a server and does not: an entry that is none, a registration
    /// whose script is gone.
    async fn take_out(&mut self, key: &ServerKey) -> Result<(), RemoveError> {
        let is_registered = self.registrations.contains_key(key);
        if is_registered {
            self.forget(key).await?;
        }
        let removed = crate::configured::remove(&*self.source, key).await;
        match removed.map_err(|error| RemoveError::Config(chain(&error)))? || is_registered {
            true => Ok(()),
            false => Err(RemoveError::UnknownServer { server: key.clone() }),
        }
    }

    /// What is configured or registered, and is no server.
    pub(crate) async fn unusable(&self) -> Result<Vec<ServerKey>, EditError> {
        let mut keys = crate::configured::keys(&*self.source).await?;
        keys.extend(self.registrations.keys().cloned());
        let catalog = self.roster.engine().registry.snapshot();
        Ok(keys.into_iter().filter(|key| catalog.get(key).is_none()).collect())
    }

    /// Takes away what makes a server: a registration, an entry, a record, or its file.
    async fn take_away(&mut self, entry: &Entry, file: bool) -> Result<(), RemoveError> {
        let key = &entry.key;
        if let (Launch::Elsewhere { .. }, Some(replicas)) = (&entry.config.launch, &mut self.replicas) {
            replicas.forget(key).await?;
        }
        match entry.config.origin {
            Origin::Dropped => {}
            Origin::Registered => self.forget(key).await?,
            Origin::Configured => {
                let edit = Edit { server: key.clone(), kind: EditKind::Remove };
                for result in crate::configured::edit(&*self.source, vec![edit]).await {
                    result.map_err(|error| RemoveError::Config(chain(&error)))?;
                }
            }
        }
        if let (true, Launch::Script { path, .. }) = (file, &entry.config.launch)
            && let Err(source) = std::fs::remove_file(path)
            && source.kind() != std::io::ErrorKind::NotFound
        {
            return Err(RemoveError::File { path: path.clone(), source });
        }
        Ok(())
    }

    /// Forgets what was said of servers that a person removed, as far as they are gone: one of the
    /// name that comes later is another one, which nobody shared with an agent, and nobody stopped.
    async fn unsay(&mut self, removed: &BTreeSet<ServerKey>) -> Result<(), ShareError> {
        let catalog = self.roster.engine().registry.snapshot();
        let is_gone = |server: &ServerKey| removed.contains(server) && catalog.get(server).is_none();
        let mut said = self.said.clone();
        said.shared.retain(|shared| !is_gone(&shared.server));
        said.tools.retain(|(_, tool), _| !is_gone(&tool.server));
        if said != self.said {
            self.said_anew(said).await?;
        }
        for server in removed.iter().filter(|server| is_gone(server)) {
            self.roster.engine().wishes.set(server, None).await?;
        }
        Ok(())
    }

    async fn forget(&mut self, key: &ServerKey) -> Result<(), StorageError> {
        let write = Write::Delete { table: Table::Registrations, key: stored_key(key) };
        self.storage.write(vec![write]).await?;
        self.registrations.remove(key);
        Ok(())
    }
}

fn not_said(error: ShareError) -> EditError {
    match error {
        ShareError::Storage(error) => EditError::Storage(error),
        ShareError::Ending => EditError::Ending,
        other => EditError::File(other.to_string()),
    }
}
