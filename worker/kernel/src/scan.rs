//! Running the automaton fast: bytes that leave a state unchanged are skipped by `memchr`.
//!
//! Invariant: same states and boundaries as [`Automaton::step`] byte by byte; only the speed differs.

use batteuse_shared::span::StateId;

use crate::automaton::{Automaton, ESCAPE_SEEN, QUOTED, RECORD_START, at_mark, base, open};

/// Which bytes leave a state, where they are few enough to search for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Skip {
    leaving: [u8; 3],
    count: u8,
}

impl Skip {
    /// The bytes that leave `base`, given its row of the transition table.
    pub(crate) fn of(base: u8, row: &[u8; 256]) -> Self {
        let mut skip = Skip::default();
        for (byte, _) in (0u8..=255).zip(row).filter(|&(_, &to)| to != base) {
            if skip.count == 3 {
                return Skip::default();
            }
            skip.leaving[skip.count as usize] = byte;
            skip.count += 1;
        }
        skip
    }

    /// The index of the first byte at or after `from` that may leave the state; `bytes.len()` if there is none.
    #[inline]
    pub(crate) fn find(&self, bytes: &[u8], from: usize) -> usize {
        let [x, y, z] = self.leaving;
        let tail = &bytes[from..];
        let hit = match self.count {
            1 => memchr::memchr(x, tail),
            2 => memchr::memchr2(x, y, tail),
            3 => memchr::memchr3(x, y, z, tail),
            _ => return from,
        };
        hit.map_or(bytes.len(), |i| from + i)
    }
}

/// Runs `state` over `bytes`, the first of which lies at `offset`. Returns the state after them, and the first boundary
/// met before one of them.
#[must_use]
pub fn run(automaton: &Automaton, state: StateId, bytes: &[u8], offset: u64) -> (StateId, Option<u64>) {
    let (state, boundary, done) = run_to_boundary(automaton, state, bytes, offset);
    (advance(automaton, state, &bytes[done..], offset + done as u64), boundary)
}

/// As [`run`], but stops before the first byte at which a boundary lies; also tells how many bytes it consumed.
fn run_to_boundary(
    automaton: &Automaton,
    mut state: StateId,
    bytes: &[u8],
    offset: u64,
) -> (StateId, Option<u64>, usize) {
    let mut i = 0;
    while i < bytes.len() {
        let at = offset + i as u64;
        if automaton.boundary(state, bytes[i]) {
            return (state, Some(at), i);
        }
        state = automaton.step(state, bytes[i], at);
        i += 1;
        let to_mark = (at + 1).next_multiple_of(automaton.record_bytes_max()) - (at + 1);
        let stop = bytes.len().min(i.saturating_add(to_mark as usize));
        i = automaton.skip(base(state)).find(&bytes[..stop], i);
    }
    (state, None, bytes.len())
}

/// Runs `state` over `bytes`, the first of which lies at `offset`.
#[must_use]
pub fn advance(automaton: &Automaton, mut state: StateId, bytes: &[u8], offset: u64) -> StateId {
    let mut from = 0;
    while from < bytes.len() {
        let at = offset + from as u64;
        if at.is_multiple_of(automaton.record_bytes_max()) {
            state = at_mark(state);
        }
        let stop = bytes.len().min(from + (automaton.mark_after(at) - at).min(bytes.len() as u64) as usize);
        state = between_marks(automaton, state, &bytes[from..stop]);
        from = stop;
    }
    state
}

/// Runs `state` over bytes none of which, but perhaps the first, lies at a mark; the first one's mark is done already.
fn between_marks(automaton: &Automaton, state: StateId, bytes: &[u8]) -> StateId {
    let mut now = base(state);
    let mut same_record = true;
    let mut i = 0;
    if let Some(last) = last_line_end(automaton, now, bytes) {
        (now, same_record, i) = (RECORD_START, false, last + 1);
    }
    loop {
        i = automaton.skip(now).find(bytes, i);
        if i >= bytes.len() {
            let crossed = if same_record && open(now) { state.0 & !base(state) } else { 0 };
            return StateId(now | crossed);
        }
        now = automaton.next(now, bytes[i]);
        same_record &= open(now);
        i += 1;
    }
}

/// The index of the last LF, where it is one after which a record starts, whatever lies before it: outside quotes, if none open.
fn last_line_end(automaton: &Automaton, base: u8, bytes: &[u8]) -> Option<usize> {
    let quoted = matches!(base, QUOTED | ESCAPE_SEEN);
    let quotes = || automaton.quote().is_some_and(|quote| memchr::memchr(quote, bytes).is_some());
    if quoted || quotes() { None } else { memchr::memrchr(b'\n', bytes) }
}
