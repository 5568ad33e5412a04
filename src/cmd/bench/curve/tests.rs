//! Figures from made-up runs.

use batteuse_shared::ids::RunId;
use batteuse_shared::report::{Equation, Reruns, RunState, Seams};
use batteuse_shared::task::SourceRef;

use super::*;

/// The report of a run that wrote `rows` rows in four partitions.
fn report(rows: u64) -> Report {
    let counts = Counts { read: rows, written: rows, lines: rows, ..Counts::default() };
    let version = SourceVersion { inode: 1, mtime_ns: 2, bytes: 8_000_000 };
    Report {
        run: RunId::new("bench-1").unwrap(),
        job: "bench".to_owned(),
        state: RunState::Succeeded,
        reason: None,
        source: SourceRef { url: "file:///source.csv".to_owned(), version },
        partitions: 4,
        accepted: 4,
        splits: 0,
        attempts: 6,
        redrives: 0,
        reruns: Reruns::default(),
        seams: Seams::default(),
        phases: Phases { read_us: 100_000, parse_us: 400_000, encode_us: 800_000, stage_us: 300_000 },
        bytes: version.bytes,
        data_start: 0,
        span_bytes: version.bytes,
        counts,
        digest: Digest(u128::from(rows)),
        seconds: 0.0,
        files: 4,
        output_bytes: 9,
        table: None,
        equation: Equation::state(&counts, 0, version.bytes, version.bytes),
        quarantines: Vec::new(),
        rejects_shown: Vec::new(),
    }
}

fn used(seconds: f64) -> Used {
    Used { seconds, cpu_seconds: seconds / 2.0, memory_bytes: (seconds * 1e6) as u64 }
}

const fn embedded(workers: u32) -> Case {
    Case { mode: BenchMode::Embedded, workers }
}

fn bench(cases: &[Case], cores: u32, seconds: &[(Case, f64)]) -> Bench {
    let mut runs = Runs::default();
    for (case, seconds) in seconds {
        runs.take(*case, 1, used(*seconds), &report(7)).unwrap();
    }
    let source = Source { name: "source.csv".to_owned(), bytes: 8_000_000, generated: None };
    Bench::of(source, cores, 3, cases, &runs)
}

#[test]
fn the_curve_is_of_medians_and_of_paired_ratios() {
    let (one, two) = (embedded(1), embedded(2));
    let seconds = [(one, 4.0), (two, 2.0), (one, 8.0), (two, 2.5), (one, 5.0), (two, 4.0)];
    let told = bench(&[two, one], 2, &seconds);
    let [first, second] = &told.curve[..] else { panic!("{told:?}") };
    assert_eq!((first.case(), second.case()), (one, two), "in order");
    assert_eq!(first.seconds, Spread { least: 4.0, median: 5.0, most: 8.0 });
    assert_eq!((first.speed_up, first.efficiency, first.megabytes_per_second), (Some(1.0), Some(1.0), 1.6));
    // 2, 3.2 and 1.25 times as fast.
    assert_eq!((second.speed_up, second.efficiency), (Some(2.0), Some(1.0)));
    assert_eq!((second.cpu_seconds, second.memory_bytes, second.partitions), (1.25, 4_000_000, 4));
    assert_eq!(second.megabytes_per_second_spread(), (2.0, 4.0));
    let [calm] = &told.notes[..] else { panic!("{:?}", told.notes) };
    assert!(calm.starts_with("rounds differ much") && !second.over_cores, "{calm}");
}

#[test]
fn shares_add_up_and_what_is_left_is_waiting() {
    let told = bench(&[embedded(2)], 2, &[(embedded(2), 1.0), (embedded(2), 1.0)]);
    // Of 4 seconds of slots 3.2 were busy.
    let shares = told.curve[0].shares.named().map(|(name, share)| (name, (share * 1_000.0).round()));
    assert_eq!(shares, [("read", 50.0), ("parse", 200.0), ("encode", 400.0), ("stage", 150.0), ("wait", 200.0)]);
    let busy = Shares::of(Phases { parse_us: 3_000_000, ..Phases::default() }, 2.0);
    assert_eq!((busy.parse, busy.wait), (1.0, 0.0));
}

#[test]
fn what_is_not_fair_is_noted() {
    let told = bench(&[embedded(8)], 2, &[(embedded(8), 1.0)]);
    let point = &told.curve[0];
    assert_eq!((point.speed_up, point.efficiency, point.over_cores), (None, None, true));
    let [cores, partitions, ones] = &told.notes[..] else { panic!("{:?}", told.notes) };
    assert!(cores.starts_with("* more workers than the 2 cores"), "{cores}");
    assert!(partitions.starts_with("embedded, 8 workers: 4 partitions"), "{partitions}");
    assert!(ones.contains("1 worker"), "{ones}");
}

#[test]
fn another_table_ends_the_bench() {
    let mut runs = Runs::default();
    runs.take(embedded(1), 1, used(1.0), &report(7)).unwrap();
    runs.take(embedded(2), 1, used(1.0), &report(7)).unwrap();
    let differs = runs.take(embedded(2), 2, used(1.0), &report(8)).unwrap_err().to_string();
    let digest = |rows: u128| Digest(rows).to_string();
    let words = ["embedded, 2 workers, round 2", "8 records", "wrote 7", "EXACT", &digest(7), &digest(8)];
    assert!(words.iter().all(|word| differs.contains(word)), "{differs}");
    // The same rows in all, but others rejected.
    let mut other = report(7);
    other.counts.blank = 1;
    assert!(matches!(runs.take(embedded(2), 2, used(1.0), &other), Err(Unlike::Table { .. })));
    // Another table of another source is nobody's fault but the writer's.
    other.source.version.mtime_ns += 1;
    let changed = runs.take(embedded(2), 2, used(1.0), &other).unwrap_err();
    assert_eq!(changed, Unlike::Source { case: embedded(2), round: 2 });
}
