//! Scans 10,000 varied server scripts of about 3 kB, beside CPython's `ast` extracting the same.
//!
//! `cargo xtask bench scan [-- COUNT]`. The findings of both are compared, and must be the same.

#![expect(clippy::print_stdout, reason = "figures are what this prints")]

mod scripts;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dormouse_scan::{Cache, Scanned, scan_file};
use serde_json::Value;

fn main() {
    // Cargo passes `--bench`.
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(10_000);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bytes = scripts::write(folder.path(), count);
    println!("{count} scripts, {:.1} MB", bytes as f64 / 1e6);

    let paths = scripts_of(folder.path());
    let python = python(&paths);
    let (scanned, ours) = one_core(&paths);
    compare(&paths, &scanned, &python.1);
    println!(
        "one core: ast {:.2} s, scan {:.2} s of CPU: {:.1} times as fast",
        python.0,
        ours,
        python.0 / ours
    );

    let cache_file = folder.path().join("scan.cache");
    let mut cache = Cache::default();
    show("all cores, cold", || cache.scan(folder.path()).parsed);
    show("all cores, nothing changed", || cache.scan(folder.path()).parsed);
    let changed = &paths[count / 2];
    let mut text = fs::read_to_string(changed).expect("a script");
    text.push_str("\n# changed\n");
    fs::write(changed, text).expect("a script");
    show("all cores, one changed", || cache.scan(folder.path()).parsed);
    show("cache written", || {
        cache.save(&cache_file).expect("a cache file");
        0
    });
    drop(cache);
    let mut known = None;
    show("restart: cache read and folder looked through", || {
        known.insert(Cache::load(&cache_file).scan(folder.path())).parsed
    });
    show("then every feature asked for, one core", || {
        for scanned in known.iter().flat_map(|report| report.scripts.values()).flatten() {
            if let Scanned::Server(script) = &**scanned {
                script.features();
            }
        }
        0
    });
    println!("cache file: {:.1} MB", fs::metadata(&cache_file).map_or(0, |data| data.len()) as f64 / 1e6);
}

fn show(what: &str, work: impl FnOnce() -> usize) {
    let started = Instant::now();
    let parsed = work();
    println!("{what}: {:.0} ms, {parsed} parsed", started.elapsed().as_secs_f64() * 1e3);
}

fn scripts_of(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).expect("the folder").map(|child| child.expect("a child").path()).collect();
    paths.sort();
    paths
}

/// The seconds of CPU that CPython took, and what it found in each file.
fn python(paths: &[PathBuf]) -> (f64, Vec<Value>) {
    let out = tempfile::NamedTempFile::new().expect("a temporary file");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/extract.py");
    let mut child = Command::new("python3")
        .arg(script)
        .arg(out.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let names: Vec<&str> = paths.iter().filter_map(|path| path.to_str()).collect();
    let mut input = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut input, names.join("\n").as_bytes()).expect("python3 reads");
    drop(input);
    let said = child.wait_with_output().expect("python3 ends");
    let seconds = String::from_utf8_lossy(&said.stdout).trim().parse().expect("seconds");
    let lines = fs::read_to_string(out.path()).expect("its findings");
    (seconds, lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
}

/// Scans on this thread alone.
fn one_core(paths: &[PathBuf]) -> (Vec<Scanned>, f64) {
    let before = thread_time();
    let scanned = paths.iter().map(|path| scan_file(path).expect("a script")).collect();
    (scanned, (thread_time() - before).as_secs_f64())
}

/// The time that this thread was on a core: other work on the machine does not count.
fn thread_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    Duration::from_nanos(text.split(' ').next().and_then(|first| first.parse().ok()).expect("nanoseconds"))
}

/// Both found the same tools with the same words and parameters of the same types, of which the same have defaults.
fn compare(paths: &[PathBuf], scanned: &[Scanned], python: &[Value]) {
    let mut tools = 0;
    for ((path, scanned), found) in paths.iter().zip(scanned).zip(python) {
        let Scanned::Server(script) = scanned else { panic!("{}: {scanned:?}", path.display()) };
        let found = found.as_array().expect("a list");
        assert_eq!(script.features().tools.len(), found.len(), "{}", path.display());
        for (tool, found) in script.features().tools.iter().zip(found) {
            tools += 1;
            assert_eq!(found[0], tool.name.as_str(), "{}", path.display());
            let words = tool.description.as_deref().unwrap_or_default();
            assert_eq!(
                squeezed(found[1].as_str().unwrap_or_default()),
                squeezed(words),
                "{}",
                path.display()
            );
            let schema = tool.input_schema.value();
            let properties = schema["properties"].as_object().expect("properties");
            let params = found[2].as_array().expect("parameters");
            assert_eq!(properties.len(), params.len(), "{}: {}", path.display(), tool.name);
            for ((name, property), param) in properties.iter().zip(params) {
                assert_eq!(param[0], name.as_str(), "{}: {}", path.display(), tool.name);
                let required = schema["required"].as_array().is_some_and(|names| names.contains(&param[0]));
                assert_eq!(param[2], !required, "{}: {}.{name}", path.display(), tool.name);
                let kind = scripts::kind(param[1].as_str().unwrap_or_default());
                assert_eq!(
                    kind,
                    type_of(property, &schema),
                    "{}: {}.{name} {}",
                    path.display(),
                    tool.name,
                    param[1]
                );
            }
        }
    }
    println!("identical findings: {tools} tools");
}

/// The type of a property, through its reference if it is one.
fn type_of<'a>(property: &'a Value, schema: &'a Value) -> Option<&'a str> {
    let target = property
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| schema.pointer(path.trim_start_matches('#')));
    target.unwrap_or(property).get("type").and_then(Value::as_str)
}

/// Words without their indentation.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
