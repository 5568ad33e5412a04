//! What a worker's log tells of its attempts.

use jiff::Timestamp;
use serde_json::Value;

/// An attempt at a partition that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    pub at: Timestamp,
    pub run: String,
    pub partition: u64,
    pub attempt: String,
    pub worker: String,
}

/// The attempts at partitions that have begun by this log, in order.
pub fn begun(log: &str) -> Vec<Begun> {
    let lines = log.lines().filter(|line| line.contains("an attempt begins"));
    // A killed worker may have died within its last line.
    lines.filter_map(|line| of(&serde_json::from_str(line).ok()?)).collect()
}

fn of(line: &Value) -> Option<Begun> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let span = &line["span"];
    Some(Begun {
        at: line["timestamp"].as_str()?.parse().ok()?,
        run: text(&span["run"])?,
        partition: span["partition"].as_u64()?,
        attempt: text(&span["attempt"])?,
        worker: text(&span["worker"])?,
    })
}
