//! From annotations to JSON Schema, as pydantic writes it.
//!
//! All Python SDKs hand their schemas to pydantic and then rework them. So do we: this module
//! writes pydantic's schema, and [`compress`] holds what fastmcp does to it afterwards.
//!
//! # Invariants
//!
//! * Nothing is invented: where the source does not say enough, the schema is open (`{}`) and a
//!   doubt says why.
//! * Recursive models end: a class is written once, into `$defs`.

mod annotation;
mod class;
pub(crate) mod compress;
mod field;
mod known;

use std::cell::Cell;

use serde_json::{Map, Value, json};

use crate::source::{Class, Expr, Names, Stmt};

pub(crate) use class::{ClassKind, class_kind};
pub(crate) use field::{Declared, Property};

/// What the schema is for; pydantic writes a few types differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// What a tool takes.
    Validation,
    /// What a tool gives, in fastmcp; models under their field names or their aliases.
    Serialization { by_alias: bool },
}

/// How many types one document may take. Aliases of aliases can double at every step; the largest
/// real schemas have some hundreds.
const STEPS: usize = 20_000;

/// Writes the schemas of one document: one root and the definitions that it refers to.
#[derive(Debug)]
pub(crate) struct Schemas<'a, 'n> {
    names: &'n Names<'a>,
    mode: Mode,
    defs: Map<String, Value>,
    depth: usize,
    /// How many types were looked at.
    steps: Cell<usize>,
    /// The classes whose bodies are being read: their inner classes go by bare names there.
    inside: Vec<&'a Class>,
    doubts: Vec<String>,
}

impl<'a, 'n> Schemas<'a, 'n> {
    pub(crate) fn new(names: &'n Names<'a>, mode: Mode) -> Self {
        Self {
            names,
            mode,
            defs: Map::new(),
            depth: 0,
            steps: Cell::new(0),
            inside: Vec::new(),
            doubts: Vec::new(),
        }
    }

    pub(crate) fn names(&self) -> &'n Names<'a> {
        self.names
    }

    /// Counts a step; false when there were too many.
    fn may_step(&self) -> bool {
        self.steps.set(self.steps.get() + 1);
        self.steps.get() <= STEPS
    }

    /// The class of this file that an expression names at this place.
    pub(crate) fn class_named(&self, expr: &Expr) -> Option<&'a Class> {
        let inner = match expr {
            Expr::Name(name) => self.inside.last().and_then(|class| {
                class.body.iter().find_map(|statement| match statement {
                    Stmt::Class(inner) if inner.name == *name => Some(&**inner),
                    _ => None,
                })
            }),
            _ => None,
        };
        inner.or_else(|| self.names.class(expr))
    }

    pub(crate) fn doubt(&mut self, reason: String) {
        if !self.doubts.contains(&reason) {
            self.doubts.push(reason);
        }
    }

    /// The doubts so far; they are taken out.
    pub(crate) fn take_doubts(&mut self) -> Vec<String> {
        std::mem::take(&mut self.doubts)
    }

    /// Takes back the doubts from a point on: the schema in question will not be served.
    pub(crate) fn doubts_len(&self) -> usize {
        self.doubts.len()
    }

    pub(crate) fn forget_doubts(&mut self, from: usize) {
        self.doubts.truncate(from);
    }

    /// A whole document for one annotation.
    pub(crate) fn document(&mut self, annotation: &Expr) -> Value {
        let root = self.of(annotation);
        self.finish(root)
    }

    /// Joins a root with the definitions that it reaches. A root that is only a reference to a
    /// class that nothing else refers to becomes that class.
    pub(crate) fn finish(&mut self, root: Value) -> Value {
        let mut root = root;
        let mut defs = std::mem::take(&mut self.defs);
        while let Some(name) = sole_reference(&root) {
            let elsewhere = defs.values().any(|definition| refers_to(definition, &name));
            match (elsewhere, defs.get(&name)) {
                (false, Some(definition)) => root = definition.clone(),
                _ => break,
            }
        }
        let mut reached = Vec::new();
        references(&root, &mut reached);
        let mut next = 0;
        while let Some(name) = reached.get(next).cloned() {
            if let Some(definition) = defs.get(&name) {
                references(definition, &mut reached);
            }
            next += 1;
        }
        defs.retain(|name, _| reached.contains(name));
        if let (false, Value::Object(map)) = (defs.is_empty(), &mut root) {
            map.insert("$defs".to_owned(), Value::Object(defs));
        }
        root
    }
}

/// An object schema of given properties, as pydantic writes a model without a docstring.
pub(crate) fn object(properties: Vec<Property>, title: Option<&str>) -> Map<String, Value> {
    let required: Vec<Value> =
        properties.iter().filter(|property| property.required).map(|property| json!(property.key)).collect();
    let mut map = Map::new();
    map.insert(
        "properties".to_owned(),
        Value::Object(properties.into_iter().map(|property| (property.key, property.schema)).collect()),
    );
    if !required.is_empty() {
        map.insert("required".to_owned(), Value::Array(required));
    }
    if let Some(title) = title {
        map.insert("title".to_owned(), json!(title));
    }
    map.insert("type".to_owned(), json!("object"));
    map
}

pub(crate) const DEFS: &str = "#/$defs/";

fn sole_reference(schema: &Value) -> Option<String> {
    match schema {
        Value::Object(map) if map.len() == 1 => {
            Some(map.get("$ref")?.as_str()?.strip_prefix(DEFS)?.to_owned())
        }
        _ => None,
    }
}

fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("$ref", Value::String(path)) => {
                        if let Some(name) = path.strip_prefix(DEFS)
                            && !found.iter().any(|known| known == name)
                        {
                            found.push(name.to_owned());
                        }
                    }
                    (_, value) => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn refers_to(schema: &Value, name: &str) -> bool {
    let mut found = Vec::new();
    references(schema, &mut found);
    found.iter().any(|known| known == name)
}
