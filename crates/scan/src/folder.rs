//! A folder of scripts, scanned on all cores; what has not changed is not read again.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::record;
use crate::scan::{ScanError, Scanned, scan_file};

/// What a scan of a folder found.
#[derive(Debug, Default)]
pub struct FolderReport {
    /// Every script of the folder, by its path.
    pub scripts: BTreeMap<PathBuf, Result<Arc<Scanned>, ScanError>>,
    /// How many of them had to be read and parsed.
    pub parsed: usize,
}

/// What is known of scripts, by their paths and what the file system says of them.
#[derive(Debug, Default)]
pub struct Cache {
    entries: HashMap<PathBuf, Entry>,
    changed: bool,
}

/// Identifies a version of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: i64,
    pub(crate) size: u64,
    pub(crate) inode: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) stamp: Stamp,
    /// Files that the result depends on too.
    pub(crate) watched: Vec<(PathBuf, Stamp)>,
    pub(crate) result: Result<Arc<Scanned>, ScanError>,
}

impl Stamp {
    fn of(data: &Metadata) -> Self {
        Self { seconds: data.mtime(), nanoseconds: data.mtime_nsec(), size: data.size(), inode: data.ino() }
    }

    fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|data| Self::of(&data))
    }
}

impl Entry {
    fn is_current(&self, stamp: Stamp) -> bool {
        self.stamp == stamp && self.watched.iter().all(|(path, stamp)| Stamp::at(path) == Some(*stamp))
    }

    /// Reads a script. The stamp was taken before, so a change meanwhile shows in the next scan.
    fn read(path: &Path, stamp: Stamp) -> Self {
        let result = scan_file(path).map(Arc::new);
        let mut watched = Vec::new();
        if let Ok(scanned) = &result
            && let Scanned::Server(script) = &**scanned
        {
            watched.extend(script.local_modules.iter().cloned());
            if script.needs.problem.is_some() {
                // A module that appears beside the script may be what it misses.
                watched.extend(path.parent().map(Path::to_owned));
            }
        }
        let watched =
            watched.into_iter().filter_map(|path| Stamp::at(&path).map(|stamp| (path, stamp))).collect();
        Self { stamp, watched, result }
    }
}

impl Cache {
    /// Reads a cache file. A missing, broken or foreign file is an empty cache.
    pub fn load(file: &Path) -> Self {
        let Ok(bytes) = fs::read(file) else { return Self::default() };
        let bytes = Arc::new(bytes);
        let Some(records) = record::records(&bytes) else { return Self::default() };
        let read = in_parallel(&records, |range| record::entry(&bytes, range));
        match read.into_iter().collect::<Option<HashMap<_, _>>>() {
            Some(entries) => Self { entries, changed: false },
            None => Self::default(),
        }
    }

    /// Writes the cache file, unless nothing changed since it was read. The old file stays whole until the new one is.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn save(&mut self, file: &Path) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let temporary = file.with_extension(format!("{}.tmp", std::process::id()));
        let written = self.write(&temporary).and_then(|()| fs::rename(&temporary, file));
        if written.is_err() {
            // Best effort: the error that matters is the one above.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        self.changed = false;
        Ok(())
    }

    fn write(&self, file: &Path) -> io::Result<()> {
        let mut out = fs::File::create(file)?;
        out.write_all(&record::file(self.entries.iter()))?;
        out.sync_all()
    }

    /// Scans the direct children `*.py` of a folder; `__init__.py` and names with a leading dot are no scripts.
    /// A folder that cannot be read has none.
    pub fn scan(&mut self, folder: &Path) -> FolderReport {
        let paths = scripts_of(folder);
        let looked = in_parallel(&paths, |path| self.look(path));
        let mut report = FolderReport::default();
        // What left the folder is forgotten.
        let before = self.entries.len();
        self.entries.retain(|path, _| path.parent() != Some(folder) || paths.binary_search(path).is_ok());
        self.changed |= self.entries.len() != before;
        for (path, looked) in paths.into_iter().zip(looked) {
            match looked {
                Looked::Known(result) => {
                    report.scripts.insert(path, result);
                }
                Looked::Read(entry) => {
                    report.parsed += 1;
                    report.scripts.insert(path.clone(), entry.result.clone());
                    self.entries.insert(path, entry);
                    self.changed = true;
                }
                // Gone between listing and looking.
                Looked::Gone => {}
            }
        }
        report
    }

    fn look(&self, path: &Path) -> Looked {
        let stamp = match fs::metadata(path) {
            Ok(data) => Stamp::of(&data),
            Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
                return Looked::Gone;
            }
            Err(_) => Stamp { seconds: 0, nanoseconds: 0, size: 0, inode: 0 },
        };
        match self.entries.get(path).filter(|entry| entry.is_current(stamp)) {
            Some(entry) => Looked::Known(entry.result.clone()),
            None => Looked::Read(Entry::read(path, stamp)),
        }
    }
}

enum Looked {
    Known(Result<Arc<Scanned>, ScanError>),
    Read(Entry),
    Gone,
}

/// The scripts of a folder, sorted.
fn scripts_of(folder: &Path) -> Vec<PathBuf> {
    let Ok(children) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = children
        .filter_map(|child| child.ok())
        .filter(|child| {
            let name = child.file_name();
            let name = name.to_string_lossy();
            name.ends_with(".py")
                && !name.starts_with('.')
                && name != "__init__.py"
                && child.file_type().is_ok_and(|kind| !kind.is_dir())
        })
        .map(|child| child.path())
        .collect();
    paths.sort();
    paths
}

/// Does the same with every item, on all cores, in batches; the results are in the items' order.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    /// Long enough that taking a batch costs nothing, short enough that no core waits for another.
    const BATCH: usize = 32;
    let workers = thread::available_parallelism().map_or(1, usize::from).min(items.len().div_ceil(BATCH));
    if workers <= 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let mut batches: Vec<(usize, Vec<R>)> = thread::scope(|scope| {
        let run = || {
            let mut done = Vec::new();
            loop {
                let start = next.fetch_add(BATCH, Ordering::Relaxed);
                let Some(batch) =
                    items.get(start..items.len().min(start + BATCH)).filter(|batch| !batch.is_empty())
                else {
                    return done;
                };
                done.push((start, batch.iter().map(&work).collect()));
            }
        };
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(run)).collect();
        handles.into_iter().flat_map(|handle| handle.join().expect("a scan does not panic")).collect()
    });
    batches.sort_by_key(|(start, _)| *start);
    batches.into_iter().flat_map(|(_, results)| results).collect()
}
