//! Classes of the file as schemas: pydantic models, dataclasses, typed dictionaries, enums.

use serde_json::{Map, Value, json};

use super::annotation::enumeration;
use super::field::Declared;
use super::{DEFS, Mode, Property, Schemas, object};
use crate::source::{
    Argument, Class, Constant, Expr, Names, Stmt, clean_doc, enum_members, evaluate, title_of,
};

/// What a class is to pydantic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClassKind {
    Model,
    RootModel,
    Dataclass,
    TypedDict,
    Enum,
    /// A class that pydantic has no schema for.
    Plain,
    /// It has bases that are not read.
    Unknown,
}

/// What a class is, by its decorators and bases.
pub(crate) fn class_kind(class: &Class, names: &Names<'_>) -> ClassKind {
    kind_within(class, names, 0)
}

fn kind_within(class: &Class, names: &Names<'_>, depth: usize) -> ClassKind {
    let decorated = class.decorators.iter().any(|decorator| {
        let called = decorator.value.as_call().map_or(&decorator.value, |call| &call.func);
        names.path(called).is_some_and(|path| {
            matches!(path.as_str(), "dataclasses.dataclass" | "pydantic.dataclasses.dataclass")
        })
    });
    if decorated {
        return ClassKind::Dataclass;
    }
    let mut kind = ClassKind::Plain;
    for base in &class.bases {
        let base_name = match base {
            Expr::Subscript(base, _) => base,
            base => base,
        };
        if let Some(parent) =
            names.class(base_name).filter(|parent| !std::ptr::eq(*parent, class) && depth < 16)
        {
            match kind_within(parent, names, depth + 1) {
                ClassKind::Plain => {}
                found => return found,
            }
            continue;
        }
        let path = names.path(base_name).unwrap_or_default();
        match path.rsplit_once('.').unwrap_or_default() {
            ("pydantic" | "pydantic.main", "BaseModel") | ("pydantic_settings", "BaseSettings") => {
                return ClassKind::Model;
            }
            ("pydantic", "RootModel") => return ClassKind::RootModel,
            ("typing" | "typing_extensions", "TypedDict") => return ClassKind::TypedDict,
            ("enum", "Enum" | "IntEnum" | "StrEnum" | "Flag" | "IntFlag") => return ClassKind::Enum,
            ("builtins", "str" | "int" | "float" | "object")
            | ("typing" | "typing_extensions", "Generic" | "Protocol")
            | ("abc", "ABC") => {}
            _ => kind = ClassKind::Unknown,
        }
    }
    kind
}

/// A field as a class declares it.
#[derive(Debug)]
struct Member<'a> {
    name: &'a str,
    annotation: &'a Expr,
    default: Option<&'a Expr>,
    /// Of a typed dictionary: whether its own class is total.
    total: bool,
}

impl<'a> Schemas<'a, '_> {
    /// A reference to a class, whose schema goes into the definitions.
    pub(crate) fn class(&mut self, class: &'a Class) -> Value {
        let kind = class_kind(class, self.names);
        match kind {
            ClassKind::Plain | ClassKind::Unknown => {
                self.doubt(format!("the class `{}` is none that pydantic knows by itself", class.name));
                return json!({});
            }
            _ if is_generic(class, self.names) => {
                self.doubt(format!("the generic class `{}` is not read", class.name));
                return json!({});
            }
            _ => {}
        }
        if !self.defs.contains_key(&class.name) {
            // A placeholder ends the recursion of a class that names itself.
            self.defs.insert(class.name.clone(), Value::Null);
            self.inside.push(class);
            let schema = match kind {
                ClassKind::Enum => self.enumeration(class),
                ClassKind::RootModel => self.root_model(class),
                kind => self.record(class, kind),
            };
            self.inside.pop();
            self.defs.insert(class.name.clone(), schema);
        }
        json!({"$ref": format!("{DEFS}{}", class.name)})
    }

    fn enumeration(&mut self, class: &Class) -> Value {
        let members = enum_members(class, self.names).flatten();
        let Some(members) = members.filter(|members| !members.is_empty()) else {
            self.doubt(format!("the members of the enum `{}` are not known", class.name));
            return json!({"title": class.name});
        };
        let values: Vec<Value> = members.into_iter().map(|(_, value)| value).collect();
        let mut schema = enumeration(values.clone());
        if let Some(map) = schema.as_object_mut() {
            // An enum stays one with a single member, unlike a Literal.
            map.remove("const");
            map.insert("enum".to_owned(), Value::Array(values));
            map.insert("title".to_owned(), json!(class.name));
            if let Some(doc) = &class.doc {
                map.insert("description".to_owned(), json!(clean_doc(doc)));
            }
        }
        schema
    }

    fn root_model(&mut self, class: &'a Class) -> Value {
        let inner = class.bases.iter().find_map(|base| match base {
            Expr::Subscript(_, arguments) => arguments.first(),
            _ => None,
        });
        let root = class.body.iter().find_map(|statement| match statement {
            Stmt::Assign { target: Expr::Name(name), annotation: Some(annotation), .. } if name == "root" => {
                Some(annotation)
            }
            _ => None,
        });
        let Some(inner) = root.or(inner) else {
            self.doubt(format!("the root of `{}` is not known", class.name));
            return json!({"title": class.name});
        };
        let mut schema = self.of(inner);
        if let Some(map) = schema.as_object_mut() {
            map.insert("title".to_owned(), json!(class.name));
            if let Some(doc) = &class.doc {
                map.insert("description".to_owned(), json!(clean_doc(doc)));
            }
        }
        schema
    }

    fn record(&mut self, class: &'a Class, kind: ClassKind) -> Value {
        let config = self.config(class);
        let mut members = Vec::new();
        self.members(class, kind, &mut members, 0);
        let mut properties: Vec<Property> =
            members.iter().map(|member| self.member(member, kind, &config)).collect();
        if kind == ClassKind::Model && self.mode != Mode::Validation {
            properties.extend(self.computed(class));
        }
        let title = config.get("title").and_then(Value::as_str).unwrap_or(&class.name).to_owned();
        let mut map = object(properties, Some(&title));
        if let Some(doc) = &class.doc {
            map.insert("description".to_owned(), json!(clean_doc(doc)));
        }
        match config.get("extra").and_then(Value::as_str) {
            Some("forbid") => {
                map.insert("additionalProperties".to_owned(), json!(false));
            }
            Some("allow") => {
                map.insert("additionalProperties".to_owned(), json!(true));
            }
            _ => {}
        }
        if let Some(Value::Object(extra)) = config.get("json_schema_extra") {
            map.extend(extra.clone());
        }
        Value::Object(map)
    }

    fn member(&mut self, member: &Member<'a>, kind: ClassKind, config: &Map<String, Value>) -> Property {
        let alias = match config.get("alias_generator").and_then(Value::as_str) {
            Some("to_camel") => Some(camel(member.name)),
            _ => None,
        };
        let default = match (kind, member.default) {
            (ClassKind::Dataclass, Some(value)) => self.dataclass_default(value),
            (_, default) => default.map(|value| (value.clone(), false)),
        };
        let hidden = default.as_ref().is_some_and(|(_, hidden)| *hidden);
        let mut property = self.property(Declared {
            name: member.name,
            annotation: Some(member.annotation),
            default: default.as_ref().filter(|(_, hidden)| !hidden).map(|(value, _)| value),
            alias,
            plain_describes: false,
            untyped: None,
        });
        property.required &= !hidden;
        if kind == ClassKind::TypedDict {
            property.required = self.is_required(member.annotation).unwrap_or(member.total);
        }
        property
    }

    /// The default that `field(default=…)` gives; true beside it if it does not show.
    fn dataclass_default(&self, value: &Expr) -> Option<(Expr, bool)> {
        let Some(call) =
            value.as_call().filter(|call| self.path(&call.func).as_deref() == Some("dataclasses.field"))
        else {
            return Some((value.clone(), false));
        };
        if call.keyword("default_factory").is_some() {
            return Some((Expr::None, true));
        }
        call.keyword("default").map(|value| (value.clone(), false))
    }

    /// `Required[…]` and `NotRequired[…]` decide over the class's totality.
    fn is_required(&self, annotation: &Expr) -> Option<bool> {
        match annotation {
            Expr::Str(text) => self.is_required(&crate::source::parse_expression(text)?),
            Expr::Subscript(base, arguments) => match self.path(base)?.rsplit('.').next()? {
                "Required" => Some(true),
                "NotRequired" => Some(false),
                "Annotated" | "ReadOnly" => self.is_required(arguments.first()?),
                _ => None,
            },
            _ => None,
        }
    }

    /// The fields, those of the bases first; a field that is declared again keeps its place.
    fn members(&mut self, class: &'a Class, kind: ClassKind, members: &mut Vec<Member<'a>>, depth: usize) {
        if depth > 16 {
            return;
        }
        for base in class.bases.iter().rev() {
            match self.names.class(base) {
                Some(parent) if !std::ptr::eq(parent, class) => {
                    self.members(parent, kind, members, depth + 1)
                }
                Some(_) => {}
                None if class_kind(class, self.names) == kind => {}
                None => self.doubt(format!("a base of `{}` is not read", class.name)),
            }
        }
        let total =
            !class.keywords.iter().any(|(name, value)| name == "total" && *value == Expr::Bool(false));
        for statement in &class.body {
            let Stmt::Assign { target: Expr::Name(name), annotation: Some(annotation), value, .. } =
                statement
            else {
                continue;
            };
            let is_class_variable = match annotation {
                Expr::Subscript(base, _) => self.path(base).is_some_and(|path| path.ends_with(".ClassVar")),
                other => self.path(other).is_some_and(|path| path.ends_with(".ClassVar")),
            };
            if is_class_variable
                || name == "model_config"
                || (name.starts_with('_') && kind != ClassKind::TypedDict)
            {
                continue;
            }
            let member = Member { name, annotation, default: value.as_ref(), total };
            match members.iter_mut().find(|known| known.name == name) {
                Some(known) => *known = member,
                None => members.push(member),
            }
        }
    }

    /// The parts of `model_config` (or `class Config`) that show in a schema.
    fn config(&mut self, class: &'a Class) -> Map<String, Value> {
        let mut config = Map::new();
        for base in &class.bases {
            if let Some(parent) =
                self.names.class(base).filter(|parent| !std::ptr::eq(*parent, class) && self.depth < 32)
            {
                self.depth += 1;
                let mut inherited = self.config(parent);
                self.depth -= 1;
                inherited.remove("title");
                inherited.remove("json_schema_extra");
                config.extend(inherited);
            }
        }
        let mut pairs: Vec<(String, &Expr)> =
            class.keywords.iter().map(|(name, value)| (name.clone(), value)).collect();
        for statement in &class.body {
            match statement {
                Stmt::Assign { target: Expr::Name(name), value: Some(value), .. }
                    if name == "model_config" =>
                {
                    match value {
                        Expr::Call(call) => {
                            for argument in &call.args {
                                if let Argument::Keyword(name, value) = argument {
                                    pairs.push((name.clone(), value));
                                }
                            }
                        }
                        Expr::Dict(items) => {
                            for (key, value) in items {
                                if let Expr::Str(key) = key {
                                    pairs.push((key.clone(), value));
                                }
                            }
                        }
                        _ => self.doubt(format!("the configuration of `{}` is not read", class.name)),
                    }
                }
                Stmt::Class(inner) if inner.name == "Config" => {
                    for statement in &inner.body {
                        if let Stmt::Assign { target: Expr::Name(name), value: Some(value), .. } = statement {
                            pairs.push((name.clone(), value));
                        }
                    }
                }
                _ => {}
            }
        }
        for (name, value) in pairs {
            match name.as_str() {
                "title" | "extra" | "json_schema_extra" => match evaluate(value, self.names) {
                    Constant::Json(value) => {
                        config.insert(name, value);
                    }
                    _ => self.doubt(format!("`{name}` of `{}` is not known", class.name)),
                },
                "alias_generator" => match self.path(value) {
                    Some(path) if path.ends_with(".to_camel") => {
                        config.insert(name, json!("to_camel"));
                    }
                    _ => self
                        .doubt(format!("the names of the fields of `{}` are made by a function", class.name)),
                },
                "use_attribute_docstrings" | "field_title_generator" | "model_title_generator" => {
                    self.doubt(format!("`{name}` of `{}` is not read", class.name));
                }
                _ => {}
            }
        }
        config
    }

    /// The computed fields, which a model gives but does not take.
    fn computed(&mut self, class: &'a Class) -> Vec<Property> {
        let mut properties = Vec::new();
        for statement in &class.body {
            let Stmt::Function(function) = statement else { continue };
            let computed = function.decorators.iter().any(|decorator| {
                let called = decorator.value.as_call().map_or(&decorator.value, |call| &call.func);
                self.path(called).as_deref() == Some("pydantic.computed_field")
            });
            let Some(returns) = function.returns.as_ref().filter(|_| computed) else { continue };
            let mut schema = self.of(returns);
            let titled = self.takes_title(returns);
            if let Some(map) = schema.as_object_mut() {
                map.insert("readOnly".to_owned(), json!(true));
                if titled {
                    map.insert("title".to_owned(), json!(title_of(&function.name)));
                }
                if let Some(doc) = &function.doc {
                    map.insert("description".to_owned(), json!(clean_doc(doc)));
                }
            }
            properties.push(Property { key: function.name.clone(), schema, required: true });
        }
        properties
    }

    /// A model that mcp makes of an annotated class: its fields and nothing else.
    pub(crate) fn copied_class(&mut self, class: &'a Class, kind: ClassKind) -> Value {
        let mut members = Vec::new();
        self.members(class, kind, &mut members, 0);
        let properties = members
            .iter()
            .map(|member| {
                let default = match kind {
                    // A key that may be missing gets `None` for a default.
                    ClassKind::TypedDict if !self.is_required(member.annotation).unwrap_or(member.total) => {
                        Some(Expr::None)
                    }
                    ClassKind::TypedDict => None,
                    _ => member
                        .default
                        .and_then(|value| self.dataclass_default(value))
                        .filter(|(_, hidden)| !hidden)
                        .map(|(value, _)| value),
                };
                // The hints that it copies come without `Annotated` metadata.
                let bare = self.peel(member.annotation).ty;
                self.property(Declared {
                    name: member.name,
                    annotation: Some(&bare),
                    default: default.as_ref(),
                    alias: None,
                    plain_describes: false,
                    untyped: None,
                })
            })
            .collect();
        let root = Value::Object(object(properties, Some(&class.name)));
        self.finish(root)
    }

    /// Whether an annotated class has any field.
    pub(crate) fn has_members(&mut self, class: &'a Class, kind: ClassKind) -> bool {
        let mut members = Vec::new();
        self.members(class, kind, &mut members, 0);
        !members.is_empty()
    }
}

fn is_generic(class: &Class, names: &Names<'_>) -> bool {
    class.bases.iter().any(|base| match base {
        Expr::Subscript(base, _) => names.path(base).is_some_and(|path| path.ends_with(".Generic")),
        _ => false,
    })
}

/// pydantic's `to_camel`.
fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    for (index, part) in name.split('_').enumerate() {
        let mut chars = part.chars();
        match chars.next() {
            Some(first) if index > 0 => {
                camel.extend(first.to_uppercase());
                camel.push_str(chars.as_str());
            }
            _ => camel.push_str(part),
        }
    }
    camel
}
