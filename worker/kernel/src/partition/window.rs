//! The bytes at hand: a buffer that is read into, or memory that was lent, looked at where it lies.
//!
//! Invariant: [`Window::bytes`] is the source from [`Window::base`] on, without a gap. Of lent memory only those bytes are copied that
//! finish a record begun before it, up to a step.

use bytes::Bytes;

/// Bytes behind those of the buffer, so that short values are read at full width.
const SLACK_BYTES: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Window {
    /// Offset in the source of the first byte.
    base: u64,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are the source's.
    held: usize,
    /// Bytes behind these that were asked for.
    wanted: usize,
    lent: Option<Lent>,
    /// Least bytes of lent memory that are copied at a time; doubles with the record that they are to finish.
    step_bytes: usize,
}

/// Memory of somebody else's.
#[derive(Debug)]
struct Lent {
    bytes: Bytes,
    /// Offset in the source of its first byte.
    at: u64,
    /// Its first bytes that are in the buffer too.
    copied: usize,
    /// Whether it is looked at where it lies.
    in_place: bool,
}

impl Window {
    /// No byte, and the next one is that at `base`.
    pub(super) fn new(base: u64, step_bytes: usize) -> Self {
        Self { base, buffer: Vec::new(), held: 0, wanted: 0, lent: None, step_bytes }
    }

    /// Offset in the source of the first byte at hand.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Offset in the source behind the last byte at hand.
    pub(super) fn end(&self) -> u64 {
        self.base + self.bytes().len() as u64
    }

    /// Offset in the source behind the last byte that is at hand, lent, or asked for.
    pub(super) fn asked(&self) -> u64 {
        let lent = self.lent.as_ref().map_or(0, |lent| lent.at + lent.bytes.len() as u64);
        lent.max(self.base + (self.held + self.wanted) as u64)
    }

    /// The bytes at hand.
    #[inline(always)]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.padded()[..match &self.lent {
            Some(lent) if lent.in_place => lent.bytes.len(),
            _ => self.held,
        }]
    }

    /// The same, and what lies behind, which is of no meaning.
    #[inline(always)]
    pub(super) fn padded(&self) -> &[u8] {
        match &self.lent {
            Some(lent) if lent.in_place => &lent.bytes,
            _ => &self.buffer,
        }
    }

    /// Whether memory is lent.
    pub(super) fn is_lent(&self) -> bool {
        self.lent.is_some()
    }

    /// Drops bytes, all of them below the index `needed`, and has more of what was lent at hand: by how many; none when there is no more,
    /// and nothing was dropped.
    pub(super) fn advance(&mut self, needed: usize) -> Option<usize> {
        let lent = self.lent.as_mut().filter(|lent| !lent.in_place && lent.copied < lent.bytes.len())?;
        if self.base + needed as u64 >= lent.at {
            let by = (lent.at - self.base) as usize;
            lent.in_place = true;
            self.base = lent.at;
            return Some(by);
        }
        let from = lent.copied;
        lent.copied = lent.bytes.len().min(from + self.step_bytes.max(self.held));
        let step = lent.bytes.slice(from..lent.copied);
        self.drop(needed);
        self.make_room(step.len());
        self.buffer[self.held..][..step.len()].copy_from_slice(&step);
        self.held += step.len();
        Some(needed)
    }

    /// Drops the bytes below the index `needed`, and wants some behind those that are left.
    pub(super) fn want(&mut self, needed: usize, bytes: usize) {
        if let Some(lent) = self.lent.take().filter(|lent| lent.in_place) {
            self.buffer.clear();
            self.buffer.extend_from_slice(&lent.bytes[needed..]);
            self.held = self.buffer.len();
            self.base += needed as u64;
        } else {
            self.drop(needed);
        }
        self.wanted = bytes;
    }

    /// Drops the buffer's bytes below the index `by`.
    fn drop(&mut self, by: usize) {
        if by == 0 {
            return;
        }
        self.buffer.copy_within(by..self.held, 0);
        self.held -= by;
        self.base += by as u64;
    }

    /// Makes room for some more bytes behind those held.
    fn make_room(&mut self, bytes: usize) {
        self.buffer.resize(self.held + bytes + SLACK_BYTES, 0);
    }

    /// Where the bytes wanted go; exactly as long as wanted.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.make_room(self.wanted);
        &mut self.buffer[self.held..self.held + self.wanted]
    }

    /// The first `bytes` of the space are filled.
    pub(super) fn filled(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.wanted, "no more than wanted");
        self.held += bytes;
        self.wanted = 0;
    }

    /// Takes memory with the bytes wanted; they are not at hand yet.
    pub(super) fn lend(&mut self, bytes: Bytes) {
        assert!(bytes.len() <= self.wanted, "no more than wanted");
        self.wanted = 0;
        self.lent = Some(Lent { at: self.base + self.held as u64, bytes, copied: 0, in_place: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP_BYTES: usize = 1_000;

    #[test]
    fn lent_bytes_are_copied_only_to_finish_what_was_begun() {
        let source: Vec<u8> = (0..=255).cycle().take(4 * STEP_BYTES).collect();
        let mut window = Window::new(7, STEP_BYTES);
        let at_hand = |window: &Window| {
            let from = (window.base() - 7) as usize;
            assert_eq!(window.bytes(), &source[from..(window.end() - 7) as usize]);
            window.bytes().as_ptr()
        };
        window.want(0, 3);
        window.space().copy_from_slice(&source[..3]);
        window.filled(3);
        assert_eq!((window.base(), window.end(), window.advance(2)), (7, 10, None));
        // Two bytes are still needed: a step is copied behind them.
        window.want(1, 2 * STEP_BYTES);
        let lent = Bytes::copy_from_slice(&source[3..3 + 2 * STEP_BYTES]);
        let there = lent.as_ptr();
        window.lend(lent);
        assert_eq!((window.base(), window.end(), window.advance(1)), (8, 10, Some(1)));
        assert_eq!((window.base(), window.end()), (9, 10 + STEP_BYTES as u64));
        assert_ne!(at_hand(&window), there);
        // What is needed lies in what was lent.
        assert_eq!(window.advance(1), Some(1));
        assert_eq!((window.base(), window.end()), (10, 10 + 2 * STEP_BYTES as u64));
        assert_eq!(at_hand(&window), there);
        assert_eq!(window.advance(2 * STEP_BYTES - 2), None);
        // The rest is kept when more is wanted, and what comes behind it is looked at where it lies.
        window.want(2 * STEP_BYTES - 2, 100);
        assert_eq!((window.base(), window.end()), (8 + 2 * STEP_BYTES as u64, 10 + 2 * STEP_BYTES as u64));
        let lent = Bytes::copy_from_slice(&source[3 + 2 * STEP_BYTES..][..100]);
        let there = lent.as_ptr();
        window.lend(lent);
        at_hand(&window);
        assert_eq!(window.advance(2), Some(2));
        assert_eq!(at_hand(&window), there);
    }
}
