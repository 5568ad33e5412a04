//! What a run keeps of what attempts told: as little as its end needs, for there may be a hundred thousand partitions.
//!
//! Invariant: a function of the reports alone, so that replay keeps the same (REPLAY). Figures of at most 1 KiB a partition rest on it
//! (`make bench-scheduler`). Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use batteuse_shared::span::{Exit, ExitMap, Span, StateId};
use batteuse_shared::table::{Checksum, Classes, ColumnType, Counts, Digest};
use batteuse_shared::task::{Parsed, Seam, StagedPart, StagedRejects, StagedTable};

use crate::publish::Staged;

/// A list of types that many attempts told alike, kept once.
pub(super) type Types = Arc<[ColumnType]>;

/// The lists of types that attempts told: those of the guess and of the settled schema, and what was odd.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownTypes(BTreeSet<Types>);

impl KnownTypes {
    /// The one list that is kept of all that are equal.
    fn one(&mut self, told: &[ColumnType]) -> Types {
        if let Some(known) = self.0.get(told) {
            return known.clone();
        }
        let types = Types::from(told);
        self.0.insert(types.clone());
        types
    }
}

/// What is kept of a staged attempt; its exits are the partition's, and what else is missing nobody asks for again.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    /// As in [`Parsed::first`].
    pub(super) first: Option<u64>,
    /// The span it parsed.
    pub(super) span: Span,
    /// Counts over the span.
    pub(super) counts: Counts,
    /// Summary of each column, until they are joined with those of all proven partitions.
    pub(super) summaries: Box<[Classes]>,
    /// As in [`Parsed::types`].
    pub(super) types: Option<Types>,
    /// The staged parts.
    pub(super) parts: Box<[StagedPart]>,
    /// The staging table of a database.
    pub(super) table: Option<Box<StagedTable>>,
    /// The staged rejects.
    pub(super) rejects: Option<Box<StagedRejects>>,
    /// How its start was known.
    pub(super) seam: Seam,
    /// As in [`Parsed::quarantined`].
    pub(super) quarantined: Option<Box<Checksum>>,
}

impl Kept {
    pub(super) fn of(parsed: &Parsed, types: &mut KnownTypes) -> Self {
        Self {
            first: parsed.first,
            span: parsed.span,
            counts: parsed.counts,
            summaries: parsed.summaries[..].into(),
            types: parsed.types.as_deref().map(|told| types.one(told)),
            parts: parsed.parts[..].into(),
            table: parsed.table.clone().map(Box::new),
            rejects: parsed.rejects.clone().map(Box::new),
            seam: parsed.seam,
            quarantined: parsed.quarantined.map(Box::new),
        }
    }

    /// As [`Parsed::rows`].
    pub(super) fn rows(&self) -> (u64, Digest) {
        match (&self.parts[..], &self.table) {
            ([], Some(table)) => (table.rows, table.digest),
            (parts, _) => {
                parts.iter().fold((0, Digest::default()), |(rows, sum), part| (rows + part.rows, sum.plus(part.digest)))
            }
        }
    }

    /// Everything that it staged in the staging folder.
    pub(super) fn staged(&self) -> Vec<Staged> {
        staged(&self.parts, self.rejects.as_deref())
    }
}

/// What is staged under the names of these.
pub(super) fn staged(parts: &[StagedPart], rejects: Option<&StagedRejects>) -> Vec<Staged> {
    let parts = parts.iter().map(|p| Staged { name: p.key.clone(), upload: p.upload.clone() });
    let rejects = rejects.map(|r| Staged { name: r.key.clone(), upload: r.upload.clone() });
    parts.chain(rejects).collect()
}

/// An [`ExitMap`] in few bytes, by its start states in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Exits(Box<[Known]>);

/// The exit under one start state.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Known {
    start: StateId,
    state: StateId,
    /// [`NO_BOUNDARY`] where there is none.
    first: u64,
}

/// No source is so long that a boundary lies here.
const NO_BOUNDARY: u64 = u64::MAX;

impl Exits {
    /// The exit under start state `start`, if it was tried.
    pub(super) fn exit(&self, start: StateId) -> Option<Exit> {
        let Known { state, first, .. } = *self.0.iter().find(|known| known.start == start)?;
        Some(Exit { state, first: (first != NO_BOUNDARY).then_some(first) })
    }

    /// Adds the entries of `told`.
    pub(super) fn learn(&mut self, told: &ExitMap) {
        let known = |(&start, exit): (&StateId, &Exit)| Known {
            start,
            state: exit.state,
            first: exit.first.unwrap_or(NO_BOUNDARY),
        };
        debug_assert!(
            told.0.iter().all(|(start, exit)| self.exit(*start).is_none_or(|known| known == *exit)),
            "exit maps are facts of the bytes"
        );
        let before = self.0.iter().copied().filter(|known| !told.0.contains_key(&known.start));
        let mut all: Vec<Known> = before.chain(told.0.iter().map(known)).collect();
        all.sort_unstable_by_key(|known| known.start);
        self.0 = all.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_learned_as_maps_learn_them() {
        let exit = |state, first| Exit { state: StateId(state), first };
        let told = [
            ExitMap([(StateId(3), exit(2, Some(9))), (StateId(0), exit(2, Some(0)))].into()),
            ExitMap([(StateId(2), exit(4, None))].into()),
            ExitMap([(StateId(0), exit(2, Some(0))), (StateId(1), exit(0, None))].into()),
        ];
        let (mut map, mut exits) = (ExitMap::default(), Exits::default());
        for told in &told {
            map.learn(told);
            exits.learn(told);
            for state in (0..6).map(StateId) {
                assert_eq!(exits.exit(state), map.exit(state));
            }
        }
        assert_eq!(exits.0.len(), 4);
    }

    #[test]
    fn equal_lists_of_types_are_kept_once() {
        let mut known = KnownTypes::default();
        let (a, b) = (known.one(&[ColumnType::Int64]), known.one(&[ColumnType::Int64]));
        assert!(Arc::ptr_eq(&a, &b));
        assert_eq!((&known.one(&[ColumnType::Text])[..], known.0.len()), (&[ColumnType::Text][..], 2));
    }
}
