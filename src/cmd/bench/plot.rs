//! The plots of a bench as SVG: throughput by workers, and how slots spent their time.
//!
//! By hand, because two plots are a page of code, and those of a plotting crate would have their colours in them: here colours are
//! classes, so that the page decides by the reader's light or dark. Only numbers and our own words are written: nothing to escape.

use std::fmt::Write as _;

use super::curve::{Bench, Point, mode};
use super::text::workers;
use crate::cli::BenchMode;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 48.0;

/// Room that a number on an axis needs.
const NUMBER_WIDTH: f64 = 24.0;

/// How far beyond the fastest point an ideal line is followed: farther, the points would lie flat at the bottom.
const IDEAL_BEYOND: f64 = 1.5;

/// Of a bar in the second plot, with the gap below it.
const ROW_HEIGHT: f64 = 34.0;
const BAR_HEIGHT: f64 = 24.0;

/// The least share that has room for its number.
const SHARE_TOLD_MIN: f64 = 0.055;

/// From 0 to `end`, on the screen from `from` to `to`.
struct Scale {
    end: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn at(&self, value: f64) -> f64 {
        self.from + (self.to - self.from) * value / self.end
    }
}

/// Steps of 1, 2 or 5 times a power of ten, six at most up to `end`.
fn step(end: f64) -> f64 {
    let power = 10f64.powf((end / 6.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|step| step * power).into_iter().find(|step| end / step <= 6.0).unwrap_or(power)
}

/// MB/s by workers, a line for each mode, with the spread of the rounds; dashed, what one worker's speed would come to.
pub fn throughput(bench: &Bench) -> String {
    let counts_end = bench.curve.iter().map(|point| point.workers).max().map_or(1.0, f64::from);
    let fastest = bench.curve.iter().map(|point| point.megabytes_per_second_spread().1).fold(0.0, f64::max);
    let ones: Vec<&Point> = bench.curve.iter().filter(|point| point.workers == 1).collect();
    let ideal = ones.iter().map(|one| one.megabytes_per_second * counts_end).fold(0.0, f64::max);
    let end = fastest.max(ideal.min(fastest * IDEAL_BEYOND)).max(1.0);
    let step = step(end);
    let y = Scale { end: (end / step).ceil() * step, from: HEIGHT - BOTTOM, to: TOP };
    let x = Scale { end: counts_end + 0.5, from: LEFT, to: WIDTH - RIGHT };
    let mut svg = open(HEIGHT, "MB/s by workers");
    axes(&mut svg, bench, &x, &y, step);
    for one in ones.iter().filter(|_| counts_end > 1.0) {
        let speed = one.megabytes_per_second;
        let to = counts_end.min(y.end / speed);
        let (x1, y1, x2, y2) = (x.at(1.0), y.at(speed), x.at(to), y.at(speed * to));
        let class = mode(one.mode);
        let _ = writeln!(svg, r#"<line class="ideal {class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#);
    }
    for (of, aside) in [(BenchMode::Embedded, -3.0), (BenchMode::Processes, 3.0)] {
        let points: Vec<&Point> = bench.curve.iter().filter(|point| point.mode == of).collect();
        line(&mut svg, &points, &x, &y, aside);
    }
    svg + "</svg>\n"
}

fn open(height: f64, label: &str) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\">\n")
}

fn axes(svg: &mut String, bench: &Bench, x: &Scale, y: &Scale, step: f64) {
    let (left, right, bottom) = (x.from, x.to, y.from);
    let mut value = 0.0;
    while value <= y.end + step / 2.0 {
        let at = y.at(value);
        let (beside, base) = (left - 8.0, at + 4.0);
        let digits = usize::from(step < 1.0);
        let _ = writeln!(svg, r#"<line class="grid" x1="{left}" y1="{at:.1}" x2="{right}" y2="{at:.1}"/>"#);
        let _ = writeln!(svg, r#"<text class="end" x="{beside}" y="{base:.1}">{value:.digits$}</text>"#);
        value += step;
    }
    let mut counts: Vec<u32> = bench.curve.iter().map(|point| point.workers).collect();
    counts.sort_unstable();
    counts.dedup();
    let (mut taken, base) = (0.0, bottom + 20.0);
    for count in counts {
        let at = x.at(count.into());
        let _ = writeln!(svg, r#"<line class="axis" x1="{at:.1}" y1="{bottom}" x2="{at:.1}" y2="{}"/>"#, bottom + 5.0);
        if at - taken >= NUMBER_WIDTH {
            let _ = writeln!(svg, r#"<text class="middle" x="{at:.1}" y="{base}">{count}</text>"#);
            taken = at;
        }
    }
    let _ = writeln!(svg, r#"<line class="axis" x1="{left}" y1="{bottom}" x2="{right}" y2="{bottom}"/>"#);
    let (middle, last) = (f64::midpoint(left, right), HEIGHT - 8.0);
    let _ = writeln!(svg, r#"<text class="middle" x="{middle}" y="{last}">workers</text>"#);
    let (across, along) = (16.0, f64::midpoint(bottom, TOP));
    let turned = format!("rotate(-90 {across} {along})");
    let _ = writeln!(svg, r#"<text class="middle" x="{across}" y="{along}" transform="{turned}">MB/s</text>"#);
}

/// The points of a mode, a little `aside` so that those of two modes do not cover each other.
fn line(svg: &mut String, points: &[&Point], x: &Scale, y: &Scale, aside: f64) {
    let Some(class) = points.first().map(|point| mode(point.mode)) else { return };
    let at = |point: &Point| (x.at(point.workers.into()) + aside, y.at(point.megabytes_per_second));
    let path: Vec<String> = points.iter().map(|point| at(point)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(svg, r#"<polyline class="line {class}" points="{}"/>"#, path.join(" "));
    for point in points {
        let (across, along) = at(point);
        let (slowest, fastest) = point.megabytes_per_second_spread();
        let (low, high) = (y.at(slowest), y.at(fastest));
        let (before, after) = (across - 5.0, across + 5.0);
        let _ = writeln!(
            svg,
            r#"<path class="spread {class}" d="M{across:.1} {low:.1}V{high:.1}M{before:.1} {low:.1}H{after:.1}M{before:.1} {high:.1}H{after:.1}"/>"#
        );
        let said = format!("{}: {:.0} MB/s ({slowest:.0} to {fastest:.0})", point.case(), point.megabytes_per_second);
        let _ = match point.mode {
            BenchMode::Embedded => {
                write!(svg, r#"<circle class="dot {class}" cx="{across:.1}" cy="{along:.1}" r="5">"#)
            }
            BenchMode::Processes => {
                let (corner, upper) = (across - 4.5, along - 4.5);
                write!(svg, r#"<rect class="dot {class}" x="{corner:.1}" y="{upper:.1}" width="9" height="9">"#)
            }
        };
        let close = if point.mode == BenchMode::Embedded { "circle" } else { "rect" };
        let _ = writeln!(svg, "<title>{said}</title></{close}>");
    }
}

/// A bar for each point: the shares of its slots' time.
pub fn phases(bench: &Bench) -> String {
    const LEFT: f64 = 124.0;
    let bottom = TOP + ROW_HEIGHT * bench.curve.len() as f64;
    let x = Scale { end: 1.0, from: LEFT, to: WIDTH - RIGHT };
    let mut svg = open(bottom + 30.0, "shares of the slots' time");
    for quarter in 0..=4u8 {
        let at = x.at(f64::from(quarter) / 4.0);
        let _ = writeln!(svg, r#"<line class="grid" x1="{at:.1}" y1="{TOP}" x2="{at:.1}" y2="{bottom}"/>"#);
        let (base, percent) = (bottom + 18.0, 25 * u32::from(quarter));
        let _ = writeln!(svg, r#"<text class="middle" x="{at:.1}" y="{base}">{percent} %</text>"#);
    }
    for (row, point) in bench.curve.iter().enumerate() {
        let upper = TOP + ROW_HEIGHT * row as f64 + (ROW_HEIGHT - BAR_HEIGHT) / 2.0;
        let (beside, base) = (LEFT - 10.0, upper + BAR_HEIGHT / 2.0 + 4.5);
        let label = format!("{}, {}", mode(point.mode), workers(point));
        let _ = writeln!(svg, r#"<text class="end" x="{beside}" y="{base:.1}">{label}</text>"#);
        let mut done = 0.0;
        for (name, share) in point.shares.named() {
            let (at, width) = (x.at(done), x.at(share) - x.from);
            let percent = 100.0 * share;
            let _ = writeln!(
                svg,
                r#"<rect class="{name}" x="{at:.1}" y="{upper:.1}" width="{width:.1}" height="{BAR_HEIGHT}"><title>{}: {name} {percent:.1} %</title></rect>"#,
                point.case()
            );
            if share >= SHARE_TOLD_MIN {
                let middle = at + width / 2.0;
                let _ = writeln!(
                    svg,
                    r#"<text class="middle in-{name}" x="{middle:.1}" y="{base:.1}">{percent:.0} %</text>"#
                );
            }
            done += share;
        }
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_steps_and_not_too_many() {
        for (end, wanted) in [(1.0, 0.2), (6.0, 1.0), (7.0, 2.0), (30.0, 5.0), (300.0, 50.0), (1_234.0, 500.0)] {
            assert!((step(end) - wanted).abs() < 1e-9, "{end}: {}", step(end));
        }
    }
}
