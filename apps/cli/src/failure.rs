//! Why a command failed, as a person reads it.

use std::error::Error;
use std::fmt;

use crate::exit::Exit;

/// Why a command failed: what happened, why, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    exit: Exit,
    /// Empty when there is nothing to say, as when a person ended the command.
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    /// A failure in one sentence, lower case, without a full stop.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), causes: Vec::new(), hint: None }
    }

    /// A failure of the library, with its causes.
    pub(crate) fn of(exit: Exit, error: &dyn Error) -> Self {
        let mut failure = Self::new(exit, error.to_string());
        let mut cause = error.source();
        while let Some(error) = cause {
            failure.causes.push(error.to_string());
            cause = error.source();
        }
        failure
    }

    /// An end without a word: nobody reads any more, or a person ended it.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// Adds why, from the near cause to the far one.
    pub(crate) fn because(mut self, causes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.causes.extend(causes.into_iter().map(Into::into));
        self
    }

    /// Adds the causes of an error, itself first.
    pub(crate) fn caused_by(self, error: &dyn Error) -> Self {
        let Self { message, causes, .. } = Self::of(self.exit, error);
        self.because([message]).because(causes)
    }

    /// Adds what a person can do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// How the command ends with it.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether there is nothing to say.
    pub(crate) fn is_silent(&self) -> bool {
        self.message.is_empty()
    }
}

/// `error: …`, a line for each cause that says something new, and at most one `hint: …`.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", indented(&self.message))?;
        let mut said = self.message.as_str();
        for cause in self.causes.iter().filter(|cause| !cause.is_empty()) {
            if said.ends_with(cause.as_str()) {
                continue;
            }
            write!(f, "\n  because {}", indented(cause))?;
            said = cause;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {}", hint.replace('\n', " ")),
            None => Ok(()),
        }
    }
}

/// Further lines of a text stand below its first.
fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Link(&'static str, Option<Box<Link>>);

    impl fmt::Display for Link {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }
    impl Error for Link {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|link| link as _)
        }
    }

    #[test]
    fn a_chain_is_told_once_from_near_to_far() {
        let far = Link("it exited with code 3; its last words:\nTraceback\nKeyError: 'HOME'", None);
        let near = Link("server `calc` did not start", Some(Box::new(far)));
        let failure = Failure::new(Exit::ServerDown, "cannot attach `calc`").caused_by(&near);
        insta::assert_snapshot!(failure.hint("look into `dormouse doctor`"), @r"
        error: cannot attach `calc`
          because server `calc` did not start
          because it exited with code 3; its last words:
            Traceback
            KeyError: 'HOME'
        hint: look into `dormouse doctor`
        ");
    }

    #[test]
    fn a_cause_that_the_message_holds_already_is_not_repeated() {
        let failure = Failure::new(Exit::Unexpected, "cannot read x: no such file").because(["no such file"]);
        assert_eq!(failure.to_string(), "error: cannot read x: no such file");
    }
}
