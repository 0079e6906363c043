//! JSON that is kept as its text.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// A JSON value, kept as its compact text: an eighth of the memory that its tree takes, cheap to
/// clone, and written without a walk. Whoever wants to look into it makes the [`value`](Self::value)
/// for that moment.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Takes a text that is JSON; `None` if it is not.
    pub fn from_text(text: String) -> Option<Self> {
        RawValue::from_string(text).ok().map(|raw| Self(raw.into()))
    }

    /// Its text.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// Its tree.
    pub fn value(&self) -> Value {
        // Deeper than the parser goes: such a text came past it as a value only by our own hands.
        serde_json::from_str(self.text()).unwrap_or_default()
    }
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        Self(to_raw_value(value).expect("a value is JSON").into())
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self::from(&value)
    }
}

/// The same value, however it is written.
impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text() || self.value() == other.value()
    }
}

impl PartialEq<Value> for Json {
    fn eq(&self, other: &Value) -> bool {
        self.value() == *other
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By way of a value: where members are flattened, the text itself is gone already.
        Value::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_goes_in_and_out_as_it_is() {
        let value = json!({"b": [1.5, null, "ä\n\"", -7, u64::MAX], "a": {"": {}}});
        let kept = Json::from(&value);
        assert_eq!(kept.value(), value);
        assert_eq!(serde_json::to_value(&kept).unwrap(), value);
        assert_eq!(serde_json::to_string(&kept).unwrap(), value.to_string());
        assert_eq!(serde_json::from_str::<Json>(&value.to_string()).unwrap(), kept);
        assert_eq!(Json::from_text(" {\"a\" : 1}".to_owned()).unwrap(), json!({"a": 1}));
        assert!(Json::from_text("{".to_owned()).is_none());
    }
}
