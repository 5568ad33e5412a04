//! What people and programs read: reports, statuses and progress.
//!
//! Invariant: results go to standard output, everything else to standard error.

use crate::cmd::output::OutputDir;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use batteuse_coordinator::driver::Handle;
use batteuse_coordinator::scheduler::Status;
use batteuse_proto::{RunList, RunStatus, WorkerList};
use batteuse_shared::ids::RunId;
use batteuse_shared::layout;
use batteuse_shared::report::{Report, RunState, Seams};
use batteuse_shared::status::{Waits, WorkerStatus};
use batteuse_shared::time::Millis;
use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::cli::OutputForm;
use crate::components;

/// Interval of progress lines when standard error is not a terminal.
const LINES_EVERY_MS: u64 = 5_000;

/// An error and its causes in one line; a cause that the error's own words already hold is not said twice.
pub fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            let _ = write!(text, ": {cause}");
        }
    }
    text
}

/// Prints a run's report.
pub fn report(report: &Report, dir: &OutputDir, form: OutputForm) {
    match form {
        OutputForm::Json => {
            print(&(serde_json::to_string_pretty(report).expect("plain values with text keys serialise") + "\n"));
        }
        OutputForm::Text => print(&text(report, dir)),
    }
}

fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // What was done is done: whether somebody reads of it does not change how it ended.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("the result cannot be printed on standard output: {error}");
        }
        _ => {}
    }
}

fn text(r: &Report, dir: &OutputDir) -> String {
    let seconds = r.seconds.max(0.001);
    let mut lines = vec![
        ("run", format!("{} ({})", r.run, word(r.state))),
        ("source", format!("{} ({})", r.source.url, HumanBytes(r.bytes))),
        (
            "records",
            format!(
                "{} read, {} written, {} filtered, {} rejected, {} quarantined",
                HumanCount(r.counts.read),
                HumanCount(r.counts.written),
                HumanCount(r.counts.filtered),
                HumanCount(r.counts.rejected),
                HumanCount(r.counts.quarantined)
            ),
        ),
        ("lines", format!("{} blank, {} comment", HumanCount(r.counts.blank), HumanCount(r.counts.comment))),
        (
            "partitions",
            format!(
                "{} ({} attempts; parsed again: {} for types, {} for guesses{})",
                r.partitions,
                r.attempts,
                r.reruns.types,
                r.reruns.guesses,
                if r.splits > 0 { format!("; {} cut once more", r.splits) } else { String::new() }
                    + &redriven(r.redrives)
            ),
        ),
    ];
    if r.partitions > 1 {
        lines.push(("seams", seams(&r.seams)));
    }
    let holds = if r.equation.holds { "holds" } else { "does not hold" };
    let table = r.table.as_ref().map(|table| ("table", table.to_string()));
    lines.extend(table);
    lines.extend([
        ("output", format!("{} files, {} in {}", r.files, HumanBytes(r.output_bytes), dir)),
        ("digest", r.digest.to_string()),
        ("time", format!("{:.2} s, {:.0} MB/s", r.seconds, r.bytes as f64 / 1e6 / seconds)),
        ("equation", format!("{} ({holds})", r.equation.records)),
        ("", r.equation.bytes.clone()),
    ]);
    if let Some(reason) = &r.reason {
        lines.push(("reason", reason.message().to_owned()));
    }
    for reject in &r.rejects_shown {
        let column = reject.column.as_ref().map(|c| format!(", column {c}")).unwrap_or_default();
        lines.push(("reject", format!("line {}{column}: {}", reject.line, reject.reason)));
    }
    if r.counts.rejected > 0 {
        lines.push(("rejects", dir.folder.place(&layout::rejects(&r.run)).display().to_string()));
    }
    lines.iter().map(|(name, value)| format!("{name:<11} {value}\n")).collect()
}

fn redriven(times: u64) -> String {
    if times > 0 { format!("; redriven {times} times") } else { String::new() }
}

fn seams(s: &Seams) -> String {
    let mut text =
        format!("{} certain, {} guessed right, {} guessed wrong", s.certain, s.guessed_right, s.guessed_wrong);
    if let Some(bytes) = s.bytes_to_merge {
        let (median, max) = (HumanCount(bytes.median), HumanCount(bytes.max));
        let _ = write!(text, "; {} merged after {median} bytes (median), {max} at most", s.merged);
    }
    if s.never_merged > 0 {
        let _ = write!(text, "; {} never merged", s.never_merged);
    }
    text
}

fn word(state: RunState) -> &'static str {
    match state {
        RunState::Pending => "pending",
        RunState::Planning => "planning",
        RunState::Running => "running",
        RunState::Paused => "paused",
        RunState::Publishing => "publishing",
        RunState::Succeeded => "succeeded",
        RunState::SucceededWithRejects => "succeeded with rejects",
        RunState::Failed => "failed",
        RunState::Cancelled => "cancelled",
    }
}

fn status_json(s: &RunStatus) -> serde_json::Value {
    json!({
        "run": s.run, "job": s.job, "state": s.state, "reason": s.reason, "output": s.output_url,
        "partitions": s.partitions, "accepted": s.accepted, "attempts": s.attempts, "leases": s.running,
        "bytes": s.bytes, "bytesDone": s.bytes_done, "read": s.read, "rejected": s.rejected, "startedMs": s.started,
        "trouble": s.trouble, "waits": s.waits,
    })
}

/// What a run waits for, in words.
fn waits(waits: &Waits) -> String {
    match waits {
        Waits::Unpause => "to be unpaused".to_owned(),
        Waits::Worker => "for a worker: there is none that takes leases".to_owned(),
        Waits::Slot { runs_before: 0 } => "for a free slot".to_owned(),
        Waits::Slot { runs_before: 1 } => "for a free slot (1 run before it)".to_owned(),
        Waits::Slot { runs_before } => format!("for a free slot ({runs_before} runs before it)"),
        Waits::Storage { message, retry_at } => {
            let seconds = retry_at.since(components::now()).div_ceil(1_000);
            format!("for its storage: {message}; next try in {seconds} s")
        }
        Waits::Connections { most } => {
            format!("for connections to the database: all {most} of maxConnections are in use")
        }
    }
}

/// How a worker stands, in a line.
fn worker_line(w: &WorkerStatus, width: usize) -> String {
    let seconds = w.silent_ms / 1_000;
    let left = if w.connected { "" } else { "  gone" };
    let draining = if w.draining { "  draining" } else { "" };
    let aside = if w.aside { "  set aside: different tasks crashed on it" } else { "" };
    let name = w.worker.to_string();
    format!(
        "{name:<width$}  {:>3} of {:<3} slots leased  heard {seconds} s ago{left}{draining}{aside}\n",
        w.leases, w.slots
    )
}

/// Prints how a worker stands.
pub fn worker(status: &WorkerStatus, form: OutputForm) {
    match form {
        OutputForm::Json => print(&format!("{:#}\n", json!(status))),
        OutputForm::Text => print(&worker_line(status, 0)),
    }
}

/// Prints a list of workers.
pub fn workers(list: &WorkerList, form: OutputForm) {
    if form == OutputForm::Json {
        return print(&format!("{:#}\n", json!({ "workers": list.workers, "more": list.more })));
    }
    let width = list.workers.iter().map(|w| w.worker.to_string().len()).max().unwrap_or(0);
    let mut text: String = list.workers.iter().map(|w| worker_line(w, width)).collect();
    if list.more {
        text.push_str("(there are more)\n");
    }
    print(&text)
}

/// Prints how a run stands.
pub fn status(s: &RunStatus, form: OutputForm) {
    if form == OutputForm::Json {
        return print(&format!("{:#}\n", status_json(s)));
    }
    let reason = s.reason.as_ref().map(|r| format!("\nreason      {}", r.message())).unwrap_or_default();
    let trouble = s.trouble.as_ref().filter(|_| !matches!(s.waits, Some(Waits::Storage { .. })));
    let trouble = trouble.map(|t| format!("\ntrouble     {t}")).unwrap_or_default();
    let waits = s.waits.as_ref().map(|w| format!("\nwaits       {}", waits(w))).unwrap_or_default();
    print(&format!(
        "run         {} ({})\noutput      {}\npartitions  {} of {} accepted, {} leased, {} attempts ended\nbytes       {} of {}\n\
         records     {} read, {} rejected{reason}{waits}{trouble}\n",
        s.run,
        word(s.state),
        s.output_url,
        s.accepted,
        s.partitions,
        s.running,
        s.attempts,
        HumanBytes(s.bytes_done),
        HumanBytes(s.bytes),
        HumanCount(s.read),
        HumanCount(s.rejected),
    ))
}

/// Prints a list of runs.
pub fn list(list: &RunList, form: OutputForm) {
    if form == OutputForm::Json {
        let runs: Vec<_> = list.runs.iter().map(status_json).collect();
        return print(&format!("{:#}\n", json!({ "runs": runs, "more": list.more })));
    }
    let width = list.runs.iter().map(|s| s.run.as_str().len()).max().unwrap_or(0);
    let line = |s: &RunStatus| {
        format!(
            "{:<width$}  {:<22}  {:>4}/{:<4}  {}{}\n",
            s.run.as_str(),
            word(s.state),
            s.accepted,
            s.partitions,
            s.output_url,
            s.waits.as_ref().map(|w| format!("  waits {}", waits(w))).unwrap_or_default(),
        )
    };
    let mut text: String = list.runs.iter().map(line).collect();
    if list.more {
        text.push_str("(there are more)\n");
    }
    print(&text)
}

/// Shows the progress of `run` on standard error until it is dropped: a bar on a terminal, else a line now and then.
pub async fn progress(handle: Handle, run: RunId) {
    let mut statuses = handle.statuses();
    let terminal = std::io::stderr().is_terminal();
    let bar = ProgressBar::with_draw_target(
        Some(1),
        if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
    );
    let style = ProgressStyle::with_template("{percent:>3}% {bar:30} {msg} ETA {eta}");
    bar.set_style(style.expect("the template is a constant, tried by every run on a terminal"));
    let began = components::now();
    let mut said = began;
    loop {
        let glance = statuses.borrow_and_update().get(&run).cloned();
        if let Some(status) = glance {
            let now = components::now();
            let line = line(&status, began, now);
            bar.set_length(status.bytes.max(1));
            bar.set_position(status.bytes_done);
            bar.set_message(line.clone());
            if !terminal && now.since(said) >= LINES_EVERY_MS {
                said = now;
                eprintln!("{}", piped(&status, &line, began, now));
            }
        }
        if tokio::time::timeout(Duration::from_millis(500), statuses.changed())
            .await
            .is_ok_and(|changed| changed.is_err())
        {
            return;
        }
    }
}

fn line(status: &Status, began: Millis, now: Millis) -> String {
    let seconds = (now.since(began) as f64 / 1e3).max(0.001);
    format!(
        "{:.0} MB/s, {} rows, {} rejects",
        status.bytes_done as f64 / 1e6 / seconds,
        HumanCount(status.counts.written),
        HumanCount(status.counts.rejected)
    )
}

fn piped(status: &Status, line: &str, began: Millis, now: Millis) -> String {
    let share = status.bytes_done as f64 / status.bytes.max(1) as f64;
    let spent = now.since(began) as f64;
    // Before there is something to go by, any figure would be made up.
    let eta = if share < 0.01 {
        "unknown".to_owned()
    } else {
        HumanDuration(Duration::from_millis((spent * (1.0 - share) / share) as u64)).to_string()
    };
    format!("run {}: {:.0}%, {line}, ETA {eta}", status.run, share * 100.0)
}
