//! A stopwatch that an attempt carries along: every moment of it is in exactly one phase.
//!
//! Invariant: it only measures; nothing is decided by it. A change of phase is one look at the clock, some tens of nanoseconds,
//! and there are a few for each read and each batch, so what is measured is not slowed down.
#![expect(clippy::disallowed_methods, reason = "a shell: the clock of the attempts' phases")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use batteuse_shared::limits::PHASE_US_MAX;
use batteuse_shared::task::Phases;

/// What an attempt is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading the source.
    Read,
    /// Framing, decoding and taking the digest.
    Parse,
    /// Encoding and compressing.
    Encode,
    /// Working with the staging folder.
    Stage,
}

/// A stopwatch; clones show the same time. Files hold one, and files move between threads: hence the lock, which nobody contends for.
#[derive(Debug, Clone)]
pub struct Stopwatch(Arc<Mutex<Lap>>);

#[derive(Debug)]
struct Lap {
    phase: Phase,
    since: Instant,
    /// In the order of [`Phase`].
    spent: [Duration; 4],
}

impl Lap {
    fn turn(&mut self, phase: Phase) -> Phase {
        let now = Instant::now();
        self.spent[self.phase as usize] += now - self.since;
        self.since = now;
        std::mem::replace(&mut self.phase, phase)
    }
}

impl Stopwatch {
    /// Starts in `phase`.
    #[must_use]
    pub fn start(phase: Phase) -> Self {
        Self(Arc::new(Mutex::new(Lap { phase, since: Instant::now(), spent: [Duration::ZERO; 4] })))
    }

    /// From now on it is `phase`.
    pub fn enter(&self, phase: Phase) {
        self.lap().turn(phase);
    }

    /// Does something that is of `phase`, whatever the phase is before and after it.
    pub fn within<T>(&self, phase: Phase, act: impl FnOnce() -> T) -> T {
        let before = self.lap().turn(phase);
        let done = act();
        self.enter(before);
        done
    }

    /// How long every phase took up to now.
    #[must_use]
    pub fn phases(&self) -> Phases {
        let mut lap = self.lap();
        let phase = lap.phase;
        lap.turn(phase);
        let us =
            |phase: Phase| u64::try_from(lap.spent[phase as usize].as_micros()).unwrap_or(u64::MAX).min(PHASE_US_MAX);
        Phases {
            read_us: us(Phase::Read),
            parse_us: us(Phase::Parse),
            encode_us: us(Phase::Encode),
            stage_us: us(Phase::Stage),
        }
    }

    /// Who panicked while it was held has left times that are times.
    fn lap(&self) -> MutexGuard<'_, Lap> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_is_in_exactly_one_phase() {
        let watch = Stopwatch::start(Phase::Stage);
        let began = watch.lap().since;
        for phase in [Phase::Read, Phase::Parse, Phase::Encode, Phase::Read] {
            watch.enter(phase);
        }
        let other = watch.clone();
        let told = [watch.phases().parse_us, other.phases().parse_us];
        assert_eq!(told[0], told[1], "only the phase that it is in goes on");
        let lap = watch.lap();
        assert_eq!(lap.spent.iter().sum::<Duration>(), lap.since - began);
    }

    #[test]
    fn what_is_done_within_another_phase_ends_with_it() {
        let watch = Stopwatch::start(Phase::Encode);
        assert_eq!(watch.within(Phase::Stage, || watch.lap().phase), Phase::Stage);
        assert_eq!(watch.lap().phase, Phase::Encode);
    }

    #[test]
    fn no_time_is_longer_than_the_wire_takes() {
        let watch = Stopwatch::start(Phase::Read);
        watch.lap().spent[0] = Duration::from_secs(u32::MAX.into());
        assert_eq!(watch.phases().read_us, PHASE_US_MAX);
    }
}
