//! A file cut anywhere: guessed starts, the fold, wrong guesses parsed again, and types settled, as a run does it.
//!
//! Invariant: the proven attempts together are what the oracle says of the uncut file, and every exit is that of the automaton.

use arbitrary::{Arbitrary, Result, Unstructured};
use batteuse_kernel::automaton::Automaton;
use batteuse_shared::span::{Exit, Span, StateId};
use batteuse_shared::table::Column;

use crate::attempt::{Attempt, How, attempt, must_be};
use crate::case::Case;
use crate::draw;
use crate::fold::Fold;

/// Most cuts of a file.
const CUTS_MAX: usize = 6;

/// A file, where to cut it, and how to parse it.
#[derive(Debug)]
pub struct Seam {
    case: Case,
    how: How,
    cuts: Vec<u16>,
}

impl<'a> Arbitrary<'a> for Seam {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (case, how, cuts) = (Case::draw(u)?, How::draw(u)?, draw::places(u, CUTS_MAX)?);
        let bytes = draw::file(u, &case.dialect)?;
        Ok(Self { case: case.of(bytes), how, cuts })
    }
}

impl Seam {
    /// Parses the file as it is cut.
    pub fn check(&self) {
        let truth = self.case.truth();
        let automaton = Automaton::new(&self.case.dialect, self.case.cap);
        let ranges = self.ranges();
        let proven = self.proven(&automaton, &ranges);
        let attempts: Vec<&Attempt> = proven.iter().map(|(attempt, _)| attempt).collect();
        must_be(&self.case, &self.case.columns, &attempts, &truth);
        // Types settle once all summaries are in; what was parsed with others is parsed again.
        let settled = self.case.settled(&truth);
        if settled != self.case.columns {
            let again =
                |(&range, (_, start)): (&Span, &(Attempt, StateId))| self.attempt(&settled, range, Some(*start));
            let again: Vec<Attempt> = ranges.iter().zip(&proven).map(again).collect();
            assert!(again.iter().all(|attempt| attempt.done.fits), "what settles fits");
            must_be(&self.case, &settled, &again.iter().collect::<Vec<_>>(), &truth);
        }
    }

    fn ranges(&self) -> Vec<Span> {
        let (from, size) = (self.case.data_start, self.case.bytes.len() as u64);
        let place = |&cut: &u16| from + u64::from(cut) % (size - from).max(1);
        let mut bounds: Vec<u64> = self.cuts.iter().map(place).chain([from, size]).collect();
        bounds.sort_unstable();
        bounds.dedup();
        if bounds.len() == 1 {
            bounds.push(size);
        }
        bounds.windows(2).map(|pair| Span::new(pair[0], pair[1])).collect()
    }

    fn attempt(&self, columns: &[Column], range: Span, start: Option<StateId>) -> Attempt {
        attempt(&self.case, columns, range, start, self.how.path(range), &self.how)
    }

    /// Proven attempts with the true start of each.
    fn proven(&self, automaton: &Automaton, ranges: &[Span]) -> Vec<(Attempt, StateId)> {
        let known = |i: usize| (i == 0).then(|| automaton.record_start());
        let columns = &self.case.columns;
        let guessed: Vec<Attempt> =
            ranges.iter().enumerate().map(|(i, &range)| self.attempt(columns, range, known(i))).collect();
        for (i, (attempt, &range)) in guessed.iter().zip(ranges).enumerate() {
            let starts = known(i).map_or_else(|| automaton.states(), |state| vec![state]);
            assert_eq!(attempt.done.exits.0.len(), starts.len(), "an exit for every start");
            for start in starts {
                let exit = self.stepped(automaton, range, start);
                assert_eq!(attempt.done.exits.exit(start), Some(exit), "the exit of {range:?} from {start:?}");
            }
        }
        let mut fold = Fold::new(automaton.record_start());
        fold.extend(|i| guessed.get(i).map(|attempt| &attempt.done.exits));
        assert_eq!(fold.known(), ranges.len() + 1, "the fold reaches the end");
        let prove = |(i, (guess, &range)): (usize, (Attempt, &Span))| {
            let start = fold.start(i).expect("the fold has reached it");
            (self.prove(guess, range, start), start)
        };
        guessed.into_iter().zip(ranges).enumerate().map(prove).collect()
    }

    /// The attempt at a range that started in `start`; that of the guess, if it was right, is the same.
    fn prove(&self, guess: Attempt, range: Span, start: StateId) -> Attempt {
        let exit = guess.done.exits.exit(start).expect("every start was tried");
        let given = self.attempt(&self.case.columns, range, Some(start));
        assert_eq!(given.done.first, exit.first, "a given start is the true one");
        assert_eq!(given.done.exits.exit(start), Some(exit), "exits are facts of the bytes");
        if guess.done.first == exit.first {
            let (a, b) = (&guess.done, &given.done);
            assert_eq!((a.span, a.counts, a.fits), (b.span, b.counts, b.fits), "a right guess");
            assert_eq!((&a.summaries, &guess.rejects), (&b.summaries, &given.rejects), "a right guess");
            assert!(!a.fits || guess.rows == given.rows, "a right guess");
            return guess;
        }
        given
    }

    /// What a range does to one state, byte after byte.
    fn stepped(&self, automaton: &Automaton, range: Span, start: StateId) -> Exit {
        let mut exit = Exit { state: start, first: None };
        for at in range.start..range.end {
            let byte = self.case.bytes[at as usize];
            if automaton.boundary(exit.state, byte) {
                exit.first = exit.first.or(Some(at));
            }
            exit.state = automaton.step(exit.state, byte, at);
        }
        exit
    }
}
