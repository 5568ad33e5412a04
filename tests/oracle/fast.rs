//! The fast paths against the automaton stepped byte by byte: `scan`, `Lockstep`, the fold, and what an attempt tells.
//!
//! Invariant: [`alone`] is the only truth here; it uses `step` and `boundary` and nothing else.

use std::collections::BTreeSet;

use batteuse_coordinator::fold::Fold;
use batteuse_kernel::automaton::Automaton;
use batteuse_kernel::scan;
use batteuse_kernel::seam::Lockstep;
use batteuse_shared::span::{Exit, ExitMap, Span, StateId};
use batteuse_shared::spec::Dialect;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::arbitrary::{CAPS, case, cuts, dialect, place, read_bytes, text};
use crate::support::{attempt, shortened};

/// One state, stepped over `bytes` that begin at `offset`: where it ends, and the first boundary before one of them.
pub fn alone(automaton: &Automaton, start: StateId, bytes: &[u8], offset: u64) -> Exit {
    let mut exit = Exit { state: start, first: None };
    for (at, &byte) in (offset..).zip(bytes) {
        if exit.first.is_none() && automaton.boundary(exit.state, byte) {
            exit.first = Some(at);
        }
        exit.state = automaton.step(exit.state, byte, at);
    }
    exit
}

/// Offsets at which to begin so that the marks of cap `cap` fall on every place of `len` bytes, near and far.
fn offsets(cap: u64, len: usize) -> Vec<u64> {
    // A multiple of the cap as far away as the longest source.
    let far = (8 << 40) / cap * cap;
    if cap <= 64 {
        return (0..cap).flat_map(|residue| [residue, far + residue]).collect();
    }
    let before = (1..=len as u64 + 1).map(|left| cap.saturating_sub(left)).filter(|_| cap < 1 << 40);
    before.chain([0, 1, 8 << 40]).collect()
}

/// Every way the states of a range can go, by the automaton alone.
fn map_alone(automaton: &Automaton, bytes: &[u8], offset: u64) -> ExitMap {
    ExitMap(automaton.states().into_iter().map(|s| (s, alone(automaton, s, bytes, offset))).collect())
}

/// Splits `bytes` into pieces whose lengths are `lengths`, over and over.
fn pieces<'b>(mut bytes: &'b [u8], lengths: &[usize]) -> Vec<&'b [u8]> {
    let mut all = Vec::new();
    for &length in lengths.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at(length.min(bytes.len()));
        all.push(piece);
        bytes = rest;
    }
    all
}

/// What a lockstep over the first bytes says, against each start alone.
fn check(seam: &Lockstep, automaton: &Automaton, starts: &[StateId], bytes: &[u8], offset: u64) {
    let done = &bytes[..(seam.at() - offset) as usize];
    let truth = ExitMap(starts.iter().map(|&s| (s, alone(automaton, s, done, offset))).collect());
    assert_eq!(seam.exits(), truth);
    for (&start, exit) in &truth.0 {
        assert_eq!(seam.first(start), exit.first);
    }
    let ends = |bytes: &[u8]| starts.iter().map(|&s| alone(automaton, s, bytes, offset).state).collect::<BTreeSet<_>>();
    let met = ends(done).len() == 1;
    assert_eq!(seam.settled(), met && truth.0.values().all(|exit| exit.first.is_some()));
    assert_eq!(seam.merged_after().is_some(), met && starts.len() > 1);
    if let Some(bytes) = seam.merged_after() {
        assert_eq!(ends(&done[..bytes as usize]).len(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_states_are_those_that_can_be_reached(dialect in dialect()) {
        let cap = 8;
        let automaton = Automaton::new(&dialect, cap);
        let told = automaton.states();
        let mut reached = BTreeSet::from([automaton.record_start()]);
        let mut fresh = vec![automaton.record_start()];
        while let Some(state) = fresh.pop() {
            for byte in 0..=255 {
                for offset in [cap, cap + 1] {
                    let to = automaton.step(state, byte, offset);
                    if reached.insert(to) {
                        fresh.push(to);
                    }
                }
            }
        }
        prop_assert_eq!(&told.iter().copied().collect::<BTreeSet<_>>(), &reached);
        prop_assert!(told.len() == reached.len() && told.len() <= 32);
        for id in 0..=255 {
            prop_assert_eq!(automaton.knows(StateId(id)), reached.contains(&StateId(id)));
            prop_assert!(reached.contains(&automaton.guess(id)));
        }
    }

    /// A wrong guess costs a second parse, not a row; without quotes and comments none is wrong.
    #[test]
    fn a_guess_is_right_where_nothing_quotes_or_comments((dialect, bytes) in text(30)) {
        let automaton = Automaton::new(&Dialect { quote: None, comment: None, ..dialect }, 1 << 20);
        for at in 1..=bytes.len() {
            let truth = alone(&automaton, automaton.record_start(), &bytes[..at], 0).state;
            let first = |state| alone(&automaton, state, &bytes[at..], at as u64).first;
            prop_assert_eq!(first(automaton.guess(bytes[at - 1])), first(truth), "before {}", at);
        }
    }

    #[test]
    fn a_scan_does_what_the_steps_do((dialect, bytes) in text(30), cap in select(&CAPS[..])) {
        let automaton = Automaton::new(&dialect, cap);
        for offset in offsets(cap, bytes.len()) {
            for state in automaton.states() {
                let truth = alone(&automaton, state, &bytes, offset);
                let (to, first) = scan::run(&automaton, state, &bytes, offset);
                prop_assert_eq!(Exit { state: to, first }, truth, "{:?} at {}", state, offset);
                let to = scan::advance(&automaton, state, &bytes, offset);
                prop_assert_eq!(to, truth.state, "{:?} at {}", state, offset);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn a_lockstep_does_what_each_start_does_alone(
        (dialect, bytes) in text(60),
        cap in select(&CAPS[..]),
        offset in prop_oneof![0..200u64, (8 << 40)..(8 << 40) + 200u64],
        lengths in prop::collection::vec(1..200usize, 1..6),
        one_start in prop::option::weighted(0.2, any::<Index>()),
        jumps in prop::collection::vec(any::<Index>(), 4),
    ) {
        let automaton = Automaton::new(&dialect, cap);
        let states = automaton.states();
        let starts = one_start.map_or(states.clone(), |one| vec![states[one.index(states.len())]]);
        let mut seam = Lockstep::new(&starts, offset);
        let mut fed = offset;
        for piece in pieces(&bytes, &lengths) {
            seam.feed(&automaton, piece);
            fed += piece.len() as u64;
            check(&seam, &automaton, &starts, &bytes, offset);
            if seam.settled() {
                break;
            }
            prop_assert_eq!(seam.at(), fed);
        }
        prop_assume!(seam.settled());
        let truth = ExitMap(starts.iter().map(|&s| (s, alone(&automaton, s, &bytes, offset))).collect());
        for (jump, &start) in jumps.iter().zip(starts.iter().cycle().skip(jumps[0].index(starts.len()))) {
            let first = (seam.first(start).unwrap() - offset) as usize;
            let at = first + jump.index(bytes.len() - first + 1);
            let state = alone(&automaton, start, &bytes[..at], offset).state;
            let mut seam = seam.clone();
            seam.resume(&automaton, state, offset + at as u64, &bytes[at..]);
            prop_assert_eq!(seam.exits(), truth.clone());
            prop_assert_eq!(seam.at(), offset + bytes.len() as u64);
        }
    }

    #[test]
    fn the_maps_of_any_tiling_fold_to_the_sequential_states(
        (dialect, bytes) in text(60),
        cap in select(&CAPS[..]),
        cuts in cuts(),
        length in 1..100usize,
    ) {
        let automaton = Automaton::new(&dialect, cap);
        let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        bounds.extend([0, bytes.len()]);
        bounds.sort_unstable();
        let tiles: Vec<_> = bounds.windows(2).map(|w| (w[0] as u64, &bytes[w[0]..w[1]])).collect();
        let map = |&(offset, tile): &(u64, &[u8])| {
            let mut seam = Lockstep::new(&automaton.states(), offset);
            for piece in tile.chunks(length) {
                seam.feed(&automaton, piece);
            }
            let rest = &tile[(seam.at() - offset) as usize..];
            if !rest.is_empty() {
                let merged = seam.exits().0.values().next().unwrap().state;
                seam.resume(&automaton, merged, seam.at(), rest);
            }
            seam.exits()
        };
        let maps: Vec<ExitMap> = tiles.iter().map(map).collect();
        let mut fold = Fold::new(automaton.record_start());
        fold.extend(|i| maps.get(i));
        prop_assert_eq!(fold.known(), tiles.len() + 1);
        for (i, &(offset, tile)) in tiles.iter().enumerate() {
            let start = alone(&automaton, automaton.record_start(), &bytes[..offset as usize], 0).state;
            prop_assert_eq!(fold.start(i), Some(start));
            prop_assert_eq!(maps[i].exit(start), Some(alone(&automaton, start, tile, offset)));
        }
        let end = alone(&automaton, automaton.record_start(), &bytes, 0).state;
        prop_assert_eq!(fold.start(tiles.len()), Some(end));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1_000, ..ProptestConfig::default() })]

    /// The exits and the span of an attempt at a range, whatever its start was taken to be.
    #[test]
    fn an_attempt_tells_what_each_start_does_alone(case in case(40), cuts in cuts(), read in read_bytes()) {
        let automaton = Automaton::new(&case.dialect, case.cap);
        let size = case.bytes.len() as u64;
        let bounds = [vec![case.data_start], place(&cuts, &case), vec![size]].concat();
        let first_from = |start, at: u64| alone(&automaton, start, &case.bytes[at as usize..], at).first.unwrap_or(size);
        for w in bounds.windows(2).filter(|w| w[0] < w[1]) {
            let range = Span::new(w[0], w[1]);
            let truth = map_alone(&automaton, &case.bytes[w[0] as usize..w[1] as usize], range.start);
            let given = truth.0.keys().map(|&state| (Some(state), state));
            let guess = case.bytes[..w[0] as usize].last().map(|&before| (None, automaton.guess(before)));
            for (start, taken) in given.chain(guess) {
                let (_, _, done) = attempt(&case, range, start, read);
                let exit = truth.0[&taken];
                let span = match exit.first {
                    Some(first) => Span::new(first, first_from(exit.state, range.end)),
                    None => Span::new(range.end, range.end),
                };
                prop_assert_eq!((done.first, done.span), (exit.first, span), "{:?} over {:?}", start, range);
                match start {
                    Some(state) => prop_assert_eq!(done.exits, ExitMap([(state, exit)].into())),
                    None => prop_assert_eq!(&done.exits, &truth),
                }
            }
        }
    }

    /// A range that is shortened on the way gives what one gives that ended there from the beginning.
    #[test]
    fn a_shortened_attempt_is_one_at_the_shorter_range(
        case in case(40), cuts in cuts(), steps in 0..6usize, given in any::<bool>(), read in read_bytes(),
    ) {
        let automaton = Automaton::new(&case.dialect, case.cap);
        let (size, places) = (case.bytes.len() as u64, place(&cuts, &case));
        let start = places.first().copied().unwrap_or(case.data_start);
        let known = || alone(&automaton, automaton.record_start(), &case.bytes[case.data_start as usize..start as usize], case.data_start).state;
        let state = (given || start == 0).then(known);
        for end in places.iter().skip(1).copied() {
            let cut = (end, steps);
            let Some((rows, rejects, done)) = shortened(&case, Span::new(start, size), cut, state, read) else { continue };
            let (whole_rows, whole_rejects, whole) = attempt(&case, Span::new(start, end), state, read);
            prop_assert_eq!((done.first, done.span, done.end, &done.exits), (whole.first, whole.span, end, &whole.exits));
            prop_assert_eq!((done.counts, done.summaries, done.fits), (whole.counts, whole.summaries, whole.fits));
            prop_assert_eq!(rejects, whole_rejects);
            if done.fits {
                prop_assert_eq!(rows, whole_rows);
            }
        }
    }
}
