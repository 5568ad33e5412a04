//! The plan: where a source is cut, blindly, into byte ranges.
//!
//! Invariant: the ranges tile `[data_start, source_bytes)`, and depend on nothing but the three arguments. Pure.

use batteuse_shared::span::Span;

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
        start = cut;
        cut = cut.saturating_add(partition_bytes);
    }
    out.push(Span::new(start, source_bytes));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

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
