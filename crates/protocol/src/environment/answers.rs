//! What interpreters said of themselves, kept between hubs.
//!
//! To ask one costs 20 ms, and ten times as much where `python3` is a script that looks for a
//! version (pyenv): most of what opening a small hub takes. An answer is believed for an hour, as
//! long as neither the program that was asked nor the interpreter behind it changed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::python::Python;

/// A person may have told such a script to choose another version, which no file's time shows.
const BELIEVED: Duration = Duration::from_secs(60 * 60);

/// The file of answers.
#[derive(Debug)]
pub(super) struct Answers {
    file: PathBuf,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answer {
    asked: SystemTime,
    /// When the program that was asked was changed last.
    program_changed: SystemTime,
    /// When the interpreter behind it was.
    python_changed: SystemTime,
    python: Python,
}

impl Answers {
    pub(super) fn in_file(file: PathBuf) -> Self {
        Self { file }
    }

    /// What a program answered to who saw these variables, if that can be believed still.
    pub(super) fn of(&self, program: &Path, seen: &str) -> Option<Python> {
        let answer = self.all().remove(&key(program, seen))?;
        let young = answer.asked.elapsed().is_ok_and(|age| age < BELIEVED);
        let same = changed(program) == Some(answer.program_changed)
            && changed(&answer.python.executable) == Some(answer.python_changed);
        (young && same).then_some(answer.python)
    }

    /// Keeps an answer. It only saves time: what cannot be written is asked again.
    pub(super) fn keep(&self, program: &Path, seen: &str, python: &Python) {
        let times = (changed(program), changed(&python.executable));
        let (Some(program_changed), Some(python_changed)) = times else { return };
        let mut all = self.all();
        all.retain(|_, answer| answer.asked.elapsed().is_ok_and(|age| age < BELIEVED));
        let asked = SystemTime::now();
        let answer = Answer { asked, program_changed, python_changed, python: python.clone() };
        all.insert(key(program, seen), answer);
        let _ = self.write(&all);
    }

    fn all(&self) -> BTreeMap<String, Answer> {
        let text = std::fs::read(&self.file).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// In one step: other hubs read it.
    fn write(&self, all: &BTreeMap<String, Answer>) -> std::io::Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.write_all(&serde_json::to_vec(all)?)?;
        new.persist(&self.file)?;
        Ok(())
    }
}

fn key(program: &Path, seen: &str) -> String {
    format!("{} {seen}", program.display())
}

fn changed(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|data| data.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, name).unwrap();
        path
    }

    fn touch(path: &Path) {
        let later = SystemTime::now() + Duration::from_secs(5);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(later).unwrap();
    }

    #[test]
    fn an_answer_is_believed_until_a_file_behind_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (shim, real) = (file(folder.path(), "shim"), file(folder.path(), "real"));
        let python = Python::of(&real, [3, 12, 1], "x");
        let answers = Answers::in_file(folder.path().join("made/answers.json"));
        assert_eq!(answers.of(&shim, "a"), None);
        for changes in [&shim, &real] {
            answers.keep(&shim, "a", &python);
            assert_eq!(answers.of(&shim, "a").as_ref(), Some(&python));
            assert_eq!(answers.of(&shim, "b"), None);
            touch(changes);
            assert_eq!(answers.of(&shim, "a"), None);
        }
        answers.keep(&shim, "a", &python);
        std::fs::remove_file(&real).unwrap();
        assert_eq!(answers.of(&shim, "a"), None);
    }

    #[test]
    fn a_damaged_file_is_asked_anew() {
        let folder = tempfile::tempdir().unwrap();
        let answers = Answers::in_file(file(folder.path(), "answers.json"));
        let real = file(folder.path(), "real");
        assert_eq!(answers.of(&real, ""), None);
        let python = Python::of(&real, [3, 12, 1], "x");
        answers.keep(&real, "", &python);
        assert_eq!(answers.of(&real, ""), Some(python));
    }
}
