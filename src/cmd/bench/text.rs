//! The figures of a bench for people: one line for each point of the curve.

use indicatif::HumanCount;

use super::curve::{Bench, Point, mode};

/// The figures as text.
pub fn text(bench: &Bench) -> String {
    let heads = facts(bench).into_iter().map(|(name, value)| format!("{name:<11} {value}\n"));
    let rows = bench.curve.iter().map(|point| line(&cells(point)));
    let notes = bench.notes.iter().map(|note| format!("{note}\n"));
    let blank = || std::iter::once("\n".to_owned());
    let table = std::iter::once(line(&COLUMNS.map(str::to_owned))).chain(rows);
    let after = if bench.notes.is_empty() { None } else { Some("\n".to_owned()) };
    heads.chain(blank()).chain(table).chain(after).chain(notes).collect()
}

/// What was measured, in names and values.
pub fn facts(bench: &Bench) -> Vec<(&'static str, String)> {
    let counts = bench.table.counts;
    let generated = if bench.source.generated.is_some() { ", generated" } else { "" };
    vec![
        ("source", format!("{}, {} bytes{generated}", bench.source.name, HumanCount(bench.source.bytes))),
        (
            "records",
            format!(
                "{} read, {} written, {} rejected; digest {} in every run",
                HumanCount(counts.read),
                HumanCount(counts.written),
                HumanCount(counts.rejected),
                bench.table.digest
            ),
        ),
        ("machine", format!("cores: {}", bench.cores)),
        (
            "measured",
            format!(
                "batteuse {}, rounds: {}, in turns, the file warm; medians (least to most)",
                bench.version, bench.rounds
            ),
        ),
    ]
}

/// The names of [`cells`].
pub const COLUMNS: [&str; 13] = [
    "mode",
    "workers",
    "seconds",
    "MB/s",
    "speed-up",
    "efficiency",
    "CPU s",
    "memory MB",
    "read",
    "parse",
    "encode",
    "stage",
    "wait",
];

/// The figures of a point, in words.
pub fn cells(point: &Point) -> [String; 13] {
    let seconds = point.seconds;
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let unknown = || "-".to_owned();
    let [read, parse, encode, stage, wait] = point.shares.named().map(|(_, share)| percent(share));
    [
        mode(point.mode).to_owned(),
        workers(point),
        format!("{:.2} ({:.2} to {:.2})", seconds.median, seconds.least, seconds.most),
        format!("{:.0}", point.megabytes_per_second),
        point.speed_up.map_or_else(unknown, |speed_up| format!("{speed_up:.2}")),
        point.efficiency.map_or_else(unknown, percent),
        format!("{:.2}", point.cpu_seconds),
        format!("{:.0}", point.memory_bytes as f64 / 1e6),
        read,
        parse,
        encode,
        stage,
        wait,
    ]
}

/// How many workers; with a star where that is more than there are cores.
pub fn workers(point: &Point) -> String {
    format!("{}{}", point.workers, if point.over_cores { "*" } else { "" })
}

fn line(cells: &[String; 13]) -> String {
    const WIDTHS: [usize; 13] = [9, 8, 23, 7, 9, 11, 8, 10, 6, 6, 7, 6, 6];
    let wide = |(at, (cell, width)): (usize, (&String, usize))| match at {
        0 => format!("{cell:<width$}"),
        _ => format!("{cell:>width$}"),
    };
    let line: String = std::iter::zip(cells, WIDTHS).enumerate().map(wide).collect();
    line + "\n"
}
