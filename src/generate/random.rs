//! The generator's randomness: SplitMix64 and the few draws that the shapes need. Integers only, so that a seed gives the same
//! bytes on every machine. Not for secrets, and not for statistics: a draw below `bound` is biased
//! by up to `bound / 2^32`.

use std::ops::RangeInclusive;

/// A sequence of draws, fixed by the stream (one per shape) and the seed.
pub(super) struct Random {
    state: u64,
}

/// How often something happens: never to always, in steps of 2^-32.
#[derive(Clone, Copy)]
pub(super) struct Odds {
    /// Out of 2^32.
    below: u64,
}

impl Odds {
    pub(super) const fn percent(percent: u64) -> Self {
        Self { below: (percent << 32) / 100 }
    }

    pub(super) const fn one_in(rows: u64) -> Self {
        Self { below: (1 << 32) / rows }
    }
}

impl Random {
    pub(super) fn new(stream: u64, seed: u64) -> Self {
        let mut random = Self { state: stream };
        // One step between the two, so that neighbouring streams and seeds do not give the same sequence shifted.
        random.state = random.next_u64() ^ seed;
        random.state = random.next_u64();
        random
    }

    /// Sebastiano Vigna's SplitMix64.
    fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn next_32_bits(&mut self) -> u64 {
        self.next_u64() >> 32
    }

    /// Evenly from `0..bound`; `bound` is at most 2^32.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        debug_assert!(bound <= 1 << 32);
        (self.next_32_bits() * bound) >> 32
    }

    /// Evenly from the range, both ends included.
    pub(super) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    /// From `0..bound`, small values far more often: the cube of an even draw. Half of all draws are below `bound / 8`.
    pub(super) fn skewed_below(&mut self, bound: u64) -> u64 {
        debug_assert!(bound <= 1 << 32);
        let even = self.next_32_bits();
        let square = (even * even) >> 32;
        let cube = (square * even) >> 32;
        (cube * bound) >> 32
    }

    pub(super) fn happens(&mut self, odds: Odds) -> bool {
        self.next_32_bits() < odds.below
    }

    /// One of `choices`, each as likely as the other. `choices` is not empty.
    pub(super) fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// One of `choices`, the first ones far more often. `choices` is not empty.
    pub(super) fn choose_skewed<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.skewed_below(choices.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_their_ranges_and_reach_both_ends() {
        let mut random = Random::new(1, 1);
        let draws: Vec<u64> = (0..1_000).map(|_| random.within(3..=7)).collect();
        assert_eq!(draws.iter().min(), Some(&3));
        assert_eq!(draws.iter().max(), Some(&7));
        let skewed: Vec<u64> = (0..10_000).map(|_| random.skewed_below(800)).collect();
        assert!(skewed.iter().all(|draw| *draw < 800));
        let low = skewed.iter().filter(|draw| **draw < 100).count();
        assert!((4_500..5_500).contains(&low), "{low} of 10,000 below an eighth");
    }

    #[test]
    fn odds_are_kept() {
        let mut random = Random::new(1, 1);
        let mut count = |odds| (0..100_000).filter(|_| random.happens(odds)).count();
        assert_eq!(count(Odds::percent(0)), 0);
        assert_eq!(count(Odds::percent(100)), 100_000);
        assert!((29_000..31_000).contains(&count(Odds::percent(30))));
        assert!((900..1_100).contains(&count(Odds::one_in(100))));
    }

    #[test]
    fn streams_and_seeds_differ() {
        let mut firsts: Vec<u64> = (0..4)
            .flat_map(|stream| (0..4).map(move |seed| (stream, seed)))
            .map(|(stream, seed)| Random::new(stream, seed).next_u64())
            .collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), 16);
    }
}
