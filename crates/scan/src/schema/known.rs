//! The types of Python, typing and pydantic that have a schema of their own.

use serde_json::{Value, json};

use super::Mode;

/// A type constructor or a type that means something to a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// A type without parameters; see [`simple`].
    Simple,
    List,
    Set,
    Tuple,
    Dict,
    Optional,
    Union,
    Literal,
    Annotated,
    /// Transparent around its only argument (`Required[T]`, `Final[T]`, …).
    Wrapper,
    /// A `type[T]`, which pydantic leaves open.
    Type,
}

/// What a dotted path means; `None` if it is nothing that we know.
pub(crate) fn known(path: &str) -> Option<Known> {
    let (module, name) = path.rsplit_once('.')?;
    let typing = matches!(module, "typing" | "typing_extensions");
    Some(match (module, name) {
        ("builtins", "list") => Known::List,
        ("builtins", "set" | "frozenset") => Known::Set,
        ("builtins", "tuple") => Known::Tuple,
        ("builtins", "dict") => Known::Dict,
        ("builtins", "type") => Known::Type,
        (_, "List" | "Sequence" | "MutableSequence" | "Iterable" | "Deque") if typing => Known::List,
        ("collections.abc", "Sequence" | "MutableSequence" | "Iterable") | ("collections", "deque") => {
            Known::List
        }
        (_, "Set" | "FrozenSet" | "AbstractSet" | "MutableSet") if typing => Known::Set,
        ("collections.abc", "Set" | "MutableSet") => Known::Set,
        (_, "Tuple") if typing => Known::Tuple,
        (_, "Dict" | "Mapping" | "MutableMapping" | "DefaultDict" | "OrderedDict") if typing => Known::Dict,
        ("collections.abc", "Mapping" | "MutableMapping")
        | ("collections", "OrderedDict" | "defaultdict") => Known::Dict,
        (_, "Optional") if typing => Known::Optional,
        (_, "Union") if typing => Known::Union,
        (_, "Literal") if typing => Known::Literal,
        (_, "Annotated") if typing => Known::Annotated,
        (_, "Required" | "NotRequired" | "ReadOnly" | "Final") if typing => Known::Wrapper,
        (_, "Type") if typing => Known::Type,
        _ => {
            simple(path, Mode::Validation)?;
            Known::Simple
        }
    })
}

/// The schema of a type without parameters.
pub(crate) fn simple(path: &str, mode: Mode) -> Option<Value> {
    let text = |format: &str| json!({"format": format, "type": "string"});
    let (module, name) = path.rsplit_once('.')?;
    let output = mode != Mode::Validation;
    Some(match (module, name) {
        ("builtins", "str") => json!({"type": "string"}),
        ("builtins", "int") => json!({"type": "integer"}),
        ("builtins", "float") => json!({"type": "number"}),
        ("builtins", "bool") => json!({"type": "boolean"}),
        ("builtins", "bytes") => text("binary"),
        ("builtins", "object") => json!({}),
        ("builtins", "complex") => json!({"type": "string"}),
        ("types", "NoneType") => json!({"type": "null"}),
        ("typing" | "typing_extensions", name) => match name {
            "Any" => json!({}),
            "Text" => json!({"type": "string"}),
            "Pattern" => text("regex"),
            _ => return None,
        },
        ("re", "Pattern") => text("regex"),
        ("datetime", "datetime") => text("date-time"),
        ("datetime", "date") => text("date"),
        ("datetime", "time") => text("time"),
        ("datetime", "timedelta") => text("duration"),
        ("uuid", "UUID") => text("uuid"),
        ("pathlib", "Path" | "PurePath" | "PosixPath" | "PurePosixPath") => text("path"),
        ("decimal", "Decimal") if output => json!({"type": "string"}),
        ("decimal", "Decimal") => json!({"anyOf": [{"type": "number"}, {"type": "string"}]}),
        ("ipaddress", "IPv4Address") => text("ipv4"),
        ("ipaddress", "IPv6Address") => text("ipv6"),
        ("ipaddress", "IPv4Network") => text("ipv4network"),
        ("ipaddress", "IPv6Network") => text("ipv6network"),
        ("pydantic" | "pydantic.networks" | "pydantic.types", name) => return pydantic(name),
        _ => return None,
    })
}

fn pydantic(name: &str) -> Option<Value> {
    let text = |format: &str| json!({"format": format, "type": "string"});
    Some(match name {
        "AnyUrl" | "AnyHttpUrl" | "FileUrl" => json!({"format": "uri", "minLength": 1, "type": "string"}),
        "HttpUrl" => json!({"format": "uri", "maxLength": 2083, "minLength": 1, "type": "string"}),
        "EmailStr" => text("email"),
        "NameEmail" => text("name-email"),
        "PositiveInt" => json!({"exclusiveMinimum": 0, "type": "integer"}),
        "NegativeInt" => json!({"exclusiveMaximum": 0, "type": "integer"}),
        "NonNegativeInt" => json!({"minimum": 0, "type": "integer"}),
        "NonPositiveInt" => json!({"maximum": 0, "type": "integer"}),
        "PositiveFloat" => json!({"exclusiveMinimum": 0, "type": "number"}),
        "NegativeFloat" => json!({"exclusiveMaximum": 0, "type": "number"}),
        "NonNegativeFloat" => json!({"minimum": 0, "type": "number"}),
        "NonPositiveFloat" => json!({"maximum": 0, "type": "number"}),
        "FiniteFloat" | "StrictFloat" => json!({"type": "number"}),
        "StrictStr" => json!({"type": "string"}),
        "StrictInt" => json!({"type": "integer"}),
        "StrictBool" => json!({"type": "boolean"}),
        "StrictBytes" => text("binary"),
        "SecretStr" | "SecretBytes" => json!({"format": "password", "type": "string", "writeOnly": true}),
        "UUID1" => text("uuid1"),
        "UUID3" => text("uuid3"),
        "UUID4" => text("uuid4"),
        "UUID5" => text("uuid5"),
        "FilePath" => text("file-path"),
        "DirectoryPath" => text("directory-path"),
        "NewPath" => text("path"),
        "Base64Str" | "Base64Bytes" => text("base64"),
        "AwareDatetime" | "NaiveDatetime" | "PastDatetime" | "FutureDatetime" => text("date-time"),
        "PastDate" | "FutureDate" => text("date"),
        _ => return None,
    })
}
