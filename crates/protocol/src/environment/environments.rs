//! The environments of a user, found or made.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use dormouse_types::{PrepareStep, PythonNeeds};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use super::build::{self, Order};
use super::cache::{Cache, Kind};
use super::error::EnvironmentError;
use super::garbage::{self, Garbage};
use super::installer::Installer;
use super::python::{Python, Pythons};
use super::requirement;
use super::settings::EnvironmentSettings;

/// Changes when the way of building changes, so that older environments are not taken for new.
const FORMAT: &str = "1";

/// A back-off that doubled this often doubles no more.
const BACK_OFF_DOUBLINGS: u32 = 4;

/// A cheap handle on the Python environments of one cache folder.
///
/// Several hubs and processes may use the same folder at once.
#[derive(Debug, Clone)]
pub struct Environments {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cache: Cache,
    settings: EnvironmentSettings,
    pythons: Pythons,
    turns: Semaphore,
    running: Mutex<HashMap<String, Weak<Build>>>,
    failed: Mutex<HashMap<String, Failure>>,
}

/// A build under way, shared by all who wait for it. The last to leave ends it.
#[derive(Debug)]
struct Build {
    progress: watch::Receiver<Progress>,
    task: AbortHandle,
}

impl Drop for Build {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, Clone)]
enum Progress {
    Step(PrepareStep),
    Done(Result<PathBuf, EnvironmentError>),
}

/// A failed build, remembered so that nobody repeats it in a loop.
#[derive(Debug, Clone)]
struct Failure {
    error: EnvironmentError,
    until: Instant,
    in_a_row: u32,
}

/// Where the interpreter of a script comes from.
enum Target {
    Base(PathBuf),
    Environment(Box<Order>),
}

impl Environments {
    /// Uses a cache folder, which is made when the first environment is.
    pub fn new(cache_dir: PathBuf, settings: EnvironmentSettings) -> Self {
        let pythons = Pythons::remembered_in(cache_dir.join("interpreters.json"));
        let inner = Inner {
            cache: Cache::new(cache_dir),
            turns: Semaphore::new(settings.builds.max(1)),
            settings,
            pythons,
            running: Mutex::default(),
            failed: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Returns the interpreter for these needs if nothing has to be built.
    ///
    /// The first use may start the machine's interpreters for some 20 ms each, to learn their versions.
    pub fn ready_now(&self, needs: &PythonNeeds) -> Option<PathBuf> {
        match self.inner.target(needs).ok()? {
            Target::Base(python) => Some(python),
            Target::Environment(order) if order.slot.is_ready() => {
                order.slot.touch();
                Some(order.slot.python())
            }
            Target::Environment(_) => None,
        }
    }

    /// Returns the interpreter for these needs; builds its environment if there is none.
    ///
    /// Whoever asks for the same at the same time shares one build, also across processes. When
    /// the last of them drops its future, the build is stopped. A failed build is answered from
    /// memory until its back-off is over. A slow `progress` loses steps in between, never the last.
    pub async fn prepare(
        &self,
        needs: &PythonNeeds,
        progress: &(dyn Fn(PrepareStep) + Send + Sync),
    ) -> Result<PathBuf, EnvironmentError> {
        let result = self.prepare_inner(needs, progress).await;
        progress(match &result {
            Ok(_) => PrepareStep::Ready,
            Err(error) => PrepareStep::Failed(error.to_string()),
        });
        result
    }

    async fn prepare_inner(
        &self,
        needs: &PythonNeeds,
        progress: &(dyn Fn(PrepareStep) + Send + Sync),
    ) -> Result<PathBuf, EnvironmentError> {
        let order = match self.target(needs).await? {
            Target::Base(python) => return Ok(python),
            Target::Environment(order) => order,
        };
        if order.slot.is_ready() {
            order.slot.touch();
            return Ok(order.slot.python());
        }
        if let Some(failure) = self.inner.failure(&order.key)
            && failure.until > Instant::now()
        {
            return Err(failure.error);
        }
        let build = self.join(order);
        let mut steps = build.progress.clone();
        loop {
            let now = steps.borrow_and_update().clone();
            match now {
                Progress::Step(PrepareStep::Ready | PrepareStep::Failed(_)) => {}
                Progress::Step(step) => progress(step),
                Progress::Done(result) => return result,
            }
            steps.changed().await.map_err(|_| EnvironmentError::BrokenOff)?;
        }
    }

    /// Removes all environments but those of the needs to keep, unless they are in use: being
    /// built, running a process, or handed out a moment ago.
    pub async fn collect_garbage(&self, keep: &[PythonNeeds]) -> Result<Garbage, EnvironmentError> {
        let inner = Arc::clone(&self.inner);
        let keep = keep.to_vec();
        let work = move || {
            let orders = keep.iter().filter_map(|needs| match inner.target(needs) {
                Ok(Target::Environment(order)) => Some(order),
                // What cannot be built has no folder to keep.
                Ok(Target::Base(_)) | Err(_) => None,
            });
            let kept: Vec<(Kind, String)> = orders
                .flat_map(|order| {
                    [(Kind::Installer, build::pip_key(&order.python)), (Kind::Environment, order.key)]
                })
                .collect();
            garbage::collect(&inner.cache, &kept, inner.settings.spare)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| EnvironmentError::BrokenOff)?
    }

    /// Returns the Python that scripts without requirements run on, and the keeper.
    pub fn base_python(&self) -> Result<PathBuf, EnvironmentError> {
        Ok(self.inner.pythons.find(None, &self.inner.settings)?.executable)
    }

    async fn target(&self, needs: &PythonNeeds) -> Result<Target, EnvironmentError> {
        let (inner, needs) = (Arc::clone(&self.inner), needs.clone());
        // It may have to ask interpreters for their version.
        tokio::task::spawn_blocking(move || inner.target(&needs))
            .await
            .map_err(|_| EnvironmentError::BrokenOff)?
    }

    /// Joins the build of this environment, or starts it.
    fn join(&self, order: Box<Order>) -> Arc<Build> {
        let mut running = self.inner.running.lock().expect("nobody panics while joining a build");
        if let Some(build) = running.get(&order.key).and_then(Weak::upgrade) {
            return build;
        }
        let (sender, progress) = watch::channel(Progress::Step(PrepareStep::Queued));
        let (inner, key) = (Arc::clone(&self.inner), order.key.clone());
        let task = tokio::spawn(async move {
            let report = |step| {
                sender.send_replace(Progress::Step(step));
            };
            let result = build::build(&order, &inner.cache, &inner.settings, &inner.turns, &report).await;
            inner.remember(&order.key, &result);
            sender.send_replace(Progress::Done(result));
        });
        let build = Arc::new(Build { progress, task: task.abort_handle() });
        running.retain(|_, build| build.strong_count() > 0);
        running.insert(key, Arc::downgrade(&build));
        build
    }
}

impl Inner {
    fn target(&self, needs: &PythonNeeds) -> Result<Target, EnvironmentError> {
        if let Some(problem) = &needs.problem {
            return Err(EnvironmentError::Needs { problem: problem.clone() });
        }
        let requirements = requirement::check(&needs.requirements, &self.settings.allow_direct)?;
        let python = self.pythons.find(needs.requires_python.as_deref(), &self.settings)?;
        if requirements.specs.is_empty() {
            return Ok(Target::Base(python.executable));
        }
        let installer = Installer::choose(requirements.direct, &self.settings);
        let key = key(&requirements.specs, needs.requires_python.as_deref(), &python, &installer);
        let slot = self.cache.slot(Kind::Environment, &key);
        Ok(Target::Environment(Box::new(Order { key, slot, specs: requirements.specs, python, installer })))
    }

    fn failure(&self, key: &str) -> Option<Failure> {
        self.failed.lock().expect("nobody panics while noting a failure").get(key).cloned()
    }

    fn remember(&self, key: &str, result: &Result<PathBuf, EnvironmentError>) {
        let mut failed = self.failed.lock().expect("nobody panics while noting a failure");
        let Err(error) = result else {
            failed.remove(key);
            return;
        };
        tracing::info!(key, %error, "no environment");
        let before = failed.get(key).map_or(0, |failure| failure.in_a_row);
        let wait: Duration = self.settings.back_off * 2_u32.pow(before.min(BACK_OFF_DOUBLINGS));
        let failure = Failure { error: error.clone(), until: Instant::now() + wait, in_a_row: before + 1 };
        failed.insert(key.to_owned(), failure);
    }
}

/// The name of the folder for these contents.
fn key(specs: &[String], requires: Option<&str>, python: &Python, installer: &Installer) -> String {
    let specs = specs.join("\n");
    address(&[&specs, requires.unwrap_or(""), &python.version, &python.platform, installer.name()])
}

/// A short name for contents, different for different ones.
pub(super) fn address(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in std::iter::once(&FORMAT).chain(parts) {
        // The length keeps "ab", "c" and "a", "bc" apart.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}
