//! An error with its causes, as one line.

use std::error::Error;

/// The message of an error and those of its causes, in one line for a status, a note or a log.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
