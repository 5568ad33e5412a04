//! The plan: where a source is cut, blindly, into byte ranges.
//!
//! Invariant: the ranges tile `[data_start, source_bytes)`, and depend on nothing but the three arguments. Pure.

use batteuse_shared::limits::{
    PARTITION_BYTES_AUTO_MAX, PARTITION_BYTES_AUTO_MIN, PARTITION_BYTES_DEFAULT, PARTITIONS_MAX,
    PARTITIONS_PER_SLOT_MIN, TABLE_PARTITIONS_MAX,
};
use batteuse_shared::mutants::{Mutant, planted};
use batteuse_shared::span::Span;
use batteuse_shared::spec::Output;
use batteuse_shared::task::Measured;

/// Bytes of a partition of a source of `source_bytes`, so that a file comes to about `file_bytes` by what was `measured`, and each of
/// `slots` has its share of partitions; within what is good for either, and never more than `most` partitions.
#[must_use]
pub fn partition_bytes(source_bytes: u64, file_bytes: u64, measured: Measured, slots: u32, most: u64) -> u64 {
    let fills_a_file = match measured {
        Measured { read_bytes: 0, .. } | Measured { encoded_bytes: 0, .. } => PARTITION_BYTES_DEFAULT,
        Measured { read_bytes, encoded_bytes } => {
            let bytes = u128::from(file_bytes) * u128::from(read_bytes) / u128::from(encoded_bytes);
            u64::try_from(bytes).unwrap_or(u64::MAX)
        }
    };
    let share = source_bytes.div_ceil(u64::from(slots.max(1)) * PARTITIONS_PER_SLOT_MIN);
    let bytes = fills_a_file.min(share).clamp(PARTITION_BYTES_AUTO_MIN, PARTITION_BYTES_AUTO_MAX);
    bytes.max(source_bytes / most + 1)
}

/// Most partitions of a run into `output`.
#[must_use]
pub fn partitions_max(output: &Output) -> u64 {
    if output.postgres.is_some() { TABLE_PARTITIONS_MAX } else { PARTITIONS_MAX }
}

/// Cuts `[data_start, source_bytes)` at the multiples of `partition_bytes` (at least 1). Cuts at or below `data_start` are
/// dropped, so the first range may be longer or shorter than the others. There is always at least one range.
#[must_use]
pub fn ranges(data_start: u64, source_bytes: u64, partition_bytes: u64) -> Vec<Span> {
    debug_assert!(partition_bytes >= 1 && data_start <= source_bytes, "checked at admission and by inspection");
    let mut start = data_start;
    let mut cut = (data_start / partition_bytes + 1).saturating_mul(partition_bytes);
    let mut out = Vec::new();
    while cut < source_bytes {
        out.push(Span::new(start, cut));
        start = if planted(Mutant::OffByOneTile) && cut + 1 < source_bytes { cut + 1 } else { cut };
        cut = cut.saturating_add(partition_bytes);
    }
    out.push(Span::new(start, source_bytes));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_aims_at_the_file_and_leaves_no_slot_idle() {
        const M: u64 = 1 << 20;
        let fifth = Measured { read_bytes: 5_000, encoded_bytes: 1_000 };
        let unmeasured = Measured::default();
        for (source, measured, slots, want) in [
            (100 << 30, fifth, 2, 640 * M),
            (100 << 30, unmeasured, 2, 64 * M),
            (1 << 30, fifth, 2, (1u64 << 30).div_ceil(20)),
            (1 << 30, fifth, 0, (1u64 << 30).div_ceil(10)),
            (100 * M, fifth, 4, 16 * M),
            (0, fifth, 4, 16 * M),
            (100 << 30, Measured { read_bytes: 1_000, encoded_bytes: 1 }, 2, 1 << 30),
            (100 << 30, Measured { read_bytes: 1, encoded_bytes: u64::MAX }, 2, 16 * M),
            (100 << 30, fifth, u32::MAX, 16 * M),
        ] {
            assert_eq!(
                partition_bytes(source, 128 * M, measured, slots, PARTITIONS_MAX),
                want,
                "{source} {measured:?} {slots}"
            );
        }
        for most in [PARTITIONS_MAX, TABLE_PARTITIONS_MAX] {
            let bytes = partition_bytes(8 << 40, 1 << 20, Measured { read_bytes: 1, encoded_bytes: 1 }, 1_000, most);
            assert!((8u64 << 40) / bytes < most, "{bytes}");
        }
    }

    fn pairs(data_start: u64, source_bytes: u64, partition_bytes: u64) -> Vec<(u64, u64)> {
        ranges(data_start, source_bytes, partition_bytes).iter().map(|s| (s.start, s.end)).collect()
    }

    #[test]
    fn cuts_lie_at_multiples_and_below_data_start_are_dropped() {
        assert_eq!(pairs(0, 10, 4), [(0, 4), (4, 8), (8, 10)]);
        assert_eq!(pairs(5, 10, 2), [(5, 6), (6, 8), (8, 10)]);
        assert_eq!(pairs(4, 10, 4), [(4, 8), (8, 10)]);
        assert_eq!(pairs(3, 8, 100), [(3, 8)]);
        assert_eq!(pairs(8, 8, 4), [(8, 8)]);
        assert_eq!(pairs(0, 8, 4), [(0, 4), (4, 8)]);
    }
}
