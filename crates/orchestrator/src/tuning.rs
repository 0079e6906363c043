//! The numbers of supervision as a person set them: kept in storage, and read again when a hub
//! opens, or when another hub on the same storage changed them.
//!
//! Only what a person said is kept. What nobody said stays as the space's settings have it, also
//! when those change.

use dormouse_lifecycle::{Event as Step, OutOfRange, Supervision};
use dormouse_storage::{Storage, StorageError, Table, Write};
use serde_json::{Map, Value};
use tracing::warn;

use crate::engine::Engine;
use crate::orchestrator::Orchestrator;
use crate::roster::Roster;

/// Where they are kept, in [`Table::Settings`].
const KEY: &str = "supervision";
/// How often a change is tried when other hubs change the same.
const TRIES: usize = 8;

/// Why the numbers of supervision were not changed.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// Some of them cannot be so; nothing was changed.
    #[error("{}", listed(.0))]
    Refused(Vec<OutOfRange>),
    /// They could not be kept; nothing was changed.
    #[error("the settings of supervision could not be stored")]
    Storage(#[from] StorageError),
}

fn listed(refused: &[OutOfRange]) -> String {
    refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Who changes the numbers or reads what is kept of them: one at a time, so that the hub goes by
/// what is kept, and never by what was kept before.
#[derive(Debug, Default)]
pub(crate) struct Tuning {
    turn: tokio::sync::Mutex<()>,
}

/// What holds where no person said anything.
fn defaults(engine: &Engine) -> Supervision {
    Supervision { start: engine.timing.start, stop: engine.timing.stop, ..Supervision::default() }
}

/// What is kept now, and the same as a map of settings.
async fn kept(storage: &dyn Storage) -> Result<(Option<Value>, Map<String, Value>), StorageError> {
    let kept = storage.get(Table::Settings, KEY).await?;
    let said = kept.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
    Ok((kept, said))
}

/// Goes by what is kept from now on. For the opening of a hub, and for when another hub on the
/// same storage wrote [`Table::Settings`].
///
/// # Errors
/// [`StorageError`]; then it goes on as before.
pub(crate) async fn take_up_supervision(storage: &dyn Storage, roster: &Roster) -> Result<(), StorageError> {
    let _turn = roster.engine().tuning.turn.lock().await;
    let (_, said) = kept(storage).await?;
    let mut supervision = defaults(roster.engine());
    for (name, value) in said {
        match supervision.patched(&Value::Object(Map::from_iter([(name, value)]))) {
            Ok(next) => supervision = next,
            // Kept by a version with other ranges.
            Err(refused) => warn!(reason = %listed(&refused), "a setting of supervision is left out"),
        }
    }
    apply(roster, supervision);
    Ok(())
}

/// Servers, back-offs and monitors follow at once.
fn apply(roster: &Roster, supervision: Supervision) {
    let changed = |now: &mut Supervision| std::mem::replace(now, supervision) != supervision;
    if roster.engine().supervision.send_if_modified(changed) {
        for instance in roster.all() {
            instance.feed(Step::Retuned);
        }
    }
}

impl Orchestrator {
    /// The thresholds and paces of supervision, as they are now.
    pub fn supervision(&self) -> Supervision {
        *self.engine().supervision.borrow()
    }

    /// What they are where no person says otherwise.
    pub fn supervision_defaults(&self) -> Supervision {
        defaults(self.engine())
    }

    /// Changes them for as long as this hub lives, whatever their values; servers, back-offs and
    /// monitors follow at once. [`tune`](Self::tune) is for what a person says.
    pub fn set_supervision(&self, supervision: Supervision) {
        apply(self.roster(), supervision);
    }

    /// Changes some of them: an object of names and numbers, each within its range. They hold at
    /// once, and for the hubs that open this space later; `null` takes back what was said.
    ///
    /// # Errors
    /// [`TuneError`]; nothing is changed then.
    pub async fn tune(&self, patch: &Value) -> Result<Supervision, TuneError> {
        let storage = &self.engine().storage;
        let _turn = self.engine().tuning.turn.lock().await;
        let tuned =
            tuned(self.supervision(), &self.supervision_defaults(), patch).map_err(TuneError::Refused)?;
        let mut tries = 1..=TRIES;
        loop {
            let (before, mut said) = kept(&**storage).await?;
            for (name, value) in patch.as_object().into_iter().flatten() {
                match value {
                    Value::Null => said.remove(name),
                    value => said.insert(name.clone(), value.clone()),
                };
            }
            let (table, key) = (Table::Settings, KEY.to_owned());
            let batch = vec![
                Write::Expect { table, key: key.clone(), value: before },
                Write::Put { table, key, value: Value::Object(said) },
            ];
            match storage.write(batch).await {
                // Another hub said something in between; what it said of other settings stays.
                Err(StorageError::Conflict { .. }) if tries.next().is_some() => {}
                written => break written?,
            }
        }
        apply(self.roster(), tuned);
        Ok(tuned)
    }
}

/// Those settings as a patch wants them.
fn tuned(now: Supervision, defaults: &Supervision, patch: &Value) -> Result<Supervision, Vec<OutOfRange>> {
    let Some(members) = patch.as_object() else { return now.patched(patch) };
    let (nulls, values): (Map<_, _>, Map<_, _>) = members
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .partition(|(_, value)| value.is_null());
    let patched = now.patched(&Value::Object(values));
    // No setting is named so: said in the same words as of one with a value.
    let unknown: Map<String, Value> = nulls
        .iter()
        .filter(|(name, _)| now.taking(name, defaults).is_none())
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    match (patched, now.patched(&Value::Object(unknown))) {
        (Ok(patched), Ok(_)) => {
            Ok(nulls.keys().fold(patched, |tuned, name| tuned.taking(name, defaults).unwrap_or(tuned)))
        }
        (patched, unknown) => Err([patched, unknown].into_iter().filter_map(Result::err).flatten().collect()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn null_takes_back_what_was_said_and_all_mistakes_are_named_at_once() {
        let defaults = Supervision { start: Duration::from_secs(700), ..Supervision::default() };
        let now = tuned(defaults, &defaults, &json!({"probe_seconds": 60, "start_seconds": 20})).unwrap();
        assert_eq!((now.probe, now.start), (Duration::from_secs(60), Duration::from_secs(20)));
        // Back to what a file says, also where that is outside the range.
        let back = tuned(now, &defaults, &json!({"start_seconds": null, "open_after": 4})).unwrap();
        assert_eq!((back.start, back.open_after, back.probe), (defaults.start, 4, now.probe));

        let wrong = json!({"probe_seconds": 1, "colour": null, "open_after": "x", "warn_after": 3});
        let refused = tuned(now, &defaults, &wrong).unwrap_err();
        let mut named: Vec<&str> = refused.iter().map(|refused| refused.field.as_str()).collect();
        named.sort();
        assert_eq!(named, ["colour", "open_after", "probe_seconds"]);
        assert!(tuned(now, &defaults, &json!([1])).is_err());
    }
}
