//! Room for open runs: how many, and how many bytes of specs, a coordinator has at once (BOUNDED).
//!
//! Invariant: what is open and what is on its way never come to more than the bounds. A place is taken before a submission is looked at,
//! and is given back once the run is seen among the open ones or is refused; both are counted under one lock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Runs and the bytes of their specs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// How many runs.
    pub runs: u64,
    /// Bytes of their specs.
    pub spec_bytes: u64,
}

impl Load {
    fn plus(self, other: Self) -> Self {
        Self {
            runs: self.runs.saturating_add(other.runs),
            spec_bytes: self.spec_bytes.saturating_add(other.spec_bytes),
        }
    }

    /// Of all these.
    #[must_use]
    pub fn sum(loads: impl Iterator<Item = Self>) -> Self {
        loads.fold(Self::default(), Self::plus)
    }
}

/// The bounds, and what is on its way.
#[derive(Debug)]
pub struct Room {
    most: Load,
    on_the_way: Mutex<Load>,
}

/// A place that is taken until it is dropped.
#[derive(Debug)]
pub struct Place {
    room: Arc<Room>,
    load: Load,
}

impl Room {
    /// With these bounds.
    #[must_use]
    pub fn new(most: Load) -> Arc<Self> {
        Arc::new(Self { most, on_the_way: Mutex::default() })
    }

    fn held(&self) -> MutexGuard<'_, Load> {
        // A sum of two numbers is whole whoever panicked.
        self.on_the_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a run with a spec of so many bytes beside those that are `open`.
    ///
    /// # Errors
    /// When there is none: what there is already.
    pub fn take(self: &Arc<Self>, open: impl FnOnce() -> Load, spec_bytes: u64) -> Result<Place, Load> {
        let load = Load { runs: 1, spec_bytes };
        let mut on_the_way = self.held();
        // Asked under the lock: a run leaves the way only after it is among the open ones.
        let there = on_the_way.plus(open());
        let then = there.plus(load);
        if then.runs > self.most.runs || then.spec_bytes > self.most.spec_bytes {
            return Err(there);
        }
        *on_the_way = on_the_way.plus(load);
        Ok(Place { room: self.clone(), load })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut on_the_way = self.room.held();
        on_the_way.runs -= self.load.runs;
        on_the_way.spec_bytes -= self.load.spec_bytes;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn room(runs: u64) -> Arc<Room> {
        Room::new(Load { runs, spec_bytes: 1_000 })
    }

    #[test]
    fn a_place_is_free_again_when_it_is_given_back() {
        let room = room(2);
        let none = Load::default;
        let first = room.take(none, 10).unwrap();
        let second = room.take(none, 10).unwrap();
        assert_eq!(room.take(none, 10).unwrap_err(), Load { runs: 2, spec_bytes: 20 });
        drop(first);
        let open = || Load { runs: 1, spec_bytes: 10 };
        assert_eq!(room.take(open, 10).unwrap_err(), Load { runs: 2, spec_bytes: 20 }, "one is open by now");
        drop(second);
        assert!(room.take(open, 10).is_ok());
    }

    #[test]
    fn the_bytes_of_specs_are_bounded_too() {
        let room = room(100);
        let _taken = room.take(Load::default, 600).unwrap();
        assert!(room.take(Load::default, 401).is_err());
        assert!(room.take(Load::default, 400).is_ok());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a race")]
    fn the_bound_holds_under_sixty_four_submissions_at_once() {
        let (room, open) = (room(10), AtomicU64::new(0));
        let load = || Load { runs: open.load(Ordering::SeqCst), spec_bytes: 0 };
        let submit = || {
            let Ok(place) = room.take(load, 1) else { return false };
            let before = open.fetch_add(1, Ordering::SeqCst);
            assert!(before < 10, "{before} runs were open");
            drop(place);
            true
        };
        let taken: Vec<bool> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..64).map(|_| scope.spawn(submit)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let taken = taken.into_iter().filter(|taken| *taken).count();
        assert!(taken > 0 && open.load(Ordering::SeqCst) == taken as u64);
        while room.take(load, 1).is_ok() {
            open.fetch_add(1, Ordering::SeqCst);
        }
        assert_eq!(open.load(Ordering::SeqCst), 10, "each place is taken in the end");
    }
}
