//! What the hub and its keeper say to each other: fields, separated by NUL, one message each.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::launch::{Exit, LaunchError};
use crate::program::Program;

/// The number of a launch within one keeper.
pub(super) type Number = u64;

/// Asks for a start. The three pipe ends travel beside it.
pub(super) fn launch(number: Number, found: &Path, program: &Program) -> Result<Vec<u8>, LaunchError> {
    let mut message = Fields::new("launch", number);
    message.push("the working directory", program.cwd.as_os_str())?;
    message.push("the program", found.as_os_str())?;
    message.push_text(&program.args.len().to_string());
    for arg in &program.args {
        message.push("an argument", arg)?;
    }
    for (name, value) in &program.env {
        if name.is_empty() || name.as_bytes().contains(&b'=') {
            let what = format!("the variable `{}`", name.to_string_lossy());
            return Err(LaunchError::Unpassable { what });
        }
        message.push("a variable", name)?;
        message.0.push(b'=');
        message.append(&format!("the variable `{}`", name.to_string_lossy()), value)?;
    }
    Ok(message.0)
}

/// Asks to end a server's group politely.
pub(super) fn terminate(number: Number) -> Vec<u8> {
    let mut message = Fields::new("signal", number);
    message.push_text("15");
    message.0
}

/// Asks to kill all that a server is.
pub(super) fn kill(number: Number) -> Vec<u8> {
    Fields::new("kill", number).0
}

struct Fields(Vec<u8>);

impl Fields {
    fn new(verb: &str, number: Number) -> Self {
        let mut fields = Self(verb.as_bytes().to_vec());
        fields.push_text(&number.to_string());
        fields
    }

    fn push_text(&mut self, text: &str) {
        self.0.push(0);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn push(&mut self, what: &str, field: &OsStr) -> Result<(), LaunchError> {
        self.0.push(0);
        self.append(what, field)
    }

    fn append(&mut self, what: &str, field: &OsStr) -> Result<(), LaunchError> {
        if field.as_bytes().contains(&0) {
            return Err(LaunchError::Unpassable { what: what.to_owned() });
        }
        self.0.extend_from_slice(field.as_bytes());
        Ok(())
    }
}

/// What the keeper reports.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// It runs; what it cannot guarantee on this machine.
    Hello { weak: Vec<String> },
    /// The program runs under this process number.
    Started { number: Number, pid: u32 },
    /// The program could not be started: an `errno` and the step that failed.
    Failed { number: Number, errno: i32, step: String },
    /// The program and all that it started are gone.
    Exited { number: Number, exit: Exit },
    /// A request that the keeper could not read.
    Bad { what: String },
}

impl Report {
    /// Reads one message; `None` when it is none that we know.
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(message);
        let mut fields = text.split('\0');
        let verb = fields.next()?;
        let first = fields.next()?;
        match verb {
            "hello" => {
                let weak = first.split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect();
                Some(Self::Hello { weak })
            }
            "bad" => Some(Self::Bad { what: first.to_owned() }),
            _ => {
                let number = first.parse().ok()?;
                let second = fields.next()?;
                match verb {
                    "started" => Some(Self::Started { number, pid: second.parse().ok()? }),
                    "exited" => {
                        let exit = Exit::from_wait_status(second.parse().ok()?);
                        Some(Self::Exited { number, exit })
                    }
                    "failed" => Some(Self::Failed {
                        number,
                        errno: second.parse().ok()?,
                        step: fields.next()?.to_owned(),
                    }),
                    _ => None,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn program(args: &[&str], env: &[(&str, &str)]) -> Program {
        Program {
            program: "p".into(),
            args: args.iter().map(Into::into).collect(),
            env: env.iter().map(|(k, v)| (k.into(), v.into())).collect::<BTreeMap<_, _>>(),
            cwd: "/d".into(),
        }
    }

    #[test]
    fn launch_names_every_part_once() {
        let message = launch(7, Path::new("/bin/p"), &program(&["a", ""], &[("K", "v=w")])).unwrap();
        assert_eq!(message, b"launch\x007\0/d\0/bin/p\x002\0a\0\0K=v=w");
    }

    #[test]
    fn what_no_process_can_be_given_is_refused() {
        for bad in [
            program(&["a\0b"], &[]),
            program(&[], &[("K", "v\0w")]),
            program(&[], &[("K=", "v")]),
            program(&[], &[("", "v")]),
        ] {
            let error = launch(1, Path::new("/p"), &bad).unwrap_err();
            assert!(matches!(error, LaunchError::Unpassable { .. }), "{error}");
        }
    }

    #[test]
    fn reports_are_read_and_nonsense_is_none() {
        assert_eq!(Report::read(b"started\x003\x0042"), Some(Report::Started { number: 3, pid: 42 }));
        assert_eq!(
            Report::read(b"exited\x003\x00256"),
            Some(Report::Exited { number: 3, exit: Exit::Code(1) })
        );
        assert_eq!(Report::read(b"hello\0"), Some(Report::Hello { weak: vec![] }));
        for nonsense in [&b""[..], b"started", b"started\x003", b"exited\0x\x001", b"dance\x001\x002"] {
            assert_eq!(Report::read(nonsense), None);
        }
    }
}
