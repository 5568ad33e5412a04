//! The seams: every file of the corpus, cut everywhere, gives what the oracle says of the uncut file.
//!
//! Invariant: a file of 40 bytes or less is cut at every place, with reads of every size, at every pair of places and at all places;
//! one of 256 bytes or less at every place, with four, at a sample of pairs and at all places; a longer one at a sample of
//! places. Samples are functions of the file, so that they are the same every time; they are chosen so that the module takes a
//! minute or so of one processor without optimization.

mod quarantine;
mod triples;

use batteuse_kernel::arch::Path;
use batteuse_shared::span::Span;

use crate::corpus::{Case, cases};
use crate::support::{Attempts, Truth, partitioned, sequential};

/// The largest of the short reads: every size up to it is tried, so that buffers and blocks of 64 bytes end everywhere too.
const READ_BYTES_MAX: usize = 70;

/// Places tried of a long file.
const PLACES_SAMPLED: u64 = 100;

/// Pairs of places tried of a file that is not tiny.
const PAIRS_SAMPLED: u64 = 25;

fn tiny(case: &Case) -> bool {
    case.bytes.len() <= 40
}

fn small(case: &Case) -> bool {
    case.bytes.len() <= 256
}

/// The places at which a file can be cut.
fn places(case: &Case) -> std::ops::Range<u64> {
    case.data_start + 1..(case.bytes.len() as u64).max(case.data_start + 1)
}

/// A read size for a range or a cut, any of 1 to the largest with the same right, sometimes all of the file.
fn some_read(of: u64) -> usize {
    match of.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 {
        all if all % 8 == 0 => 4096,
        mixed => 1 + mixed as usize % READ_BYTES_MAX,
    }
}

fn check(case: &Case, cuts: &[u64], read: usize, truth: &Truth) {
    assert_eq!(&partitioned(case, cuts, read), truth, "{} cut at {cuts:?}, read by {read}", case.name);
}

#[test]
fn the_corpus_is_what_it_says() {
    let all = cases();
    assert!(all.len() >= 300, "{} files", all.len());
    assert!(all.iter().filter(|c| tiny(c)).count() >= 200);
    assert!(all.iter().filter(|c| small(c)).count() >= 300);
    for case in &all {
        assert!(case.bytes.len() < 2_000, "{} has {} bytes", case.name, case.bytes.len());
        assert!(case.columns > 0 && case.data_start <= case.bytes.len() as u64, "{}", case.name);
        assert_eq!(case.dialect.check(), Ok(()), "{}", case.name);
    }
    let mut names: Vec<_> = all.iter().map(|c| &c.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all.len(), "names are unique");
}

#[test]
fn uncut_files_give_what_the_oracle_says() {
    for case in cases() {
        let truth = sequential(&case);
        for read in [3, 4096] {
            check(&case, &[], read, &truth);
        }
        for (read, path) in (1..=READ_BYTES_MAX.min(case.bytes.len())).zip(Path::available().into_iter().cycle()) {
            let told = Attempts::new(&case, |_| (path, read)).truth(&[]);
            assert_eq!(told, truth, "{} read by {read}, {}", case.name, path.name());
        }
    }
}

/// Reads of every size up to the file's split it into blocks in every way that reads can; which path reads it by which turns with
/// the cut, so that each meets all.
#[test]
fn every_cut_of_tiny_files_gives_what_the_oracle_says() {
    let paths = Path::available();
    for case in cases().iter().filter(|c| tiny(c)) {
        let truth = sequential(case);
        for (cut, read) in places(case).flat_map(|cut| (1..=case.bytes.len()).map(move |read| (cut, read))) {
            let path = paths[(cut as usize + read) % paths.len()];
            let told = Attempts::new(case, |_| (path, read)).truth(&[cut]);
            assert_eq!(told, truth, "{} cut at {cut}, read by {read}, {}", case.name, path.name());
        }
    }
}

#[test]
fn every_cut_of_small_files_gives_what_the_oracle_says() {
    for case in cases().iter().filter(|c| small(c) && !tiny(c)) {
        let truth = sequential(case);
        for cut in places(case) {
            for read in [1, 3, some_read(cut), 4096] {
                for path in Path::available() {
                    let told = Attempts::new(case, |_| (path, read)).truth(&[cut]);
                    assert_eq!(told, truth, "{} cut at {cut}, read by {read}, {}", case.name, path.name());
                }
            }
        }
    }
}

#[test]
fn every_pair_of_cuts_gives_what_the_oracle_says() {
    let paths = Path::available();
    for case in cases().iter().filter(|c| tiny(c)) {
        let truth = sequential(case);
        // Workers need not have the same instructions, so each range is parsed with others and by other reads.
        let how = |range: Span| {
            let of = range.start * 41 + range.end;
            (paths[of as usize % paths.len()], some_read(of))
        };
        let mut attempts = Attempts::new(case, how);
        for one in places(case) {
            for two in one..places(case).end {
                // A pair of a place and itself is a single cut.
                let cuts = if one == two { &[one][..] } else { &[one, two] };
                assert_eq!(attempts.truth(cuts), truth, "{} cut at {cuts:?}, each range by its own reads", case.name);
            }
        }
    }
}

#[test]
fn cuts_of_longer_files_give_what_the_oracle_says() {
    for case in cases().iter().filter(|c| !tiny(c)) {
        let truth = sequential(case);
        let (first, room) = (places(case).start, places(case).end - places(case).start);
        // Both steps have no divisor in common with most sizes, so that few places are met twice.
        let sampled = |step: u64, i: u64| first + (i * step + i * i) % room;
        for i in (0..PLACES_SAMPLED).filter(|_| !small(case)) {
            check(case, &[sampled(7_919, i)], some_read(i), &truth);
        }
        for i in 0..PAIRS_SAMPLED {
            let (one, two) = (sampled(7_919, i), sampled(104_729, i + 1));
            check(case, &[one.min(two), one.max(two)], some_read(i), &truth);
        }
    }
}

#[test]
fn a_cut_at_every_byte_gives_what_the_oracle_says() {
    for case in cases() {
        let cuts: Vec<u64> = places(&case).collect();
        check(&case, &cuts, 4096, &sequential(&case));
    }
}

/// Records of more fields than are kept of an open one, whole and open at the buffer's end, with something in the surplus or not.
#[test]
fn records_of_very_many_fields_give_what_the_oracle_says() {
    use batteuse_shared::limits::RECORD_BYTES_MAX;
    use batteuse_shared::spec::Ragged;

    let commas = |count: usize| ",".repeat(count);
    let quoted = |count: usize| "\"\"\"\",".repeat(count);
    let text = [
        format!("a,b{}\nc,d\n", commas(9_000)),
        format!("a,b{}x\r\n\n\ne,f\n", commas(20_000)),
        format!("\"\"\"\",b{}{}\ng,h\n", commas(6_000), quoted(3_000)),
        format!("i,\"j\n\"{}", commas(12_000)),
    ]
    .concat();
    for ragged in [Ragged::Reject, Ragged::Pad] {
        let case = Case {
            name: "very many fields".to_owned(),
            bytes: text.clone().into_bytes(),
            dialect: crate::corpus::comma(),
            data_start: 0,
            columns: 2,
            integer: false,
            ragged,
            cap: RECORD_BYTES_MAX,
        };
        let truth = sequential(&case);
        assert_eq!(truth.counts.read, 7);
        for (cut, read) in [(5, 64), (9_010, 1_000), (30_000, 70_000), (45_000, 4_096), (50_000, 7_777)] {
            check(&case, &[], read, &truth);
            check(&case, &[cut], read, &truth);
        }
    }
}

/// Blank lines and rejects in turn, for longer than any buffer: what is known of them is let go.
#[test]
fn rejects_among_blank_lines_give_what_the_oracle_says() {
    use batteuse_shared::limits::RECORD_BYTES_MAX;
    use batteuse_shared::spec::Ragged;

    let case = Case {
        name: "rejects among blank lines".to_owned(),
        bytes: ["x\n", &"\n".repeat(700)].concat().repeat(60).into_bytes(),
        dialect: crate::corpus::comma(),
        data_start: 0,
        columns: 2,
        integer: false,
        ragged: Ragged::Reject,
        cap: RECORD_BYTES_MAX,
    };
    let truth = sequential(&case);
    assert_eq!((truth.counts.rejected, truth.counts.blank), (60, 60 * 700));
    for read in [100, 1_000, 4_096, 1 << 20] {
        check(&case, &[], read, &truth);
        check(&case, &[20_000], read, &truth);
    }
}
