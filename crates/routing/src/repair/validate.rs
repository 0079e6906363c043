//! Validators by schema, compiled once and kept.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use dormouse_types::Json;
use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use super::Problem;
use crate::search::cut;

/// The most validators that are kept: a busy hub's tools, at a few dozen KiB each.
const MAX_KEPT: usize = 512;
/// The most problems that are listed: nobody reads more, and a list of a million items may have as many.
const MAX_PROBLEMS: usize = 20;

/// A schema with its validator.
pub(super) struct Compiled {
    text: Json,
    pub(super) schema: Value,
    /// `None` when the schema is broken, or refers to something outside of itself.
    validator: Option<Validator>,
}

impl Compiled {
    fn new(text: &Json) -> Self {
        let schema = text.value();
        Self { text: text.clone(), validator: jsonschema::validator_for(&schema).ok(), schema }
    }

    pub(super) fn is_valid(&self, value: &Value) -> bool {
        self.validator.as_ref().is_none_or(|validator| validator.is_valid(value))
    }

    pub(super) fn is_wrong_under(&self, value: &Value, pointer: &str) -> bool {
        let Some(validator) = &self.validator else { return false };
        validator.iter_errors(value).any(|error| {
            let path = error.instance_path().as_str();
            path.strip_prefix(pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    pub(super) fn problems(&self, value: &Value) -> Vec<Problem> {
        let Some(validator) = &self.validator else { return Vec::new() };
        let describe = |error: jsonschema::ValidationError<'_>| {
            let path = error.instance_path().as_str().to_owned();
            match error.kind() {
                ValidationErrorKind::Required { property } => {
                    let name = property.as_str().unwrap_or_default();
                    let escaped = name.replace('~', "~0").replace('/', "~1");
                    Problem { path: format!("{path}/{escaped}"), message: "is required".to_owned() }
                }
                _ => {
                    let text = error.to_string();
                    let message = if text.len() > 300 { format!("{}…", cut(&text, 300)) } else { text };
                    Problem { path, message }
                }
            }
        };
        validator.iter_errors(value).take(MAX_PROBLEMS).map(describe).collect()
    }
}

/// The validators of the tools that were called of late.
#[derive(Default)]
pub(super) struct Validators {
    hasher: RandomState,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_hash: HashMap<u64, Arc<Compiled>>,
    oldest_first: VecDeque<u64>,
}

impl fmt::Debug for Validators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "Validators({} kept)", kept.by_hash.len())
    }
}

impl Validators {
    pub(super) fn of(&self, schema: &Json) -> Arc<Compiled> {
        let hash = self.hasher.hash_one(schema.text());
        let known = self.kept.lock().unwrap_or_else(PoisonError::into_inner).by_hash.get(&hash).cloned();
        // The comparison costs microseconds and makes the hash a mere shortcut.
        if let Some(known) = known.filter(|known| known.text.text() == schema.text()) {
            return known;
        }
        let compiled = Arc::new(Compiled::new(schema));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.by_hash.insert(hash, Arc::clone(&compiled)).is_none() {
            kept.oldest_first.push_back(hash);
        }
        if kept.oldest_first.len() > MAX_KEPT
            && let Some(oldest) = kept.oldest_first.pop_front()
        {
            kept.by_hash.remove(&oldest);
        }
        compiled
    }
}
