//! The entry into tree-sitter, one parser for each thread.

use std::cell::RefCell;

use tree_sitter::{Node, Parser, Tree};

use super::syntax::{Expr, Stmt};
use super::{convert, cut, statements};

thread_local! {
    // A parser is costly to make and cannot be shared between threads.
    static PARSER: RefCell<Parser> = RefCell::new(new_parser());
}

fn new_parser() -> Parser {
    let mut parser = Parser::new();
    parser
        .set_language(&tree_sitter_python::LANGUAGE.into())
        .expect("the grammar and the library are built for one another");
    parser
}

/// A file, read.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) body: Vec<Stmt>,
    /// The line of the first syntax error.
    pub(crate) broken_at: Option<usize>,
}

/// Reads a module. Never fails: what cannot be read is left out, and `broken_at` says so.
pub(crate) fn parse(source: &str) -> Parsed {
    let reduced = cut::without_bodies(source);
    let text = reduced.as_deref().unwrap_or(source);
    let Some(tree) = tree_of(text) else {
        return Parsed { body: Vec::new(), broken_at: Some(1) };
    };
    let root = tree.root_node();
    if reduced.is_some() && root.has_error() {
        // The cut is a saving, never a reason to see an error: look at the whole file.
        return match tree_of(source) {
            Some(tree) => read(tree.root_node(), source),
            None => Parsed { body: Vec::new(), broken_at: Some(1) },
        };
    }
    read(root, text)
}

fn read(root: Node<'_>, text: &str) -> Parsed {
    Parsed { body: statements::block(root, text, 0), broken_at: root.has_error().then(|| first_error(root)) }
}

/// Reads one expression, such as an annotation that stands in quotes.
pub(crate) fn parse_expression(text: &str) -> Option<Expr> {
    let text = text.trim();
    // The brackets let it run over several lines, as Python allows in quotes.
    let wrapped = format!("({text})");
    let tree = tree_of(&wrapped)?;
    let root = tree.root_node();
    if root.has_error() {
        return None;
    }
    let statement = root.named_child(0)?;
    Some(convert::expression(statement.named_child(0)?, &wrapped, 0))
}

fn tree_of(text: &str) -> Option<Tree> {
    PARSER.with_borrow_mut(|parser| parser.parse(text, None))
}

/// The line of the first error, the innermost where errors nest. Found without recursion: the
/// tree may be as deep as the text is long.
fn first_error(root: Node<'_>) -> usize {
    let mut cursor = root.walk();
    let mut line = root.start_position().row + 1;
    loop {
        let node = cursor.node();
        if node.is_error() || node.is_missing() {
            line = node.start_position().row + 1;
        }
        if !cursor.goto_first_child() {
            return line;
        }
        while !cursor.node().has_error() {
            if !cursor.goto_next_sibling() {
                return line;
            }
        }
    }
}
