//! Chaos on request: faults that a user lets befall a worker or a coordinator, to see that what we claim is so.
//!
//! Invariant: what befalls an attempt or a slot of a journal is a function of the seed and of its number, not of chance or time; and each
//! fault is logged before it strikes. Nothing happens that nobody asked for.
#![expect(clippy::disallowed_methods, reason = "a shell: it ends this process, as it was asked to")]

pub mod state;

use std::alloc::{Layout, handle_alloc_error};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use batteuse_shared::task::{Lease, Task};
use batteuse_worker::attempt::{self, Moment};
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::components;

/// How long a stall lasts unless that is given. Milliseconds: beyond twice the default time of a lease, when others have begun the work.
const STALL_MS: u64 = 40_000;
/// The longest delay unless that is given. Milliseconds.
const DELAY_MS: u64 = 500;
/// Longest time that may be asked for. Milliseconds: an hour.
const MS_MAX: u64 = 3_600_000;
/// What an attempt that wants all memory asks for at a time: first large pieces, then what is left between them. Bytes.
const BLOCK_BYTES: [usize; 3] = [64 << 20, 1 << 20, 64 << 10];
/// What it gives up at: it has met no limit then. Bytes: 1 TiB.
const MEMORY_BYTES_MAX: usize = 1 << 40;

/// A fault of some probability that takes some time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Slow {
    probability: f64,
    ms: u64,
}

/// How a poisoned attempt dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    Abort,
    Panic,
    Hang,
    OutOfMemory,
}

/// A place in the source that kills whoever parses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Poison {
    /// Of a byte of the record.
    offset: u64,
    death: Death,
}

/// What is to befall, as the flag says it: `seed=7,kill=0.01,stall=0.02:20000,delay=0.1,poison=1234:abort`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chaos {
    seed: u64,
    kill: f64,
    stall: Slow,
    delay: Slow,
    poison: Option<Poison>,
}

/// Why a text is no chaos.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not understood: give some of seed=N, kill=P, stall=P[:MS], delay=P[:MS] and poison=OFFSET[:abort|panic|hang|oom], each \
     once, with commas between; P is a probability from 0 to 1, MS at most {MS_MAX}"
)]
pub struct BadChaos(String);

impl FromStr for Chaos {
    type Err = BadChaos;

    fn from_str(text: &str) -> Result<Self, BadChaos> {
        let mut chaos = Self::default();
        let mut given = Vec::new();
        for part in text.split(',') {
            let bad = || BadChaos(part.to_owned());
            let (name, value) = part.split_once('=').ok_or_else(bad)?;
            let known = match name {
                "seed" => value.parse().map(|seed| chaos.seed = seed).ok(),
                "kill" => probability(value).map(|kill| chaos.kill = kill),
                "stall" => slow(value, STALL_MS).map(|stall| chaos.stall = stall),
                "delay" => slow(value, DELAY_MS).map(|delay| chaos.delay = delay),
                "poison" => poison(value).map(|poison| chaos.poison = Some(poison)),
                _ => None,
            };
            if given.contains(&name) {
                return Err(bad());
            }
            known.ok_or_else(bad)?;
            given.push(name);
        }
        Ok(chaos)
    }
}

fn probability(text: &str) -> Option<f64> {
    text.parse().ok().filter(|p| (0.0..=1.0).contains(p))
}

fn slow(text: &str, usual_ms: u64) -> Option<Slow> {
    let (p, ms) = match text.split_once(':') {
        Some((p, ms)) => (p, ms.parse().ok().filter(|ms| (1..=MS_MAX).contains(ms))?),
        None => (text, usual_ms),
    };
    Some(Slow { probability: probability(p)?, ms })
}

fn poison(text: &str) -> Option<Poison> {
    let (offset, death) = text.split_once(':').unwrap_or((text, "abort"));
    let death = match death {
        "abort" => Death::Abort,
        "panic" => Death::Panic,
        "hang" => Death::Hang,
        "oom" => Death::OutOfMemory,
        _ => return None,
    };
    Some(Poison { offset: offset.parse().ok()?, death })
}

impl fmt::Display for Poison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let death = match self.death {
            Death::Abort => "abort",
            Death::Panic => "panic",
            Death::Hang => "hang",
            Death::OutOfMemory => "oom",
        };
        write!(f, "poison={}:{death}", self.offset)
    }
}

impl Chaos {
    /// What of it goes into the process of an attempt that is alone: poison is of the bytes, wherever they are parsed. As the flag says it.
    pub fn of_bytes(&self) -> Option<String> {
        self.poison.as_ref().map(Poison::to_string)
    }

    /// A number from 0 up to 1, a function of the seed and of what it is drawn for.
    fn drawn(&self, fault: &str, of: &str) -> f64 {
        // The upper 53 bits are what such a number holds.
        (xxh3_64_with_seed(format!("{fault} {of}").as_bytes(), self.seed) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// What befalls before `of` is done: a delay, or everything stands still for a while.
    fn before(&self, of: &str) {
        if self.drawn("stall", of) < self.stall.probability {
            warn!(fault = "stall", of, ms = self.stall.ms, seed = self.seed, "chaos");
            components::stand_still(Duration::from_millis(self.stall.ms));
        }
        if self.drawn("delay", of) < self.delay.probability {
            let ms = (self.drawn("delay of", of) * self.delay.ms as f64) as u64 + 1;
            warn!(fault = "delay", of, ms, seed = self.seed, "chaos");
            components::wait(Duration::from_millis(ms));
        }
    }

    /// This process ends here, if that befalls `of`.
    fn kill(&self, of: &str) {
        if self.drawn("kill", of) < self.kill {
            warn!(fault = "kill", of, seed = self.seed, "chaos");
            components::die();
        }
    }
}

impl Poison {
    /// Kills whoever has come here, in its way.
    fn strike(self) {
        warn!(fault = %self, "chaos");
        match self.death {
            Death::Abort => std::process::abort(),
            Death::Panic => panic!("{self}"),
            Death::Hang => loop {
                components::wait(Duration::from_millis(MS_MAX));
            },
            Death::OutOfMemory => run_out_of_memory(),
        }
    }
}

/// Asks for memory until there is none. It is not touched: what is met is a limit on what may be asked for, not memory of others.
fn run_out_of_memory() -> ! {
    let (mut blocks, mut asked_bytes) = (Vec::<Vec<u8>>::with_capacity(MEMORY_BYTES_MAX / BLOCK_BYTES[0]), 0);
    for bytes in BLOCK_BYTES {
        let mut block = Vec::new();
        while asked_bytes < MEMORY_BYTES_MAX && block.try_reserve_exact(bytes).is_ok() {
            asked_bytes += bytes;
            blocks.push(std::mem::take(&mut block));
        }
        // Later there is no room for words.
        if bytes == BLOCK_BYTES[0] {
            warn!(asked_bytes, "no more memory is given");
        }
    }
    std::hint::black_box(&blocks);
    handle_alloc_error(Layout::array::<u8>(BLOCK_BYTES[0]).expect("a block is smaller than all memory"))
}

impl attempt::Chaos for Chaos {
    fn meet(&self, lease: &Lease, moment: Moment) {
        if let (Some(poison), Moment::Framed(span)) = (self.poison, moment)
            && (span.start..span.end).contains(&poison.offset)
        {
            poison.strike();
        }
        let task = match &lease.task {
            Task::Inspect(_) => "inspection".to_owned(),
            Task::Parse(task) => format!("partition {}", task.partition),
            Task::Finish(_) => "rejects".to_owned(),
        };
        let moment = match moment {
            Moment::Begins => "begins".to_owned(),
            Moment::Framed(span) => format!("is at byte {}", span.end),
            Moment::Ended => "has ended".to_owned(),
        };
        let of = format!("attempt {} at {task} {moment}", lease.attempt);
        self.before(&of);
        self.kill(&of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_says_what_befalls() {
        let read = |text: &str| text.parse::<Chaos>();
        let all = read("seed=7,kill=0.01,stall=0.02,delay=0.1:5,poison=1234:oom").unwrap();
        let stall = Slow { probability: 0.02, ms: STALL_MS };
        let (delay, poison) = (Slow { probability: 0.1, ms: 5 }, Poison { offset: 1_234, death: Death::OutOfMemory });
        assert_eq!(all, Chaos { seed: 7, kill: 0.01, stall, delay, poison: Some(poison) });
        assert_eq!(all.of_bytes().unwrap().parse(), Ok(Chaos { poison: Some(poison), ..Chaos::default() }));
        assert_eq!(read("poison=5").unwrap().of_bytes().unwrap(), "poison=5:abort");
        let bad =
            ["", "kil=1", "kill", "kill=1.1", "kill=-0.1", "kill=NaN", "stall=0.1:0", "delay=1:3600001", "seed=-1"];
        for text in bad.into_iter().chain(["poison=x", "poison=1:die", "kill=0.1,,seed=1", "seed=1,seed=2"]) {
            let said = read(text).unwrap_err().to_string();
            assert!(said.contains("poison=OFFSET[:abort|panic|hang|oom]"), "{text}: {said}");
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_and_as_often_as_asked() {
        let of_seed = |seed: u64| Chaos { seed, ..Chaos::default() };
        let drawn = |seed: u64| (0..10_000).map(move |nth| of_seed(seed).drawn("kill", &format!("slot {nth}")));
        assert!(drawn(7).eq(drawn(7)) && !drawn(7).eq(drawn(8)));
        assert!(drawn(7).all(|p| (0.0..1.0).contains(&p)), "1 is always, 0 never");
        let struck = drawn(7).filter(|p| *p < 0.1).count();
        assert!((900..1_100).contains(&struck), "{struck} of 10,000 at 0.1");
    }
}
