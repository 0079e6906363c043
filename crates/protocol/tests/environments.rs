//! Real builds of Python environments, from PyPI.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use dormouse_protocol::{EnvironmentError, EnvironmentSettings, Environments, InstallFault};
use dormouse_types::{PrepareStep, PythonNeeds};
use tokio::sync::OnceCell;

/// One cache for all tests that finish their builds: getting pip for each would take long.
static SHARED: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("environments");
    let _ = fs::remove_dir_all(&folder);
    folder
});

fn needs(requirements: &[&str]) -> PythonNeeds {
    PythonNeeds {
        requirements: requirements.iter().map(|text| (*text).to_owned()).collect(),
        ..PythonNeeds::default()
    }
}

/// Settings under which `uv` is not found, also where the machine has one.
fn with_pip() -> EnvironmentSettings {
    let settings = EnvironmentSettings {
        back_off: Duration::ZERO,
        spare: Duration::ZERO,
        ..EnvironmentSettings::default()
    };
    let without_uv =
        std::env::split_paths(&settings.search_path).filter(|folder| !folder.join("uv").exists());
    let search_path = std::env::join_paths(without_uv).unwrap();
    EnvironmentSettings { search_path, ..settings }
}

/// Settings under which `uv` is found: one from PyPI, in an environment that we built ourselves.
async fn with_uv() -> EnvironmentSettings {
    static UV: OnceCell<PathBuf> = OnceCell::const_new();
    let python = UV.get_or_init(async || prepare(&shared(with_pip()), &needs(&["uv"])).await.unwrap()).await;
    let settings = with_pip();
    let bin = python.parent().unwrap().to_owned();
    // Only uv: the folder also holds a Python.
    let only = SHARED.join("uv-alone");
    fs::create_dir_all(&only).unwrap();
    let _ = std::os::unix::fs::symlink(bin.join("uv"), only.join("uv"));
    let mut folders = vec![only];
    folders.extend(std::env::split_paths(&settings.search_path));
    EnvironmentSettings { search_path: std::env::join_paths(folders).unwrap(), ..settings }
}

fn shared(settings: EnvironmentSettings) -> Environments {
    Environments::new(SHARED.clone(), settings)
}

async fn prepare(environments: &Environments, needs: &PythonNeeds) -> Result<PathBuf, EnvironmentError> {
    environments.prepare(needs, &|_| {}).await
}

fn imports(python: &Path, module: &str) -> bool {
    let status =
        Command::new(python).args(["-I", "-c", &format!("import {module}")]).stderr(Stdio::null()).status();
    status.unwrap().success()
}

fn record_of(python: &Path) -> String {
    fs::read_to_string(python.ancestors().nth(2).unwrap().join("dormouse.lock")).unwrap()
}

async fn install_fault(settings: EnvironmentSettings, requirement: &str) -> (String, InstallFault) {
    match prepare(&shared(settings), &needs(&[requirement])).await {
        Err(EnvironmentError::Install { package, fault, log }) => {
            assert!(fs::metadata(&log).unwrap().len() > 0, "the log is kept");
            (package, fault)
        }
        other => panic!("{requirement}: {other:?}"),
    }
}

/// What lies in a cache beside the answers of interpreters.
fn built(cache: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(cache) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "interpreters.json").collect()
}

#[tokio::test]
async fn no_requirements_need_no_environment() {
    let cache = tempfile::tempdir().unwrap();
    let environments = Environments::new(cache.path().join("none"), with_pip());
    let python = prepare(&environments, &needs(&[])).await.unwrap();
    assert_eq!(python, environments.base_python().unwrap());
    assert_eq!(environments.ready_now(&needs(&[])), Some(python));
    assert_eq!(built(&cache.path().join("none")), [""; 0]);
}

#[tokio::test]
async fn pip_builds_once_and_everybody_finds_it() {
    let environments = shared(with_pip());
    let wanted = needs(&["iniconfig", "six"]);
    assert_eq!(environments.ready_now(&wanted), None);
    let steps = Mutex::new(Vec::new());
    let python = environments.prepare(&wanted, &|step| steps.lock().unwrap().push(step)).await.unwrap();
    assert!(imports(&python, "six, iniconfig"));
    assert!(!imports(&python, "pip"), "an environment holds what was asked for");
    let steps = steps.into_inner().unwrap();
    assert_eq!(steps.first(), Some(&PrepareStep::Queued));
    assert_eq!(steps.last(), Some(&PrepareStep::Ready));
    assert!(steps.iter().any(|step| matches!(step, PrepareStep::Building(_))));
    let record = record_of(&python);
    assert!(record.contains("\nsix==1.") && record.contains("\niniconfig=="), "{record}");

    let compiled = python.ancestors().nth(2).unwrap().join("lib");
    let found = Command::new("find").arg(compiled).args(["-name", "six.*.pyc"]).output().unwrap();
    assert!(!found.stdout.is_empty(), "bytecode is there before the first wake");

    let other_writing = needs(&["Six ", "iniconfig"]);
    let other_hub = shared(with_pip());
    assert_eq!(other_hub.ready_now(&other_writing), Some(python));
}

#[tokio::test]
async fn uv_is_taken_where_it_is_found() {
    let environments = shared(with_uv().await);
    let python = prepare(&environments, &needs(&["six"])).await.unwrap();
    assert!(imports(&python, "six"));
    assert!(record_of(&python).contains("installer: uv"));
    assert_eq!(
        shared(with_pip()).ready_now(&needs(&["six"])),
        None,
        "another installer is another environment"
    );
}

#[tokio::test]
async fn pip_names_the_package_and_the_reason() {
    let (package, fault) = install_fault(with_pip(), "dormouse-has-no-such-package").await;
    assert_eq!((package.as_str(), fault), ("`dormouse-has-no-such-package`", InstallFault::NoSuchPackage));
    let (package, fault) = install_fault(with_pip(), "docopt").await;
    assert_eq!((package.as_str(), fault), ("`docopt`", InstallFault::OnlySource));
    let (package, fault) = install_fault(with_pip(), "six==99").await;
    assert_eq!((package.as_str(), fault), ("`six==99`", InstallFault::NoSuchVersion));
    let (_, fault) = install_fault(with_pip(), "python-magic-bin==0.4.14").await;
    assert_eq!(fault, InstallFault::NoFittingWheel);
}

#[tokio::test]
async fn uv_names_the_package_and_the_reason() {
    let settings = with_uv().await;
    let (package, fault) = install_fault(settings.clone(), "dormouse-has-no-such-package").await;
    assert_eq!((package.as_str(), fault), ("`dormouse-has-no-such-package`", InstallFault::NoSuchPackage));
    let (package, fault) = install_fault(settings.clone(), "docopt").await;
    assert_eq!((package.as_str(), fault), ("`docopt`", InstallFault::OnlySource));
    let (package, fault) = install_fault(settings.clone(), "six==99").await;
    assert_eq!((package.as_str(), fault), ("`six==99`", InstallFault::NoSuchVersion));
    let (_, fault) = install_fault(settings, "python-magic-bin==0.4.14").await;
    assert_eq!(fault, InstallFault::NoFittingWheel);
}

#[tokio::test]
async fn both_installers_name_a_conflict() {
    for settings in [with_pip(), with_uv().await] {
        let wanted = needs(&["six<1.16", "six>=1.17"]);
        let error = prepare(&shared(settings), &wanted).await.unwrap_err();
        assert!(
            matches!(&error, EnvironmentError::Install { fault: InstallFault::Conflict(text), .. } if text.contains("six")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn both_installers_tell_a_lost_network() {
    for mut settings in [with_pip(), with_uv().await] {
        for (name, value) in [
            ("PIP_INDEX_URL", "http://127.0.0.1:9/simple"),
            ("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple"),
            ("PIP_RETRIES", "0"),
            ("PIP_FIND_LINKS", ""),
        ] {
            settings.variables.insert(name.into(), value.into());
        }
        let (package, fault) = install_fault(settings, "pluggy").await;
        assert_eq!(package, "`pluggy`");
        assert!(matches!(fault, InstallFault::Network(_)), "{fault:?}");
    }
}

#[tokio::test]
async fn what_is_not_from_the_index_is_refused_before_anything_starts() {
    let cache = tempfile::tempdir().unwrap();
    let environments = Environments::new(cache.path().join("none"), with_pip());
    for requirement in ["x @ git+https://example.org/x", "https://example.org/x.whl", "./x", "x @ file:///x"]
    {
        let error = prepare(&environments, &needs(&[requirement])).await.unwrap_err();
        assert!(matches!(error, EnvironmentError::Direct { .. }), "{requirement}: {error:?}");
    }
    let unfit = PythonNeeds { requires_python: Some("<3".into()), ..needs(&["six"]) };
    assert!(matches!(prepare(&environments, &unfit).await, Err(EnvironmentError::NoPython { .. })));
    let problem = PythonNeeds { problem: Some("nobody knows `foo`".into()), ..needs(&[]) };
    assert_eq!(prepare(&environments, &problem).await.unwrap_err().to_string(), "nobody knows `foo`");
    assert_eq!(built(&cache.path().join("none")), [""; 0]);
}

#[tokio::test]
async fn an_allowed_direct_reference_is_installed_by_pip() {
    // A wheel of ours, so that no address on the network has to stay.
    let folder = tempfile::tempdir().unwrap();
    let wheel = folder.path().join("tinywheel-1.0-py3-none-any.whl");
    let script = "import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as z:
    z.writestr('tinywheel.py', '')
    z.writestr('tinywheel-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: tinywheel\\nVersion: 1.0\\n')
    z.writestr('tinywheel-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    z.writestr('tinywheel-1.0.dist-info/RECORD', '')";
    let made = Command::new("python3").args(["-c", script]).arg(&wheel).status().unwrap();
    assert!(made.success());
    let requirement = format!("tinywheel @ file://{}", wheel.display());
    let mut settings = with_uv().await;
    settings.allow_direct.insert(requirement.clone());
    let python = prepare(&shared(settings), &needs(&[&requirement])).await.unwrap();
    assert!(imports(&python, "tinywheel"));
    assert!(record_of(&python).contains("tinywheel==1.0"));
}

#[tokio::test]
async fn a_hundred_who_ask_at_once_share_one_build_across_hubs() {
    let settings = with_uv().await;
    let cache = tempfile::tempdir().unwrap();
    // Two of them over one folder are to each other as two processes: they share only files.
    let hubs = [0, 1].map(|_| Environments::new(cache.path().into(), settings.clone()));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..100 {
        let environments = hubs[n % 2].clone();
        tasks.spawn(async move { prepare(&environments, &needs(&["iniconfig"])).await.unwrap() });
    }
    let pythons = tasks.join_all().await;
    assert!(pythons.iter().all(|python| *python == pythons[0]));
    let environments = fs::read_dir(cache.path().join("environments")).unwrap().count();
    assert_eq!(environments, 1);
    let log = fs::read_dir(cache.path().join("logs")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(log).unwrap();
    assert_eq!(text.matches(" pip install ").count(), 1, "{text}");
}

#[tokio::test]
async fn a_half_made_folder_is_not_taken_for_ready() {
    let settings = with_uv().await;
    let cache = tempfile::tempdir().unwrap();
    let environments = Environments::new(cache.path().into(), settings);
    let wanted = needs(&["iniconfig"]);
    let python = prepare(&environments, &wanted).await.unwrap();
    let folder = python.ancestors().nth(2).unwrap();
    fs::remove_file(folder.join("dormouse.ready")).unwrap();
    fs::write(folder.join("left-over"), "").unwrap();
    assert_eq!(environments.ready_now(&wanted), None);
    prepare(&environments, &wanted).await.unwrap();
    assert!(!folder.join("left-over").exists(), "it was made anew");
    assert_eq!(environments.ready_now(&wanted), Some(python.clone()));
}

/// An index that takes connections and never answers.
fn silent_index(settings: &mut EnvironmentSettings) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/simple", listener.local_addr().unwrap());
    settings.variables.insert("PIP_INDEX_URL".into(), url.clone().into());
    settings.variables.insert("UV_DEFAULT_INDEX".into(), url.into());
    settings.variables.insert("PIP_FIND_LINKS".into(), "".into());
    listener
}

fn processes_that_name(folder: &Path) -> Vec<String> {
    let text = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok());
    processes
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(text))
        .collect()
}

async fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_dropped_build_leaves_no_process_and_nothing_ready() {
    for mut settings in [with_pip(), with_uv().await] {
        let index = silent_index(&mut settings);
        let cache = tempfile::tempdir().unwrap();
        let environments = Environments::new(cache.path().into(), settings);
        let wanted = needs(&["iniconfig"]);
        let asked = tokio::task::spawn_blocking(move || index.accept().map(|accepted| (index, accepted)));
        tokio::select! {
            result = prepare(&environments, &wanted) => panic!("{result:?}"),
            // The installer is at work once it asks the index.
            asked = asked => { asked.unwrap().unwrap(); }
        }
        wait_until(|| processes_that_name(cache.path()).is_empty()).await;
        assert_eq!(environments.ready_now(&wanted), None);
        let garbage = environments.collect_garbage(&[]).await.unwrap();
        assert!(garbage.removed >= 1 && garbage.in_use == 0, "{garbage:?}");
    }
}

const KILLED_HUB: &str = "DORMOUSE_TEST_KILLED_HUB";

/// No test by itself: the process that [`a_killed_hub_leaves_no_installer_behind`] kills.
#[tokio::test]
async fn hub_to_be_killed() {
    let Some(cache) = std::env::var_os(KILLED_HUB) else { return };
    let environments = Environments::new(cache.into(), with_pip());
    let _ = prepare(&environments, &needs(&["iniconfig"])).await;
}

#[tokio::test]
async fn a_killed_hub_leaves_no_installer_behind() {
    let mut settings = with_pip();
    let index = silent_index(&mut settings);
    let cache = tempfile::tempdir().unwrap();
    let mut hub = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hub_to_be_killed"])
        .envs(&settings.variables)
        .env(KILLED_HUB, cache.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let asked = tokio::task::spawn_blocking(move || index.accept().map(|accepted| (index, accepted)));
    let _open = asked.await.unwrap().unwrap();
    assert!(!processes_that_name(cache.path()).is_empty());
    hub.kill().unwrap();
    hub.wait().unwrap();
    wait_until(|| processes_that_name(cache.path()).is_empty()).await;
    let environments = Environments::new(cache.path().into(), with_uv().await);
    prepare(&environments, &needs(&["iniconfig"])).await.unwrap();
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_says_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let environments = Environments::new(folder.path().join("file"), with_pip());
    let error = prepare(&environments, &needs(&["six"])).await.unwrap_err();
    assert!(matches!(error, EnvironmentError::Io { .. }), "{error:?}");
}

#[tokio::test]
async fn a_build_past_its_deadline_is_stopped_and_says_so() {
    let mut settings = EnvironmentSettings { deadline: Duration::from_secs(1), ..with_uv().await };
    let _index = silent_index(&mut settings);
    let cache = tempfile::tempdir().unwrap();
    let environments = Environments::new(cache.path().into(), settings);
    let error = prepare(&environments, &needs(&["iniconfig"])).await.unwrap_err();
    assert!(matches!(error, EnvironmentError::Deadline { .. }), "{error:?}");
    wait_until(|| processes_that_name(cache.path()).is_empty()).await;
    assert_eq!(fs::read_dir(cache.path().join("environments")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_failed_build_is_not_repeated_within_its_back_off() {
    let settings = EnvironmentSettings { back_off: Duration::from_secs(3600), ..with_uv().await };
    let cache = tempfile::tempdir().unwrap();
    let environments = Environments::new(cache.path().into(), settings);
    let wanted = needs(&["dormouse-has-no-such-package"]);
    let first = prepare(&environments, &wanted).await.unwrap_err();
    // Without the back-off the second build would write the log again.
    fs::remove_dir_all(cache.path().join("logs")).unwrap();
    let steps = Mutex::new(Vec::new());
    let second = environments.prepare(&wanted, &|step| steps.lock().unwrap().push(step)).await.unwrap_err();
    assert_eq!(first.to_string(), second.to_string());
    assert!(!cache.path().join("logs").exists());
    assert_eq!(steps.into_inner().unwrap(), [PrepareStep::Failed(second.to_string())]);
}

#[tokio::test]
async fn garbage_collection_spares_what_is_kept_or_runs() {
    let settings = with_uv().await;
    let cache = tempfile::tempdir().unwrap();
    let environments = Environments::new(cache.path().into(), settings);
    let [kept, running, unused] = [needs(&["six"]), needs(&["iniconfig"]), needs(&["iniconfig", "six"])];
    for wanted in [&kept, &running, &unused] {
        prepare(&environments, wanted).await.unwrap();
    }
    let python = environments.ready_now(&running).unwrap();
    let mut process = Command::new(&python)
        .args(["-c", "input()"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // For a moment a new process has no command line yet.
    wait_until(|| !processes_that_name(&python).is_empty()).await;
    let garbage = environments.collect_garbage(std::slice::from_ref(&kept)).await.unwrap();
    drop(process.stdin.take());
    process.wait().unwrap();
    assert_eq!((garbage.removed, garbage.in_use), (1, 1));
    assert!(garbage.bytes > 0);
    assert!(environments.ready_now(&kept).is_some() && environments.ready_now(&running).is_some());
    assert_eq!(environments.ready_now(&unused), None);
}

#[tokio::test]
async fn a_python_without_pip_names_the_debian_package() {
    let folder = tempfile::tempdir().unwrap();
    let base = Environments::new(folder.path().into(), with_pip()).base_python().unwrap();
    // A Python as Debian has it without `python3-venv` and `python3-pip`.
    let python = folder.path().join("python3");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n  *'-m pip'*) echo 'No module named pip' >&2; exit 1;;\n  *'--without-pip'*) ;;\n  *'-m venv'*) echo 'ensurepip is not available' >&2; exit 1;;\nesac\nexec '{}' \"$@\" | sed 's#\"executable\": \"[^\"]*\"#\"executable\": \"{}\"#'\n",
        base.display(), python.display()
    )
    .replace("exec ", "");
    // Written by another process: a file that a sibling thread's child still has open for writing
    // cannot be executed.
    let write = "printf %s \"$SCRIPT\" > $0 && chmod +x $0";
    let made = Command::new("sh").args(["-c", write]).arg(&python).env("SCRIPT", script).status().unwrap();
    assert!(made.success());
    let settings = EnvironmentSettings { python: Some(python), ..with_pip() };
    let environments = Environments::new(folder.path().join("cache"), settings);
    let error = prepare(&environments, &needs(&["six"])).await.unwrap_err();
    assert!(
        matches!(&error, EnvironmentError::NoPip { package, .. } if package.starts_with("python3.") && package.ends_with("-venv")),
        "{error:?}"
    );
}
