//! How long the attempts of a worker take: they are real work in real time, which is done between the steps of the simulation, while no
//! host does anything and no simulated time passes.
//!
//! Invariant: when [`Pace::settle`] returns, each attempt of the worker is held or over, and what it has reported lies in its agent's
//! channel. A worker has one slot, so one attempt at most is held, and others wait behind it in the agent's pool.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use batteuse_shared::task::Lease;
use batteuse_store::Stores;
use batteuse_worker::attempt::{Chaos, Moment};

use crate::recovery::Chance;
use crate::support::binary::until;

/// One moment in so many lasts longer than a lease lives.
const LATE_EACH: u64 = 24;
/// How long such a one lasts at least, and how much more. Milliseconds.
const LATE_MS: [u64; 2] = [4_000, 6_000];

/// How often one that works is looked at before its watcher rests between two looks.
const LOOKS: u32 = 1_000;

#[derive(Debug)]
struct Held {
    chance: Chance,
    /// Simulated time of the last step. Milliseconds.
    now: u64,
    /// Until when the attempt is held that is.
    until: Option<u64>,
    late: u64,
    /// The worker is killed: what of its attempts still happens is nobody's.
    killed: bool,
    /// Nothing is held any more.
    free: bool,
}

/// One process of a worker, as long as it lives and after.
#[derive(Debug)]
pub struct Pace {
    held: Mutex<Held>,
    moved: Condvar,
    /// The longest usual time between the moments of an attempt. Milliseconds.
    usual_ms: u64,
    /// Held by the worker once, and once by each attempt that waits or runs, until its report is told.
    stores: Weak<Stores>,
}

impl Pace {
    /// Of a worker that opens folders by these, from now on.
    pub fn new(chance: Chance, usual_ms: u64, now: u64, stores: &Arc<Stores>) -> Self {
        let held = Held { chance, now, until: None, late: 0, killed: false, free: false };
        Self { held: Mutex::new(held), moved: Condvar::new(), usual_ms, stores: Arc::downgrade(stores) }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_settled(&self) -> bool {
        let held = self.held();
        let of_worker = usize::from(!held.killed);
        held.until.is_some() || self.stores.strong_count() <= of_worker
    }

    /// Waits until all that goes on is held or over.
    fn rest(&self) {
        // Most take less than it takes to be told.
        let soon = (0..LOOKS).any(|look| {
            if look > 0 {
                std::thread::yield_now();
            }
            self.is_settled()
        });
        if !soon {
            until("the attempts of a worker to be held or over", || self.is_settled().then_some(()));
        }
    }

    /// It is `now`: what was held until then goes on, and is waited for.
    pub fn settle(&self, now: u64) {
        // What began in the step before is held by the time of that step, however late its thread comes to run.
        self.rest();
        let mut held = self.held();
        held.now = now;
        if held.until.is_some_and(|until| until <= now) && !held.killed {
            held.until = None;
            self.moved.notify_all();
        }
        drop(held);
        self.rest();
    }

    /// The worker is no more. What it does comes to its end at once, unheard, or `later`, when it is let go.
    pub fn kill(&self, later: bool) {
        self.held().killed = true;
        if !later {
            self.let_go();
        }
    }

    /// What is still held goes on, and is waited for.
    pub fn let_go(&self) {
        let mut held = self.held();
        (held.free, held.until) = (true, None);
        self.moved.notify_all();
        drop(held);
        self.rest();
    }

    /// Attempts that took longer than a lease lives.
    pub fn late(&self) -> u64 {
        self.held().late
    }
}

impl Chaos for Pace {
    fn meet(&self, _: &Lease, moment: Moment) {
        if matches!(moment, Moment::Framed(_)) {
            return;
        }
        let mut held = self.held();
        if held.free {
            return;
        }
        let late = held.chance.below(LATE_EACH) == 0;
        let ms = if late { LATE_MS[0] + held.chance.below(LATE_MS[1]) } else { held.chance.below(self.usual_ms) };
        held.late += u64::from(late);
        held.until = Some(held.now + 1 + ms);
        while held.until.is_some() {
            held = self.moved.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
