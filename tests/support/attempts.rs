//! The attempts at the ranges of one file, for many sets of cuts.
//!
//! Invariant: an attempt is a function of its range and its start (and of path and reads, a function of the range here), so it is
//! made once, however many sets of cuts it belongs to. What is proven and how is that of a run: guessed starts, the fold, and
//! the ranges whose guess was wrong again with the start given.

use std::collections::BTreeMap;

use batteuse_coordinator::fold::Fold;
use batteuse_kernel::arch::Path;
use batteuse_kernel::automaton::Automaton;
use batteuse_shared::span::{Span, StateId};

use super::{Attempt, Truth, attempt_by, join};
use crate::corpus::Case;

/// A range and the start it is given, if any.
type Key = (Span, Option<StateId>);

/// The attempts made so far.
pub struct Attempts<'c, H> {
    case: &'c Case,
    automaton: Automaton,
    how: H,
    made: BTreeMap<Key, Attempt>,
}

impl<'c, H: Fn(Span) -> (Path, usize)> Attempts<'c, H> {
    /// None yet. `how` tells with which instructions a range is parsed, and the size of its reads.
    pub fn new(case: &'c Case, how: H) -> Self {
        Self { case, automaton: Automaton::new(&case.dialect, case.cap), how, made: BTreeMap::new() }
    }

    /// What the file is, cut at `cuts`.
    pub fn truth(&mut self, cuts: &[u64]) -> Truth {
        let case = self.case;
        join(case, &self.proven(cuts))
    }

    /// Proven attempts at the ranges between `cuts`, in order.
    pub fn proven(&mut self, cuts: &[u64]) -> Vec<&Attempt> {
        let size = self.case.bytes.len() as u64;
        let mut bounds = vec![self.case.data_start];
        bounds.extend(cuts.iter().filter(|&&c| c > self.case.data_start && c < size));
        bounds.push(size);
        let known = |i: usize| (i == 0).then(|| self.automaton.record_start());
        let mut keys: Vec<Key> =
            bounds.windows(2).enumerate().map(|(i, w)| (Span::new(w[0], w[1]), known(i))).collect();
        for &key in &keys {
            self.make(key);
        }
        let mut fold = Fold::new(self.automaton.record_start());
        fold.extend(|i| keys.get(i).map(|key| &self.made[key].2.exits));
        assert_eq!(fold.known(), keys.len() + 1, "{}: the fold reaches the end", self.case.name);
        for (i, key) in keys.iter_mut().enumerate() {
            *key = self.prove(*key, fold.start(i).expect("known"));
        }
        keys.iter().map(|key| &self.made[key]).collect()
    }

    /// The attempt at a range that started in `state`: that of `key`, if its guess was right.
    fn prove(&mut self, key: Key, state: StateId) -> Key {
        let case = self.case;
        let done = &self.made[&key].2;
        let exit = done.exits.exit(state).expect("tried");
        if done.first == exit.first {
            return key;
        }
        let given = (key.0, Some(state));
        self.make(given);
        let done = &self.made[&given].2;
        assert_eq!(done.first, exit.first, "{}: a given start is the true one", case.name);
        assert_eq!(done.exits.exit(state), Some(exit), "{}: exits are facts of the bytes", case.name);
        given
    }

    fn make(&mut self, key: Key) {
        let (case, how) = (self.case, &self.how);
        self.made.entry(key).or_insert_with(|| {
            let (path, read_bytes) = how(key.0);
            attempt_by(path, case, key.0, key.1, read_bytes)
        });
    }
}
