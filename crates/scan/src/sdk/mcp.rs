//! What the official SDK serves for a function, first and second generation.

use dormouse_types::{Json, Prompt, Resource, ResourceTemplate, Tool, ToolName};
use serde_json::{Map, Value, json};

use super::family::{Sdk, is_context};
use super::options::{Options, Reader, put, put_meta};
use super::register::{Subject, Target};
use crate::schema::{ClassKind, Mode, Schemas, class_kind, object};
use crate::source::{Expr, Names, Param, parse_expression};

/// The index of the parameter that gets the context: the first whose type is, or is made of, `Context`.
fn context_parameter(params: &[Param], names: &Names<'_>) -> Option<usize> {
    params.iter().position(|param| {
        param.annotation.as_ref().is_some_and(|annotation| mentions_context(annotation, names, 0))
    })
}

pub(super) fn mentions_context(annotation: &Expr, names: &Names<'_>, depth: usize) -> bool {
    if depth > 4 {
        return false;
    }
    match annotation {
        Expr::Name(_) | Expr::Attribute(..) => names.path(annotation).is_some_and(|path| is_context(&path)),
        Expr::Str(text) => {
            parse_expression(text).is_some_and(|inner| mentions_context(&inner, names, depth + 1))
        }
        Expr::Subscript(base, arguments) => {
            mentions_context(base, names, depth + 1)
                || arguments.iter().any(|argument| mentions_context(argument, names, depth + 1))
        }
        Expr::Binary("|", left, right) => {
            mentions_context(left, names, depth + 1) || mentions_context(right, names, depth + 1)
        }
        _ => false,
    }
}

/// Methods of pydantic's `BaseModel` that a parameter may be called like; the SDK gives such a
/// parameter an alias, and the schema stays the same.
fn arguments<'a>(
    subject: &Subject<'a>,
    sdk: Sdk,
    schemas: &mut Schemas<'a, '_>,
) -> Vec<crate::schema::Property> {
    let params = subject.params();
    let context = context_parameter(params, schemas.names());
    let mut properties = Vec::new();
    for (index, param) in params.iter().enumerate() {
        if Some(index) == context || (sdk == Sdk::Mcp2 && is_resolved(param, schemas.names())) {
            continue;
        }
        if param.name.starts_with('_') {
            schemas.doubt(format!("a parameter may not be called `{}`", param.name));
            continue;
        }
        properties.push(schemas.property(crate::schema::Declared {
            name: &param.name,
            annotation: param.annotation.as_ref(),
            default: param.default.as_ref(),
            alias: None,
            plain_describes: false,
            untyped: Some(json!({"title": param.name, "type": "string"})),
        }));
    }
    properties
}

/// mcp 2 fills parameters marked with `Resolve(…)` by itself.
fn is_resolved(param: &Param, names: &Names<'_>) -> bool {
    let marks = |expr: &Expr| {
        expr.as_call()
            .and_then(|call| names.path(&call.func))
            .is_some_and(|path| path.starts_with("mcp.") && path.ends_with(".Resolve"))
    };
    match &param.annotation {
        Some(Expr::Subscript(_, arguments)) => arguments.iter().any(marks),
        _ => false,
    }
}

pub(super) fn tool<'a>(
    subject: &Subject<'a>,
    options: Options<'_>,
    sdk: Sdk,
    reader: &mut Reader<'_, 'a>,
) -> Option<Tool> {
    let name = reader.name(options.at("name", 0), subject.name())?;
    let title = reader.text("title", options.at("title", 1));
    let description = reader.text("description", options.at("description", 2));
    let annotations = reader.annotations(options.at("annotations", 3));
    let meta = reader.meta(options.at("meta", 5));
    if options.has("icons") {
        reader.doubt("`icons` are not read");
    }
    let structured =
        options.at("structured_output", 6).and_then(|value| reader.json("structured_output", Some(value)));

    let mut schemas = Schemas::new(reader.names, Mode::Validation);
    let properties = arguments(subject, sdk, &mut schemas);
    let root = object(properties, Some(&format!("{}Arguments", subject.name())));
    let input_schema = schemas.finish(Value::Object(root));
    let output_schema = match (structured, subject.returns()) {
        (Some(Value::Bool(false)), _) | (_, None) => None,
        (_, Some(returns)) => output(returns, subject.name(), sdk, &mut schemas),
    };
    schemas.take_doubts().into_iter().for_each(|doubt| reader.doubt(doubt));

    let mut tool = Tool::new(ToolName::try_new(&name).ok()?, input_schema);
    tool.title = title;
    tool.description = Some(description.or_else(|| subject.doc().map(str::to_owned)).unwrap_or_default());
    tool.output_schema = output_schema.map(Json::from);
    tool.annotations = annotations.map(Json::from);
    put_meta(&mut tool.rest, meta);
    Some(tool)
}

/// The schema of what a function gives back, in the SDK's own mixture of rules.
fn output<'a>(returns: &Expr, function: &str, sdk: Sdk, schemas: &mut Schemas<'a, '_>) -> Option<Value> {
    let peeled = schemas.peel(returns);
    let ty = &peeled.ty;
    if *ty == Expr::None {
        return Some(wrapped(returns, function, schemas));
    }
    if let Expr::Subscript(base, arguments) = ty {
        let builtin_dict = schemas.path(base).as_deref() == Some("builtins.dict");
        let string_keys =
            arguments.len() == 2 && schemas.path(&arguments[0]).as_deref() == Some("builtins.str");
        if builtin_dict && string_keys {
            let mut root = schemas.of(ty);
            if let Some(map) = root.as_object_mut() {
                map.insert("title".to_owned(), json!(format!("{function}DictOutput")));
            }
            return Some(schemas.finish(root));
        }
    }
    if sdk == Sdk::Mcp2 && is_content(ty, schemas, 0) {
        return None;
    }
    if !matches!(ty, Expr::Name(_) | Expr::Attribute(..)) {
        return Some(wrapped(returns, function, schemas));
    }
    if let Some(class) = schemas.names().class(ty) {
        return match class_kind(class, schemas.names()) {
            ClassKind::Model => {
                let root = schemas.class(class);
                let whole = schemas.finish(root);
                Some(crate::schema::compress::with_root(whole))
            }
            ClassKind::TypedDict if sdk == Sdk::Mcp2 => {
                let root = schemas.class(class);
                Some(schemas.finish(root))
            }
            ClassKind::RootModel => {
                let root = schemas.class(class);
                let whole = schemas.finish(root);
                if sdk == Sdk::Mcp2 && whole.get("type") != Some(&json!("object")) {
                    schemas.doubt(format!("mcp 2 fails to list a tool that returns `{}`", class.name));
                }
                Some(whole)
            }
            ClassKind::Enum => None,
            kind @ (ClassKind::TypedDict | ClassKind::Dataclass | ClassKind::Plain)
                if schemas.has_members(class, kind) =>
            {
                Some(schemas.copied_class(class, kind))
            }
            ClassKind::Unknown => {
                schemas.doubt(format!("what the class `{}` shows is not known", class.name));
                None
            }
            _ => None,
        };
    }
    let path = schemas.path(ty).unwrap_or_default();
    match path.as_str() {
        "builtins.str" | "builtins.int" | "builtins.float" | "builtins.bool" | "builtins.bytes"
        | "types.NoneType" => Some(wrapped(returns, function, schemas)),
        // `typing` names are no classes; those without parameters are wrapped like generics.
        path if (path.starts_with("typing.") || path.starts_with("typing_extensions."))
            && path != "typing.Any"
            && path != "typing_extensions.Any" =>
        {
            Some(wrapped(returns, function, schemas))
        }
        path if path.starts_with("builtins.") || path.ends_with(".Any") => None,
        // Classes of the standard library carry no hints, so the SDK finds nothing to show.
        path if ["datetime.", "decimal.", "uuid.", "pathlib.", "collections.", "ipaddress.", "re."]
            .iter()
            .any(|module| path.starts_with(module)) =>
        {
            None
        }
        "mcp.types.CallToolResult" | "mcp_types.CallToolResult" => None,
        path if path.ends_with(".Image") || path.ends_with(".Audio") => None,
        path => {
            schemas.doubt(format!("what `{path}` shows as a result is not known"));
            None
        }
    }
}

fn wrapped<'a>(returns: &Expr, function: &str, schemas: &mut Schemas<'a, '_>) -> Value {
    let property = schemas.property(crate::schema::Declared {
        name: "result",
        annotation: Some(returns),
        default: None,
        alias: None,
        plain_describes: false,
        untyped: None,
    });
    let root = object(vec![property], Some(&format!("{function}Output")));
    schemas.finish(Value::Object(root))
}

/// mcp 2 shows no schema for content blocks, bare or in lists and unions.
fn is_content(ty: &Expr, schemas: &Schemas<'_, '_>, depth: usize) -> bool {
    if depth > 8 {
        return false;
    }
    let peeled = schemas.peel(ty);
    match &peeled.ty {
        Expr::Name(_) | Expr::Attribute(..) => schemas.path(&peeled.ty).is_some_and(|path| {
            let (module, name) = path.rsplit_once('.').unwrap_or_default();
            (module.starts_with("mcp") || module.starts_with("fastmcp"))
                && matches!(
                    name,
                    "TextContent"
                        | "ImageContent"
                        | "AudioContent"
                        | "ResourceLink"
                        | "EmbeddedResource"
                        | "ContentBlock"
                        | "Image"
                        | "Audio"
                        | "InputRequiredResult"
                )
        }),
        Expr::Binary("|", left, right) => {
            is_content(left, schemas, depth + 1) || is_content(right, schemas, depth + 1)
        }
        Expr::Subscript(base, arguments) => {
            let path = schemas.path(base).unwrap_or_default();
            let spreads = [
                "builtins.list",
                "builtins.tuple",
                "typing.List",
                "typing.Tuple",
                "typing.Sequence",
                "collections.abc.Sequence",
                "typing.Optional",
                "typing.Union",
            ];
            spreads.contains(&path.as_str())
                && arguments.iter().any(|argument| is_content(argument, schemas, depth + 1))
        }
        _ => false,
    }
}

pub(super) fn resource<'a>(
    subject: &Subject<'a>,
    options: Options<'_>,
    sdk: Sdk,
    reader: &mut Reader<'_, 'a>,
) -> Option<Target> {
    let uri = reader.text("uri", options.at("uri", 0))?;
    let name = reader.name(options.expr("name"), subject.name())?;
    let description = reader
        .text("description", options.expr("description"))
        .or_else(|| subject.doc().map(str::to_owned))
        .unwrap_or_default();
    let mime = reader.text("mime_type", options.expr("mime_type")).unwrap_or_else(|| "text/plain".to_owned());
    let mut rest = Map::new();
    put(&mut rest, "title", reader.text("title", options.expr("title")));
    rest.insert("mimeType".to_owned(), json!(mime));
    put(&mut rest, "annotations", reader.annotations(options.expr("annotations")));
    put_meta(&mut rest, reader.meta(options.expr("meta")));
    if options.has("icons") {
        reader.doubt("`icons` are not read");
    }
    let is_template = match sdk {
        Sdk::Mcp1 => (uri.contains('{') && uri.contains('}')) || !subject.params().is_empty(),
        _ => uri.contains('{'),
    };
    Some(if is_template {
        Target::Template(ResourceTemplate { uri_template: uri, name, description: Some(description), rest })
    } else {
        let uri = if sdk == Sdk::Mcp1 { normal_uri(&uri) } else { uri };
        Target::Resource(Resource { uri, name, description: Some(description), rest })
    })
}

/// mcp 1 passes addresses through pydantic's `AnyUrl`, which gives a web address a path.
pub(super) fn normal_uri(uri: &str) -> String {
    match uri.split_once("://") {
        Some((scheme @ ("http" | "https" | "ws" | "wss" | "ftp"), rest))
            if !rest.contains(['/', '?', '#']) =>
        {
            format!("{scheme}://{rest}/")
        }
        _ => uri.to_owned(),
    }
}

pub(super) fn prompt<'a>(
    subject: &Subject<'a>,
    options: Options<'_>,
    sdk: Sdk,
    reader: &mut Reader<'_, 'a>,
) -> Option<Prompt> {
    let name = reader.name(options.at("name", 0), subject.name())?;
    let description = reader
        .text("description", options.at("description", 2))
        .or_else(|| subject.doc().map(str::to_owned))
        .unwrap_or_default();
    let mut schemas = Schemas::new(reader.names, Mode::Validation);
    let properties = arguments(subject, sdk, &mut schemas);
    let arguments: Vec<Value> = properties
        .into_iter()
        .map(|property| {
            let mut argument = Map::new();
            argument.insert("name".to_owned(), json!(property.key));
            put(&mut argument, "description", property.schema.get("description").cloned());
            argument.insert("required".to_owned(), json!(property.required));
            Value::Object(argument)
        })
        .collect();
    schemas.take_doubts().into_iter().for_each(|doubt| reader.doubt(doubt));
    let mut rest = Map::new();
    put(&mut rest, "title", reader.text("title", options.at("title", 1)));
    rest.insert("arguments".to_owned(), Value::Array(arguments));
    if options.has("icons") {
        reader.doubt("`icons` are not read");
    }
    Some(Prompt { name, description: Some(description), rest })
}
