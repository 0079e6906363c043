//! Which tools a query may mean.

mod index;
pub(crate) mod words;

#[cfg(test)]
pub(crate) use index::Names;
pub(crate) use index::cut;
pub use index::{Ability, Candidate, MAX_CANDIDATES, SearchIndex};
