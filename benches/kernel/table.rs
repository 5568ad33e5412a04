//! The table: pairs timed in turns, a line for each measure, printed as soon as it is known.

use std::ops::RangeInclusive;

use super::common::spread;

/// Pairs that are timed, after one that is not: the least, and the most.
const PAIRS: RangeInclusive<usize> = 5..=50;
/// Beyond the least, as many pairs as fit: short runs are disturbed most.
const PAIRS_SECONDS: f64 = 3.0;

/// What a line is about.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub measure: &'a str,
    pub peer: &'a str,
    /// What one run gets through, in units of `unit` times seconds.
    pub amount: f64,
    pub unit: &'static str,
    /// The least median ratio wanted.
    pub target: Option<f64>,
}

/// Says what all lines have in common.
pub fn heading(bytes: &str) {
    println!("{bytes} a file, one thread, {} to {} pairs a line", PAIRS.start(), PAIRS.end());
    println!("rates are medians; a ratio is how many times as fast ours is as the peer in one pair");
    println!("{:<42} {:>13}  {:>13} {:<22}  {:<20}  target", "measure", "ours", "peer", "", "ratio min/median/max");
}

impl Row<'_> {
    /// Whether the line is asked for: `BATTEUSE_BENCH_ONLY` holds parts of the measures wanted, with commas between them.
    pub fn asked(&self) -> bool {
        std::env::var("BATTEUSE_BENCH_ONLY")
            .map_or(true, |only| only.split(',').any(|part| self.measure.contains(part)))
    }

    /// Times both in turns, each giving the seconds of one run, and prints the line.
    pub fn time(&self, mut ours: impl FnMut() -> f64, mut peer: impl FnMut() -> f64) {
        if !self.asked() {
            return;
        }
        ours();
        peer();
        let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let mut seconds = 0.0;
        while ratios.len() < *PAIRS.start() || (seconds < PAIRS_SECONDS && ratios.len() < *PAIRS.end()) {
            let (x, y) = (ours(), peer());
            seconds += x + y;
            a.push(x);
            b.push(y);
            ratios.push(y / x);
        }
        let rate = |seconds: &mut [f64]| format!("{:.3} {:<6}", self.amount / spread(seconds)[1], self.unit);
        let [least, median, most] = spread(&mut ratios);
        let verdict = match self.target {
            Some(target) if median >= target => format!("{target:.2} reached"),
            Some(target) => format!("{target:.2} MISSED"),
            None => "-".to_owned(),
        };
        println!(
            "{:<42} {:>13}  {:>13} {:<22}  {:<20}  {verdict}",
            self.measure,
            rate(&mut a),
            rate(&mut b),
            self.peer,
            format!("{least:.2} / {median:.2} / {most:.2}"),
        );
    }
}
