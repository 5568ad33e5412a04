//! Ranges that are set aside: what is told of them is what a parse tells, however the file is cut and fed.

use batteuse_kernel::automaton::Automaton;
use batteuse_kernel::quarantine::{QuarantineScan, Quarantined};
use batteuse_shared::span::{Span, StateId};
use batteuse_shared::table::{Checksum, Counts};
use sha2::{Digest as _, Sha256};

use super::{places, small, some_read, tiny};
use crate::corpus::{Case, cases};
use crate::support::{attempt, plan};

/// Places tried of a file; of one that is not small a fourth as many. Each range is tried under every start state.
const PLACES_SAMPLED: u64 = 4;

/// Goes over a range in pieces of at most `read_bytes`.
fn set_aside(case: &Case, range: Span, start: Option<StateId>, read_bytes: usize) -> Quarantined {
    let mut scan = QuarantineScan::new(&plan(case, range, start, read_bytes));
    while let Some(at) = scan.wants() {
        let rest = &case.bytes[at as usize..];
        assert!(!rest.is_empty(), "{}: wants bytes beyond the end", case.name);
        scan.feed(&rest[..rest.len().min(read_bytes)]);
    }
    scan.done()
}

/// A parse of the range and a scan of it must tell the same.
fn check(case: &Case, range: Span, start: Option<StateId>) {
    let how = format!("{} from {} to {} under {start:?}", case.name, range.start, range.end);
    let (_, _, parsed) = attempt(case, range, start, 4_096);
    let read_bytes = some_read(range.start * 31 + range.end);
    let found = set_aside(case, range, start, read_bytes);
    assert_eq!((found.first, found.span), (parsed.first, parsed.span), "{how}");
    assert_eq!(found.exits, parsed.exits, "{how}");
    let Counts { read, blank, comment, lines, .. } = parsed.counts;
    let told = Counts { read, quarantined: read, blank, comment, lines, ..Counts::default() };
    assert_eq!(found.counts, told, "{how}, fed by {read_bytes}");
    assert_eq!(found.seam.given, start.is_some(), "{how}");
    assert!(
        found.seam.merged_after <= parsed.seam.merged_after.or(Some(range.bytes())),
        "{how}: runs are compared sooner"
    );
    let bytes = &case.bytes[found.span.start as usize..found.span.end as usize];
    assert_eq!(found.sha256, Checksum(Sha256::digest(bytes).into()), "{how}");
}

fn check_cuts(case: &Case, cuts: &[u64]) {
    let mut bounds = vec![case.data_start];
    bounds.extend(cuts);
    bounds.push(case.bytes.len() as u64);
    for bound in bounds.windows(2) {
        let range = Span::new(bound[0], bound[1]);
        if !case.bytes.is_empty() {
            // A guess is by a byte.
            check(case, range, None);
        }
        for state in Automaton::new(&case.dialect, case.cap).states() {
            check(case, range, Some(state));
        }
    }
}

#[test]
fn what_is_set_aside_is_told_as_a_parse_tells_it() {
    for case in cases() {
        check_cuts(&case, &[]);
        let (first, room) = (places(&case).start, places(&case).end - places(&case).start);
        let sampled = if small(&case) { PLACES_SAMPLED.min(room) } else { PLACES_SAMPLED / 4 };
        for i in 0..sampled {
            check_cuts(&case, &[first + i * 7_919 % room]);
        }
    }
}

/// A range of a byte each, as bisecting may end in.
#[test]
fn ranges_of_one_byte_are_told_as_a_parse_tells_them() {
    for case in cases().iter().filter(|case| tiny(case)) {
        for at in places(case) {
            check(case, Span::new(at, at + 1), None);
            check(case, Span::new(at, at), None);
        }
    }
}
