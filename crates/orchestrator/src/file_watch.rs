//! Word of every change in the drop folders and of `mcp.json`, wherever links lead.
//!
//! # Invariants
//!
//! * Folders are watched, never files: editors replace a file by renaming another one over it.
//! * A link on the way to `mcp.json` counts as the file itself. Where it leads may change, so the
//!   watch [follows](FileWatch::follow) before the file is read.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use notify::event::{CreateKind, ModifyKind, RemoveKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;
use tracing::warn;

/// How many links are followed, as the system does.
const LINKS: usize = 40;

/// Counts changes of files, as long as it lives.
#[derive(Debug)]
pub(crate) struct FileWatch {
    watcher: RecommendedWatcher,
    folders: Vec<PathBuf>,
    mcp_json: Option<PathBuf>,
    counts: Arc<Mutex<Counts>>,
    /// The folders of `mcp.json` and its links.
    watched: BTreeSet<PathBuf>,
    /// Those of them that could not be watched.
    refused: BTreeSet<PathBuf>,
}

/// Which changes count.
#[derive(Debug, Default)]
struct Counts {
    /// The drop folders.
    folders: BTreeSet<PathBuf>,
    /// `mcp.json`, and each link on the way to it.
    places: BTreeSet<PathBuf>,
}

impl FileWatch {
    /// Watches the drop folders and `mcp.json`, if that is a file.
    ///
    /// # Errors
    /// When the system gives no watch, such as at a limit of inotify.
    pub(crate) fn open(
        folders: &[PathBuf],
        mcp_json: Option<&Path>,
        changes: watch::Sender<u64>,
    ) -> Result<Self, notify::Error> {
        let counts = Arc::new(Mutex::new(Counts::default()));
        let counted = Arc::clone(&counts);
        let watcher = notify::recommended_watcher(move |event: Result<Event, notify::Error>| {
            let told = match event {
                Ok(event) => counted.lock().expect("nothing panics while it holds them").tell(&event),
                // Events were lost: look at everything.
                Err(_) => true,
            };
            if told {
                changes.send_modify(|count| *count += 1);
            }
        })?;
        let mut watch = Self {
            watcher,
            folders: folders.to_vec(),
            mcp_json: mcp_json.map(Path::to_owned),
            counts,
            watched: BTreeSet::new(),
            refused: BTreeSet::new(),
        };
        watch.watch_folders()?;
        watch.follow();
        Ok(watch)
    }

    /// Watches where links lead now, and a drop folder that was made anew. Blocks.
    pub(crate) fn follow(&mut self) {
        // One that is not there is told of when it comes, where its own folder is watched.
        let _ = self.watch_folders();
        let places = self.mcp_json.as_deref().map(places).unwrap_or_default();
        let wanted: BTreeSet<PathBuf> =
            places.iter().filter_map(|place| place.parent()).map(Path::to_owned).collect();
        self.counts.lock().expect("nothing panics while it holds them").places = places;
        let drop_folders: BTreeSet<PathBuf> = self.folders.iter().map(|folder| true_path(folder)).collect();
        for left in self.watched.difference(&wanted).filter(|left| !drop_folders.contains(*left)) {
            // It may be gone, and its watch with it.
            let _ = self.watcher.unwatch(left);
        }
        let mut refused = BTreeSet::new();
        for folder in &wanted {
            // Again also what is watched: another folder may stand there by now.
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                if !self.refused.contains(folder) {
                    warn!(%error, folder = %folder.display(), "changes of mcp.json may not be seen by themselves");
                }
                refused.insert(folder.clone());
            }
        }
        (self.watched, self.refused) = (wanted, refused);
    }

    fn watch_folders(&mut self) -> Result<(), notify::Error> {
        let known = self.folders.iter().flat_map(|folder| [folder.clone(), true_path(folder)]).collect();
        self.counts.lock().expect("nothing panics while it holds them").folders = known;
        // All are tried, also after one that is gone.
        let watched = self.folders.iter().map(|folder| {
            // By its true path: one folder watched under two would tell of one of them only.
            self.watcher.watch(&true_path(folder), RecursiveMode::NonRecursive)
        });
        watched.fold(Ok(()), Result::and)
    }
}

impl Counts {
    fn tell(&self, event: &Event) -> bool {
        let is_read = matches!(event.kind, EventKind::Access(_));
        !is_read && (event.paths.is_empty() || event.paths.iter().any(|path| self.concerns(event.kind, path)))
    }

    fn concerns(&self, kind: EventKind, path: &Path) -> bool {
        self.places.contains(path)
            || self.folders.contains(path)
            || (path.parent().is_some_and(|folder| self.folders.contains(folder)) && is_code(kind, path))
    }
}

/// Whether a change in a drop folder may be one of Python's: a script, or a package beside it.
/// What servers write there for themselves, such as a log or a database, is nobody's concern.
fn is_code(kind: EventKind, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(".py") {
        return true;
    }
    let may_be_folder = match kind {
        EventKind::Create(of) => of != CreateKind::File,
        EventKind::Remove(of) => of != RemoveKind::File,
        EventKind::Modify(how) => !matches!(how, ModifyKind::Data(_) | ModifyKind::Metadata(_)),
        EventKind::Access(_) => false,
        EventKind::Any | EventKind::Other => true,
    };
    may_be_folder && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn true_path(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Where something may change what a file says: each link on the way to it, and what is at the end,
/// which is the file, or the first part of its path that is not there. Its own folder is taken as
/// it is. No folder among them is a link.
fn places(file: &Path) -> BTreeSet<PathBuf> {
    let mut places = BTreeSet::new();
    let names = |path: &Path| -> Vec<OsString> {
        path.components().rev().map(|part| part.as_os_str().to_owned()).collect()
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // What is still to go, backwards.
    let (mut at, mut rest) = match (fs::canonicalize(folder), file.file_name()) {
        (Ok(folder), Some(name)) => (folder, vec![name.to_owned()]),
        _ => match std::path::absolute(file) {
            Ok(file) => (PathBuf::from("/"), names(&file)),
            Err(_) => return places,
        },
    };
    let mut links = 0;
    while let Some(name) = rest.pop() {
        match Path::new(&name).components().next() {
            Some(Component::RootDir) => at = PathBuf::from("/"),
            Some(Component::ParentDir) => drop(at.pop()),
            Some(Component::Normal(_)) => {
                let place = at.join(&name);
                let target = fs::read_link(&place);
                if target.is_ok() || rest.is_empty() || fs::symlink_metadata(&place).is_err() {
                    places.insert(place.clone());
                }
                match target {
                    Ok(_) if links == LINKS => return places,
                    Ok(target) => {
                        links += 1;
                        rest.extend(names(&target));
                    }
                    Err(_) if fs::symlink_metadata(&place).is_err() => return places,
                    Err(_) => at = place,
                }
            }
            Some(Component::CurDir | Component::Prefix(_)) | None => {}
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use notify::event::{DataChange, MetadataKind, RenameMode};

    use super::*;

    #[test]
    fn only_what_python_may_read_concerns_a_drop_folder() {
        let folder = PathBuf::from("/space/servers");
        let mcp_json = Path::new("/space/mcp.json");
        let counts = Counts {
            folders: BTreeSet::from([folder.clone()]),
            places: BTreeSet::from([mcp_json.to_owned()]),
        };
        let concerns = |kind, path: &Path| counts.concerns(kind, path);
        let created = EventKind::Create(CreateKind::File);
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let touched = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let deleted = EventKind::Remove(RemoveKind::File);
        for kind in [created, written, touched, renamed, deleted] {
            assert!(concerns(kind, &folder.join("app.py")), "{kind:?}");
            assert!(concerns(kind, mcp_json), "{kind:?}");
            assert!(concerns(kind, &folder), "{kind:?}");
            for other in ["app.log", "app.log.1", "notes.db", "notes.db-journal", ".app.py.swp"] {
                assert!(!concerns(kind, &folder.join(other)), "{kind:?} {other}");
            }
            assert!(!concerns(kind, Path::new("/space/mcp.json.bak")), "{kind:?}");
        }
        let package = folder.join("shapes");
        assert!(concerns(EventKind::Create(CreateKind::Folder), &package));
        assert!(concerns(EventKind::Remove(RemoveKind::Folder), &package));
        assert!(concerns(renamed, &package));
        assert!(!concerns(written, &package), "a file without an ending");
    }

    /// Replaces a link in one step, as `ln -sfn` and Kubernetes do.
    fn relink(target: &str, link: &Path) {
        let new = link.with_extension("new");
        symlink(target, &new).unwrap();
        fs::rename(new, link).unwrap();
    }

    #[test]
    fn every_link_on_the_way_to_a_file_is_a_place_of_it() {
        let space = tempfile::tempdir().unwrap();
        let at = |path: &str| space.path().canonicalize().unwrap().join(path);
        let check = |expected: &[&str]| {
            assert_eq!(places(&at("mcp.json")), expected.iter().map(|path| at(path)).collect());
        };
        check(&["mcp.json"]);
        symlink("..data/mcp.json", at("mcp.json")).unwrap();
        check(&["mcp.json", "..data"]);
        symlink("..one", at("..data")).unwrap();
        check(&["mcp.json", "..data", "..one"]);
        fs::create_dir(at("..one")).unwrap();
        check(&["mcp.json", "..data", "..one/mcp.json"]);
        fs::write(at("..one/mcp.json"), "{}").unwrap();
        check(&["mcp.json", "..data", "..one/mcp.json"]);
        symlink("./../..one/mcp.json", at("..one/again.json")).unwrap();
        relink(at("..one/again.json").to_str().unwrap(), &at("mcp.json"));
        check(&["mcp.json", "..one/again.json", "..one/mcp.json"]);
        relink("mcp.json", &at("mcp.json"));
        check(&["mcp.json"]);
        assert_eq!(places(&at("none/mcp.json")), BTreeSet::from([at("none")]));
    }

    #[tokio::test]
    async fn a_change_is_told_wherever_links_lead() {
        let space = tempfile::tempdir().unwrap();
        let at = |path: &str| space.path().join(path);
        for folder in ["servers", "one", "two"] {
            fs::create_dir(at(folder)).unwrap();
            fs::write(at(folder).join("mcp.json"), "{}").unwrap();
        }
        symlink("current/mcp.json", at("mcp.json")).unwrap();
        symlink("one", at("current")).unwrap();
        let (changed, mut changes) = watch::channel(0);
        let mut watch = FileWatch::open(&[at("servers")], Some(&at("mcp.json")), changed).unwrap();
        let mut is_told = async |what: &str| {
            let told = tokio::time::timeout(Duration::from_secs(30), changes.changed()).await;
            told.unwrap_or_else(|_| panic!("{what} is not told")).unwrap();
            // What else comes of the same change; only the next one is to be told next.
            while let Ok(Ok(())) = tokio::time::timeout(Duration::from_millis(200), changes.changed()).await {
            }
        };
        fs::write(at("one/mcp.json"), "{\"mcpServers\": {}}").unwrap();
        is_told("a change of the file itself").await;
        fs::write(at("mcp.json"), "{}").unwrap();
        is_told("a change through the link").await;
        relink("two", &at("current"));
        is_told("another target").await;
        watch.follow();
        fs::write(at("two/mcp.json"), "{\"mcpServers\": {}}").unwrap();
        is_told("a change of the new target").await;
        fs::remove_dir_all(at("two")).unwrap();
        is_told("a target that goes").await;
        watch.follow();
        fs::create_dir(at("two")).unwrap();
        is_told("the folder of a target that comes again").await;
        watch.follow();
        fs::write(at("two/mcp.json"), "{}").unwrap();
        is_told("a target that comes again").await;
        fs::write(at("servers/app.py"), "").unwrap();
        is_told("a script").await;
    }
}
