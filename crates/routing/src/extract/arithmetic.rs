//! Arithmetic in a query: the longest run of numbers, operators and functions that calculates something.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::reading::{Expression, pattern};

static PIECE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix)(?P<number>(?:\d[\d,]*\.?\d*|\.\d+)(?:e[+-]?\d+\b)?)
        | (?P<postfix>%|percent\b|per\ cent\b|squared\b|cubed\b|!)
        | (?P<of>\bof\b)
        | (?P<infix>\*\*|//|[*/^×÷·+−-]|\b(?:plus|minus|times|divided\ by|multiplied\ by|modulo|mod|to\ the\ power\ of|x)\b)
        | (?P<function>\b(?:square|cube)\ root\ of\b|\b(?:sqrt|sin|cos|tan|log10|log2|log|ln|exp|abs|round|floor|ceil|factorial|min|max)\b|√)
        | (?P<constant>\b(?:pi|tau)\b)
        | (?P<open>\()
        | (?P<close>\))
        | (?P<comma>,)",
    )
});

#[derive(Debug, Clone, Copy, PartialEq)]
enum Piece {
    Operand,
    Percent,
    Postfix,
    Of,
    Infix { spaced: bool, could_be_other: bool },
    Function,
    Open,
    Close,
    Comma,
}

/// The most pieces of a text that are looked at for arithmetic.
const MAX_PIECES: usize = 1_000;

/// The longest piece of arithmetic in a text.
pub(super) fn expression(text: &str) -> Option<Expression> {
    let mut best: Option<Expression> = None;
    let mut run: Vec<(Range<usize>, Piece)> = Vec::new();
    let mut take = |run: &mut Vec<(Range<usize>, Piece)>| {
        if let Some(found) = longest(run)
            && best.as_ref().is_none_or(|best| found.range.len() > best.range.len())
        {
            best = Some(found);
        }
        run.clear();
    };
    for groups in PIECE.captures_iter(text).take(MAX_PIECES) {
        let Some(whole) = groups.get(0) else { continue };
        let gap = run.last().map_or("", |(last, _)| &text[last.end..whole.start()]);
        if !gap.trim().is_empty() || gap.contains('\n') {
            take(&mut run);
        }
        run.push((whole.range(), piece(&groups, text)));
    }
    take(&mut run);
    best
}

fn piece(groups: &regex::Captures<'_>, text: &str) -> Piece {
    let has = |name| groups.name(name).is_some();
    if let Some(infix) = groups.name("infix") {
        let before = text[..infix.start()].ends_with(char::is_whitespace);
        let after = text[infix.end()..].starts_with(char::is_whitespace);
        let could_be_other = matches!(infix.as_str(), "-" | "/" | "x" | "X");
        return Piece::Infix { spaced: before && after, could_be_other };
    }
    match () {
        () if has("number") || has("constant") => Piece::Operand,
        () if groups.name("postfix").is_some_and(|p| p.as_str().starts_with(['%', 'p', 'P'])) => {
            Piece::Percent
        }
        () if has("postfix") => Piece::Postfix,
        () if has("of") => Piece::Of,
        () if has("function") => Piece::Function,
        () if has("open") => Piece::Open,
        () if has("close") => Piece::Close,
        () => Piece::Comma,
    }
}

/// The longest well-formed part of a run of pieces. Runs are short, so trying from each start is cheap.
fn longest(run: &[(Range<usize>, Piece)]) -> Option<Expression> {
    const LONGEST_RUN: usize = 200;
    let run = &run[..run.len().min(LONGEST_RUN)];
    let mut best: Option<Expression> = None;
    for start in 0..run.len() {
        if let Some((end, is_plain)) = well_formed(&run[start..]) {
            let range = run[start].0.start..run[start + end - 1].0.end;
            if best.as_ref().is_none_or(|best| range.len() > best.range.len()) {
                best = Some(Expression { range, is_plain });
            }
        }
    }
    best
}

/// How many pieces from the first on form arithmetic that calculates something, and whether it can be nothing else.
fn well_formed(run: &[(Range<usize>, Piece)]) -> Option<(usize, bool)> {
    let (mut depth, mut wants_operand, mut operations, mut is_plain) = (0_usize, true, 0, false);
    let mut functions: Vec<usize> = Vec::new();
    let mut best = None;
    for (at, (_, piece)) in run.iter().enumerate() {
        match (*piece, wants_operand) {
            (Piece::Operand, true) => wants_operand = false,
            (Piece::Function, true) => {
                operations += 1;
                is_plain = true;
                functions.push(depth);
            }
            (Piece::Open, true) => depth += 1,
            (Piece::Close, false) if depth > 0 => {
                depth -= 1;
                functions.retain(|at| *at < depth);
            }
            (Piece::Comma, false) if depth > 0 && !functions.is_empty() => wants_operand = true,
            (Piece::Percent | Piece::Postfix, false) => {}
            (Piece::Of, false) if at > 0 && run[at - 1].1 == Piece::Percent => {
                operations += 1;
                is_plain = true;
                wants_operand = true;
            }
            (Piece::Infix { spaced, could_be_other }, false) => {
                operations += 1;
                is_plain |= spaced || !could_be_other;
                wants_operand = true;
            }
            (Piece::Infix { could_be_other: true, spaced: false }, true) => {} // a sign
            _ => break,
        }
        if !wants_operand && depth == 0 && operations > 0 {
            best = Some((at + 1, is_plain));
        }
    }
    best
}
