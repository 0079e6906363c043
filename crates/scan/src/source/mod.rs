//! From Python text to the few things that we read of it.
//!
//! tree-sitter parses; [`syntax`] is our own small tree, owned, bounded in depth, with
//! everything that we never look at left out. Nothing here knows an SDK.
//!
//! # Invariants
//!
//! * No walker recurses deeper than [`MAX_DEPTH`], whatever the text nests.
//! * Line numbers are those of the original file, also where bodies were cut out.

mod convert;
mod cut;
mod literal;
mod names;
mod parse;
mod statements;
mod syntax;
mod text;

pub(crate) use literal::{Constant, enum_members, evaluate};
pub(crate) use names::{Binding, Names, bind};
pub(crate) use parse::{parse, parse_expression};
pub(crate) use syntax::{Argument, Call, Class, Decorator, Expr, Function, Param, ParamKind, Stmt};
pub(crate) use text::{clean_doc, title_of};

/// How deep expressions and blocks may nest before we stop reading them. CPython itself gives up
/// near 100 nested brackets and 100 indents, so nothing that runs is lost.
pub(crate) const MAX_DEPTH: usize = 100;
