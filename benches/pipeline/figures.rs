//! Figures: spreads, ratios of pairs, verdicts, and an order of turns that nobody chose.

use super::common::spread;

/// Rounds that are timed, in each of which every contestant has one turn.
pub const ROUNDS: usize = 5;

/// Measured values of one kind, a round each.
#[derive(Default, Clone)]
pub struct Figures(Vec<f64>);

impl Figures {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub fn median(&self) -> f64 {
        spread(&mut self.0.clone())[1]
    }

    /// Minimum, median and maximum, in words.
    pub fn told(&self) -> String {
        let [least, median, most] = spread(&mut self.0.clone());
        format!("{least:.2} / {median:.2} / {most:.2}")
    }

    /// These by those, round by round.
    pub fn by(&self, those: &Self) -> Self {
        assert_eq!(self.0.len(), those.0.len(), "pairs");
        Self(std::iter::zip(&self.0, &those.0).map(|(this, that)| this / that).collect())
    }
}

/// What a figure is wanted to be.
#[derive(Clone, Copy)]
pub enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

/// Prints a line that ends with a verdict on `value`.
pub fn verdict(line: &str, value: f64, wanted: Wanted) {
    let (reached, wanted) = match wanted {
        Wanted::AtLeast(least) => (value >= least, format!("at least {least}")),
        Wanted::AtMost(most) => (value <= most, format!("at most {most}")),
    };
    println!("  {line}; wanted {wanted}: {}", if reached { "reached" } else { "MISSED" });
}

/// The order of the turns of each round: the same in every run of the benchmark.
pub struct Turns(u64);

impl Turns {
    pub fn new() -> Self {
        Self(1)
    }

    /// Puts the contestants into the order of the next round.
    pub fn shuffle<T>(&mut self, contestants: &mut [T]) {
        for last in (1..contestants.len()).rev() {
            contestants.swap(last, self.below(last + 1));
        }
    }

    fn below(&mut self, end: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}
