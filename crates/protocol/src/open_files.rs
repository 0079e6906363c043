//! How many files this process may have open, and how many a server may.
//!
//! The limit that a shell hands down (often 1,024) is there for programs that use `select`, which
//! breaks beyond. A hub with many clients needs more, and may take it ([`raise`]). What it starts
//! gets the limit that the hub was given, whatever the hub itself has taken.

use std::sync::OnceLock;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// More than any hub needs. Some systems name a thousand times as many, and programs that close all
/// that they might have open take minutes then.
const MOST: u64 = 1 << 20;

/// The limit before it was raised: like the limit itself, one for the whole process.
static GIVEN: OnceLock<u64> = OnceLock::new();

/// Lets this process have as many files open as the system allows it, or a million. Returns how many
/// those are; `None` is without a limit. What could not be raised stays as it was.
pub fn raise() -> Option<u64> {
    let limits = getrlimit(Resource::Nofile);
    let given = limits.current?;
    let most = limits.maximum.unwrap_or(MOST).min(MOST);
    if most > given {
        let _ = GIVEN.set(given);
        // Refused where the system allows fewer than it says.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limits });
    }
    limit()
}

/// How many files this process may have open; `None` is without a limit.
pub fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// The limit of what this process starts, if it is not its own.
pub(crate) fn given() -> Option<u64> {
    GIVEN.get().copied()
}

/// Gives a child that was just started the limit that this process was given.
pub(crate) fn restore(child: u32) {
    let pid = i32::try_from(child).ok().and_then(Pid::from_raw);
    if let (Some(pid), Some(given)) = (pid, given()) {
        let maximum = getrlimit(Resource::Nofile).maximum;
        // It may have ended already.
        let _ = prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(given), maximum });
    }
}
