//! The revisions of MCP, and which life each belongs to.

use std::fmt;

/// A revision of MCP. A later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Revision {
    /// The first.
    V2024_11_05,
    /// Streamable HTTP, batches.
    V2025_03_26,
    /// Elicitation, structured results, no batches.
    V2025_06_18,
    /// Tasks, icons, streams that may be polled.
    V2025_11_25,
    /// No sessions.
    V2026_07_28,
}

impl Revision {
    /// All, newest first.
    pub(crate) const ALL: [Self; 5] =
        [Self::V2026_07_28, Self::V2025_11_25, Self::V2025_06_18, Self::V2025_03_26, Self::V2024_11_05];
    /// The newest with sessions.
    pub(crate) const GREETED: Self = Self::V2025_11_25;

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.as_str() == text)
    }

    /// Whether its clients have sessions.
    pub(crate) fn is_greeted(self) -> bool {
        self <= Self::GREETED
    }

    /// What a client gets that greets by this text: what it asks for, else our newest.
    pub(crate) fn for_greeting(asked: &str) -> Self {
        Self::read(asked).filter(|revision| revision.is_greeted()).unwrap_or(Self::GREETED)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_gets_what_it_asks_for_or_our_newest() {
        for (asked, got) in [
            ("2024-11-05", Revision::V2024_11_05),
            ("2025-06-18", Revision::V2025_06_18),
            ("2026-07-28", Revision::V2025_11_25),
            ("1999-01-01", Revision::V2025_11_25),
            ("", Revision::V2025_11_25),
        ] {
            assert_eq!(Revision::for_greeting(asked), got, "{asked}");
        }
    }
}
