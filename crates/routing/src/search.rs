//! Which tools a query may mean.

mod index;
#[cfg(test)]
mod tests;
pub(crate) mod words;

#[cfg(test)]
pub(crate) use index::Names;
pub(crate) use index::cut;
pub use index::{Ability, Candidate, MAX_CANDIDATES, SearchIndex};
