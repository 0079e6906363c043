//! The arguments of a registration: `@x.tool(name=…, annotations=…)`.

use serde_json::{Map, Value, json};

use crate::source::{Argument, Call, Constant, Expr, Names, evaluate};

/// What a registration says, beside the function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options<'e> {
    call: Option<&'e Call>,
    /// The place of the first argument after the function, where the call takes the function too.
    skip: usize,
}

impl<'e> Options<'e> {
    /// A bare decorator.
    pub(crate) fn none() -> Self {
        Self { call: None, skip: 0 }
    }

    pub(crate) fn of(call: &'e Call) -> Self {
        Self { call: Some(call), skip: 0 }
    }

    /// Of a call whose first argument is the function itself.
    pub(crate) fn after_function(call: &'e Call) -> Self {
        Self { call: Some(call), skip: 1 }
    }

    pub(crate) fn expr(&self, name: &str) -> Option<&'e Expr> {
        self.call?.keyword(name)
    }

    /// An argument that may also stand at a place.
    pub(crate) fn at(&self, name: &str, index: usize) -> Option<&'e Expr> {
        let call = self.call?;
        call.keyword(name).or_else(|| call.positional(index + self.skip))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.expr(name).is_some_and(|value| *value != Expr::None)
    }

    pub(crate) fn has_splat(&self) -> bool {
        self.call.is_some_and(Call::has_splat)
    }
}

/// Reads values and keeps what could not be read.
#[derive(Debug)]
pub(crate) struct Reader<'n, 'a> {
    pub(crate) names: &'n Names<'a>,
    pub(crate) doubts: Vec<String>,
}

impl<'n, 'a> Reader<'n, 'a> {
    pub(crate) fn new(names: &'n Names<'a>) -> Self {
        Self { names, doubts: Vec::new() }
    }

    pub(crate) fn doubt(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        if !self.doubts.contains(&reason) {
            self.doubts.push(reason);
        }
    }

    /// A text, `None` if it is not given or empty.
    pub(crate) fn text(&mut self, what: &str, expr: Option<&Expr>) -> Option<String> {
        match self.json(what, expr)? {
            Value::String(text) => Some(text).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// The name that a registration gives, else the function's; `None` if it is worked out when the
    /// script runs: then there is no name that could be promised.
    pub(crate) fn name(&mut self, given: Option<&Expr>, function: &str) -> Option<String> {
        let before = self.doubts.len();
        match self.text("name", given) {
            Some(name) => Some(name),
            None => (self.doubts.len() == before).then(|| function.to_owned()),
        }
    }

    /// Any value, `None` if it is not given, `None` in Python, or not known.
    pub(crate) fn json(&mut self, what: &str, expr: Option<&Expr>) -> Option<Value> {
        match evaluate(expr?, self.names) {
            Constant::Json(Value::Null) => None,
            Constant::Json(value) => Some(value),
            _ => {
                self.doubt(format!("`{what}` is worked out when the script runs"));
                None
            }
        }
    }

    /// A flag, with its value when it is not given.
    pub(crate) fn flag(&mut self, what: &str, expr: Option<&Expr>, otherwise: bool) -> bool {
        self.json(what, expr).and_then(|value| value.as_bool()).unwrap_or(otherwise)
    }

    /// Texts in any collection, sorted, as fastmcp gives tags.
    pub(crate) fn tags(&mut self, expr: Option<&Expr>) -> Vec<String> {
        let items = match expr {
            Some(Expr::Set(items) | Expr::List(items) | Expr::Tuple(items)) => items.as_slice(),
            None | Some(Expr::None) => return Vec::new(),
            Some(_) => {
                self.doubt("`tags` is worked out when the script runs");
                return Vec::new();
            }
        };
        let mut tags: Vec<String> = items.iter().filter_map(|item| self.text("tags", Some(item))).collect();
        tags.sort();
        tags.dedup();
        tags
    }

    /// `ToolAnnotations(…)` or a dict of its members, in MCP's spelling, without `None`s.
    pub(crate) fn annotations(&mut self, expr: Option<&Expr>) -> Option<Value> {
        let mut map = Map::new();
        match expr? {
            Expr::None => return None,
            Expr::Call(call) if !call.has_splat() => {
                for argument in &call.args {
                    if let Argument::Keyword(name, value) = argument
                        && let Some(value) = self.json(name, Some(value))
                    {
                        map.insert(camel(name), value);
                    }
                }
            }
            other => match self.json("annotations", Some(other))? {
                Value::Object(members) => {
                    map.extend(
                        members
                            .into_iter()
                            .filter(|(_, value)| !value.is_null())
                            .map(|(name, value)| (camel(&name), value)),
                    );
                }
                _ => {
                    self.doubt("`annotations` is not read");
                    return None;
                }
            },
        }
        Some(Value::Object(map))
    }

    /// A dict of metadata.
    pub(crate) fn meta(&mut self, expr: Option<&Expr>) -> Map<String, Value> {
        match self.json("meta", expr) {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        }
    }
}

/// mcp 2 also takes its members in Python's spelling.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut chars = part.chars();
        camel.extend(chars.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(chars.as_str());
    }
    camel
}

/// Puts a member in if there is one.
pub(crate) fn put(map: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value.into());
    }
}

/// Puts a member in if it is not empty.
pub(crate) fn put_meta(map: &mut Map<String, Value>, meta: Map<String, Value>) {
    if !meta.is_empty() {
        map.insert("_meta".to_owned(), json!(meta));
    }
}
