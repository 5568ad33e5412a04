//! The structural index, with all that the framing needs carried and checked, beside a loop that does the least one can.

use std::hint::black_box;
use std::time::Instant;

use batteuse_kernel::arch::{self, BLOCK_BYTES, Carry, Marks, Path as Instructions, Structure};
use batteuse_shared::limits::INDEX_BYTES;

use super::bare::{self, Bare};
use super::table::Row;

/// A line for each set of instructions that has a bare loop.
pub fn lines(shape: &str, text: &[u8]) {
    // The bare loops take whole blocks, so both sides do without the last bytes.
    let text = &text[..text.len() / BLOCK_BYTES * BLOCK_BYTES];
    let mut first = None;
    for path in Instructions::available().into_iter().rev() {
        let found = through(text, &mut Ours::new(path), sum).1;
        assert_eq!(*first.get_or_insert(found), found, "{shape}: {} finds what the others find", path.name());
        let Some(bare) = bare::of(path.name()) else { continue };
        assert_eq!(found, through(text, &mut Least::new(bare), sum).1, "{shape}: the bare loop of {}", path.name());
        let measure = format!("{shape}: structural index, {}", path.name());
        let amount = text.len() as f64 / 1e9;
        let row = Row { measure: &measure, peer: "bare loop", amount, unit: "GB/s", target: Some(0.65) };
        row.time(|| timed(text, &mut Ours::new(path), found), || timed(text, &mut Least::new(bare), found));
    }
}

/// What finds positions, a window after another.
trait Indexer {
    fn positions(&mut self, window: &[u8]) -> &[u32];
}

/// The kernel's.
struct Ours {
    path: Instructions,
    carry: Carry,
    out: Structure,
}

impl Ours {
    fn new(path: Instructions) -> Self {
        Self { path, carry: Carry::record_start(), out: Structure::default() }
    }
}

impl Indexer for Ours {
    fn positions(&mut self, window: &[u8]) -> &[u32] {
        self.out.truncate(0);
        let marks = Marks { delimiter: b',', quote: Some(b'"'), escape: None };
        let indexed = arch::index(self.path, marks, window, 0, &mut self.carry, &mut self.out);
        indexed.expect("the generated files are regular");
        &self.out.ends
    }
}

/// The bare loop.
struct Least {
    bare: Bare,
    parity: u64,
    out: Vec<u32>,
}

impl Least {
    fn new(bare: Bare) -> Self {
        Self { bare, parity: 0, out: vec![0; INDEX_BYTES + BLOCK_BYTES] }
    }
}

impl Indexer for Least {
    fn positions(&mut self, window: &[u8]) -> &[u32] {
        let count = (self.bare)(b',', b'"', window, &mut self.parity, &mut self.out);
        &self.out[..count]
    }
}

fn sum(positions: &[u32]) -> u64 {
    positions.iter().map(|&at| u64::from(at)).sum()
}

/// The number of positions, and what `look` makes of them, added up.
fn through(text: &[u8], indexer: &mut impl Indexer, look: impl Fn(&[u32]) -> u64) -> (f64, (u64, u64)) {
    let (mut count, mut looked) = (0, 0);
    let began = Instant::now();
    for window in text.chunks(INDEX_BYTES) {
        // Neither the call nor the stores may be moved or left out.
        let positions = black_box(indexer.positions(black_box(window)));
        count += positions.len() as u64;
        looked += look(positions);
    }
    (began.elapsed().as_secs_f64(), (count, looked))
}

/// Seconds without looking.
fn timed(text: &[u8], indexer: &mut impl Indexer, found: (u64, u64)) -> f64 {
    let (seconds, (count, _)) = through(text, indexer, |_| 0);
    assert_eq!(count, found.0);
    seconds
}
