//! The runtime behind blocking verbs.

use std::future::Future;
use std::sync::{Arc, Weak};

use tokio::runtime::{Builder, Handle, Runtime};

/// How many threads drive a hub: it waits more than it works.
const THREADS: usize = 2;

/// Why a blocking verb has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    /// It was called inside an async runtime, which it would stop.
    #[error("a blocking verb was called inside an async runtime; use `dormouse::Hub` there")]
    InsideRuntime,
    /// There is no thread left for the runtime.
    #[error("no thread could be started")]
    Threads(#[source] std::io::Error),
    /// The verb failed.
    #[error(transparent)]
    Failed(E),
}

/// A runtime that ends with its last handle.
#[derive(Debug, Clone)]
pub(super) struct Owned(Arc<Ending>);

#[derive(Debug)]
struct Ending(Option<Runtime>);

/// A runtime that somebody else has, as long as they do.
#[derive(Debug)]
pub(super) struct Lent(Weak<Ending>);

impl Lent {
    pub(super) fn owned(&self) -> Option<Owned> {
        self.0.upgrade().map(Owned)
    }
}

impl Owned {
    pub(super) fn start<E>() -> Result<Self, Error<E>> {
        check()?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("dormouse")
            .enable_all()
            .build()
            .map_err(Error::Threads)?;
        Ok(Self(Arc::new(Ending(Some(runtime)))))
    }

    pub(super) fn lent(&self) -> Lent {
        Lent(Arc::downgrade(&self.0))
    }

    /// Waits for a verb that cannot fail.
    pub(super) fn wait<T, E>(&self, verb: impl Future<Output = T>) -> Result<T, Error<E>> {
        check()?;
        let runtime = self.0.0.as_ref().expect("the runtime is only taken when the last handle goes");
        Ok(runtime.block_on(verb))
    }

    /// Waits for a verb.
    pub(super) fn run<T, E>(&self, verb: impl Future<Output = Result<T, E>>) -> Result<T, Error<E>> {
        self.wait(verb)?.map_err(Error::Failed)
    }
}

fn check<E>() -> Result<(), Error<E>> {
    match Handle::try_current() {
        Ok(_) => Err(Error::InsideRuntime),
        Err(_) => Ok(()),
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // The last handle may go inside another runtime, where waiting would panic.
            runtime.shutdown_background();
        }
    }
}
