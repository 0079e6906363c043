//! JSON that remembers when a key stands in one object twice.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A value as it was written, doubled keys and all.
#[derive(Clone)]
pub(super) enum Tree {
    Object(Vec<(String, Tree)>),
    Array(Vec<Tree>),
    Leaf(Value),
}

impl Tree {
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Object(members) => {
                Self::Object(members.iter().map(|(key, value)| (key.clone(), Self::of(value))).collect())
            }
            Value::Array(items) => Self::Array(items.iter().map(Self::of).collect()),
            leaf => Self::Leaf(leaf.clone()),
        }
    }

    /// The plain value; else where a key stands twice, below the given path.
    pub(super) fn plain(&self, path: &str) -> Result<Value, String> {
        match self {
            Self::Object(members) => {
                let mut plain = Map::new();
                for (key, value) in members {
                    let at = format!("{path}.{key}");
                    if plain.insert(key.clone(), value.plain(&at)?).is_some() {
                        return Err(at);
                    }
                }
                Ok(Value::Object(plain))
            }
            Self::Array(items) => {
                let items = items.iter().enumerate();
                items.map(|(index, item)| item.plain(&format!("{path}[{index}]"))).collect()
            }
            Self::Leaf(value) => Ok(value.clone()),
        }
    }

    /// What it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Object(_) => "an object",
            Self::Array(_) => "a list",
            Self::Leaf(value) => super::reader::kind(value),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Tree::Object(members))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Tree::Array(items))
            }
            fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::from(text)))
            }
            fn visit_bool<E>(self, flag: bool) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::from(flag)))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::from(number)))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::from(number)))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::from(number)))
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::Null))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
