//! Triples (dialect, file, cut) made up from a seed: the cut file gives what the oracle says of the uncut one.
//!
//! Invariant: a file and its cuts are a function of its seed alone, and the seeds of a run are a chain that begins with the
//! run's seed; so what fails is told with the seed that makes it the first file of another run. A file is cut at a few places,
//! and every set of them is a triple of its own; ranges that several sets share are parsed once. `BATTEUSE_TRIPLES` tells
//! how many triples to try, `BATTEUSE_SEED` where to begin.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use batteuse_kernel::arch::Path;
use batteuse_shared::span::Span;
use batteuse_shared::spec::{Dialect, Ragged};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use crate::corpus::Case;
use crate::oracle::arbitrary::{dialect, pieces, place, read_bytes};
use crate::support::{Attempts, sequential};

/// Triples of a run that asks for no other number: what a debug build does in less than a minute of one processor.
const TRIPLES: u64 = 200_000;

/// Where the chain of seeds begins.
const SEED: u64 = 20_250_731;

/// Places at which a file is cut, fewer if it is too short: 15 sets.
const CUTS: usize = 4;

/// A made-up file, where it is cut, and the size of its reads.
type Made = (Case, Vec<Index>, usize);

/// Whole lines of `columns` fields, clean ones and such as have broken splitters.
fn lines(dialect: &Dialect, columns: usize) -> Vec<Vec<u8>> {
    let quoted = |text: &[u8]| match dialect.quote {
        Some(quote) => [&[quote][..], text, &[quote]].concat(),
        None => text.to_vec(),
    };
    let doubled = dialect.quote.map_or_else(Vec::new, |quote| vec![quote, quote]);
    let escaped = dialect.escape.map_or_else(Vec::new, |escape| vec![escape, dialect.quote.unwrap_or(escape)]);
    let line = |fields: &[Vec<u8>], count: usize, end: &[u8]| {
        let fields: Vec<_> = fields.iter().cycle().take(count).cloned().collect();
        [fields.join(&dialect.delimiter[..]), end.to_vec()].concat()
    };
    let plain = [b"7".to_vec(), b"ab".to_vec(), b"-12".to_vec()];
    let marks = [quoted(&dialect.delimiter), quoted(b"c\nd"), quoted(&doubled), quoted(b"\r\n"), quoted(&escaped)];
    let mixed = [b"12".to_vec(), quoted(b"e"), Vec::new(), quoted(b"")];
    let long = [quoted(&[b'x'; 61]), vec![b'y'; 65], quoted(&b"1,2\n".repeat(17))];
    let (lf, crlf) = (b"\n", b"\r\n");
    vec![
        line(&plain, columns, lf),
        line(&plain, columns, lf),
        line(&plain, columns, crlf),
        line(&plain.each_ref().map(|text| quoted(text)), columns, lf),
        line(&marks, columns, lf),
        line(&marks[1..], columns, crlf),
        line(&mixed, columns, lf),
        line(&mixed, columns, b"\r"),
        line(&long[..1], columns, lf),
        line(&long[1..], columns, crlf),
        line(&[Vec::new()], columns, lf),
        line(&plain, columns + 1, lf),
        line(&plain[1..], columns.max(2) - 1, lf),
    ]
}

/// The bytes that a pick stands for: dirt, or a whole line five times out of six, if there are lines.
fn picked<'p>(pick: u16, dirt: &'p [Vec<u8>], lines: &'p [Vec<u8>]) -> &'p [u8] {
    let (kind, which) = (pick % 6, usize::from(pick / 6));
    if kind == 0 || lines.is_empty() { &dirt[which % dirt.len()] } else { &lines[which % lines.len()] }
}

/// Files of dirt alone and files of lines with dirt between them, below all kinds of heads.
fn made() -> impl Strategy<Value = Made> {
    let body = prop_oneof![
        (Just(false), prop::collection::vec(any::<u16>(), 0..=50)),
        (Just(true), prop::collection::vec(any::<u16>(), 0..=24)),
    ];
    let heads = prop_oneof![3 => Just(""), 1 => select(&["x,y\n", "\u{feff}x\r\n", "# \"\n\n\"x\n1\",y\r"][..])];
    let cap = prop_oneof![3 => select(&[1 << 20, u64::MAX][..]), 1 => select(&[1, 2, 3, 5, 8, 13, 64, 100][..])];
    let policy = (1..=4usize, prop::bool::weighted(0.25), select(&[Ragged::Reject, Ragged::Pad][..]));
    let cuts = prop::collection::vec(any::<Index>(), CUTS);
    (dialect(), body, heads, policy, cap, cuts, read_bytes()).prop_map(
        |(dialect, (clean, picks), head, (columns, integer, ragged), cap, cuts, read)| {
            let dirt = pieces(&dialect);
            let lines = if clean { lines(&dialect, columns) } else { Vec::new() };
            let body = picks.iter().flat_map(|&pick| picked(pick, &dirt, &lines)).copied().collect::<Vec<u8>>();
            // The LF of a CR LF belongs to the head.
            let body = body.strip_prefix(b"\n").filter(|_| head.ends_with('\r')).unwrap_or(&body);
            let bytes = [head.as_bytes(), body].concat();
            let (name, data_start) = ("made up".to_owned(), head.len() as u64);
            (Case { name, bytes, dialect, data_start, columns, integer, ragged, cap }, cuts, read)
        },
    )
}

/// Every set of `places` but the empty one.
fn sets(places: &[u64]) -> impl Iterator<Item = Vec<u64>> {
    let chosen = |set: usize| (0..places.len()).filter(move |i| set >> i & 1 == 1).map(|i| places[i]).collect();
    (1..1_usize << places.len()).map(chosen)
}

/// Tries every triple of one file.
fn check((case, cuts, read): Made) -> Result<(), TestCaseError> {
    let paths = Path::available();
    let truth = sequential(&case);
    let how = |range: Span| (paths[(range.start as usize + read) % paths.len()], read);
    let mut attempts = Attempts::new(&case, how);
    for set in sets(&place(&cuts, &case)) {
        let told = catch_unwind(AssertUnwindSafe(|| attempts.truth(&set)));
        let told = told.map_err(|_| TestCaseError::fail(format!("cut at {set:?} it panics, as told above")))?;
        prop_assert_eq!(told, truth.clone(), "cut at {:?}", set);
    }
    Ok(())
}

/// Tries the triples of the file with this seed: how many there are, or what is wrong.
fn try_file(seed: u64, strategy: &impl Strategy<Value = Made>, config: &ProptestConfig) -> Result<u64, String> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed.to_le_bytes(); 4].concat());
    let mut runner = TestRunner::new_with_rng(config.clone(), rng);
    let file = strategy.new_tree(&mut runner).expect("nothing is filtered");
    let (case, cuts, _) = file.current();
    match runner.run_one(file, check) {
        Ok(_) => Ok(sets(&place(&cuts, &case)).count() as u64),
        Err(TestError::Abort(why)) => Err(format!("BATTEUSE_SEED={seed}: {why}")),
        Err(TestError::Fail(why, (case, _, read))) => {
            let bytes = case.bytes.escape_ascii().to_string();
            let case = Case { bytes: Vec::new(), ..case };
            Err(format!(
                "replay with BATTEUSE_SEED={seed} BATTEUSE_TRIPLES=1; made smaller, it is\n\
                 b\"{bytes}\", read by {read}, in {case:?}\n{why}"
            ))
        }
    }
}

/// The seed after another one: a step of splitmix64.
fn seed_after(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number from the environment.
fn asked(name: &str, otherwise: u64) -> u64 {
    let told = std::env::var(name).ok().filter(|text| !text.is_empty());
    told.map_or(otherwise, |text| text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

/// How far a run has come.
struct Run {
    /// Seed of the next file.
    seed: u64,
    files: u64,
    triples: u64,
    failures: Vec<String>,
}

#[test]
fn made_up_triples_give_what_the_oracle_says() {
    let (wanted, seed) = (asked("BATTEUSE_TRIPLES", TRIPLES), asked("BATTEUSE_SEED", SEED));
    let config = ProptestConfig { failure_persistence: None, max_shrink_iters: 5_000, ..ProptestConfig::default() };
    let run = Mutex::new(Run { seed, files: 0, triples: 0, failures: Vec::new() });
    let next = || {
        let mut run = run.lock().unwrap();
        let (seed, more) = (run.seed, run.triples < wanted && run.failures.is_empty());
        run.seed = seed_after(seed);
        more.then_some(seed)
    };
    let work = || {
        let strategy = made();
        while let Some(seed) = next() {
            let tried = try_file(seed, &strategy, &config);
            let mut run = run.lock().unwrap();
            run.files += 1;
            match tried {
                Ok(triples) => run.triples += triples,
                Err(failure) => run.failures.push(failure),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let Run { files, triples, failures, .. } = run.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    println!("{triples} triples of {files} files give what the oracle says, from seed {seed} on");
}

/// The generator makes what it is for: else a run proves little, however many triples it tries.
#[test]
fn made_up_files_hold_rows_and_rejects_of_every_kind() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let (mut rows, mut kinds, mut long) = (0, BTreeSet::new(), 0);
    for _ in 0..1_000 {
        let (case, ..) = made().new_tree(&mut runner).expect("nothing is filtered").current();
        let truth = sequential(&case);
        rows += truth.rows.len();
        kinds.extend(truth.rejects.iter().map(|reject| format!("{:?}", reject.kind)));
        long += usize::from(case.bytes.len() > 256);
    }
    assert!(rows >= 3_000, "{rows} rows");
    assert!(long >= 200, "{long} files of more than 256 bytes");
    assert_eq!(kinds.len(), 6, "{kinds:?}");
}
