//! Which tools a query may mean.

mod index;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod words;

pub(crate) use index::cut;
pub use index::{Ability, Candidate, MAX_CANDIDATES, SearchIndex};
