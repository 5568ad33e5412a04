//! The runtime that store clients work on, and on which threads that may wait do wait.
//!
//! Invariant: it lives as long as anybody who waits on it, and may be dropped anywhere, async code included.

use std::fmt;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime, shared. Its threads do no work but to drive what is waited for.
#[derive(Clone)]
pub struct Waiter(Arc<Own>);

struct Own(Option<Runtime>);

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiter")
    }
}

impl Waiter {
    /// Starts it.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("store").enable_all().build()?;
        Ok(Self(Arc::new(Own(Some(runtime)))))
    }

    fn runtime(&self) -> &Runtime {
        self.0.0.as_ref().expect("only dropping takes it")
    }

    /// Waits for `work` in the calling thread, which must be one that may.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime().block_on(work)
    }

    /// What starts tasks on it.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        self.runtime().handle()
    }
}
