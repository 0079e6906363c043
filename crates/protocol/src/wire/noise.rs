//! What a server wrote on its standard output that was no message.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How many noisy lines are kept.
const KEPT: usize = 10;
/// How many characters of one are kept.
const WIDTH: usize = 200;

/// What a server wrote on its standard output beside MCP.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Noise {
    /// How many lines were no message, or none that can be read.
    pub lines: u64,
    /// How many answers came that nobody waited for: doubles, wrong numbers, late ones.
    pub strays: u64,
    /// The last few of either, cut to a readable width.
    pub last: Vec<String>,
}

/// The record behind [`Noise`].
#[derive(Debug, Default)]
pub(crate) struct NoiseLog {
    kept: Mutex<(u64, u64, VecDeque<String>)>,
}

impl NoiseLog {
    /// Records a line that was no message.
    pub(crate) fn line(&self, line: &[u8]) {
        self.record(line, 1, 0);
    }

    /// Records an answer that nobody waited for.
    pub(crate) fn stray(&self, line: &[u8]) {
        self.record(line, 0, 1);
    }

    fn record(&self, line: &[u8], noise: u64, stray: u64) {
        // A character has at most four bytes.
        let text = String::from_utf8_lossy(&line[..line.len().min(4 * WIDTH)]);
        let text: String = text.trim().chars().take(WIDTH).collect();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.0 += noise;
        kept.1 += stray;
        if kept.2.len() == KEPT {
            kept.2.pop_front();
        }
        kept.2.push_back(text);
    }

    pub(crate) fn read(&self) -> Noise {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Noise { lines: kept.0, strays: kept.1, last: kept.2.iter().cloned().collect() }
    }
}
