//! The numbers of supervision that a person may change while the hub runs, each with its range.
//!
//! Ranges follow MCPStore 1.4, so that its users' values fit. So do the defaults, but for its
//! `reconnecting`, which it sets outside its own range: warning after 2, reconnecting after 3.

use std::time::Duration;

use serde_json::{Map, Value};

/// How closely servers are watched, and how patient the hub is with one that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supervision {
    /// Failures in a row from which an attached server shows `warning`.
    pub warn_after: u32,
    /// Failures in a row from which calls fail at once until the back-off is over.
    pub open_after: u32,
    /// Failures in a row from which the long retry replaces the growing delay.
    pub give_up_after: u32,
    /// The first delay before another attempt; it doubles with each failure.
    pub first_delay: Duration,
    /// The growing delay's ceiling.
    pub longest_delay: Duration,
    /// The delay once given up; it repeats for ever.
    pub long_retry: Duration,
    /// From one health probe of an attached server to the next.
    pub probe: Duration,
    /// The same while it shows `warning`.
    pub probe_in_warning: Duration,
    /// How long a probe waits for its answer.
    pub probe_timeout: Duration,
    /// From one listing of an attached server's tools to the next, if it announces nothing.
    pub refresh: Duration,
    /// The deadline of a start, where a server has none of its own.
    pub start: Duration,
    /// From a polite stop to the kill, where a server has no time of its own.
    pub stop: Duration,
}

impl Default for Supervision {
    fn default() -> Self {
        let timing = dormouse_types::Timing::default();
        Self {
            warn_after: 2,
            open_after: 3,
            give_up_after: 10,
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_secs(60),
            long_retry: Duration::from_secs(300),
            probe: Duration::from_secs(30),
            probe_in_warning: Duration::from_secs(10),
            probe_timeout: Duration::from_secs(5),
            refresh: Duration::from_secs(2 * 3600),
            start: timing.start,
            stop: timing.stop,
        }
    }
}

/// A setting that was refused, with what it may be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{field}` cannot be {value}: it {range}")]
pub struct OutOfRange {
    /// The setting, as it was named.
    pub field: String,
    /// What it was to be.
    pub value: Value,
    /// What it may be, in words that follow "it".
    pub range: String,
}

/// One setting of the table.
struct Field {
    name: &'static str,
    /// The smallest and the largest value, in the field's unit.
    range: (f64, f64),
    of: Of,
}

/// Where a setting lies, and its unit.
enum Of {
    Count(fn(&mut Supervision) -> &mut u32),
    /// A time, and how many seconds one of its unit has.
    Time(fn(&mut Supervision) -> &mut Duration, f64),
}

const HOUR: f64 = 3600.0;

/// Every setting by the name under which it is shown and changed; the unit is part of the name.
const FIELDS: [Field; 12] = [
    Field { name: "warn_after", range: (1.0, 10.0), of: Of::Count(|s| &mut s.warn_after) },
    Field { name: "open_after", range: (2.0, 10.0), of: Of::Count(|s| &mut s.open_after) },
    Field { name: "give_up_after", range: (3.0, 20.0), of: Of::Count(|s| &mut s.give_up_after) },
    Field { name: "first_delay_seconds", range: (0.5, 10.0), of: Of::Time(|s| &mut s.first_delay, 1.0) },
    Field {
        name: "longest_delay_seconds",
        range: (10.0, 300.0),
        of: Of::Time(|s| &mut s.longest_delay, 1.0),
    },
    Field { name: "long_retry_seconds", range: (60.0, 1800.0), of: Of::Time(|s| &mut s.long_retry, 1.0) },
    Field { name: "probe_seconds", range: (10.0, 300.0), of: Of::Time(|s| &mut s.probe, 1.0) },
    Field {
        name: "probe_in_warning_seconds",
        range: (5.0, 60.0),
        of: Of::Time(|s| &mut s.probe_in_warning, 1.0),
    },
    Field { name: "probe_timeout_seconds", range: (1.0, 60.0), of: Of::Time(|s| &mut s.probe_timeout, 1.0) },
    Field { name: "refresh_hours", range: (0.1, 168.0), of: Of::Time(|s| &mut s.refresh, HOUR) },
    Field { name: "start_seconds", range: (5.0, 120.0), of: Of::Time(|s| &mut s.start, 1.0) },
    Field { name: "stop_seconds", range: (1.0, 60.0), of: Of::Time(|s| &mut s.stop, 1.0) },
];

impl Supervision {
    /// These settings with some of them changed: an object of names and numbers, as
    /// [`to_value`](Self::to_value) shows them. What is not named stays as it is.
    ///
    /// A value that is as it was is never refused, also where a file set it outside its range.
    ///
    /// # Errors
    /// Everything that was refused; nothing is changed then.
    pub fn patched(&self, patch: &Value) -> Result<Self, Vec<OutOfRange>> {
        let refused = |field: &str, value: &Value, range: String| OutOfRange {
            field: field.to_owned(),
            value: value.clone(),
            range,
        };
        let Some(patch) = patch.as_object() else {
            return Err(vec![refused("supervision", patch, "must be an object of settings".to_owned())]);
        };
        let mut patched = *self;
        let mut problems = Vec::new();
        for (name, value) in patch {
            match FIELDS.iter().find(|field| field.name == name) {
                Some(field) if value.is_number() && field.shown(self).as_f64() == value.as_f64() => {}
                Some(field) if !field.set(&mut patched, value) => {
                    problems.push(refused(name, value, field.words()));
                }
                Some(_) => {}
                None => {
                    let known: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
                    problems.push(refused(
                        name,
                        value,
                        format!("is no setting; there are {}", known.join(", ")),
                    ));
                }
            }
        }
        if problems.is_empty() { Ok(patched) } else { Err(problems) }
    }

    /// These settings with one taken from others, whatever its value; `None` where no setting is
    /// named so.
    pub fn taking(mut self, name: &str, others: &Self) -> Option<Self> {
        let field = FIELDS.iter().find(|field| field.name == name)?;
        let mut others = *others;
        match field.of {
            Of::Count(of) => *of(&mut self) = *of(&mut others),
            Of::Time(of, _) => *of(&mut self) = *of(&mut others),
        }
        Some(self)
    }

    /// Every setting under its name, as numbers.
    pub fn to_value(&self) -> Value {
        let shown = FIELDS.iter().map(|field| (field.name.to_owned(), field.shown(self)));
        Value::Object(shown.collect::<Map<_, _>>())
    }

    /// Every setting with its smallest and largest value, in the unit of its name.
    pub fn ranges() -> impl Iterator<Item = (&'static str, f64, f64)> {
        FIELDS.iter().map(|field| (field.name, field.range.0, field.range.1))
    }
}

impl Field {
    fn words(&self) -> String {
        let (least, most) = self.range;
        match self.of {
            Of::Count(_) => format!("must be a whole number from {least} to {most}"),
            Of::Time(..) => format!("must be a number from {least} to {most}"),
        }
    }

    /// Whether the value was taken.
    fn set(&self, supervision: &mut Supervision, value: &Value) -> bool {
        let Some(number) = value.as_f64() else { return false };
        // Also false for what is no number.
        if !(self.range.0..=self.range.1).contains(&number) {
            return false;
        }
        match self.of {
            Of::Count(_) if number.fract() != 0.0 => return false,
            // A whole number of at most 20, by its range.
            Of::Count(of) => *of(supervision) = number as u32,
            Of::Time(of, unit) => *of(supervision) = Duration::from_secs_f64(number * unit),
        }
        true
    }

    fn shown(&self, supervision: &Supervision) -> Value {
        // Read through the same way as it is written: one place says where a setting lies.
        let mut copy = *supervision;
        match self.of {
            Of::Count(of) => Value::from(*of(&mut copy)),
            Of::Time(of, unit) => {
                let number = of(&mut copy).as_secs_f64() / unit;
                // Whole numbers as such: 30, not 30.0.
                if number.fract() == 0.0 && number < 1e12 {
                    Value::from(number as i64)
                } else {
                    Value::from(number)
                }
            }
        }
    }
}
