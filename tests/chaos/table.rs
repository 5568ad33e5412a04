//! The table of what is measured: each figure beside what is wanted. `make chaos` takes all of the first column anew; `make chaos-long`
//! takes many more rounds in batches, and goes on where it stopped. Both end with the scheduler alone, which is timed without debug
//! assertions: `benches/scheduler`.
//!
//! Invariant: what failed is missed. Of the long one each batch is a line of a file, written when it has
//! ended without a violation; seeds are counted once.

use std::any::Any;
use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use batteuse_shared::mutants;
use serde::{Deserialize, Serialize};

use super::{asked, losses, redone, rounds, zombies};
use crate::{simulation, turmoil};

/// Seconds that the simulated seeds of each change may take.
const SIMULATION_S_MAX: f64 = 180.0;

/// Takes a batch of a measure; panics at a violation. What came of it, in words.
type Take = fn(Range<u64>) -> String;

/// One line of the table.
struct Measure {
    name: &'static str,
    /// How many are wanted of each change, and once.
    wanted: [u64; 2],
    /// How many make a batch of the long one.
    batch: u64,
    take: Take,
}

/// What adds up.
const MEASURES: [Measure; 5] = [
    Measure {
        name: "simulated seeds, 0 violations",
        wanted: [simulation::SEEDS, 200_000],
        batch: 10_000,
        take: |seeds| {
            let (events, came) = simulation::simulate(seeds);
            format!("{events} events, {} faults", came.values().sum::<u64>())
        },
    },
    Measure {
        name: "mutants caught",
        wanted: [mutants::ALL.len() as u64, mutants::ALL.len() as u64],
        batch: 1,
        take: |mutants| {
            let caught = mutants.map(|n| {
                let mutant = mutants::ALL[n as usize];
                let (seed, _) = simulation::found(mutant).unwrap_or_else(|| panic!("{mutant:?} is not caught"));
                format!("{mutant:?} by seed {seed}")
            });
            caught.collect::<Vec<_>>().join(", ")
        },
    },
    Measure {
        name: "turmoil seeds",
        wanted: [turmoil::SEEDS, 1_000],
        batch: 100,
        take: |seeds| turmoil::play(seeds).to_string(),
    },
    Measure {
        name: "kill -9 rounds with real processes",
        wanted: [rounds::ROUNDS, 300],
        batch: 20,
        take: |seeds| rounds::play(seeds).to_string(),
    },
    Measure {
        name: "zombie rounds, of workers and coordinators",
        wanted: [2 * zombies::ROUNDS, 60],
        batch: 6,
        // Each seed is a round of a worker and one of a coordinator.
        take: |rounds| zombies::play(rounds.start / 2..rounds.end.div_ceil(2)).to_string(),
    },
];

/// A line of the results file.
#[derive(Debug, Serialize, Deserialize)]
struct Batch {
    measure: String,
    first: u64,
    count: u64,
    seconds: f64,
    told: String,
}

/// Takes something and prints its line; tells whether it is as wanted.
fn line(name: &str, wanted: &str, take: impl FnOnce() -> (String, bool)) -> bool {
    let (figure, ok) = catch_unwind(AssertUnwindSafe(take)).unwrap_or_else(|panic| (said(&*panic), false));
    println!("{:<6} | {name:<44} | {wanted:<22} | {figure}", if ok { "ok" } else { "MISSED" });
    ok
}

/// The first line of a panic's words.
fn said(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    words.unwrap_or("a panic without words").lines().next().unwrap_or_default().to_owned()
}

#[test]
#[ignore = "half an hour: make chaos"]
fn each_change() {
    let mut ok = true;
    for Measure { name, wanted: [wanted, _], take, .. } in MEASURES {
        let began = Instant::now();
        ok &= line(name, &wanted.to_string(), || {
            let told = take(0..wanted);
            let seconds = began.elapsed().as_secs_f64();
            let in_time = !name.starts_with("simulated") || seconds <= SIMULATION_S_MAX;
            (format!("{wanted} in {seconds:.0} s: {told}"), in_time)
        });
    }
    ok &= line("a killed worker's partitions leased again", "p99 at most 8 s", || {
        let times = losses::measure(0..losses::SAMPLES);
        (times.to_string(), times.percentile(99) <= losses::P99_MS_MAX)
    });
    ok &= line("work redone under one kill in 30 s", "at most 15 %", || {
        let redone = redone::measure(0);
        (redone.to_string(), redone.permille() <= redone::PERMILLE_MAX)
    });
    assert!(ok, "something is missed");
}

/// The results of the long one, which outlive it.
fn results() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos/results.jsonl")
}

/// All batches in the file.
fn taken(file: &Path) -> Vec<Batch> {
    let text = fs::read_to_string(file).unwrap_or_default();
    // One that was being written when its process was killed is taken again.
    text.split_inclusive('\n').filter_map(|line| serde_json::from_str(line.strip_suffix('\n')?).ok()).collect()
}

/// How many of a measure there are, without a gap from 0 on.
fn so_far(batches: &[Batch], measure: &str) -> u64 {
    let mut ranges: Vec<_> =
        batches.iter().filter(|b| b.measure == measure).map(|b| (b.first, b.first + b.count)).collect();
    ranges.sort_unstable();
    ranges.into_iter().fold(0, |end, (first, next)| if first <= end { end.max(next) } else { end })
}

#[test]
#[ignore = "hours: make chaos-long"]
fn once() {
    let file = results();
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    println!("results: {}", file.display());
    let mut ok = true;
    for Measure { name, wanted: [_, wanted], batch, take } in MEASURES {
        let wanted = asked("BATTEUSE_WANTED").map_or(wanted, |most| wanted.min(most));
        while so_far(&taken(&file), name) < wanted {
            let first = so_far(&taken(&file), name);
            let (count, began) = (batch.min(wanted - first), Instant::now());
            let told = take(first..first + count);
            let batch = Batch { measure: name.to_owned(), first, count, seconds: began.elapsed().as_secs_f64(), told };
            println!("{name}: {first}..{}: {} ({:.0} s)", first + count, batch.told, batch.seconds);
            let mut results = File::options().create(true).append(true).open(&file).unwrap();
            let line = serde_json::to_string(&batch).unwrap();
            results.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        let batches = taken(&file);
        let (sum, seconds) =
            (so_far(&batches, name), batches.iter().filter(|b| b.measure == name).map(|b| b.seconds).sum::<f64>());
        ok &= line(name, &wanted.to_string(), || (format!("{sum} in {seconds:.0} s, no violation"), sum >= wanted));
    }
    assert!(ok, "something is missed");
}

#[test]
fn batches_add_up_without_gaps() {
    let batch = |measure: &str, first, count| Batch {
        measure: measure.to_owned(),
        first,
        count,
        seconds: 1.0,
        told: String::new(),
    };
    let batches = [batch("a", 0, 10), batch("b", 0, 99), batch("a", 10, 10), batch("a", 30, 10), batch("a", 5, 10)];
    assert_eq!(so_far(&batches, "a"), 20, "what was taken twice counts once, what lies behind a gap does not yet");
    assert_eq!((so_far(&batches, "b"), so_far(&batches, "c")), (99, 0));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("results.jsonl");
    assert_eq!(taken(&file).len(), 0);
    let whole = serde_json::to_string(&batches[0]).unwrap();
    fs::write(&file, format!("{whole}\n{}", &whole[..20])).unwrap();
    assert_eq!(taken(&file).len(), 1, "a torn line is taken again");
}
