//! What the independent fastmcp serves for a function, second to fourth generation.

use dormouse_types::{Json, Prompt, Resource, ResourceTemplate, Tool, ToolName};
use serde_json::{Map, Value, json};

use super::docstring;
use super::family::Sdk;
use super::mcp::{mentions_context, normal_uri};
use super::options::{Options, Reader, put, put_meta};
use super::prompt_schema::compact;
use super::register::{Subject, Target};
use crate::schema::compress::{Habit, inline, prune, with_root};
use crate::schema::{Declared, Mode, Schemas, object};
use crate::source::{Expr, Names, Param, ParamKind, clean_doc, title_of};

fn habit(sdk: Sdk) -> Habit {
    if sdk == Sdk::FastMcp2 { Habit::Two } else { Habit::Later }
}

/// The docstring as this generation takes it.
fn words(subject: &Subject<'_>, sdk: Sdk) -> docstring::Docstring {
    let doc = subject.doc().map(clean_doc).unwrap_or_default();
    if sdk == Sdk::FastMcp2 {
        docstring::Docstring { description: subject.doc().map(|_| doc), parameters: Vec::new() }
    } else {
        docstring::parse(
            &doc,
            if sdk == Sdk::FastMcp3 { docstring::Needs::Parameters } else { docstring::Needs::AnySection },
        )
    }
}

/// Parameters that fastmcp fills by itself: the context, and defaults that are dependencies.
fn is_injected(param: &Param, names: &Names<'_>) -> bool {
    let context = param.annotation.as_ref().is_some_and(|annotation| mentions_context(annotation, names, 0));
    let dependency = |expr: &Expr| {
        expr.as_call().and_then(|call| names.path(&call.func)).is_some_and(|path| {
            path.starts_with("fastmcp.") || path.starts_with("docket.") || path.starts_with("uncalled_for.")
        })
    };
    let marked = match &param.annotation {
        Some(Expr::Subscript(_, arguments)) => arguments.iter().any(dependency),
        _ => false,
    };
    context || marked || param.default.as_ref().is_some_and(dependency)
}

/// fastmcp 2 copies a function whose annotations stand in quotes, and forgets keyword-only defaults.
fn loses_defaults(subject: &Subject<'_>, names: &Names<'_>) -> bool {
    let postponed =
        names.path(&Expr::Name("annotations".to_owned())).as_deref() == Some("__future__.annotations");
    let quoted = |annotation: &Expr| match annotation {
        Expr::Str(_) => true,
        Expr::Subscript(_, arguments) => arguments.iter().any(|argument| matches!(argument, Expr::Str(_))),
        _ => false,
    };
    let params = subject.params();
    params.iter().any(|param| param.kind == ParamKind::KeywordOnly && param.default.is_some())
        && !params.iter().any(|param| is_injected(param, names))
        && (postponed
            || params
                .iter()
                .filter_map(|param| param.annotation.as_ref())
                .chain(subject.returns())
                .any(quoted))
}

/// The input schema before fastmcp reworks it.
fn raw_input<'a>(subject: &Subject<'a>, hidden: &[String], schemas: &mut Schemas<'a, '_>) -> Value {
    let mut properties = Vec::new();
    for param in subject.params() {
        if is_injected(param, schemas.names()) || hidden.contains(&param.name) {
            continue;
        }
        if matches!(param.kind, ParamKind::Args | ParamKind::Kwargs) {
            schemas.doubt(format!("fastmcp refuses functions with `{}`", param.name));
            continue;
        }
        let mut property = schemas.property(Declared {
            name: &param.name,
            annotation: param.annotation.as_ref(),
            default: param.default.as_ref(),
            alias: None,
            plain_describes: true,
            untyped: Some(json!({})),
        });
        // Of a function's arguments pydantic titles references too.
        if let Some(map) = property.schema.as_object_mut()
            && !map.contains_key("title")
        {
            map.insert("title".to_owned(), json!(title_of(&property.key)));
        }
        properties.push(property);
    }
    let mut root = object(properties, None);
    root.insert("additionalProperties".to_owned(), json!(false));
    schemas.finish(Value::Object(root))
}

fn input<'a>(
    subject: &Subject<'a>,
    hidden: &[String],
    sdk: Sdk,
    docs: &docstring::Docstring,
    schemas: &mut Schemas<'a, '_>,
) -> Value {
    let raw = raw_input(subject, hidden, schemas);
    let mut schema = raw.clone();
    prune(&mut schema, habit(sdk));
    if sdk != Sdk::FastMcp2
        && let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut)
    {
        for (name, property) in properties.iter_mut() {
            let Some(map) = property.as_object_mut() else { continue };
            // Titles that somebody wrote come back.
            let title = raw["properties"][name.as_str()].get("title").and_then(Value::as_str);
            if let Some(title) = title.filter(|title| sdk == Sdk::FastMcp4 && *title != title_of(name)) {
                map.insert("title".to_owned(), json!(title));
            }
            let words = docs.parameters.iter().rev().find(|(known, _)| known == name);
            if let Some((_, words)) = words
                && !map.contains_key("description")
            {
                map.insert("description".to_owned(), json!(words));
            }
        }
    }
    schema
}

pub(super) fn tool<'a>(
    subject: &Subject<'a>,
    options: Options<'_>,
    sdk: Sdk,
    reader: &mut Reader<'_, 'a>,
) -> Option<Tool> {
    let given = options.expr("name").or_else(|| options.at("name_or_fn", 0));
    let name = reader.name(given, subject.name())?;
    if !reader.flag("enabled", options.expr("enabled"), true) {
        return None;
    }
    let hidden: Vec<String> = match reader.json("exclude_args", options.expr("exclude_args")) {
        Some(Value::Array(names)) => {
            names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    let docs = words(subject, sdk);
    let mut schemas = Schemas::new(reader.names, Mode::Validation);
    let input_schema = inline(input(subject, &hidden, sdk, &docs, &mut schemas), habit(sdk));
    if sdk == Sdk::FastMcp2 && loses_defaults(subject, reader.names) {
        schemas.doubt("fastmcp 2 may lose the defaults of its keyword-only parameters".to_owned());
    }
    if sdk == Sdk::FastMcp2 && input_schema.get("$defs").is_some() {
        schemas.doubt("fastmcp 2 fails to list tools with recursive types".to_owned());
    }
    let given_output = options.expr("output_schema");
    let output_schema = match given_output {
        Some(Expr::None) => None,
        Some(value) => reader.json("output_schema", Some(value)),
        None => {
            let mode = Mode::Serialization { by_alias: sdk != Sdk::FastMcp4 };
            let mut outputs = Schemas::new(reader.names, mode);
            let schema = subject.returns().and_then(|returns| output(returns, sdk, &mut outputs));
            outputs.take_doubts().into_iter().for_each(|doubt| schemas.doubt(doubt));
            schema
        }
    };
    schemas.take_doubts().into_iter().for_each(|doubt| reader.doubt(doubt));

    let annotations = reader.annotations(options.expr("annotations"));
    let title = reader.text("title", options.expr("title"));
    let title = title.or_else(|| annotations.as_ref()?.get("title")?.as_str().map(str::to_owned));
    let title = if sdk == Sdk::FastMcp4 { title.or_else(|| Some(default_title(&name))) } else { title };
    let description = reader.text("description", options.expr("description")).or(docs.description);
    for silent in ["icons", "app", "task"] {
        if options.has(silent) {
            reader.doubt(format!("`{silent}` is not read"));
        }
    }
    let mut tool = Tool::new(ToolName::try_new(&name).ok()?, input_schema);
    tool.title = title;
    tool.description = description;
    tool.output_schema = output_schema.map(Json::from);
    tool.annotations = annotations.map(Json::from);
    put_meta(&mut tool.rest, meta(options, sdk, reader));
    Some(tool)
}

/// Python's `str.title()` of a name with spaces for its separators.
pub(super) fn default_title(name: &str) -> String {
    title_of(&name.replace('-', "_"))
}

/// The `_meta` that fastmcp gives to everything: the tags, beside what the author says.
fn meta(options: Options<'_>, sdk: Sdk, reader: &mut Reader<'_, '_>) -> Map<String, Value> {
    let mut meta = reader.meta(options.expr("meta"));
    let tags = reader.tags(options.expr("tags"));
    let key = if sdk == Sdk::FastMcp2 { "_fastmcp" } else { "fastmcp" };
    let mut own = Map::new();
    own.insert("tags".to_owned(), json!(tags));
    match reader.json("version", options.expr("version")) {
        Some(Value::String(version)) => {
            own.insert("version".to_owned(), json!(version));
            own.insert("versions".to_owned(), json!([version]));
        }
        Some(version) => {
            own.insert("version".to_owned(), json!(version.to_string()));
            own.insert("versions".to_owned(), json!([version.to_string()]));
        }
        None => {}
    }
    meta.insert(key.to_owned(), Value::Object(own));
    meta
}

/// The schema of what a function gives back.
fn output<'a>(returns: &Expr, sdk: Sdk, schemas: &mut Schemas<'a, '_>) -> Option<Value> {
    let peeled = schemas.peel(returns);
    let any = ["typing.Any", "typing_extensions.Any"];
    let path = schemas.path(&peeled.ty).unwrap_or_default();
    if peeled.ty == Expr::None || (peeled.metadata.is_empty() && any.contains(&path.as_str())) {
        return None;
    }
    if shows_nothing(&peeled.ty, sdk, schemas, 0) {
        return None;
    }
    if sdk == Sdk::FastMcp4 && is_open_sequence(&peeled.ty, schemas) {
        return None;
    }
    let doubts = schemas.doubts_len();
    let root = schemas.of(returns);
    if schemas.doubts_len() > doubts && is_unreadable_class(&peeled.ty, schemas) {
        // A class that pydantic has no schema for shows nothing.
        schemas.forget_doubts(doubts);
        return None;
    }
    let whole = schemas.finish(root.clone());
    let mut schema = if is_object(&whole) {
        whole
    } else {
        let titled = schemas.takes_title(returns);
        let mut result = schemas.of(returns);
        if let Some(map) = result.as_object_mut()
            && titled
            && !map.contains_key("title")
        {
            map.insert("title".to_owned(), json!("Result"));
        }
        let mut root = json!({"properties": {"result": result}, "required": ["result"], "title": "_WrappedResult", "type": "object"});
        if sdk == Sdk::FastMcp2 {
            root["description"] = json!("Generic wrapper for non-object return types.");
        }
        let mut whole = schemas.finish(root);
        whole["x-fastmcp-wrap-result"] = json!(true);
        whole
    };
    if sdk != Sdk::FastMcp2 {
        schema = with_root(schema);
    }
    prune(&mut schema, habit(sdk));
    Some(with_root(inline(schema, habit(sdk))))
}

fn is_unreadable_class(ty: &Expr, schemas: &Schemas<'_, '_>) -> bool {
    schemas.names().class(ty).is_some_and(|class| {
        crate::schema::class_kind(class, schemas.names()) == crate::schema::ClassKind::Plain
    })
}

fn is_object(schema: &Value) -> bool {
    let target = |schema: &Value| {
        let name = schema.get("$ref")?.as_str()?.strip_prefix(crate::schema::DEFS)?.to_owned();
        Some(name)
    };
    let plain =
        |schema: &Value| schema.get("type") == Some(&json!("object")) || schema.get("properties").is_some();
    plain(schema)
        || target(schema)
            .is_some_and(|name| schema.get("$defs").and_then(|defs| defs.get(&name)).is_some_and(plain))
}

/// Types that are content, not data: no schema is made of them, nor of what holds them.
fn shows_nothing(ty: &Expr, sdk: Sdk, schemas: &Schemas<'_, '_>, depth: usize) -> bool {
    if depth > 8 {
        return false;
    }
    let peeled = schemas.peel(ty);
    match &peeled.ty {
        Expr::Name(_) | Expr::Attribute(..) => {
            let path = schemas.path(&peeled.ty).unwrap_or_default();
            let (module, name) = path.rsplit_once('.').unwrap_or_default();
            let ours = ["mcp", "fastmcp", "mcp_types", "prefab_ui"]
                .contains(&module.split('.').next().unwrap_or_default());
            let content = [
                "TextContent",
                "ImageContent",
                "AudioContent",
                "ResourceLink",
                "EmbeddedResource",
                "Image",
                "Audio",
                "File",
                "ToolResult",
            ];
            (ours
                && (content.contains(&name)
                    || name == "CallToolResult"
                    || name == "InputRequiredResult"
                    || module.starts_with("prefab")))
                || (path == "builtins.bytes" && sdk != Sdk::FastMcp2)
        }
        Expr::Binary("|", left, right) => {
            shows_nothing(left, sdk, schemas, depth + 1) || shows_nothing(right, sdk, schemas, depth + 1)
        }
        Expr::Subscript(base, arguments) => {
            let path = schemas.path(base).unwrap_or_default();
            let union = path == "typing.Optional" || path == "typing.Union";
            arguments.iter().any(|argument| {
                // Bytes inside of a list are data again.
                let bytes = schemas.path(argument).as_deref() == Some("builtins.bytes");
                (union || !bytes) && shows_nothing(argument, sdk, schemas, depth + 1)
            })
        }
        _ => false,
    }
}

/// `list`, `list[Any]` and their like say nothing about their items.
fn is_open_sequence(ty: &Expr, schemas: &Schemas<'_, '_>) -> bool {
    let names = [
        "builtins.list",
        "builtins.tuple",
        "typing.List",
        "typing.Tuple",
        "typing.Sequence",
        "collections.abc.Sequence",
    ];
    let is_sequence = |expr: &Expr| schemas.path(expr).is_some_and(|path| names.contains(&path.as_str()));
    let is_any = |expr: &Expr| {
        schemas.path(expr).is_some_and(|path| path == "typing.Any" || path == "typing_extensions.Any")
    };
    match ty {
        Expr::Subscript(base, arguments) if is_sequence(base) => {
            let is_tuple = schemas.path(base).is_some_and(|path| path.to_lowercase().ends_with("tuple"));
            match (&arguments[..], is_tuple) {
                ([item, Expr::Ellipsis], true) => is_any(item),
                (_, true) => false,
                (arguments, false) => arguments.iter().all(is_any),
            }
        }
        other => is_sequence(other),
    }
}

pub(super) fn resource<'a>(
    subject: &Subject<'a>,
    options: Options<'_>,
    sdk: Sdk,
    reader: &mut Reader<'_, 'a>,
) -> Option<Target> {
    let uri = reader.text("uri", options.at("uri", 0))?;
    if !reader.flag("enabled", options.expr("enabled"), true) {
        return None;
    }
    let name = reader.name(options.expr("name"), subject.name())?;
    let description =
        reader.text("description", options.expr("description")).or(words(subject, sdk).description);
    let mime = reader.text("mime_type", options.expr("mime_type")).unwrap_or_else(|| "text/plain".to_owned());
    let mut rest = Map::new();
    put(&mut rest, "title", reader.text("title", options.expr("title")));
    rest.insert("mimeType".to_owned(), json!(mime));
    put(&mut rest, "annotations", reader.annotations(options.expr("annotations")));
    put_meta(&mut rest, meta(options, sdk, reader));
    if options.has("icons") {
        reader.doubt("`icons` are not read");
    }
    let takes = subject.params().iter().any(|param| !is_injected(param, reader.names));
    Some(if uri.contains('{') || takes {
        Target::Template(ResourceTemplate { uri_template: uri, name, description, rest })
    } else {
        Target::Resource(Resource { uri: normal_uri(&uri), name, description, rest })
    })
}

pub(super) fn prompt<'a>(
    subject: &Subject<'a>,
    options: Options<'_>,
    sdk: Sdk,
    reader: &mut Reader<'_, 'a>,
) -> Option<Prompt> {
    let given = options.expr("name").or_else(|| options.at("name_or_fn", 0));
    let name = reader.name(given, subject.name())?;
    if !reader.flag("enabled", options.expr("enabled"), true) {
        return None;
    }
    let docs = words(subject, sdk);
    let mut schemas = Schemas::new(reader.names, Mode::Validation);
    let schema = input(subject, &[], sdk, &docs, &mut schemas);
    let required: Vec<Value> = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut arguments = Vec::new();
    for (key, property) in schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default() {
        let mut description = property.get("description").and_then(Value::as_str).map(str::to_owned);
        let param = subject.params().iter().find(|param| param.name == key);
        if let Some(annotation) = param
            .and_then(|param| param.annotation.as_ref())
            .filter(|annotation| !is_plain_str(annotation, reader.names))
        {
            let mut own = Schemas::new(reader.names, Mode::Validation);
            let note = note(sdk, &compact(&own.document(annotation)));
            own.take_doubts().into_iter().for_each(|doubt| reader.doubt(doubt));
            description =
                Some(description.map_or_else(|| note.clone(), |words| format!("{words}\n\n{note}")));
        }
        let mut argument = Map::new();
        argument.insert("name".to_owned(), json!(key));
        put(&mut argument, "description", description);
        argument.insert("required".to_owned(), json!(required.contains(&json!(key))));
        arguments.push(Value::Object(argument));
    }
    schemas.take_doubts().into_iter().for_each(|doubt| reader.doubt(doubt));
    let mut rest = Map::new();
    put(&mut rest, "title", reader.text("title", options.expr("title")));
    rest.insert("arguments".to_owned(), Value::Array(arguments));
    put_meta(&mut rest, meta(options, sdk, reader));
    if options.has("icons") {
        reader.doubt("`icons` are not read");
    }
    let description = reader.text("description", options.expr("description")).or(docs.description);
    Some(Prompt { name, description, rest })
}

fn is_plain_str(annotation: &Expr, names: &Names<'_>) -> bool {
    names.path(annotation).as_deref() == Some("builtins.str")
}

fn note(sdk: Sdk, schema: &str) -> String {
    if sdk == Sdk::FastMcp4 {
        format!(
            "Provide a value matching the following JSON schema: {schema}. Encode non-string values as JSON."
        )
    } else {
        format!("Provide as a JSON string matching the following schema: {schema}")
    }
}
