//! Expressions: from tree-sitter's nodes to ours.

use tree_sitter::Node;

use super::MAX_DEPTH;
use super::syntax::{Argument, Call, Expr};
use super::text::{self, Literal};

/// Reads an expression; beyond the depth limit it is opaque.
pub(crate) fn expression(node: Node<'_>, text: &str, depth: usize) -> Expr {
    if depth > MAX_DEPTH {
        return Expr::Opaque;
    }
    let raw = |node: Node<'_>| &text[node.byte_range()];
    let field = |name: &str| node.child_by_field_name(name).map(|child| expression(child, text, depth + 1));
    match node.kind() {
        "identifier" => Expr::Name(raw(node).to_owned()),
        "attribute" => {
            let name = node.child_by_field_name("attribute").map(|name| raw(name).to_owned());
            match (field("object"), name) {
                (Some(object), Some(name)) => Expr::Attribute(Box::new(object), name),
                _ => Expr::Opaque,
            }
        }
        "type" | "parenthesized_expression" => {
            inner(node).map_or(Expr::Opaque, |child| expression(child, text, depth + 1))
        }
        "subscript" => subscript(node, text, depth),
        "generic_type" => generic_type(node, text, depth),
        "member_type" => {
            let name = last(node).map(|name| raw(name).to_owned());
            match (inner(node), name) {
                (Some(base), Some(name)) => {
                    Expr::Attribute(Box::new(expression(base, text, depth + 1)), name)
                }
                _ => Expr::Opaque,
            }
        }
        "union_type" => match (inner(node), last(node)) {
            (Some(left), Some(right)) => Expr::Binary(
                "|",
                Box::new(expression(left, text, depth + 1)),
                Box::new(expression(right, text, depth + 1)),
            ),
            _ => Expr::Opaque,
        },
        "call" => call(node, text, depth).map_or(Expr::Opaque, |call| Expr::Call(Box::new(call))),
        "binary_operator" => {
            let sign = node.child_by_field_name("operator").and_then(|sign| binary_sign(sign.kind()));
            match (field("left"), sign, field("right")) {
                (Some(left), Some(sign), Some(right)) => Expr::Binary(sign, Box::new(left), Box::new(right)),
                _ => Expr::Opaque,
            }
        }
        "unary_operator" => match (node.child(0).map(|sign| sign.kind()), field("argument")) {
            (Some("-"), Some(value)) => Expr::Negative(Box::new(value)),
            _ => Expr::Opaque,
        },
        "string" => string(raw(node)),
        "concatenated_string" => concatenated(node, text, depth),
        "integer" => integer(raw(node)),
        "float" => raw(node).replace('_', "").parse().map_or(Expr::Opaque, Expr::Float),
        "true" => Expr::Bool(true),
        "false" => Expr::Bool(false),
        "none" => Expr::None,
        "ellipsis" => Expr::Ellipsis,
        "list" => Expr::List(items(node, text, depth)),
        "tuple" | "expression_list" | "pattern_list" => Expr::Tuple(items(node, text, depth)),
        "set" => Expr::Set(items(node, text, depth)),
        "dictionary" => dictionary(node, text, depth),
        "await" => inner(node)
            .map_or(Expr::Opaque, |child| Expr::Await(Box::new(expression(child, text, depth + 1)))),
        "lambda" => Expr::Lambda,
        _ => Expr::Opaque,
    }
}

/// The signs that we can work with.
fn binary_sign(sign: &str) -> Option<&'static str> {
    ["|", "+", "-", "*", "/", "//", "**", "<<", "%", "&", "^", ">>", "@"]
        .into_iter()
        .find(|known| *known == sign)
}

/// The first child that is no comment.
fn inner(node: Node<'_>) -> Option<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).find(|child| child.kind() != "comment")
}

fn last(node: Node<'_>) -> Option<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|child| child.kind() != "comment").last()
}

fn items(node: Node<'_>, text: &str, depth: usize) -> Vec<Expr> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor)
        .filter(|child| child.kind() != "comment")
        .map(|child| expression(child, text, depth + 1))
        .collect()
}

fn subscript(node: Node<'_>, text: &str, depth: usize) -> Expr {
    let Some(value) = node.child_by_field_name("value") else { return Expr::Opaque };
    let mut cursor = node.walk();
    let mut arguments: Vec<Expr> = node
        .children_by_field_name("subscript", &mut cursor)
        .filter(|child| child.kind() != "comment")
        .map(|child| expression(child, text, depth + 1))
        .collect();
    // `x[(a, b)]` and `x[a, b]` are the same to Python.
    if let [Expr::Tuple(_)] = arguments[..]
        && let Some(Expr::Tuple(members)) = arguments.pop()
    {
        arguments = if members.is_empty() { vec![Expr::Tuple(members)] } else { members };
    }
    Expr::Subscript(Box::new(expression(value, text, depth + 1)), arguments)
}

fn generic_type(node: Node<'_>, text: &str, depth: usize) -> Expr {
    let Some(base) = inner(node) else { return Expr::Opaque };
    let base = expression(base, text, depth + 1);
    match last(node) {
        Some(parameters) if parameters.kind() == "type_parameter" => {
            let mut arguments = items(parameters, text, depth);
            if let [Expr::Tuple(_)] = arguments[..]
                && let Some(Expr::Tuple(members)) = arguments.pop()
            {
                arguments = if members.is_empty() { vec![Expr::Tuple(members)] } else { members };
            }
            Expr::Subscript(Box::new(base), arguments)
        }
        _ => Expr::Opaque,
    }
}

pub(crate) fn call(node: Node<'_>, text: &str, depth: usize) -> Option<Call> {
    let func = expression(node.child_by_field_name("function")?, text, depth + 1);
    let arguments = node.child_by_field_name("arguments")?;
    let line = node.start_position().row + 1;
    if arguments.kind() != "argument_list" {
        return Some(Call { func, args: vec![Argument::Positional(Expr::Opaque)], line });
    }
    Some(Call { func, args: argument_list(arguments, text, depth), line })
}

pub(crate) fn argument_list(node: Node<'_>, text: &str, depth: usize) -> Vec<Argument> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor)
        .filter(|child| child.kind() != "comment")
        .map(|child| match child.kind() {
            "keyword_argument" => {
                match (child.child_by_field_name("name"), child.child_by_field_name("value")) {
                    (Some(name), Some(value)) => Argument::Keyword(
                        text[name.byte_range()].to_owned(),
                        expression(value, text, depth + 1),
                    ),
                    _ => Argument::Splat,
                }
            }
            "list_splat" | "dictionary_splat" => Argument::Splat,
            _ => Argument::Positional(expression(child, text, depth + 1)),
        })
        .collect()
}

fn dictionary(node: Node<'_>, text: &str, depth: usize) -> Expr {
    let mut cursor = node.walk();
    let mut pairs = Vec::new();
    for child in node.named_children(&mut cursor) {
        match child.kind() {
            "comment" => {}
            "pair" => match (child.child_by_field_name("key"), child.child_by_field_name("value")) {
                (Some(key), Some(value)) => {
                    pairs.push((expression(key, text, depth + 1), expression(value, text, depth + 1)));
                }
                _ => return Expr::Opaque,
            },
            _ => return Expr::Opaque,
        }
    }
    Expr::Dict(pairs)
}

fn string(raw: &str) -> Expr {
    match text::literal(raw) {
        Literal::Text(text) => Expr::Str(text),
        Literal::Bytes(bytes) => Expr::Bytes(bytes),
        Literal::Unknown => Expr::Opaque,
    }
}

fn concatenated(node: Node<'_>, text: &str, depth: usize) -> Expr {
    let mut whole = String::new();
    for part in items(node, text, depth) {
        match part {
            Expr::Str(part) => whole.push_str(&part),
            _ => return Expr::Opaque,
        }
    }
    Expr::Str(whole)
}

fn integer(raw: &str) -> Expr {
    let digits = raw.replace('_', "").to_ascii_lowercase();
    let parsed = match digits.get(..2) {
        Some("0x") => i64::from_str_radix(&digits[2..], 16),
        Some("0o") => i64::from_str_radix(&digits[2..], 8),
        Some("0b") => i64::from_str_radix(&digits[2..], 2),
        _ => digits.parse(),
    };
    parsed.map_or(Expr::Opaque, Expr::Int)
}
