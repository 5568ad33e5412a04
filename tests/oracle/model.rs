//! The published models of the split and of the cap, restated: seven states named R, F, U, Q, E, C, S, a crossed bit beside
//! them, one delimiter, literal quoting, no escape and no comment.
//!
//! Invariant: written from the models, not from the automaton. The comparison is no sample: the two machines are walked
//! together over every byte, at marks and between them, until no new pair of states comes up.

use std::collections::BTreeMap;

use batteuse_kernel::automaton::Automaton;
use batteuse_shared::span::{Exit, ExitMap, Span, StateId};
use batteuse_shared::spec::{Dialect, Ragged};
use proptest::prelude::*;
use proptest::sample::select;

use super::arbitrary::{cuts, place, read_bytes};
use crate::corpus::{Case, comma};
use crate::support::attempt;

/// Record start, field start, unquoted, quoted, quote seen inside quoted, CR seen, skipping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    R,
    F,
    U,
    Q,
    E,
    C,
    S,
}

/// A state and its crossed bit.
type Marked = (At, bool);

/// The parameters of the models: delimiter, quote and K.
#[derive(Debug, Clone, Copy)]
struct Model {
    delimiter: u8,
    quote: u8,
    k: u64,
}

impl Model {
    fn step(self, state: At, byte: u8) -> At {
        let state = match (state, byte) {
            (At::C, b'\n') => return At::R,
            (At::C, _) => At::R,
            _ => state,
        };
        match (state, byte) {
            (At::S, b'\n') => At::R,
            (At::S, b'\r') => At::C,
            (At::S, _) => At::S,
            (At::Q, _) => {
                if byte == self.quote {
                    At::E
                } else {
                    At::Q
                }
            }
            _ if byte == self.delimiter => At::F,
            (_, b'\n') => At::R,
            (_, b'\r') => At::C,
            (At::U, _) => At::U,
            _ if byte == self.quote => At::Q,
            _ => At::U,
        }
    }

    fn stepm(self, (mut state, mut crossed): Marked, byte: u8, offset: u64) -> Marked {
        let no_record = |s| matches!(s, At::R | At::C | At::S);
        if offset.is_multiple_of(self.k) && !no_record(state) {
            (state, crossed) = if crossed { (At::S, false) } else { (state, true) };
        }
        let before = state;
        state = self.step(state, byte);
        (state, crossed && !no_record(state) && !matches!(before, At::R | At::C))
    }

    /// The first boundary at or after `from`, in `state` before it; the end of the file counts as one.
    fn first_boundary(self, bytes: &[u8], from: usize, mut state: Marked) -> usize {
        for (at, &byte) in bytes.iter().enumerate().skip(from) {
            if state.0 == At::R || (state.0 == At::C && byte != b'\n') {
                return at;
            }
            state = self.stepm(state, byte, at as u64);
        }
        bytes.len()
    }

    fn exit(self, bytes: &[u8], range: std::ops::Range<usize>, state: Marked) -> Marked {
        range.fold(state, |state, at| self.stepm(state, bytes[at], at as u64))
    }

    fn dialect(self) -> Dialect {
        Dialect { delimiter: vec![self.delimiter], quote: Some(self.quote), ..comma() }
    }

    /// Walks model and automaton together from the record's start: which state of one is which of the other.
    fn pairs(self, automaton: &Automaton) -> BTreeMap<Marked, StateId> {
        let start = ((At::R, false), automaton.record_start());
        let mut pairs = BTreeMap::from([start]);
        let mut fresh = vec![start];
        while let Some((ours, theirs)) = fresh.pop() {
            for byte in 0..=255 {
                let boundary = ours.0 == At::R || (ours.0 == At::C && byte != b'\n');
                assert_eq!(automaton.boundary(theirs, byte), boundary, "{ours:?} before {byte}");
                for offset in [self.k, self.k + 1] {
                    let to = (self.stepm(ours, byte, offset), automaton.step(theirs, byte, offset));
                    let known = pairs.insert(to.0, to.1);
                    assert!(known.is_none_or(|known| known == to.1), "{ours:?} over {byte} at {offset}");
                    if known.is_none() {
                        fresh.push(to);
                    }
                }
            }
        }
        pairs
    }
}

#[test]
fn the_automaton_is_the_model() {
    for (delimiter, quote) in [(b',', b'"'), (b';', b'\''), (b'\t', b'"'), (b'a', b'b')] {
        let model = Model { delimiter, quote, k: 8 };
        let automaton = Automaton::new(&model.dialect(), model.k);
        let pairs = model.pairs(&automaton);
        assert_eq!(pairs.len(), 11, "the model of the cap has 11 states");
        let mut theirs: Vec<StateId> = pairs.into_values().collect();
        theirs.sort_unstable();
        let mut told = automaton.states();
        told.sort_unstable();
        assert_eq!(theirs, told, "each state stands for one of the model, and none is left over");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn spans_and_exits_are_those_of_the_model(
        bytes in prop::collection::vec(select(&b"ab,\"\n\r"[..]), 1..60),
        k in select(&[2, 3, 5, 8, 1 << 20][..]),
        cuts in cuts(),
        read in read_bytes(),
    ) {
        let model = Model { delimiter: b',', quote: b'"', k };
        let automaton = Automaton::new(&model.dialect(), k);
        let pairs = model.pairs(&automaton);
        let case = Case {
            name: "made up".to_owned(),
            bytes,
            dialect: model.dialect(),
            data_start: 0,
            columns: 2,
            integer: false,
            ragged: Ragged::Reject,
            cap: k,
        };
        let size = case.bytes.len();
        let bounds = [vec![0], place(&cuts, &case), vec![size as u64]].concat();
        let mut state = (At::R, false);
        for w in bounds.windows(2) {
            let (a, b) = (w[0] as usize, w[1] as usize);
            let tell = |start: Marked| {
                let first = model.first_boundary(&case.bytes[..b], a, start);
                let state = pairs[&model.exit(&case.bytes, a..b, start)];
                Exit { state, first: (first < b).then_some(first as u64) }
            };
            let given = attempt(&case, Span::new(w[0], w[1]), Some(pairs[&state]), read).2;
            prop_assert_eq!(&given.exits, &ExitMap([(pairs[&state], tell(state))].into()));
            let (low, high) = (
                model.first_boundary(&case.bytes, a, state),
                model.first_boundary(&case.bytes, b, model.exit(&case.bytes, a..b, state)),
            );
            let span = if low < b { Span::new(low as u64, high as u64) } else { Span::new(w[1], w[1]) };
            prop_assert_eq!(given.span, span);
            let guessed = attempt(&case, Span::new(w[0], w[1]), None, read).2;
            let all = pairs.iter().map(|(&ours, &theirs)| (theirs, tell(ours))).collect();
            prop_assert_eq!(guessed.exits, ExitMap(all));
            state = model.exit(&case.bytes, a..b, state);
        }
    }
}
