//! The two installers, `uv` and `pip`, as steps to run.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::fault::{self, Found};
use super::python::{Python, find_program};
use super::run::Step;
use super::settings::EnvironmentSettings;

/// What fills an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Installer {
    /// `uv`, some five times as fast.
    Uv {
        /// The program.
        program: PathBuf,
    },
    /// `pip`, from an environment of its own; see [`super::build`].
    Pip,
}

impl Installer {
    /// Takes `uv` if it is there. A direct reference goes to pip, which builds it although
    /// everything else must be a wheel; uv knows no such mixture.
    pub(super) fn choose(direct: bool, settings: &EnvironmentSettings) -> Self {
        match find_program("uv", settings) {
            Some(program) if !direct => Self::Uv { program },
            _ => Self::Pip,
        }
    }

    /// Its word in keys and records.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Uv { .. } => "uv",
            Self::Pip => "pip",
        }
    }
}

/// Makes an empty environment. Without pip in it, which would cost 4 s and 10 MB each time.
pub(super) fn create(installer: &Installer, python: &Python, folder: &Path) -> Step {
    match installer {
        Installer::Uv { program } => Step::new(
            program,
            [
                OsStr::new("venv"),
                "--no-project".as_ref(),
                "--no-python-downloads".as_ref(),
                "--allow-existing".as_ref(),
                "--python".as_ref(),
                python.executable.as_ref(),
                folder.as_ref(),
            ],
        ),
        Installer::Pip => Step::new(
            &python.executable,
            [OsStr::new("-I"), "-m".as_ref(), "venv".as_ref(), "--without-pip".as_ref(), folder.as_ref()],
        ),
    }
}

/// Installs packages by uv.
pub(super) fn uv_install(uv: &Path, python: &Path, specs: &[String]) -> Step {
    let mut args: Vec<OsString> =
        ["pip", "install", "--no-python-downloads", "--only-binary", ":all:", "--python"]
            .map(Into::into)
            .into();
    args.push(python.into());
    args.extend(specs.iter().map(Into::into));
    Step::new(uv, args)
}

/// How pip is started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pip<'a> {
    /// The interpreter that has it.
    pub(super) home: &'a Path,
    /// The interpreter that gets the packages.
    pub(super) target: &'a Path,
}

impl Pip<'_> {
    /// Installs packages. Compiling is a step of its own, see [`compile`].
    pub(super) fn install(self, specs: &[String]) -> Step {
        self.step(&["install", "--no-compile", "--progress-bar", "off", "--only-binary", ":all:"], specs)
    }

    /// Looks for one requirement, installs nothing, and tells of each file why it was passed over.
    pub(super) fn explain(self, spec: &str) -> Step {
        self.step(
            &["install", "-vv", "--dry-run", "--no-deps", "--progress-bar", "off", "--only-binary", ":all:"],
            &[spec.to_owned()],
        )
    }

    fn step(self, options: &[&str], specs: &[String]) -> Step {
        let mut args: Vec<OsString> = ["-I", "-m", "pip", "--python"].map(Into::into).into();
        args.push(self.target.into());
        args.extend(options.iter().map(Into::into));
        args.extend(specs.iter().map(Into::into));
        Step::new(self.home, args)
    }
}

/// Compiles everything that was installed.
///
/// Measured with `mcp` 2.3 (28 packages, 2 cores): importing it takes 1.0 s from bytecode and
/// 2.4 s without, so it must not be left to the first wake, whose server may be killed before it
/// wrote any. pip compiles one file after the other in 1.2 to 2.0 s; this takes all cores, 1.2 s
/// on two, and serves uv as well. The base Python does it: one started inside the environment
/// would run the `.pth` files of the new packages.
pub(super) fn compile(python: &Python, site_packages: &Path) -> Step {
    Step::new(
        &python.executable,
        [
            OsStr::new("-I"),
            "-m".as_ref(),
            "compileall".as_ref(),
            "-q".as_ref(),
            "-j".as_ref(),
            "0".as_ref(),
            site_packages.as_ref(),
        ],
    )
}

/// Where packages are within an environment.
pub(super) fn site_packages(folder: &Path, python: &Python) -> PathBuf {
    folder.join("lib").join(format!("python{}", python.minor())).join("site-packages")
}

/// Why a failed installation failed.
pub(super) fn read_fault(installer: &Installer, lines: &[String]) -> Found {
    match installer {
        Installer::Uv { .. } => fault::read_uv(lines),
        Installer::Pip => fault::read_pip(lines),
    }
}

/// Variables that keep installers quiet, unasking and within bounds, on top of the user's.
pub(super) const VARIABLES: &[(&str, &str)] = &[
    ("NO_COLOR", "1"),
    ("PYTHONUNBUFFERED", "1"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("PIP_NO_INPUT", "1"),
    ("PIP_ROOT_USER_ACTION", "ignore"),
    // A user's pip.conf may say `user = true`, which fails inside an environment.
    ("PIP_USER", "0"),
    ("UV_PYTHON_DOWNLOADS", "never"),
    ("UV_NO_PROGRESS", "1"),
];
