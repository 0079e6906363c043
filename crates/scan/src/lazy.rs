//! Features that are only made when somebody asks for them.
//!
//! Ten thousand scripts have some two million small values between them; making them takes longer
//! than everything else that a restart does. Until they are wanted they stay bytes of the cache file.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use dormouse_types::Features;

use crate::record;

/// Features, or the bytes that they are made from.
#[derive(Clone)]
pub(crate) struct Lazy {
    made: OnceLock<Arc<Features>>,
    written: Option<Written>,
}

/// A part of the cache file that all its scripts share.
#[derive(Clone)]
pub(crate) struct Written {
    pub(crate) file: Arc<Vec<u8>>,
    pub(crate) range: Range<usize>,
}

impl Written {
    fn bytes(&self) -> &[u8] {
        self.file.get(self.range.clone()).unwrap_or_default()
    }
}

impl Lazy {
    pub(crate) fn made(features: Features) -> Self {
        Self { made: OnceLock::from(Arc::new(features)), written: None }
    }

    pub(crate) fn written(written: Written) -> Self {
        Self { made: OnceLock::new(), written: Some(written) }
    }

    pub(crate) fn get(&self) -> &Arc<Features> {
        self.made.get_or_init(|| {
            // The checksum of the file was right, so these are the bytes that this version wrote.
            let features = self.written.as_ref().and_then(|written| record::features(written.bytes()));
            Arc::new(features.unwrap_or_default())
        })
    }

    /// The features as bytes: those that they were read from, if there are any.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match &self.written {
            Some(written) => written.bytes().to_vec(),
            None => record::features_bytes(self.get()),
        }
    }
}

impl fmt::Debug for Lazy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.get(), f)
    }
}

impl PartialEq for Lazy {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}
