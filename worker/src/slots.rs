//! The slots of a process: an attempt in each, to which those without one lend a thread for a moment.
//!
//! Invariant: work is only spread; what comes of it does not depend on who did it. Which slots are idle is a hint: for a moment there
//! may be more threads at work than slots. The threads are none of the slots' pool: one of these that waits takes another attempt
//! meanwhile.
#![expect(clippy::disallowed_methods, reason = "a shell: it starts the threads that help")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use batteuse_shared::limits::HELPERS_MAX;

/// See the module.
#[derive(Debug)]
pub struct Slots {
    count: usize,
    busy: AtomicUsize,
}

/// A slot that has an attempt, until it is dropped.
#[derive(Debug)]
pub struct Occupied<'a>(&'a AtomicUsize);

impl Drop for Occupied<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slots {
    /// So many.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { count, busy: AtomicUsize::new(0) }
    }

    /// Takes a slot for an attempt.
    pub fn occupy(&self) -> Occupied<'_> {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Occupied(&self.busy)
    }

    /// Does all of `work`, on this thread and on idle slots, in no order. After an error the rest may be left; one is told.
    ///
    /// # Errors
    /// Of the work.
    pub fn each<W: Send, E: Send>(
        &self,
        mut work: impl ExactSizeIterator<Item = W> + Send,
        act: impl Fn(W) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        let idle = self.count.saturating_sub(self.busy.load(Ordering::Relaxed).max(1));
        let helpers = idle.min(HELPERS_MAX).min(work.len().saturating_sub(1));
        if helpers == 0 {
            return work.try_for_each(act);
        }
        let (work, failed) = (Mutex::new(work), Mutex::new(None));
        let help = || {
            // The lock is held while one is taken, and not while it is done.
            let next = || work.lock().unwrap_or_else(PoisonError::into_inner).next();
            while let Some(some) = next() {
                if let Err(error) = act(some) {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    return;
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..helpers {
                // Where no thread can be started, nobody helps.
                let _ = thread::Builder::new().name("lent".to_owned()).spawn_scoped(scope, help);
            }
            help();
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Barrier;

    use super::*;

    fn done(slots: &Slots, count: usize) -> BTreeSet<usize> {
        let done = Mutex::new(BTreeSet::new());
        let act = |i| {
            assert!(done.lock().unwrap().insert(i), "each is done once");
            Ok::<(), ()>(())
        };
        slots.each(0..count, act).unwrap();
        done.into_inner().unwrap()
    }

    #[test]
    fn all_work_is_done_whoever_is_idle() {
        for count in 1..4 {
            let slots = Slots::new(count);
            for work in [0, 1, 2, 50] {
                assert_eq!(done(&slots, work), (0..work).collect());
                let busy: Vec<_> = (0..count).map(|_| slots.occupy()).collect();
                assert_eq!(done(&slots, work), (0..work).collect());
                drop(busy);
            }
        }
    }

    #[test]
    fn idle_slots_help_and_busy_ones_do_not() {
        let slots = Slots::new(3);
        let own = slots.occupy();
        // Each waits for the other two: one thread alone would wait for ever.
        let all = Barrier::new(3);
        let meet = |_| {
            all.wait();
            Ok::<(), ()>(())
        };
        slots.each(0..3, meet).unwrap();
        let others = [slots.occupy(), slots.occupy()];
        let here = thread::current().id();
        let stay = |_| {
            assert_eq!(thread::current().id(), here);
            Ok::<(), ()>(())
        };
        slots.each(0..9, stay).unwrap();
        drop(others);
        drop(own);
        assert_eq!(slots.busy.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_error_is_told() {
        let slots = Slots::new(2);
        let act = |i: usize| if i == 7 { Err(i) } else { Ok(()) };
        assert_eq!(slots.each(0..20, act), Err(7));
        let _busy = [slots.occupy(), slots.occupy()];
        assert_eq!(slots.each(0..20, act), Err(7));
    }
}
