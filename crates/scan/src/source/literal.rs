//! Values that the source itself says: literals, constants of the file, members of its enums.

use std::cell::Cell;

use serde_json::{Map, Value, json};

use super::names::{Binding, Names};
use super::syntax::{Class, Expr, Stmt};

/// What is known of a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Constant {
    /// Its JSON form.
    Json(Value),
    /// It has none, such as a function; pydantic leaves such a default out of the schema.
    NotJson,
    /// The source does not say.
    Unknown,
}

impl Constant {
    pub(crate) fn json(self) -> Option<Value> {
        match self {
            Self::Json(value) => Some(value),
            _ => None,
        }
    }
}

/// How many expressions one value may take: constants made of constants can double at every step.
const STEPS: usize = 10_000;
/// How long a text made by joining may be.
const TEXT: usize = 1 << 20;

/// Evaluates an expression as far as the source says what it is.
pub(crate) fn evaluate(expr: &Expr, names: &Names<'_>) -> Constant {
    Evaluation { names, steps: Cell::new(0) }.within(expr, 0)
}

#[derive(Debug)]
struct Evaluation<'n, 'a> {
    names: &'n Names<'a>,
    steps: Cell<usize>,
}

impl Evaluation<'_, '_> {
    fn within(&self, expr: &Expr, depth: usize) -> Constant {
        use Constant::{Json, NotJson, Unknown};
        self.steps.set(self.steps.get() + 1);
        if depth > super::MAX_DEPTH || self.steps.get() > STEPS {
            return Unknown;
        }
        let value = |expr: &Expr| self.within(expr, depth + 1);
        match expr {
            Expr::Str(text) => Json(json!(text)),
            Expr::Int(number) => Json(json!(number)),
            Expr::Float(number) => {
                serde_json::Number::from_f64(*number).map_or(Unknown, |number| Json(Value::Number(number)))
            }
            Expr::Bool(flag) => Json(json!(flag)),
            Expr::None => Json(Value::Null),
            Expr::Bytes(bytes) => String::from_utf8(bytes.clone()).map_or(NotJson, |text| Json(json!(text))),
            Expr::Ellipsis => Unknown,
            Expr::Lambda => NotJson,
            Expr::Negative(inner) => negate(value(inner)),
            Expr::List(items) | Expr::Tuple(items) => self.all(items, depth),
            // A set has no order that we could promise.
            Expr::Set(items) if items.len() == 1 => self.all(items, depth),
            Expr::Set(_) => Unknown,
            Expr::Dict(pairs) => self.dict(pairs, depth),
            Expr::Binary(sign, left, right) => arithmetic(sign, value(left), value(right)),
            Expr::Name(name) => match self.names.get(name) {
                Some(Binding::Value(bound)) => value(bound),
                Some(Binding::Function(_) | Binding::Class(_)) => NotJson,
                _ => Unknown,
            },
            Expr::Attribute(base, name) => self.attribute(base, name, depth),
            Expr::Call(call) => match (self.names.path(&call.func).as_deref(), call.args.len()) {
                (Some("builtins.list" | "builtins.tuple" | "builtins.set" | "builtins.frozenset"), 0) => {
                    Json(json!([]))
                }
                (Some("builtins.dict"), 0) => Json(json!({})),
                (Some("builtins.str"), 0) => Json(json!("")),
                (Some("textwrap.dedent" | "inspect.cleandoc"), 1) => Unknown,
                _ => Unknown,
            },
            Expr::Subscript(..) | Expr::Await(_) | Expr::Opaque => Unknown,
        }
    }

    fn all(&self, items: &[Expr], depth: usize) -> Constant {
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            match self.within(item, depth + 1) {
                Constant::Json(value) => values.push(value),
                other => return other,
            }
        }
        Constant::Json(Value::Array(values))
    }

    fn dict(&self, pairs: &[(Expr, Expr)], depth: usize) -> Constant {
        let mut map = Map::new();
        for (key, value) in pairs {
            let key = match self.within(key, depth + 1) {
                Constant::Json(Value::String(key)) => key,
                Constant::Json(Value::Number(key)) => key.to_string(),
                Constant::Json(_) | Constant::NotJson => return Constant::NotJson,
                Constant::Unknown => return Constant::Unknown,
            };
            match self.within(value, depth + 1) {
                Constant::Json(value) => map.insert(key, value),
                other => return other,
            };
        }
        Constant::Json(Value::Object(map))
    }

    /// `Color.RED` and `Color.RED.value` of an enum, `Config.LIMIT` of a plain class.
    fn attribute(&self, base: &Expr, name: &str, depth: usize) -> Constant {
        if name == "value" && matches!(base, Expr::Attribute(..)) {
            return self.within(base, depth + 1);
        }
        let Some(class) = self.names.class(base) else { return Constant::Unknown };
        if let Some(members) = self.enum_members(class, depth + 1) {
            return members
                .and_then(|members| members.into_iter().find(|(member, _)| member == name))
                .map_or(Constant::Unknown, |(_, value)| Constant::Json(value));
        }
        class
            .body
            .iter()
            .find_map(|statement| match statement {
                Stmt::Assign { target: Expr::Name(target), value: Some(value), .. } if target == name => {
                    Some(self.within(value, depth + 1))
                }
                _ => None,
            })
            .unwrap_or(Constant::Unknown)
    }

    /// The members of an enum class with their values, in order: `None` if the class is no enum,
    /// `Some(None)` if a value is not known.
    fn enum_members(&self, class: &Class, depth: usize) -> Option<Option<Vec<(String, Value)>>> {
        let kind = class.bases.iter().find_map(|base| {
            let path = self.names.path(base)?;
            let name = path.strip_prefix("enum.")?;
            matches!(name, "Enum" | "IntEnum" | "StrEnum" | "Flag" | "IntFlag").then(|| name.to_owned())
        })?;
        let mut members: Vec<(String, Value)> = Vec::new();
        for statement in &class.body {
            let Stmt::Assign { target: Expr::Name(name), value: Some(value), .. } = statement else {
                continue;
            };
            if name.starts_with('_') {
                continue;
            }
            let auto = value
                .as_call()
                .is_some_and(|call| self.names.path(&call.func).as_deref() == Some("enum.auto"));
            let value = match (auto, kind.as_str()) {
                (true, "StrEnum") => json!(name.to_lowercase()),
                (true, "Enum" | "IntEnum") => {
                    let highest = members.iter().filter_map(|(_, value)| value.as_i64()).max();
                    json!(highest.unwrap_or(0) + 1)
                }
                (true, _) => return Some(None),
                (false, _) => match self.within(value, depth + 1) {
                    Constant::Json(value) => value,
                    _ => return Some(None),
                },
            };
            // pydantic lists a second name for the same value too.
            members.push((name.clone(), value));
        }
        Some(Some(members))
    }
}

/// The members of an enum class with their values, in order: `None` if the class is no enum,
/// `Some(None)` if a value is not known.
pub(crate) fn enum_members(class: &Class, names: &Names<'_>) -> Option<Option<Vec<(String, Value)>>> {
    Evaluation { names, steps: Cell::new(0) }.enum_members(class, 0)
}

fn negate(value: Constant) -> Constant {
    match value.json() {
        Some(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => {
                number.checked_neg().map_or(Constant::Unknown, |number| Constant::Json(json!(number)))
            }
            (None, Some(number)) => Constant::Json(json!(-number)),
            _ => Constant::Unknown,
        },
        _ => Constant::Unknown,
    }
}

/// Sums of texts and the arithmetic of whole numbers, which is how limits are written (`60 * 60`).
fn arithmetic(sign: &str, left: Constant, right: Constant) -> Constant {
    let (Some(left), Some(right)) = (left.json(), right.json()) else { return Constant::Unknown };
    if let (Value::String(left), Value::String(right), "+") = (&left, &right, sign) {
        return if left.len() + right.len() <= TEXT {
            Constant::Json(json!(format!("{left}{right}")))
        } else {
            Constant::Unknown
        };
    }
    if let (Some(left), Some(right)) = (left.as_i64(), right.as_i64()) {
        let result = match sign {
            "+" => left.checked_add(right),
            "-" => left.checked_sub(right),
            "*" => left.checked_mul(right),
            "**" => u32::try_from(right).ok().and_then(|right| left.checked_pow(right)),
            "//" => left.checked_div_euclid(right).filter(|_| right > 0),
            "<<" => u32::try_from(right)
                .ok()
                .filter(|right| *right < 63)
                .and_then(|right| left.checked_mul(1 << right)),
            _ => None,
        };
        return result.map_or(Constant::Unknown, |result| Constant::Json(json!(result)));
    }
    if let (Some(left), Some(right)) = (left.as_f64(), right.as_f64()) {
        let result = match sign {
            "+" => left + right,
            "-" => left - right,
            "*" => left * right,
            "/" => left / right,
            _ => return Constant::Unknown,
        };
        return serde_json::Number::from_f64(result)
            .map_or(Constant::Unknown, |n| Constant::Json(Value::Number(n)));
    }
    Constant::Unknown
}
