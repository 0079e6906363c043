//! What a tool wants, read out of its schema.

use serde_json::Value;

use crate::search::words::{identifier_words, is_filler, stem, text_stems};

/// The parameters of one tool, in their order.
#[derive(Debug)]
pub(crate) struct Parameters {
    pub(crate) list: Vec<Parameter>,
}

/// One parameter.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    /// The words of its name.
    pub(crate) words: Vec<String>,
    /// Their stems, filler left out.
    pub(crate) stems: Vec<String>,
    /// The stems of its title and description.
    pub(crate) described: Vec<String>,
    pub(crate) kind: Kind,
    pub(crate) role: Role,
    pub(crate) direction: Option<Direction>,
    pub(crate) is_required: bool,
    pub(crate) format: Option<String>,
    /// Its description, in lower case.
    pub(crate) description: String,
}

/// The type of a value, as far as extraction tells types apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    Choice(Vec<Value>),
    List(Box<Kind>),
    Other,
}

/// What a parameter is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Url,
    Email,
    Path,
    When,
    Duration,
    Expression,
    Unit,
    Currency,
    Language,
    Place,
    Sql,
    Color,
    Person,
    /// A short name of the thing in question.
    Name,
    /// A longer text that the caller writes.
    Body,
    /// What is asked, searched, played or remembered.
    Query,
    /// What something is about: a subject or topic.
    Topic,
    Plain,
}

/// Which end of a way or conversion a parameter names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    From,
    To,
}

impl Parameters {
    pub(crate) fn of(schema: &Value) -> Self {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array);
        let is_required =
            |name: &str| required.is_some_and(|names| names.iter().any(|n| n.as_str() == Some(name)));
        let list = properties
            .into_iter()
            .flatten()
            .map(|(name, property)| Parameter::of(name, property, schema, is_required(name)))
            .collect();
        Self { list }
    }

    pub(crate) fn required(&self) -> impl Iterator<Item = &Parameter> {
        self.list.iter().filter(|parameter| parameter.is_required)
    }
}

impl Parameter {
    fn of(name: &str, property: &Value, root: &Value, is_required: bool) -> Self {
        let schema = resolved(property, root, 0);
        let text = |member: &str| {
            let own = property.get(member).or_else(|| schema.get(member));
            own.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let words = identifier_words(name);
        let description = text("description");
        let mut described = text_stems(&text("title"));
        described.extend(text_stems(&description));
        let kind = kind_of(schema, root, 0);
        let format = schema.get("format").and_then(Value::as_str).map(str::to_owned);
        let description = description.to_lowercase();
        Self {
            role: role_of(&words, format.as_deref(), &description, &kind),
            direction: direction_of(&words),
            stems: words.iter().filter(|word| !is_filler(word)).map(|word| stem(word)).collect(),
            name: name.to_owned(),
            words,
            described,
            kind,
            is_required,
            format,
            description,
        }
    }

    pub(crate) fn has_word(&self, any_of: &[&str]) -> bool {
        self.words.iter().any(|word| any_of.contains(&word.as_str()))
    }

    /// Whether it takes a text, also as the item of a list.
    pub(crate) fn takes_text(&self) -> bool {
        match &self.kind {
            Kind::Text => true,
            Kind::List(item) => **item == Kind::Text,
            _ => false,
        }
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.kind, Kind::List(_))
    }

    /// Whether it takes a number, also as the item of a list.
    pub(crate) fn takes_number(&self) -> bool {
        let is_number = |kind: &Kind| matches!(kind, Kind::Integer | Kind::Number);
        match &self.kind {
            Kind::List(item) => is_number(item),
            kind => is_number(kind),
        }
    }
}

/// The schema behind references and behind "or null". Bounded, since a reference may point at itself.
fn resolved<'a>(schema: &'a Value, root: &'a Value, depth: usize) -> &'a Value {
    if depth > 8 {
        return schema;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|r| local(r, root)) {
        return resolved(target, root, depth + 1);
    }
    for member in ["anyOf", "oneOf", "allOf"] {
        let options = schema.get(member).and_then(Value::as_array);
        let first = options
            .into_iter()
            .flatten()
            .find(|option| option.get("type").and_then(Value::as_str) != Some("null"));
        if let (Some(first), None) = (first, schema.get("type")) {
            return resolved(first, root, depth + 1);
        }
    }
    schema
}

/// The target of a reference within the same document.
pub(crate) fn local<'a>(reference: &str, root: &'a Value) -> Option<&'a Value> {
    root.pointer(reference.strip_prefix('#')?)
}

fn kind_of(schema: &Value, root: &Value, depth: usize) -> Kind {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return Kind::Choice(values.clone());
    }
    if let Some(value) = schema.get("const") {
        return Kind::Choice(vec![value.clone()]);
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).filter(|t| *t != "null").collect(),
        _ => Vec::new(),
    };
    match types.first().copied() {
        Some("string") => Kind::Text,
        Some("integer") => Kind::Integer,
        Some("number") => Kind::Number,
        Some("boolean") => Kind::Boolean,
        Some("array") if depth < 3 => {
            let item = schema
                .get("items")
                .map_or(Kind::Text, |item| kind_of(resolved(item, root, 0), root, depth + 1));
            Kind::List(Box::new(item))
        }
        _ => Kind::Other,
    }
}

fn direction_of(words: &[String]) -> Option<Direction> {
    words.iter().find_map(|word| match word.as_str() {
        "from" | "source" | "src" | "origin" | "start" | "departure" | "base" | "since" | "old" => {
            Some(Direction::From)
        }
        "to" | "target" | "dst" | "dest" | "destination" | "into" | "end" | "arrival" | "until" | "new" => {
            Some(Direction::To)
        }
        _ => None,
    })
}

/// Which words of a name make which role. The last word of a name says most, so it is asked first.
const ROLES: &[(Role, &str)] = &[
    (Role::Url, "url urls uri link links website webpage href page_url site"),
    (Role::Email, "email emails mail recipient recipients cc bcc attendee attendees"),
    (Role::Path, "path paths file files filename filepath folder directory dir dirname"),
    (Role::Expression, "expression expr formula equation calculation"),
    (Role::Sql, "sql statement"),
    (Role::When, "date datetime day when deadline due timestamp time at"),
    (Role::Duration, "duration timeout delay interval"),
    (Role::Unit, "unit units"),
    (Role::Currency, "currency currencies"),
    (Role::Language, "language lang locale languages"),
    (
        Role::Place,
        "city location place address country town region where destination origin station airport state timezone room zone",
    ),
    (Role::Color, "color colour"),
    (Role::Person, "person user username contact artist author assignee owner member player singer"),
    (Role::Topic, "topic subject theme"),
    (Role::Query, "query q search term terms keyword keywords question phrase prompt input text words word"),
    (Role::Body, "body message content contents comment note notes description details markdown html reason"),
    (
        Role::Name,
        "name title label heading song track album movie playlist project branch channel symbol ticker",
    ),
];

fn role_of(words: &[String], format: Option<&str>, description: &str, kind: &Kind) -> Role {
    match format {
        Some("uri" | "url" | "iri" | "uri-reference") => return Role::Url,
        Some("email" | "idn-email") => return Role::Email,
        Some("date" | "date-time" | "time") => return Role::When,
        Some("duration") => return Role::Duration,
        Some("path" | "file-path" | "directory-path") => return Role::Path,
        _ => {}
    }
    if matches!(kind, Kind::List(item) if **item == Kind::Other) {
        return Role::Plain;
    }
    let named = words.iter().rev().find_map(|word| {
        ROLES
            .iter()
            .find(|(_, names)| names.split_whitespace().any(|name| name == word))
            .map(|(role, _)| *role)
    });
    let says = |text: &str| description.contains(text);
    match named {
        Some(Role::Query | Role::Sql) if says("sql") => Role::Sql,
        Some(Role::Name) if says("person") || says("contact") => Role::Person,
        Some(role) => role,
        None if says("e-mail address") || says("email address") => Role::Email,
        None if says("url") => Role::Url,
        None if says("sql ") => Role::Sql,
        None if says("currency") => Role::Currency,
        None if says("city") || says("location") => Role::Place,
        None => Role::Plain,
    }
}
