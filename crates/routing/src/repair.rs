//! Corrects the arguments of a call where there is one way to do it, and says what it did.
//!
//! # Invariants
//!
//! * Arguments that the tool's schema accepts are never touched, whatever they look like.
//! * No correction loses anything: `"3"` becomes 3, `"00713"` never becomes 713.
//! * Every change leaves a [`Receipt`]; the result is valid, or an [`InvalidArguments`].
//!   So repairing twice is repairing once.

mod names;
mod schema;
mod validate;
mod values;

#[cfg(test)]
mod tests;

use std::fmt;

use dormouse_types::{Arguments, Tool};
use serde_json::Value;

use names::fix_names;
pub(crate) use schema::inlined;
use validate::{Compiled, Validators};
use values::fix_values;

/// The rule by which an argument was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The name differed in case and separators only.
    Spelling,
    /// The name was like one that the tool knows.
    Similar,
    /// The name was unlike any, and its place and type left one possibility.
    Position,
    /// The arguments stood inside another object, such as `{"arguments": {…}}`.
    Unwrapped,
    /// The value was converted to the type that is wanted, without loss.
    Type,
    /// The value was like one of those that are allowed.
    Choice,
    /// The value was JSON within a text.
    JsonText,
    /// The tool allows no argument of that name.
    Unknown,
    /// An optional argument was null or empty where that is not allowed.
    Empty,
    /// A model filled an optional argument that nobody asked for.
    Unasked,
}

impl Rule {
    /// The word as it stands in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spelling => "spelling",
            Self::Similar => "similar_name",
            Self::Position => "position",
            Self::Unwrapped => "unwrapped",
            Self::Type => "type",
            Self::Choice => "choice",
            Self::JsonText => "json_text",
            Self::Unknown => "unknown_dropped",
            Self::Empty => "empty_dropped",
            Self::Unasked => "unasked_dropped",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The record of one correction.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// The argument as it is called now; a place within it as `name/0/inner`.
    pub argument: String,
    /// By which rule.
    pub rule: Rule,
    /// The name or value before.
    pub from: Value,
    /// The name or value after; null when it was dropped.
    pub to: Value,
}

/// One thing that is wrong with arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, as a JSON pointer into the arguments.
    pub path: String,
    /// What, in words for a person.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// Arguments that the tool's schema does not accept and that cannot be corrected without a guess.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidArguments {
    /// All that is wrong, in the order of the schema.
    pub problems: Vec<Problem>,
}

impl InvalidArguments {
    /// The names of the arguments that are missing or wrong.
    pub fn arguments(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for problem in &self.problems {
            let name =
                problem.path.split('/').nth(1).unwrap_or_default().replace("~1", "/").replace("~0", "~");
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// Corrects and validates arguments. Keeps compiled validators, so make one and share it.
#[derive(Debug, Default)]
pub struct Repairer {
    validators: Validators,
}

impl Repairer {
    /// A repairer that knows no schema yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes arguments valid for a tool, with a receipt for each change. Valid ones come back as they are.
    ///
    /// A tool whose schema is itself broken gets its arguments unchanged: only its server can judge them.
    ///
    /// # Errors
    /// [`InvalidArguments`] with everything that is still wrong.
    pub fn repair(
        &self,
        tool: &Tool,
        arguments: Arguments,
    ) -> Result<(Arguments, Vec<Receipt>), InvalidArguments> {
        let compiled = self.validators.of(&tool.input_schema);
        let root = Value::Object(arguments);
        if compiled.is_valid(&root) {
            return Ok((object(root), Vec::new()));
        }
        repaired(&compiled, root)
    }

    /// As [`repair`](Self::repair), for a caller whose server has the last word: arguments that
    /// cannot be made valid come back as they are.
    pub fn repair_or_keep(&self, tool: &Tool, arguments: Arguments) -> (Arguments, Vec<Receipt>) {
        let compiled = self.validators.of(&tool.input_schema);
        let root = Value::Object(arguments);
        if compiled.is_valid(&root) {
            return (object(root), Vec::new());
        }
        repaired(&compiled, root.clone()).unwrap_or_else(|_| (object(root), Vec::new()))
    }
}

fn repaired(compiled: &Compiled, root: Value) -> Result<(Arguments, Vec<Receipt>), InvalidArguments> {
    let mut work = Work { compiled, root, receipts: Vec::new() };
    work.unwrap();
    work.fix("", &compiled.schema, 0);
    let problems = compiled.problems(&work.root);
    if problems.is_empty() {
        Ok((object(work.root), work.receipts))
    } else {
        Err(InvalidArguments { problems })
    }
}

fn object(root: Value) -> Arguments {
    match root {
        Value::Object(arguments) => arguments,
        _ => unreachable!("the root stays an object"),
    }
}

/// Arguments under repair.
struct Work<'c> {
    compiled: &'c Compiled,
    root: Value,
    receipts: Vec<Receipt>,
}

/// How deep repair follows a value; deeper ones are validated only.
const MAX_DEPTH: usize = 6;

impl Work<'_> {
    /// Whether something is wrong at a place or below it.
    fn is_wrong(&self, pointer: &str) -> bool {
        self.compiled.is_wrong_under(&self.root, pointer)
    }

    fn note(&mut self, pointer: &str, rule: Rule, from: Value, to: Value) {
        let argument = pointer.trim_start_matches('/').replace("~1", "/").replace("~0", "~");
        self.receipts.push(Receipt { argument, rule, from, to });
    }

    /// Takes the arguments out of a wrapper that models like to write.
    fn unwrap(&mut self) {
        let Value::Object(outer) = &self.root else { return };
        let mut entries = outer.iter();
        let (Some((name, inner)), None) = (entries.next(), entries.next()) else { return };
        let wraps = ["arguments", "args", "params", "parameters", "input", "kwargs", "properties"];
        let is_known =
            self.compiled.schema.pointer("/properties").is_some_and(|known| known.get(name).is_some());
        let inner = match inner {
            Value::Object(_) => inner.clone(),
            Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
            _ => return,
        };
        if wraps.contains(&name.as_str()) && !is_known && inner.is_object() {
            let name = name.clone();
            self.note(&format!("/{name}"), Rule::Unwrapped, name.clone().into(), Value::Null);
            self.root = inner;
        }
    }

    /// Corrects the object at a place: its names, its values, then what it may not hold.
    fn fix(&mut self, pointer: &str, schema: &Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let Some(object) = schema::object_of(schema, &self.compiled.schema) else { return };
        let object = object.clone();
        fix_names(self, pointer, &object);
        fix_values(self, pointer, &object, depth);
    }
}
