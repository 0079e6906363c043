//! Statements: from tree-sitter's nodes to ours.

use tree_sitter::Node;

use super::MAX_DEPTH;
use super::convert::{argument_list, expression};
use super::syntax::{Argument, Class, Decorator, Expr, Function, Import, Param, ParamKind, Stmt};

/// Reads the statements of a module or block.
pub(crate) fn block(node: Node<'_>, text: &str, depth: usize) -> Vec<Stmt> {
    let mut statements = Vec::new();
    if depth > MAX_DEPTH {
        return statements;
    }
    let mut cursor = node.walk();
    for child in node.named_children(&mut cursor) {
        statement(child, text, depth, &mut statements);
    }
    statements
}

fn field_block(node: Node<'_>, name: &str, text: &str, depth: usize) -> Vec<Stmt> {
    node.child_by_field_name(name).map(|child| block(child, text, depth + 1)).unwrap_or_default()
}

/// The block inside a clause that does not name it as a field.
fn child_block(node: Node<'_>, text: &str, depth: usize) -> Vec<Stmt> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor)
        .find(|child| child.kind() == "block")
        .map(|child| block(child, text, depth + 1))
        .unwrap_or_default()
}

fn line_of(node: Node<'_>) -> usize {
    node.start_position().row + 1
}

fn statement(node: Node<'_>, text: &str, depth: usize, out: &mut Vec<Stmt>) {
    let line = line_of(node);
    match node.kind() {
        "import_statement" => imports(node, text, out),
        "import_from_statement" => from_imports(node, text, out),
        "expression_statement" => {
            if let Some(child) = node.named_child(0) {
                expression_statement(child, text, line, out);
            }
        }
        "type_alias_statement" => {
            if let (Some(left), Some(right)) =
                (node.child_by_field_name("left"), node.child_by_field_name("right"))
            {
                let target = expression(left, text, depth);
                out.push(Stmt::Assign {
                    target,
                    annotation: None,
                    value: Some(expression(right, text, depth)),
                    line,
                });
            }
        }
        "function_definition" => out.push(Stmt::Function(Box::new(function(node, Vec::new(), text, depth)))),
        "class_definition" => out.push(Stmt::Class(Box::new(class(node, Vec::new(), text, depth)))),
        "decorated_definition" => decorated(node, text, depth, out),
        "return_statement" => {
            out.push(Stmt::Return(
                node.named_child(0).map_or(Expr::None, |child| expression(child, text, depth)),
            ));
        }
        "if_statement" => out.push(conditional(node, text, depth)),
        "for_statement" | "while_statement" => {
            let mut body = field_block(node, "body", text, depth);
            if let Some(other) = node.child_by_field_name("alternative") {
                body.extend(child_block(other, text, depth));
            }
            out.push(Stmt::Loop { body, line });
        }
        "try_statement" => out.push(try_statement(node, text, depth)),
        "with_statement" => out.push(with_statement(node, text, depth)),
        "match_statement" => {
            // Which case runs is not known: as a loop, its registrations are doubtful.
            let mut body = Vec::new();
            if let Some(cases) = node.child_by_field_name("body") {
                let mut cursor = cases.walk();
                for case in cases.named_children(&mut cursor) {
                    body.extend(field_block(case, "consequence", text, depth));
                }
            }
            out.push(Stmt::Loop { body, line });
        }
        _ => {}
    }
}

fn expression_statement(node: Node<'_>, text: &str, line: usize, out: &mut Vec<Stmt>) {
    if node.kind() != "assignment" {
        // Augmented assignments and the like change what we do not follow.
        if matches!(node.kind(), "call" | "await" | "string" | "concatenated_string") {
            out.push(Stmt::Expr { value: expression(node, text, 0), line });
        } else if node.kind() == "augmented_assignment"
            && let Some(left) = node.child_by_field_name("left")
        {
            out.push(Stmt::Assign {
                target: expression(left, text, 0),
                annotation: None,
                value: Some(Expr::Opaque),
                line,
            });
        }
        return;
    }
    let Some(left) = node.child_by_field_name("left") else { return };
    let annotation = node.child_by_field_name("type").map(|child| expression(child, text, 0));
    let mut targets = vec![expression(left, text, 0)];
    let mut right = node.child_by_field_name("right");
    // `a = b = value` nests to the right.
    while let Some(inner) = right.filter(|inner| inner.kind() == "assignment") {
        if targets.len() > MAX_DEPTH {
            return;
        }
        targets.extend(inner.child_by_field_name("left").map(|left| expression(left, text, 0)));
        right = inner.child_by_field_name("right");
    }
    let value = right.map(|child| expression(child, text, 0));
    for target in targets {
        out.push(Stmt::Assign { target, annotation: annotation.clone(), value: value.clone(), line });
    }
}

fn imports(node: Node<'_>, text: &str, out: &mut Vec<Stmt>) {
    let line = line_of(node);
    let mut cursor = node.walk();
    for name in node.children_by_field_name("name", &mut cursor) {
        let (path, local) = match name.kind() {
            "aliased_import" => match (name.child_by_field_name("name"), name.child_by_field_name("alias")) {
                (Some(path), Some(alias)) => {
                    (text[path.byte_range()].to_owned(), Some(text[alias.byte_range()].to_owned()))
                }
                _ => continue,
            },
            _ => (text[name.byte_range()].to_owned(), None),
        };
        let path: String = path.split_whitespace().collect();
        // `import a.b` binds `a`, `import a.b as c` binds the inner module.
        let (local, bound) = match local {
            Some(local) => (local, path.clone()),
            None => {
                let first = path.split('.').next().unwrap_or_default().to_owned();
                (first.clone(), first)
            }
        };
        out.push(Stmt::Import(Import { local, path: bound, module: path, level: 0, line }));
    }
}

fn from_imports(node: Node<'_>, text: &str, out: &mut Vec<Stmt>) {
    let line = line_of(node);
    let Some(module) = node.child_by_field_name("module_name") else { return };
    let written: String = text[module.byte_range()].split_whitespace().collect();
    let level = written.len() - written.trim_start_matches('.').len();
    let module = written.trim_start_matches('.').to_owned();
    let mut import = |name: &str, local: &str| {
        let path = if module.is_empty() { name.to_owned() } else { format!("{module}.{name}") };
        out.push(Stmt::Import(Import { local: local.to_owned(), path, module: module.clone(), level, line }));
    };
    let mut cursor = node.walk();
    for child in node.children(&mut cursor) {
        if child.kind() == "wildcard_import" {
            import("*", "*");
        }
    }
    for name in node.children_by_field_name("name", &mut cursor) {
        match (name.child_by_field_name("name"), name.child_by_field_name("alias")) {
            (Some(name), Some(alias)) => import(&text[name.byte_range()], &text[alias.byte_range()]),
            _ => import(&text[name.byte_range()], &text[name.byte_range()]),
        }
    }
}

fn decorated(node: Node<'_>, text: &str, depth: usize, out: &mut Vec<Stmt>) {
    let mut cursor = node.walk();
    let decorators = node
        .named_children(&mut cursor)
        .filter(|child| child.kind() == "decorator")
        .filter_map(|child| {
            let value = expression(child.named_child(0)?, text, depth);
            Some(Decorator { value, line: line_of(child) })
        })
        .collect();
    match node.child_by_field_name("definition") {
        Some(definition) if definition.kind() == "class_definition" => {
            out.push(Stmt::Class(Box::new(class(definition, decorators, text, depth))));
        }
        Some(definition) => {
            out.push(Stmt::Function(Box::new(function(definition, decorators, text, depth))));
        }
        None => {}
    }
}

/// The docstring: the first statement, if it is a plain string.
fn take_doc(body: &mut Vec<Stmt>) -> Option<String> {
    match body.first() {
        Some(Stmt::Expr { value: Expr::Str(_), .. }) => match body.remove(0) {
            Stmt::Expr { value: Expr::Str(doc), .. } => Some(doc),
            _ => None,
        },
        _ => None,
    }
}

fn function(node: Node<'_>, decorators: Vec<Decorator>, text: &str, depth: usize) -> Function {
    let mut body = field_block(node, "body", text, depth);
    let doc = take_doc(&mut body);
    Function {
        name: node
            .child_by_field_name("name")
            .map(|name| text[name.byte_range()].to_owned())
            .unwrap_or_default(),
        decorators,
        params: node.child_by_field_name("parameters").map(|list| parameters(list, text)).unwrap_or_default(),
        returns: node.child_by_field_name("return_type").map(|child| expression(child, text, 0)),
        doc,
        body,
        line: line_of(node),
    }
}

fn parameters(list: Node<'_>, text: &str) -> Vec<Param> {
    let mut params: Vec<Param> = Vec::new();
    let mut kind = ParamKind::Plain;
    let mut cursor = list.walk();
    for child in list.named_children(&mut cursor) {
        let annotation = child.child_by_field_name("type").map(|node| expression(node, text, 0));
        let default = child.child_by_field_name("value").map(|node| expression(node, text, 0));
        let named = match child.kind() {
            "keyword_separator" => {
                kind = ParamKind::KeywordOnly;
                continue;
            }
            "positional_separator" => {
                params.iter_mut().for_each(|param| param.kind = ParamKind::PositionalOnly);
                continue;
            }
            "identifier" | "list_splat_pattern" | "dictionary_splat_pattern" => Some(child),
            "typed_parameter" => child.named_child(0),
            "default_parameter" | "typed_default_parameter" => child.child_by_field_name("name"),
            _ => None,
        };
        let Some(named) = named else { continue };
        let name = text[named.byte_range()].trim_start_matches('*').trim().to_owned();
        let own = match named.kind() {
            "list_splat_pattern" => ParamKind::Args,
            "dictionary_splat_pattern" => ParamKind::Kwargs,
            _ => kind,
        };
        if own == ParamKind::Args {
            kind = ParamKind::KeywordOnly;
        }
        params.push(Param { name, kind: own, annotation, default, line: line_of(child) });
    }
    params
}

fn class(node: Node<'_>, decorators: Vec<Decorator>, text: &str, depth: usize) -> Class {
    let mut body = field_block(node, "body", text, depth);
    let doc = take_doc(&mut body);
    let mut bases = Vec::new();
    let mut keywords = Vec::new();
    if let Some(list) = node.child_by_field_name("superclasses") {
        for argument in argument_list(list, text, depth) {
            match argument {
                Argument::Positional(base) => bases.push(base),
                Argument::Keyword(name, value) => keywords.push((name, value)),
                Argument::Splat => bases.push(Expr::Opaque),
            }
        }
    }
    Class {
        name: node
            .child_by_field_name("name")
            .map(|name| text[name.byte_range()].to_owned())
            .unwrap_or_default(),
        decorators,
        bases,
        keywords,
        doc,
        body,
        line: line_of(node),
    }
}

fn conditional(node: Node<'_>, text: &str, depth: usize) -> Stmt {
    let test = condition(node, text);
    let body = field_block(node, "consequence", text, depth);
    let mut cursor = node.walk();
    let mut orelse = Vec::new();
    for clause in node.children_by_field_name("alternative", &mut cursor) {
        if clause.kind() == "elif_clause" {
            let body = field_block(clause, "consequence", text, depth);
            orelse.push(Stmt::If {
                test: condition(clause, text),
                body,
                orelse: Vec::new(),
                line: line_of(clause),
            });
        } else {
            orelse.extend(field_block(clause, "body", text, depth));
        }
    }
    Stmt::If { test, body, orelse, line: line_of(node) }
}

/// The two tests that we know: `TYPE_CHECKING` and `__name__ == "__main__"`; the latter reads as a name.
fn condition(node: Node<'_>, text: &str) -> Expr {
    let Some(test) = node.child_by_field_name("condition") else { return Expr::Opaque };
    if test.kind() == "comparison_operator" && text[test.byte_range()].contains("__name__") {
        return Expr::Name("__name__".to_owned());
    }
    expression(test, text, 0)
}

fn try_statement(node: Node<'_>, text: &str, depth: usize) -> Stmt {
    let body = field_block(node, "body", text, depth);
    let mut handlers = Vec::new();
    let mut rest = Vec::new();
    let mut catches_import = false;
    let mut cursor = node.walk();
    for clause in node.named_children(&mut cursor) {
        match clause.kind() {
            "except_clause" | "except_group_clause" => {
                let header = text[clause.byte_range()].split(':').next().unwrap_or_default();
                catches_import |= header.trim() == "except"
                    || ["ImportError", "ModuleNotFoundError", "Exception"]
                        .iter()
                        .any(|name| header.contains(name));
                handlers.push(child_block(clause, text, depth));
            }
            "else_clause" => rest.extend(field_block(clause, "body", text, depth)),
            "finally_clause" => rest.extend(child_block(clause, text, depth)),
            _ => {}
        }
    }
    Stmt::Try { body, handlers, rest, catches_import }
}

fn with_statement(node: Node<'_>, text: &str, depth: usize) -> Stmt {
    let mut items = Vec::new();
    let mut cursor = node.walk();
    for clause in node.named_children(&mut cursor).filter(|child| child.kind() == "with_clause") {
        let mut inner = clause.walk();
        for item in clause.named_children(&mut inner) {
            let Some(value) = item.child_by_field_name("value") else { continue };
            if value.kind() == "as_pattern" {
                let name =
                    value.child_by_field_name("alias").map(|alias| text[alias.byte_range()].to_owned());
                if let Some(value) = value.named_child(0) {
                    items.push((expression(value, text, 0), name));
                }
            } else {
                items.push((expression(value, text, 0), None));
            }
        }
    }
    Stmt::With { items, body: field_block(node, "body", text, depth) }
}
