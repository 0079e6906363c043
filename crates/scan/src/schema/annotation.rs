//! One annotation to one schema.

use serde_json::{Map, Value, json};

use super::field::FieldInfo;
use super::known::{Known, known, simple};
use super::{DEFS, Schemas};
use crate::source::{Argument, Binding, Constant, Expr, MAX_DEPTH, evaluate, parse_expression};

/// An annotation with aliases followed, quotes opened and `Annotated` taken apart.
#[derive(Debug)]
pub(crate) struct Peeled {
    pub(crate) ty: Expr,
    /// The metadata, the innermost first, as pydantic applies it.
    pub(crate) metadata: Vec<Expr>,
}

impl Schemas<'_, '_> {
    /// The path of a type's name.
    pub(crate) fn path(&self, expr: &Expr) -> Option<String> {
        self.names.path(expr)
    }

    pub(crate) fn known(&self, expr: &Expr) -> Option<Known> {
        known(&self.path(expr)?)
    }

    /// Follows aliases, opens quotes and takes `Annotated` apart, at the top only.
    pub(crate) fn peel(&self, expr: &Expr) -> Peeled {
        let mut ty = expr.clone();
        let mut metadata = Vec::new();
        for _ in 0..MAX_DEPTH {
            let next = match &ty {
                Expr::Str(text) => parse_expression(text),
                Expr::Name(name) => match self.names.get(name) {
                    Some(Binding::Value(value)) if is_type_expression(value) => Some(value.clone()),
                    Some(Binding::Value(Expr::Call(call))) => self.made_by_call(call),
                    _ => None,
                },
                Expr::Subscript(base, arguments) => match (self.known(base), &arguments[..]) {
                    (Some(Known::Annotated), [inner, more @ ..]) => {
                        let mut outer = more.to_vec();
                        outer.append(&mut metadata);
                        metadata = outer;
                        Some(inner.clone())
                    }
                    (Some(Known::Wrapper), [inner]) => Some(inner.clone()),
                    _ => None,
                },
                _ => None,
            };
            match next {
                Some(next) if next != ty => ty = next,
                _ => break,
            }
        }
        Peeled { ty, metadata }
    }

    /// `NewType("UserId", int)` is `int`.
    fn made_by_call(&self, call: &crate::source::Call) -> Option<Expr> {
        match self.path(&call.func)?.as_str() {
            "typing.NewType" | "typing_extensions.NewType" => call.positional(1).cloned(),
            _ => None,
        }
    }

    /// The schema of an annotation, with its own metadata.
    pub(crate) fn of(&mut self, expr: &Expr) -> Value {
        let peeled = self.peel(expr);
        let info = FieldInfo::read(self, &peeled.metadata);
        let mut schema = self.bare(&peeled.ty, &info);
        info.describe(&mut schema);
        schema
    }

    /// The schema of a peeled type under the constraints of its metadata.
    pub(crate) fn bare(&mut self, ty: &Expr, info: &FieldInfo) -> Value {
        if self.depth > MAX_DEPTH / 2 || !self.may_step() {
            self.doubt("a type is too deep or too large to be read".to_owned());
            return json!({});
        }
        self.depth += 1;
        let schema = self.unbounded(ty, info);
        self.depth -= 1;
        schema
    }

    fn unbounded(&mut self, ty: &Expr, info: &FieldInfo) -> Value {
        let mut schema = match ty {
            Expr::None => json!({"type": "null"}),
            Expr::Binary("|", ..) => return self.union(ty, info),
            Expr::Subscript(base, arguments) => match self.known(base) {
                Some(Known::Optional | Known::Union) => return self.union(ty, info),
                Some(known) => self.generic(known, arguments),
                None => self.unknown(ty),
            },
            Expr::Name(_) | Expr::Attribute(..) => self.named(ty),
            Expr::Call(call) => self.constrained_call(call),
            _ => self.unknown(ty),
        };
        info.constrain(&mut schema);
        schema
    }

    fn named(&mut self, ty: &Expr) -> Value {
        if let Some(class) = self.class_named(ty) {
            return self.class(class);
        }
        let Some(path) = self.path(ty) else { return self.unknown(ty) };
        match known(&path) {
            Some(Known::List) => json!({"items": {}, "type": "array"}),
            Some(Known::Set) => json!({"items": {}, "type": "array", "uniqueItems": true}),
            Some(Known::Tuple) => json!({"items": {}, "type": "array"}),
            Some(Known::Dict) => json!({"additionalProperties": true, "type": "object"}),
            Some(Known::Type) => json!({}),
            Some(Known::Simple) => simple(&path, self.mode).unwrap_or_default(),
            _ => self.unknown(ty),
        }
    }

    pub(crate) fn unknown(&mut self, ty: &Expr) -> Value {
        let reason = match ty.dotted() {
            Some(name) => match self.path(ty) {
                Some(path) if path.starts_with("builtins.") => format!("the type `{name}` is not known here"),
                Some(path) => format!("the type `{name}` comes from `{path}`, which is not read"),
                None => format!("the type `{name}` is not known here"),
            },
            None => "a type that the source does not spell out".to_owned(),
        };
        self.doubt(reason);
        json!({})
    }

    fn generic(&mut self, known: Known, arguments: &[Expr]) -> Value {
        match known {
            Known::List => json!({"items": self.argument(arguments, 0), "type": "array"}),
            Known::Set => json!({"items": self.argument(arguments, 0), "type": "array", "uniqueItems": true}),
            Known::Tuple => self.tuple(arguments),
            Known::Dict => self.dict(arguments),
            Known::Literal => self.literal(arguments),
            Known::Type => json!({}),
            // `re.Pattern[str]` and the like: the parameter changes nothing.
            Known::Simple => json!({"format": "regex", "type": "string"}),
            Known::Optional | Known::Union | Known::Annotated | Known::Wrapper => self.unknown(&Expr::Opaque),
        }
    }

    fn argument(&mut self, arguments: &[Expr], index: usize) -> Value {
        arguments.get(index).map_or_else(|| json!({}), |argument| self.of(argument))
    }

    fn tuple(&mut self, arguments: &[Expr]) -> Value {
        match arguments {
            [item, Expr::Ellipsis] => json!({"items": self.of(item), "type": "array"}),
            [Expr::Tuple(members)] if members.is_empty() => {
                json!({"maxItems": 0, "minItems": 0, "type": "array"})
            }
            members => {
                let items: Vec<Value> = members.iter().map(|member| self.of(member)).collect();
                json!({"maxItems": items.len(), "minItems": items.len(), "prefixItems": items, "type": "array"})
            }
        }
    }

    fn dict(&mut self, arguments: &[Expr]) -> Value {
        let mut keys = self.argument(arguments, 0);
        let values = self.argument(arguments, 1);
        let mut map = Map::new();
        let pattern = keys.as_object_mut().and_then(|keys| keys.remove("pattern"));
        let open = values.as_object().is_some_and(Map::is_empty);
        match pattern {
            Some(Value::String(pattern)) => {
                map.insert("patternProperties".to_owned(), json!({pattern: values}));
            }
            _ => {
                map.insert("additionalProperties".to_owned(), if open { json!(true) } else { values });
            }
        }
        if let Some(keys) = keys.as_object_mut() {
            // Keys are texts anyway; only what narrows them is worth saying.
            let narrows =
                (keys.get("type") == Some(&json!("string")) && keys.len() > 1) || keys.contains_key("$ref");
            if narrows {
                keys.remove("type");
                map.insert("propertyNames".to_owned(), Value::Object(keys.clone()));
            }
        }
        map.insert("type".to_owned(), json!("object"));
        Value::Object(map)
    }

    fn literal(&mut self, arguments: &[Expr]) -> Value {
        let mut values: Vec<Value> = Vec::new();
        for argument in arguments {
            // A literal of literals is one list.
            let nested = match argument {
                Expr::Subscript(base, inner) if self.known(base) == Some(Known::Literal) => inner.as_slice(),
                other => std::slice::from_ref(other),
            };
            for item in nested {
                match evaluate(item, self.names) {
                    Constant::Json(value) if values.contains(&value) => {}
                    Constant::Json(value) => values.push(value),
                    _ => self.doubt("a value of a Literal is not known".to_owned()),
                }
            }
        }
        enumeration(values)
    }

    /// The members of a union, flattened as typing flattens them; true if `None` is among them.
    pub(crate) fn union_members(&self, ty: &Expr) -> (Vec<Expr>, bool) {
        let mut members = Vec::new();
        let mut nullable = false;
        self.flatten(ty, &mut members, &mut nullable, 0);
        (members, nullable)
    }

    fn flatten(&self, ty: &Expr, members: &mut Vec<Expr>, nullable: &mut bool, depth: usize) {
        let peeled = self.peel(ty);
        // Metadata inside of a union belongs to that member: it stays whole.
        let inner = if peeled.metadata.is_empty() { peeled.ty } else { ty.clone() };
        if depth > MAX_DEPTH || !self.may_step() {
            return;
        }
        match &inner {
            Expr::None => *nullable = true,
            Expr::Binary("|", left, right) => {
                self.flatten(left, members, nullable, depth + 1);
                self.flatten(right, members, nullable, depth + 1);
            }
            Expr::Subscript(base, arguments) => match self.known(base) {
                Some(Known::Optional) => {
                    arguments
                        .iter()
                        .for_each(|argument| self.flatten(argument, members, nullable, depth + 1));
                    *nullable = true;
                }
                Some(Known::Union) => {
                    arguments
                        .iter()
                        .for_each(|argument| self.flatten(argument, members, nullable, depth + 1));
                }
                _ => push_new(members, inner),
            },
            _ => push_new(members, inner),
        }
    }

    fn union(&mut self, ty: &Expr, info: &FieldInfo) -> Value {
        let (members, nullable) = self.union_members(ty);
        let inner = match &members[..] {
            [] => json!({"type": "null"}),
            [only] => {
                let peeled = self.peel(only);
                let own = FieldInfo::read(self, &peeled.metadata);
                let mut schema = self.bare(&peeled.ty, &own);
                own.describe(&mut schema);
                info.constrain(&mut schema);
                schema
            }
            members if info.discriminator.is_some() => self.tagged(members, info),
            members => {
                let mut schema = any_of(members.iter().map(|member| self.of(member)).collect());
                info.constrain(&mut schema);
                schema
            }
        };
        if nullable && inner != json!({"type": "null"}) {
            any_of(vec![inner, json!({"type": "null"})])
        } else {
            inner
        }
    }

    fn tagged(&mut self, members: &[Expr], info: &FieldInfo) -> Value {
        let property = info.discriminator.clone().unwrap_or_default();
        let schemas: Vec<Value> = members.iter().map(|member| self.of(member)).collect();
        let mut mapping = Map::new();
        for schema in &schemas {
            let reference = schema.get("$ref").and_then(Value::as_str).unwrap_or_default();
            let tag = reference
                .strip_prefix(DEFS)
                .and_then(|name| self.defs.get(name))
                .and_then(|class| class.get("properties")?.get(&property))
                .cloned();
            let values = match tag.as_ref().map(|tag| (tag.get("const"), tag.get("enum"))) {
                Some((Some(value), _)) => vec![value.clone()],
                Some((None, Some(Value::Array(values)))) => values.clone(),
                _ => {
                    self.doubt(format!("the values of the discriminator `{property}` are not known"));
                    Vec::new()
                }
            };
            for value in values {
                let key = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                mapping.insert(key, json!(reference));
            }
        }
        json!({"discriminator": {"mapping": mapping, "propertyName": property}, "oneOf": schemas})
    }

    /// `conint(ge=1)` and its like are the type under the constraints of the call.
    fn constrained_call(&mut self, call: &crate::source::Call) -> Value {
        let path = self.path(&call.func).unwrap_or_default();
        let schema = match path.as_str() {
            "pydantic.conint" => json!({"type": "integer"}),
            "pydantic.confloat" => json!({"type": "number"}),
            "pydantic.constr" => json!({"type": "string"}),
            "pydantic.conlist" => json!({"items": self.argument(&positional(call), 0), "type": "array"}),
            _ => return self.unknown(&call.func),
        };
        let info = FieldInfo::read(self, &[Expr::Call(Box::new(call.clone()))]);
        let mut schema = schema;
        info.constrain(&mut schema);
        schema
    }

    /// Whether pydantic gives a field of this type a title made of its name: not where the schema is
    /// a reference to a class, which has a title of its own.
    pub(crate) fn takes_title(&self, ty: &Expr) -> bool {
        let peeled = self.peel(ty);
        if self.class_named(&peeled.ty).is_some() {
            return false;
        }
        let (members, nullable) = match &peeled.ty {
            Expr::Binary("|", ..) => self.union_members(&peeled.ty),
            Expr::Subscript(base, _) if matches!(self.known(base), Some(Known::Optional | Known::Union)) => {
                self.union_members(&peeled.ty)
            }
            _ => return true,
        };
        match &members[..] {
            [only] if nullable => self.takes_title(only),
            _ => true,
        }
    }
}

fn positional(call: &crate::source::Call) -> Vec<Expr> {
    call.args
        .iter()
        .filter_map(|argument| match argument {
            Argument::Positional(value) => Some(value.clone()),
            _ => None,
        })
        .collect()
}

fn push_new(members: &mut Vec<Expr>, member: Expr) {
    if !members.contains(&member) {
        members.push(member);
    }
}

/// Whether a bound value may be an alias of a type.
fn is_type_expression(value: &Expr) -> bool {
    matches!(
        value,
        Expr::Name(_)
            | Expr::Attribute(..)
            | Expr::Subscript(..)
            | Expr::Binary("|", ..)
            | Expr::Str(_)
            | Expr::None
    )
}

/// `enum` or `const` with the type that all values share.
pub(crate) fn enumeration(values: Vec<Value>) -> Value {
    let kind = |value: &Value| match value {
        Value::String(_) => Some("string"),
        Value::Bool(_) => Some("boolean"),
        Value::Number(number) if number.is_f64() => Some("number"),
        Value::Number(_) => Some("integer"),
        Value::Array(_) => Some("array"),
        Value::Null => Some("null"),
        Value::Object(_) => None,
    };
    let shared =
        values.first().and_then(kind).filter(|first| values.iter().all(|value| kind(value) == Some(first)));
    let mut map = Map::new();
    match <[Value; 1]>::try_from(values) {
        Ok([only]) => map.insert("const".to_owned(), only),
        Err(values) => map.insert("enum".to_owned(), Value::Array(values)),
    };
    if let Some(shared) = shared {
        map.insert("type".to_owned(), json!(shared));
    }
    Value::Object(map)
}

/// `anyOf` with inner `anyOf`s opened and doubles gone; one member stands for itself.
fn any_of(schemas: Vec<Value>) -> Value {
    let mut members: Vec<Value> = Vec::new();
    for schema in schemas {
        let inner = match &schema {
            Value::Object(map) if map.len() == 1 => match map.get("anyOf") {
                Some(Value::Array(inner)) => inner.clone(),
                _ => vec![schema],
            },
            _ => vec![schema],
        };
        for member in inner {
            if !members.contains(&member) {
                members.push(member);
            }
        }
    }
    match <[Value; 1]>::try_from(members) {
        Ok([only]) => only,
        Err(members) => json!({"anyOf": members}),
    }
}
