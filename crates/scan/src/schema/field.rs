//! A field: its annotation, its default and what `Field(…)` says about it.

use serde_json::{Map, Value, json};

use super::Schemas;
use crate::source::{Argument, Call, Constant, Expr, evaluate, title_of};

/// A property of an object schema.
#[derive(Debug)]
pub(crate) struct Property {
    /// Its key: the alias, if it has one.
    pub(crate) key: String,
    pub(crate) schema: Value,
    pub(crate) required: bool,
}

/// What a default is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Default {
    /// There is none: the field is required.
    Absent,
    /// There is one, and it shows in the schema.
    Shown(Value),
    /// There is one that does not show: a factory, or no JSON.
    Hidden,
}

/// What metadata says of a field or a type: the readable part of pydantic's `FieldInfo`.
#[derive(Debug, Clone)]
pub(crate) struct FieldInfo {
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) examples: Option<Value>,
    pub(crate) extra: Map<String, Value>,
    pub(crate) deprecated: bool,
    pub(crate) alias: Option<String>,
    pub(crate) serialization_alias: Option<String>,
    pub(crate) default: Option<Default>,
    pub(crate) discriminator: Option<String>,
    /// pydantic's names of constraints, with their values.
    constraints: Vec<(&'static str, Value)>,
    /// Constraints that come after a function of the author: pydantic cannot tell what they stand on.
    late: Vec<(&'static str, Value)>,
    after_function: bool,
    /// A plain string that stands alone: a description to fastmcp, nothing to the others.
    pub(crate) plain: Option<String>,
}

const CONSTRAINTS: [&str; 8] = ["gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern"];
/// Arguments of `Field` that leave the schema as it is.
const SILENT: [&str; 16] = [
    "default",
    "default_factory",
    "strict",
    "frozen",
    "repr",
    "exclude",
    "init",
    "init_var",
    "kw_only",
    "alias_priority",
    "allow_inf_nan",
    "max_digits",
    "decimal_places",
    "validate_default",
    "coerce_numbers_to_str",
    "union_mode",
];
/// Metadata that changes values, not schemas.
const SILENT_METADATA: [&str; 8] = [
    "AfterValidator",
    "BeforeValidator",
    "SkipValidation",
    "Strict",
    "AllowInfNan",
    "FailFast",
    "Depends",
    "PlainSerializer",
];

impl FieldInfo {
    fn empty() -> Self {
        Self {
            title: None,
            description: None,
            examples: None,
            extra: Map::new(),
            deprecated: false,
            alias: None,
            serialization_alias: None,
            default: None,
            discriminator: None,
            constraints: Vec::new(),
            late: Vec::new(),
            after_function: false,
            plain: None,
        }
    }

    /// Reads the metadata of an `Annotated`, the later over the earlier.
    pub(crate) fn read(schemas: &mut Schemas<'_, '_>, metadata: &[Expr]) -> Self {
        let mut info = Self::empty();
        for item in metadata {
            match item {
                Expr::Str(text) if metadata.len() == 1 => info.plain = Some(text.clone()),
                Expr::Call(call) => info.read_call(schemas, call),
                Expr::Name(_) | Expr::Attribute(..) => {
                    // A constant that holds a `Field(…)`, or a marker class.
                    let bound = item.dotted().and_then(|name| match schemas.names().get(&name) {
                        Some(crate::source::Binding::Value(Expr::Call(call))) => Some(call),
                        _ => None,
                    });
                    match bound {
                        Some(call) => info.read_call(schemas, call),
                        None => schemas.doubt("metadata in `Annotated` that is not read".to_owned()),
                    }
                }
                _ => {}
            }
        }
        info
    }

    fn read_call(&mut self, schemas: &mut Schemas<'_, '_>, call: &Call) {
        let path = schemas.path(&call.func).unwrap_or_default();
        let (module, name) = path.rsplit_once('.').unwrap_or(("", &path));
        match name {
            "Field" | "conint" | "constr" | "confloat" | "conlist" | "StringConstraints" | "Interval"
            | "Len" | "MinLen" | "MaxLen" | "Ge" | "Gt" | "Le" | "Lt" | "MultipleOf"
                if module.starts_with("pydantic") || module == "annotated_types" =>
            {
                self.read_arguments(schemas, call, name);
            }
            "WithJsonSchema" => schemas.doubt("a schema given by `WithJsonSchema` is not read".to_owned()),
            _ if SILENT_METADATA.contains(&name) => self.after_function |= name.ends_with("Validator"),
            _ => schemas
                .doubt(format!("the metadata `{}` is not read", call.func.dotted().unwrap_or_default())),
        }
    }

    fn read_arguments(&mut self, schemas: &mut Schemas<'_, '_>, call: &Call, name: &str) {
        if call.has_splat() {
            schemas.doubt("arguments of a `Field` come from elsewhere".to_owned());
        }
        // The shorthands of annotated-types take their one value by place.
        let shorthand = match name {
            "Ge" => Some("ge"),
            "Gt" => Some("gt"),
            "Le" => Some("le"),
            "Lt" => Some("lt"),
            "MultipleOf" => Some("multiple_of"),
            "MinLen" => Some("min_length"),
            "MaxLen" => Some("max_length"),
            _ => None,
        };
        for argument in &call.args {
            match (argument, shorthand) {
                (Argument::Keyword(key, value), _) => self.read_argument(schemas, key, value, call),
                (Argument::Positional(value), Some(key)) => self.read_argument(schemas, key, value, call),
                (Argument::Positional(value), None) if name == "Field" => {
                    self.default = Some(default_of(schemas, value));
                }
                _ => {}
            }
        }
    }

    fn read_argument(&mut self, schemas: &mut Schemas<'_, '_>, key: &str, value: &Expr, call: &Call) {
        match key {
            "default" => {
                self.default = Some(default_of(schemas, value));
                return;
            }
            "default_factory" => {
                self.default = Some(Default::Hidden);
                return;
            }
            key if SILENT.contains(&key) => return,
            _ => {}
        }
        let Constant::Json(json) = evaluate(value, schemas.names()) else {
            match key {
                "strip_whitespace" | "to_lower" | "to_upper" | "ascii_only" => {}
                _ => schemas.doubt(format!("`{key}` of a field is not known (line {})", call.line)),
            }
            return;
        };
        let text = json.as_str().map(str::to_owned);
        match key {
            "title" => self.title = text,
            "description" => self.description = text.map(|text| crate::source::clean_doc(&text)),
            "examples" => self.examples = Some(json),
            "deprecated" => self.deprecated = json.as_bool() == Some(true) || text.is_some(),
            "alias" => {
                self.serialization_alias = self.serialization_alias.take().or_else(|| text.clone());
                self.alias = text;
            }
            "validation_alias" => self.alias = text,
            "serialization_alias" => self.serialization_alias = text,
            "discriminator" => self.discriminator = text,
            "json_schema_extra" => match json {
                Value::Object(map) => self.extra = map,
                _ => schemas.doubt("a `json_schema_extra` is not read".to_owned()),
            },
            "regex" => self.constraints.push(("pattern", json)),
            "min_items" => self.constraints.push(("min_length", json)),
            "max_items" => self.constraints.push(("max_length", json)),
            "strip_whitespace" | "to_lower" | "to_upper" | "ascii_only" => {}
            key => match CONSTRAINTS.iter().find(|known| **known == key) {
                Some(key) => {
                    self.constraints.retain(|(known, _)| known != key);
                    if !json.is_null() {
                        let list = if self.after_function { &mut self.late } else { &mut self.constraints };
                        list.push((key, json));
                    }
                }
                // pydantic takes unknown keywords as extra members of the schema.
                None => {
                    self.extra.insert(key.to_owned(), json);
                }
            },
        }
    }

    /// Puts another's word over this one's.
    fn merge(&mut self, over: Self) {
        self.title = over.title.or(self.title.take());
        self.description = over.description.or(self.description.take());
        self.examples = over.examples.or(self.examples.take());
        self.extra.extend(over.extra);
        self.deprecated |= over.deprecated;
        self.alias = over.alias.or(self.alias.take());
        self.serialization_alias = over.serialization_alias.or(self.serialization_alias.take());
        self.default = over.default.or(self.default.take());
        self.discriminator = over.discriminator.or(self.discriminator.take());
        self.late.extend(over.late);
        for (key, value) in over.constraints {
            self.constraints.retain(|(known, _)| *known != key);
            self.constraints.push((key, value));
        }
    }

    /// Writes constraints into the schema of the type that they stand on.
    pub(crate) fn constrain(&self, schema: &mut Value) {
        self.constrain_plainly(schema);
        for (key, value) in &self.late {
            let Some(map) = schema.as_object_mut() else { return };
            let name = match *key {
                "min_length" => "minLength",
                "max_length" => "maxLength",
                key => key,
            };
            map.insert(name.to_owned(), value.clone());
        }
    }

    fn constrain_plainly(&self, schema: &mut Value) {
        for (key, value) in &self.constraints {
            let Some(map) = schema.as_object_mut() else { return };
            let kind = map.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
            let plain = !map.contains_key("format") || map.get("format") == Some(&json!("binary"));
            let name = match (*key, kind.as_str()) {
                ("ge", "integer" | "number") => "minimum",
                ("gt", "integer" | "number") => "exclusiveMinimum",
                ("le", "integer" | "number") => "maximum",
                ("lt", "integer" | "number") => "exclusiveMaximum",
                ("multiple_of", "integer" | "number") => "multipleOf",
                ("min_length", "array") => "minItems",
                ("max_length", "array") => "maxItems",
                ("min_length", "object") => "minProperties",
                ("max_length", "object") => "maxProperties",
                ("min_length", _) => "minLength",
                ("max_length", _) => "maxLength",
                // Dates and their like check bounds without showing them.
                (_, "string") if !plain => continue,
                (key, _) => {
                    // A decimal shows its bounds on the number among its two forms.
                    if let Some(number) = map
                        .get_mut("anyOf")
                        .and_then(Value::as_array_mut)
                        .filter(|forms| forms.last() == Some(&json!({"type": "string"})))
                        .and_then(|forms| forms.first_mut())
                        .filter(|form| form.get("type") == Some(&json!("number")))
                    {
                        let only = Self { constraints: vec![(key, value.clone())], ..Self::empty() };
                        only.constrain(number);
                        continue;
                    }
                    key
                }
            };
            map.insert(name.to_owned(), value.clone());
        }
    }

    /// Writes what describes, beside the schema of the type.
    pub(crate) fn describe(&self, schema: &mut Value) {
        let Some(map) = schema.as_object_mut() else { return };
        if let Some(title) = &self.title {
            map.insert("title".to_owned(), json!(title));
        }
        if let Some(description) = &self.description {
            map.insert("description".to_owned(), json!(description));
        }
        if let Some(examples) = &self.examples {
            map.insert("examples".to_owned(), examples.clone());
        }
        if self.deprecated {
            map.insert("deprecated".to_owned(), json!(true));
        }
        for (key, value) in &self.extra {
            map.insert(key.clone(), value.clone());
        }
    }
}

/// The default that an expression gives.
pub(crate) fn default_of(schemas: &mut Schemas<'_, '_>, value: &Expr) -> Default {
    if *value == Expr::Ellipsis {
        return Default::Absent;
    }
    // `Path("x")` shows as its text.
    if let Expr::Call(call) = value
        && schemas.path(&call.func).is_some_and(|path| path.starts_with("pathlib."))
        && let (Some(Expr::Str(text)), 1) = (call.positional(0), call.args.len())
    {
        return Default::Shown(json!(text));
    }
    match evaluate(value, schemas.names()) {
        Constant::Json(json) => Default::Shown(json),
        Constant::NotJson => Default::Hidden,
        Constant::Unknown => {
            schemas.doubt("a default is worked out when the script runs".to_owned());
            Default::Hidden
        }
    }
}

/// How a field is declared.
#[derive(Debug)]
pub(crate) struct Declared<'e> {
    pub(crate) name: &'e str,
    /// `None` where the source gives no type.
    pub(crate) annotation: Option<&'e Expr>,
    pub(crate) default: Option<&'e Expr>,
    /// The alias that a model's configuration makes of the name.
    pub(crate) alias: Option<String>,
    /// Whether a plain string in `Annotated` is the description, as in fastmcp.
    pub(crate) plain_describes: bool,
    /// The schema of a field without a type.
    pub(crate) untyped: Option<Value>,
}

impl Schemas<'_, '_> {
    /// A field of a model, or a parameter: pydantic treats them alike.
    pub(crate) fn property(&mut self, declared: Declared<'_>) -> Property {
        let any = Expr::Name("object".to_owned());
        let annotation = declared.annotation.unwrap_or(&any);
        let peeled = self.peel(annotation);
        let mut info = FieldInfo::read(self, &peeled.metadata);
        let mut default = None;
        match declared.default {
            Some(Expr::Call(call))
                if self
                    .path(&call.func)
                    .is_some_and(|path| path == "pydantic.Field" || path == "pydantic.fields.Field") =>
            {
                let mut over = FieldInfo::empty();
                over.read_call(self, call);
                info.merge(over);
            }
            Some(value) => default = Some(default_of(self, value)),
            None => {}
        }
        let default = default.or(info.default.clone()).unwrap_or(Default::Absent);
        let mut schema = match (&declared.untyped, declared.annotation) {
            (Some(untyped), None) => untyped.clone(),
            _ => self.bare(&peeled.ty, &info),
        };
        if declared.plain_describes && info.description.is_none() {
            info.description = info.plain.take();
        }
        info.describe(&mut schema);
        let alias = match self.mode {
            super::Mode::Serialization { by_alias: false } => None,
            super::Mode::Serialization { by_alias: true } => {
                info.serialization_alias.clone().or(declared.alias)
            }
            super::Mode::Validation => info.alias.clone().or(declared.alias),
        };
        let key = alias.unwrap_or_else(|| declared.name.to_owned());
        let titled = declared.annotation.is_none() || self.takes_title(&peeled.ty);
        if let Some(map) = schema.as_object_mut() {
            if let Default::Shown(value) = &default {
                map.insert("default".to_owned(), value.clone());
            }
            if titled && !map.contains_key("title") {
                map.insert("title".to_owned(), json!(title_of(&key)));
            }
        }
        Property { key, schema, required: default == Default::Absent }
    }
}
