//! Making one environment, from an empty slot to its marker.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use dormouse_types::PrepareStep;
use tokio::sync::Semaphore;

use super::cache::{Cache, Kind, Slot};
use super::error::EnvironmentError;
use super::fault::{self, InstallFault};
use super::installer::{self, Installer, Pip};
use super::lock_record;
use super::python::{self, Python};
use super::run::{Ended, Ground, Step, run};
use super::settings::EnvironmentSettings;

/// All that a build needs to know.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) key: String,
    pub(super) slot: Slot,
    pub(super) specs: Vec<String>,
    pub(super) python: Python,
    pub(super) installer: Installer,
}

/// Takes the steps of a build as they happen.
pub(super) type Report<'a> = &'a (dyn Fn(PrepareStep) + Send + Sync);

/// Builds the environment, unless another process just did. Waits for its turn first.
///
/// If the future is dropped, the processes of the build are killed. The half-made folder has no
/// marker; the next build or garbage collection removes it.
pub(super) async fn build(
    order: &Order,
    cache: &Cache,
    settings: &EnvironmentSettings,
    turns: &Semaphore,
    report: Report<'_>,
) -> Result<PathBuf, EnvironmentError> {
    let too_late = |_| EnvironmentError::Deadline { after: settings.deadline, log: order.slot.log.clone() };
    // The lock before the turn: waiting for another process must not keep our own builds back.
    let lock = tokio::time::timeout(settings.deadline, order.slot.lock()).await.map_err(too_late)??;
    let _turn = turns.acquire().await.map_err(|_| EnvironmentError::BrokenOff)?;
    if !order.slot.is_ready() {
        let work = Work::begin(order, settings, lock)?;
        // The queue is not counted: fifty scripts dropped at once may well need longer.
        let made = tokio::time::timeout(settings.deadline, work.make(cache, report)).await.map_err(too_late);
        if let Err(error) = made.and_then(|made| made) {
            // Best effort: without a marker it is no environment anyway.
            let _ = work.blocking(|slot| slot.clear()).await;
            return Err(error);
        }
    }
    report(PrepareStep::Ready);
    Ok(order.slot.python())
}

/// A build that runs: the order, and what its programs get.
struct Work<'a> {
    order: &'a Order,
    variables: BTreeMap<OsString, OsString>,
    lock: File,
    log: File,
}

impl<'a> Work<'a> {
    fn begin(order: &'a Order, settings: &EnvironmentSettings, lock: File) -> Result<Self, EnvironmentError> {
        let mut variables = python::variables(settings);
        variables.extend(installer::VARIABLES.iter().map(|(name, value)| (name.into(), value.into())));
        let mut log = order.slot.open_log()?;
        writeln!(
            log,
            "wanted: {}\npython: {} ({})",
            order.specs.join(", "),
            order.python.version,
            order.python.executable.display()
        )
        .map_err(EnvironmentError::io("write", &order.slot.log))?;
        Ok(Self { order, variables, lock, log })
    }

    async fn make(&self, cache: &Cache, report: Report<'_>) -> Result<(), EnvironmentError> {
        let Order { slot, python, specs, .. } = self.order;
        self.blocking(|slot| {
            slot.clear()?;
            std::fs::create_dir_all(&slot.folder).map_err(EnvironmentError::io("create", &slot.folder))
        })
        .await?;
        report(PrepareStep::Building(format!("making an environment of Python {}", python.version)));
        let made =
            self.run(&installer::create(&self.order.installer, python, &slot.folder), &mut |_| {}).await?;
        self.expect_success(&made)?;
        self.install(cache, report).await?;
        report(PrepareStep::Building("compiling".to_owned()));
        let site_packages = installer::site_packages(&slot.folder, python);
        // Its verdict does not count: packages carry templates and test files that are no Python.
        self.run(&installer::compile(python, &site_packages), &mut |_| {}).await?;
        let packages =
            lock_record::installed(&site_packages).map_err(EnvironmentError::io("read", &site_packages))?;
        slot.finish(&lock_record::record(specs, &python.version, self.order.installer.name(), &packages))
    }

    async fn install(&self, cache: &Cache, report: Report<'_>) -> Result<(), EnvironmentError> {
        let target = self.order.slot.python();
        let pip_home = match &self.order.installer {
            Installer::Uv { .. } => None,
            Installer::Pip => Some(self.pip(cache, report).await?),
        };
        let step = match (&self.order.installer, &pip_home) {
            (Installer::Uv { program }, _) => installer::uv_install(program, &target, &self.order.specs),
            (Installer::Pip, home) => {
                let home = home.as_deref().expect("pip has a home once it was made");
                Pip { home, target: &target }.install(&self.order.specs)
            }
        };
        let mut on_line = |line: &str| {
            if let Some(text) = fault::progress(line) {
                report(PrepareStep::Building(text));
            }
        };
        let ended = self.run(&step, &mut on_line).await?;
        if ended.status.success() {
            return Ok(());
        }
        let mut found = installer::read_fault(&self.order.installer, &ended.lines);
        if let (InstallFault::NoSuchPackage, Some(home), Some(spec)) =
            (&found.fault, &pip_home, &found.package)
        {
            // pip says the same of a package that is source only; the second look tells.
            let pip = Pip { home, target: &target };
            let ended = self.run(&pip.explain(spec), &mut |_| {}).await?;
            found.fault = fault::pip_details(&ended.lines);
        }
        let package = found.package.map(|package| format!("`{package}`"));
        Err(self.failed(package.unwrap_or_else(|| self.order.specs.join(", ")), found.fault))
    }

    /// Returns an interpreter with a recent pip; makes it if it is the first build of this Python.
    ///
    /// One pip serves all environments by its `--python` option. Measured with `mcp` 2.3: pip
    /// 23.2, as Python 3.11 brings it, installs in 8.7 s, pip 26.3 in 4.8 s, so the newest is
    /// taken. The base's own pip fetches it in 2 s; `ensurepip` needs 4 s more and is often
    /// missing on Debian.
    async fn pip(&self, cache: &Cache, report: Report<'_>) -> Result<PathBuf, EnvironmentError> {
        let python = &self.order.python;
        let slot = cache.slot(Kind::Installer, &pip_key(python));
        if slot.is_ready() {
            slot.touch();
            return Ok(slot.python());
        }
        let lock = slot.lock().await?;
        if slot.is_ready() {
            return Ok(slot.python());
        }
        report(PrepareStep::Building("getting pip".to_owned()));
        slot.clear()?;
        std::fs::create_dir_all(&slot.folder).map_err(EnvironmentError::io("create", &slot.folder))?;
        let ground = Ground { folder: &slot.folder, lock: &lock, ..self.ground() };
        let newest = ["pip>=24".to_owned()];
        let by_base = [
            installer::create(&Installer::Pip, python, &slot.folder),
            Pip { home: &python.executable, target: &slot.python() }.install(&newest),
        ];
        if first_failure(&by_base, &ground).await?.is_some() {
            let venv = Step::new(
                &python.executable,
                ["-I".as_ref(), "-m".as_ref(), "venv".as_ref(), "--clear".as_ref(), slot.folder.as_os_str()],
            );
            if let Some(ended) = first_failure(&[venv], &ground).await? {
                slot.clear()?;
                return Err(self.no_pip(&ended));
            }
            // Without a network the bundled one has to do.
            let upgrade = Pip { home: &slot.python(), target: &slot.python() }.install(&newest);
            first_failure(&[upgrade], &ground).await?;
        }
        let site_packages = installer::site_packages(&slot.folder, python);
        first_failure(&[installer::compile(python, &site_packages)], &ground).await?;
        let packages =
            lock_record::installed(&site_packages).map_err(EnvironmentError::io("read", &site_packages))?;
        slot.finish(&lock_record::record(&newest, &python.version, "pip", &packages))?;
        Ok(slot.python())
    }

    async fn run(
        &self,
        step: &Step,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Ended, EnvironmentError> {
        run(step, &self.ground(), on_line).await.map_err(EnvironmentError::io("run", &step.program))
    }

    fn ground(&self) -> Ground<'_> {
        Ground {
            python: &self.order.python.executable,
            variables: &self.variables,
            folder: &self.order.slot.folder,
            lock: &self.lock,
            log: &self.log,
        }
    }

    fn expect_success(&self, ended: &Ended) -> Result<(), EnvironmentError> {
        if ended.status.success() {
            return Ok(());
        }
        Err(self.failed(self.order.specs.join(", "), fault::read_pip(&ended.lines).fault))
    }

    fn failed(&self, package: String, fault: InstallFault) -> EnvironmentError {
        EnvironmentError::Install { package, fault, log: self.order.slot.log.clone() }
    }

    /// Why no pip could be made, when not even `ensurepip` could.
    fn no_pip(&self, ended: &Ended) -> EnvironmentError {
        let python = &self.order.python;
        if ended.lines.iter().any(|line| line.contains("ensurepip") || line.contains("No module named")) {
            return EnvironmentError::NoPip {
                version: python.version.clone(),
                package: format!("python{}-venv", python.minor()),
            };
        }
        self.failed("pip".to_owned(), fault::read_pip(&ended.lines).fault)
    }

    /// Does work with files off the runtime's threads.
    async fn blocking(
        &self,
        work: impl FnOnce(&Slot) -> Result<(), EnvironmentError> + Send + 'static,
    ) -> Result<(), EnvironmentError> {
        let slot = self.order.slot.clone();
        tokio::task::spawn_blocking(move || work(&slot)).await.map_err(|_| EnvironmentError::BrokenOff)?
    }
}

/// Runs steps until one fails, which it returns.
async fn first_failure(steps: &[Step], ground: &Ground<'_>) -> Result<Option<Ended>, EnvironmentError> {
    for step in steps {
        let ended =
            run(step, ground, &mut |_| {}).await.map_err(EnvironmentError::io("run", &step.program))?;
        if !ended.status.success() {
            return Ok(Some(ended));
        }
    }
    Ok(None)
}

/// The key of the pip for an interpreter.
pub(super) fn pip_key(python: &Python) -> String {
    super::environments::address(&["pip", &python.version, &python.platform])
}
