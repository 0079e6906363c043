//! Bytes for values and back: lengths before texts, a tag before each JSON value.
//!
//! Reading JSON again took most of a restart with ten thousand scripts. This form needs no
//! looking ahead and no unescaping, and each value is made once.

use dormouse_types::Json;
use serde_json::{Map, Number, Value};

/// Deeper values are never written: the scan bounds its schemas far below.
const DEPTH: usize = 512;

#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// A number in seven bits a byte, the lowest first.
    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number as u8) | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub(crate) fn signed(&mut self, number: i64) {
        self.number(number.cast_unsigned());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.byte(0),
            Some(value) => {
                self.byte(1);
                write(self, value);
            }
        }
    }

    pub(crate) fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.number(items.len() as u64);
        items.iter().for_each(|item| write(self, item));
    }

    pub(crate) fn map(&mut self, map: &Map<String, Value>) {
        self.number(map.len() as u64);
        for (key, value) in map {
            self.text(key);
            self.value(value);
        }
    }

    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.byte(b'n'),
            Value::Bool(false) => self.byte(b'f'),
            Value::Bool(true) => self.byte(b't'),
            Value::Number(number) => match number.as_i64() {
                Some(number) => {
                    self.byte(b'i');
                    self.signed(number);
                }
                // Beyond `i64` and with fractions: as JSON writes it.
                None => {
                    self.byte(b'd');
                    self.text(&number.to_string());
                }
            },
            Value::String(text) => {
                self.byte(b's');
                self.text(text);
            }
            Value::Array(items) => {
                self.byte(b'a');
                self.list(items, Self::value);
            }
            Value::Object(map) => {
                self.byte(b'o');
                self.map(map);
            }
        }
    }
}

/// Reads what a [`Writer`] wrote; `None` at the first thing that cannot be.
#[derive(Debug)]
pub(crate) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn signed(&mut self) -> Option<i64> {
        self.number().map(u64::cast_signed)
    }

    fn length(&mut self) -> Option<usize> {
        // Nothing is shorter than a byte, so a longer list cannot be: no huge allocation by mistake.
        usize::try_from(self.number()?).ok().filter(|length| *length <= self.0.len())
    }

    pub(crate) fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.length()?;
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(bytes)
    }

    pub(crate) fn str(&mut self) -> Option<&'b str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        self.str().map(str::to_owned)
    }

    pub(crate) fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    pub(crate) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.length()?;
        let mut items = Vec::with_capacity(length);
        for _ in 0..length {
            items.push(read(self)?);
        }
        Some(items)
    }

    pub(crate) fn map(&mut self) -> Option<Map<String, Value>> {
        self.map_within(0)
    }

    fn map_within(&mut self, depth: usize) -> Option<Map<String, Value>> {
        let length = self.length()?;
        let mut map = Map::with_capacity(length);
        for _ in 0..length {
            let key = self.text()?;
            map.insert(key, self.within(depth + 1)?);
        }
        Some(map)
    }

    #[cfg(test)]
    pub(crate) fn value(&mut self) -> Option<Value> {
        self.within(0)
    }

    /// A value as its text, without a tree in between.
    pub(crate) fn json(&mut self) -> Option<Json> {
        let mut text = String::new();
        self.text_within(0, &mut text)?;
        Json::from_text(text)
    }

    fn text_within(&mut self, depth: usize, out: &mut String) -> Option<()> {
        if depth > DEPTH {
            return None;
        }
        match self.byte()? {
            b'n' => out.push_str("null"),
            b'f' => out.push_str("false"),
            b't' => out.push_str("true"),
            b'i' => out.push_str(&self.signed()?.to_string()),
            b'd' => out.push_str(self.str()?),
            b's' => quote(self.str()?, out)?,
            b'a' => {
                out.push('[');
                for index in 0..self.length()? {
                    if index > 0 {
                        out.push(',');
                    }
                    self.text_within(depth + 1, out)?;
                }
                out.push(']');
            }
            b'o' => {
                out.push('{');
                for index in 0..self.length()? {
                    if index > 0 {
                        out.push(',');
                    }
                    quote(self.str()?, out)?;
                    out.push(':');
                    self.text_within(depth + 1, out)?;
                }
                out.push('}');
            }
            _ => return None,
        }
        Some(())
    }

    fn within(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH {
            return None;
        }
        Some(match self.byte()? {
            b'n' => Value::Null,
            b'f' => Value::Bool(false),
            b't' => Value::Bool(true),
            b'i' => Value::from(self.signed()?),
            b'd' => Value::Number(self.str()?.parse::<Number>().ok()?),
            b's' => Value::String(self.text()?),
            b'a' => Value::Array(self.list(|reader| reader.within(depth + 1))?),
            b'o' => Value::Object(self.map_within(depth)?),
            _ => return None,
        })
    }
}

/// Writes a text as JSON does.
fn quote(text: &str, out: &mut String) -> Option<()> {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::to_string(text).ok()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn values_come_back_as_they_were() {
        let value = json!({"a": [null, true, false, -1, 9007199254740993_i64, 1.5, 1e300, u64::MAX, "ä\n"], "b": {"": {}}});
        let mut writer = Writer::default();
        writer.value(&value);
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.value(), Some(value.clone()));
        assert!(reader.is_empty());
        let text = Reader::new(&bytes).json().unwrap();
        assert_eq!(text.text(), value.to_string());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_a_value_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let value = Reader::new(&bytes).value();
            let text = Reader::new(&bytes).json();
            prop_assert!(text.is_none() || value.is_some());
        }
    }
}
