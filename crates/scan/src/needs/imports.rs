//! The imports of a script, and of the modules beside it that it imports.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::source::{Expr, Stmt, parse};

/// How many local modules are followed: enough for any script, and an end for a folder of mischief.
const LOCAL_MODULES: usize = 64;
/// The size over which a local module is not read.
const MODULE_BYTES: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module {
    /// Dotted.
    pub(super) module: String,
    pub(super) line: usize,
    /// Whether the script gets along without it (`try: import x`).
    pub(super) optional: bool,
}

impl Module {
    pub(super) fn top(&self) -> &str {
        self.module.split('.').next().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
pub(super) struct Found {
    /// Modules that are not local.
    pub(super) modules: Vec<Module>,
    /// Files of local modules, sorted.
    pub(super) local_modules: Vec<PathBuf>,
}

/// Collects the imports of a script, through the modules beside it.
pub(super) fn follow(path: &Path, body: &[Stmt]) -> Found {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    let mut waiting = Vec::new();
    let mut own = Vec::new();
    collect(body, false, 0, &mut own);
    sort_out(folder, own, &mut found, &mut waiting);
    while let Some(file) = waiting.pop() {
        if seen.len() >= LOCAL_MODULES || !seen.insert(file.clone()) {
            continue;
        }
        let small = file.metadata().is_ok_and(|data| data.len() <= MODULE_BYTES);
        let Some(text) = small.then(|| std::fs::read_to_string(&file).ok()).flatten() else { continue };
        let mut inner = Vec::new();
        collect(&parse(&text).body, false, 0, &mut inner);
        // Lines of another file would mislead.
        inner.iter_mut().for_each(|module| module.line = 0);
        sort_out(folder, inner, &mut found, &mut waiting);
    }
    found.local_modules = seen.into_iter().collect();
    found
}

/// Local modules are to be followed, the others are packages.
fn sort_out(folder: &Path, modules: Vec<Module>, found: &mut Found, waiting: &mut Vec<PathBuf>) {
    for module in modules {
        match local(folder, &module) {
            Some(files) => waiting.extend(files),
            None => found.modules.push(module),
        }
    }
}

/// The files of a module beside the script; Python looks there first.
fn local(folder: &Path, module: &Module) -> Option<Vec<PathBuf>> {
    let top = module.top();
    if top.is_empty() || !top.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let file = folder.join(format!("{top}.py"));
    if file.is_file() {
        return Some(vec![file]);
    }
    let package = folder.join(top);
    if !package.is_dir() || super::packages::is_standard(top) {
        return None;
    }
    let mut files = vec![package.join("__init__.py")];
    let mut inner = package;
    for part in module.module.split('.').skip(1) {
        inner = inner.join(part);
        files.push(inner.with_extension("py"));
        files.push(inner.join("__init__.py"));
    }
    files.retain(|file| file.is_file());
    // A folder without any Python is no module, whatever it is called.
    (!files.is_empty()).then_some(files)
}

fn collect(statements: &[Stmt], optional: bool, depth: usize, out: &mut Vec<Module>) {
    if depth > crate::source::MAX_DEPTH {
        return;
    }
    let depth = depth + 1;
    for statement in statements {
        match statement {
            Stmt::Import(import) if import.level == 0 => {
                // `from package import module` may name a module of a namespace, so the whole path is kept.
                let is_from = import.path.len() > import.module.len() && import.local != "*";
                let module = if is_from { &import.path } else { &import.module };
                push(Module { module: module.clone(), line: import.line, optional }, out);
            }
            Stmt::Import(_) => {}
            Stmt::Function(function) => collect(&function.body, optional, depth, out),
            Stmt::Class(class) => collect(&class.body, optional, depth, out),
            Stmt::If { test, body, orelse, .. } => {
                if !is_type_checking(test) {
                    collect(body, optional, depth, out);
                }
                collect(orelse, optional, depth, out);
            }
            Stmt::Loop { body, .. } | Stmt::With { body, .. } => collect(body, optional, depth, out),
            Stmt::Try { body, handlers, rest, catches_import } => {
                collect(body, optional || *catches_import, depth, out);
                // What is imported only when something else is missing is needed by nobody.
                let own = handlers.iter().filter(|_| !catches_import);
                own.for_each(|handler| collect(handler, true, depth, out));
                collect(rest, optional, depth, out);
            }
            Stmt::Assign { .. } | Stmt::Expr { .. } | Stmt::Return(_) => {}
        }
    }
}

fn is_type_checking(test: &Expr) -> bool {
    test.dotted().is_some_and(|name| name == "TYPE_CHECKING" || name.ends_with(".TYPE_CHECKING"))
}

fn push(module: Module, out: &mut Vec<Module>) {
    match out.iter_mut().find(|known| known.module == module.module) {
        Some(known) => known.optional &= module.optional,
        None => out.push(module),
    }
}
