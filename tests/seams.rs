//! The seams: every file of the corpus, cut everywhere, gives what the oracle says of the uncut file.

use crate::corpus::{Case, cases};
use crate::support::{partitioned, sequential};

/// Sizes of one read, so that buffers end everywhere too.
const READS: [usize; 4] = [1, 3, 16, 4096];

fn small(case: &Case) -> bool {
    case.bytes.len() <= 24
}

#[test]
fn the_corpus_is_what_it_says() {
    let all = cases();
    assert!(all.len() >= 300, "{} files", all.len());
    assert!(all.iter().filter(|c| small(c)).count() >= 20);
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
        for read in READS {
            assert_eq!(partitioned(&case, &[], read), sequential(&case), "{} read by {read}", case.name);
        }
    }
}

#[test]
fn every_single_cut_gives_what_the_oracle_says() {
    for case in cases() {
        let truth = sequential(&case);
        for cut in case.data_start + 1..case.bytes.len() as u64 {
            let read = READS[cut as usize % READS.len()];
            assert_eq!(partitioned(&case, &[cut], read), truth, "{} cut at {cut}, read by {read}", case.name);
        }
    }
}

#[test]
fn every_pair_of_cuts_gives_what_the_oracle_says() {
    for case in cases().iter().filter(|c| small(c)) {
        let truth = sequential(case);
        let size = case.bytes.len() as u64;
        for one in case.data_start + 1..size {
            for two in one + 1..size {
                let read = READS[(one + two) as usize % READS.len()];
                let cut = partitioned(case, &[one, two], read);
                assert_eq!(cut, truth, "{} cut at {one} and {two}, read by {read}", case.name);
            }
        }
    }
}

#[test]
fn a_cut_at_every_byte_gives_what_the_oracle_says() {
    for case in cases() {
        let cuts: Vec<u64> = (case.data_start + 1..case.bytes.len() as u64).collect();
        assert_eq!(partitioned(&case, &cuts, 4096), sequential(&case), "{}", case.name);
    }
}
