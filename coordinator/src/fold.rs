//! The fold: exit maps composed from the left, so that the true start state of every partition is known.
//!
//! Invariant: a start is told only when every map to its left has told its exit; what is told is
//! never taken back but where a range is cut once more. Pure.

use batteuse_shared::span::{ExitMap, StateId};

/// The known prefix of true start states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    starts: Vec<StateId>,
}

impl Fold {
    /// Only the first partition's start is known.
    #[must_use]
    pub fn new(first: StateId) -> Self {
        Self { starts: vec![first] }
    }

    /// The true start state of partition `index`, where it is known.
    #[must_use]
    pub fn start(&self, index: usize) -> Option<StateId> {
        self.starts.get(index).copied()
    }

    /// Starts known so far; the last one may belong to the end of the source.
    #[must_use]
    pub fn known(&self) -> usize {
        self.starts.len()
    }

    /// Forgets the starts behind partition `index`: its range has changed, and its exit with it.
    pub fn forget_after(&mut self, index: usize) {
        self.starts.truncate(index + 1);
    }

    /// Goes on as far as the maps tell: `s[i+1] = map[i](s[i])`.
    pub fn extend<'m>(&mut self, map: impl Fn(usize) -> Option<&'m ExitMap>) {
        self.extend_by(|index, start| map(index).and_then(|m| m.exit(start)).map(|exit| exit.state));
    }

    /// The same of maps that are kept in another form: asked with an index and a start state.
    pub fn extend_by(&mut self, exit: impl Fn(usize, StateId) -> Option<StateId>) {
        while let Some(&start) = self.starts.last() {
            let Some(state) = exit(self.starts.len() - 1, start) else { return };
            self.starts.push(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use batteuse_shared::span::Exit;

    use super::*;

    fn map(pairs: &[(u8, u8)]) -> ExitMap {
        ExitMap(pairs.iter().map(|&(s, t)| (StateId(s), Exit { state: StateId(t), first: None })).collect())
    }

    #[test]
    fn it_goes_as_far_as_the_maps_tell() {
        let maps = [Some(map(&[(0, 3)])), None, Some(map(&[(0, 0), (3, 3)]))];
        let mut fold = Fold::new(StateId(0));
        fold.extend(|i| maps.get(i).and_then(Option::as_ref));
        assert_eq!((fold.known(), fold.start(1)), (2, Some(StateId(3))));
        let maps = [maps[0].clone(), Some(map(&[(0, 0), (3, 0)])), maps[2].clone()];
        fold.extend(|i| maps.get(i).and_then(Option::as_ref));
        assert_eq!((fold.known(), fold.start(2), fold.start(3)), (4, Some(StateId(0)), Some(StateId(0))));
    }

    #[test]
    fn a_map_without_the_true_start_stops_it() {
        let maps = [map(&[(0, 3)]), map(&[(0, 0)])];
        let mut fold = Fold::new(StateId(0));
        fold.extend(|i| maps.get(i));
        assert_eq!(fold.known(), 2);
    }
}
