//! Ranges that kill whoever parses them, and workers on which everything crashes.

use batteuse_shared::limits::{ASIDE_TTLS, HOLD_TTLS};
use batteuse_shared::status::Waits;

use super::*;

pub(super) fn crash() -> Outcome {
    Outcome::Failed(Failure { class: FailureClass::Crash, message: "boom".to_owned() })
}

/// A run of one worker that may set so many bytes aside.
pub(super) fn begun(quarantine_bytes: u64) -> (Stage, Vec<Lease>) {
    let mut stage = Stage::new();
    let mut accepted = accepted();
    accepted.job.spec.rejects.quarantine_bytes = quarantine_bytes;
    stage.step(Event::Submitted(Box::new(accepted)));
    let leases = stage.join("w", 1);
    let said = stage.report("w", &leases[0], inspected(ColumnType::Int64));
    (stage, grants(&said))
}

/// What passing over a range comes to.
pub(super) fn passed_over(lease: &Lease) -> Outcome {
    let Outcome::Parsed(mut parsed) = plain(lease).outcome(lease) else { panic!() };
    let read = parsed.counts.read;
    parsed.counts = Counts { read, quarantined: read, lines: read, ..Counts::default() };
    (parsed.parts, parsed.summaries) = (Vec::new(), vec![Classes::default()]);
    parsed.quarantined = Some(Checksum::default());
    Outcome::Parsed(parsed)
}

/// Works until nothing is leased any more, where the record at `poison` kills; tells the ranges that crashed, and whether alone.
pub(super) fn work(stage: &mut Stage, mut leases: Vec<Lease>, poison: u64) -> Vec<(Span, bool)> {
    let mut crashed = Vec::new();
    while let Some(lease) = leases.pop() {
        let outcome = match &lease.task {
            Task::Finish(_) => finished(&lease, 0),
            Task::Parse(task) if task.quarantine => passed_over(&lease),
            Task::Parse(task) if task.range.start <= poison && poison < task.range.end => {
                crashed.push((task.range, task.alone));
                crash()
            }
            _ => plain(&lease).outcome(&lease),
        };
        leases.extend(grants(&stage.report("w", &lease, outcome)));
        let live = stage.scheduler.run(&run_id()).expect("it is not published");
        assert_eq!(live.differs(&stage.replayed()), None, "REPLAY");
    }
    crashed
}

#[test]
fn a_record_that_kills_is_found_alone_and_set_aside() {
    let (mut stage, leases) = begun(1);
    let crashed = work(&mut stage, leases, 7);
    let (whole, span) = (Span::new(2, 10), Span::new);
    let want =
        [(whole, false), (whole, false), (whole, true), (span(6, 10), true), (span(6, 8), true), (span(7, 8), true)];
    assert_eq!(crashed, want, "twice, alone, and then in halves");
    let report = stage.replayed().report();
    assert_eq!(
        (report.state, report.counts.written, report.counts.quarantined),
        (RunState::SucceededWithRejects, 27, 1)
    );
    assert!(report.equation.holds, "{:?}", report.equation);
    let aside: Vec<_> = report.quarantines.iter().map(|q| (q.start, q.end, q.records, q.reason.as_str())).collect();
    assert_eq!(aside, [(7, 8, 1, "boom")]);
    assert_eq!((report.partitions, report.splits), (6, 3));
}

#[test]
fn where_nothing_may_be_set_aside_the_run_fails_and_names_the_range() {
    let (mut stage, leases) = begun(0);
    assert_eq!(work(&mut stage, leases, 7).len(), 6);
    let report = stage.replayed().report();
    let Some(Reason::TaskFailed { message }) = &report.reason else { panic!("{report:?}") };
    for told in ["bytes 7 to 8 of file:///in.csv", "rejects.quarantineBytes is 0", "boom"] {
        assert!(message.contains(told), "{message}");
    }
    assert_eq!((report.state, report.quarantines.len()), (RunState::Failed, 0));
}

#[test]
fn what_is_set_aside_in_all_is_bounded() {
    let (mut stage, mut leases) = begun(1);
    let mut crashed = 0;
    while let Some(lease) = leases.pop() {
        let outcome = match &lease.task {
            Task::Finish(_) => finished(&lease, 0),
            Task::Parse(task) if task.quarantine => passed_over(&lease),
            // Two records kill.
            Task::Parse(task) if [3, 25].iter().any(|at| task.range.start <= *at && *at < task.range.end) => {
                crashed += 1;
                crash()
            }
            _ => plain(&lease).outcome(&lease),
        };
        leases.extend(grants(&stage.report("w", &lease, outcome)));
    }
    let report = stage.replayed().report();
    assert!(
        matches!(&report.reason, Some(Reason::TaskFailed { message }) if message.contains("is 1: with 2")),
        "{report:?}"
    );
    assert!(crashed <= 13, "{crashed}");
}

#[test]
fn the_loss_of_workers_alone_sets_nothing_aside() {
    let (mut stage, mut leases) = begun(100);
    for time in 1..8 {
        stage.step(Event::WorkerLeft { worker: worker("w") });
        stage.now = Millis(time * 100 * LEASE_TTL_MS);
        stage.step(Event::Tick);
        leases = stage.join("w", 1);
        let Task::Parse(task) = &leases[0].task else { panic!() };
        assert_eq!((task.alone, task.quarantine, task.range), (time >= 2, false, Span::new(2, 10)));
    }
    assert_eq!(work(&mut stage, leases, 1_000), []);
    assert_eq!(stage.replayed().report().counts.quarantined, 0);
}

#[test]
fn one_that_was_to_parse_what_is_set_aside_by_now_is_of_no_use() {
    let (mut stage, mut leases) = begun(1);
    // The last one that crashes is condemned; another attempt at it, which was given up before, tells late that it went well.
    for range in [(2, 10), (2, 10), (2, 10), (2, 6), (2, 4)] {
        let Task::Parse(task) = &leases[0].task else { panic!() };
        assert_eq!((task.range.start, task.range.end), range);
        leases = grants(&stage.report("w", &leases[0], crash()));
    }
    stage.step(Event::WorkerLeft { worker: worker("w") });
    stage.now = Millis(SUSPECT_MS);
    stage.step(Event::Tick);
    let late = leases.remove(0);
    let next = stage.join("v", 1);
    let said = stage.report("v", &next[0], crash());
    assert_eq!(names(&said)[..2], ["record AttemptFailed", "record Quarantined"]);
    assert_eq!(names(&stage.report("w", &late, plain(&late).outcome(&late))), ["ack"]);
}

#[test]
fn a_worker_on_which_three_tasks_crash_is_set_aside_while_another_is_well() {
    let (mut stage, leases) = Stage::inspected(3);
    assert_eq!(stage.join("well", 3), []);
    let mut last = Vec::new();
    for lease in &leases {
        last = stage.report("w", lease, crash());
    }
    let to = |actions: &[Action]| {
        let to = |a: &Action| if let Action::Grant { worker, .. } = a { Some(worker.to_string()) } else { None };
        actions.iter().filter_map(to).collect::<Vec<_>>()
    };
    assert_eq!(to(&last), ["well"], "the first two it was given again");
    stage.now = Millis(LEASE_TTL_MS / 2);
    let has = |stage: &Stage, name: &str| {
        let found = stage.scheduler.workers(stage.now).find(|w| w.worker == worker(name)).unwrap();
        (found.leases, found.aside)
    };
    assert_eq!((has(&stage, "w"), has(&stage, "well")), ((2, true), (1, false)));
    stage.step(Event::WorkerLeft { worker: worker("w") });
    stage.step(Event::WorkerJoined { worker: worker("w"), slots: 3, running: Vec::new() });
    assert_eq!((has(&stage, "w"), has(&stage, "well")), ((0, true), (3, false)), "though it comes anew");
    stage.now = Millis(ASIDE_TTLS * LEASE_TTL_MS);
    assert!(!has(&stage, "w").1, "for a while");
}

#[test]
fn the_last_worker_is_never_set_aside() {
    let (mut stage, leases) = Stage::inspected(3);
    for lease in &leases {
        assert_eq!(grants(&stage.report("w", lease, crash())).len(), 1);
    }
}

#[test]
fn where_many_workers_crash_at_once_the_run_waits() {
    let (mut stage, leases) = Stage::inspected(1);
    let (second, third) = (stage.join("v", 1), stage.join("u", 1));
    stage.report("w", &leases[0], crash());
    stage.report("v", &second[0], crash());
    let said = stage.report("u", &third[0], crash());
    assert_eq!(names(&said), ["record AttemptFailed", "ack"]);
    stage.now = Millis(HOLD_TTLS * LEASE_TTL_MS - 1);
    for name in ["u", "v", "w"] {
        let running = Vec::new();
        let said = stage.step(Event::WorkerJoined { worker: worker(name), slots: 1, running });
        assert_eq!(grants(&said), []);
    }
    let status = stage.scheduler.statuses().next().unwrap();
    let Some(Waits::Storage { message, .. }) = status.waits else { panic!("{status:?}") };
    assert!(message.contains("3 workers") && message.contains("3 different tasks"), "{message}");
    stage.now = Millis(HOLD_TTLS * LEASE_TTL_MS);
    assert_eq!(grants(&stage.step(Event::Tick)).len(), 3);
}
