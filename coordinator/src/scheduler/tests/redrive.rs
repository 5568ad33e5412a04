//! Runs that failed and go on.

use super::poison::{begun, crash, passed_over, work};
use super::*;
use crate::publish::Visible;
use crate::scheduler::{NotRedrivable, Remains};

/// No record kills.
const NOWHERE: u64 = 1_000;

fn remains(lost: &[u32]) -> Remains {
    let visible = vec![Visible { path: layout::report(&run_id()), sha256: Checksum::default() }];
    Remains { visible, lost: lost.iter().copied().map(PartitionId).collect() }
}

impl Stage {
    /// Everything decided is published.
    fn end(&mut self) -> Run {
        let said = self.step(Event::Published { run: run_id() });
        assert_eq!(names(&said), ["record RunDone"]);
        self.replayed()
    }

    /// The run goes on; what is leased then.
    fn redrive(&mut self, lost: &[u32]) -> Vec<Lease> {
        let run = self.replayed();
        let said = self.scheduler.redrive(run, remains(lost), self.now);
        assert_eq!(names(&said)[..2], ["record EpochBegun", "record Redriven"]);
        self.facts.extend(said.into_iter().filter_map(|action| match action {
            Action::Record { fact, .. } => Some(fact),
            _ => None,
        }));
        grants(&self.step(Event::Tick))
    }
}

/// What publishing is told at last.
fn plan(stage: &Stage) -> crate::publish::PublishPlan {
    stage.scheduler.run(&run_id()).unwrap().publish_plan()
}

#[test]
fn what_failed_is_done_once_more_and_nothing_else() {
    let (mut stage, leases) = begun(0);
    work(&mut stage, leases, 7);
    let kept = plan(&stage);
    assert_eq!((kept.keeps, kept.unwanted.len(), kept.parts.len(), kept.replaces.len()), (true, 0, 0, 0));
    let failed = stage.end();
    assert_eq!((failed.state(), failed.redrivable(), failed.keeps_staged()), (RunState::Failed, Ok(()), true));
    let staged = |facts: &[Fact]| facts.iter().filter(|fact| matches!(fact, Fact::Staged { .. })).count();
    let before = staged(&stage.facts);
    let missing = failed.report().partitions - before as u64;
    assert!(before > 0 && missing > 0);
    let leases = stage.redrive(&[]);
    assert_eq!(work(&mut stage, leases, NOWHERE), []);
    assert_eq!((staged(&stage.facts) - before) as u64, missing);
    let ends = plan(&stage);
    assert_eq!((ends.keeps, ends.replaces), (false, remains(&[]).visible));
    let report = stage.end().report();
    assert_eq!((report.state, report.counts.written, report.redrives), (RunState::Succeeded, 28, 1));
    assert!(report.equation.holds, "{:?}", report.equation);
    assert_eq!(stage.scheduler.statuses().count(), 1);
}

#[test]
fn what_is_lost_of_what_was_staged_is_done_once_more() {
    let (mut stage, leases) = begun(0);
    work(&mut stage, leases, 7);
    let failed = stage.end();
    let accepted = failed.partitions.iter().position(|partition| partition.staged.is_some()).unwrap();
    assert_eq!(failed.lost(|_, _| true), []);
    let key = &failed.partitions[accepted].staged.as_ref().unwrap().1.parts[0].key;
    let lost = failed.lost(|staged, path| staged.name != *key || !path.unwrap().starts_with("part-"));
    assert_eq!(lost, [PartitionId(accepted as u32)]);
    let staged = |stage: &Stage| {
        let of_lost = |fact: &&Fact| matches!(fact, Fact::Staged { partition, .. } if partition.0 == accepted as u32);
        stage.facts.iter().filter(of_lost).count()
    };
    assert_eq!(staged(&stage), 1);
    let leases = stage.redrive(&[accepted as u32]);
    assert_eq!(work(&mut stage, leases, NOWHERE), []);
    assert_eq!((staged(&stage), stage.end().report().counts.written), (2, 28));
}

#[test]
fn it_may_fail_again_by_the_whole_ladder_and_go_on_again() {
    let (mut stage, leases) = begun(0);
    assert_eq!(work(&mut stage, leases, 7).len(), 6);
    stage.end();
    let leases = stage.redrive(&[]);
    let crashed = work(&mut stage, leases, 7);
    let (whole, alone) = (Span::new(7, 8), [false, false, true]);
    assert_eq!(crashed, alone.map(|alone| (whole, alone)), "its budget is new, and it is cut no further");
    assert_eq!(stage.end().redrivable(), Ok(()));
    let leases = stage.redrive(&[]);
    assert_eq!(work(&mut stage, leases, NOWHERE), []);
    assert_eq!((stage.end().report().state, stage.replayed().report().redrives), (RunState::Succeeded, 2));
}

#[test]
fn what_was_set_aside_is_read() {
    let (mut stage, mut leases) = begun(1);
    while let Some(lease) = leases.pop() {
        let outcome = match &lease.task {
            Task::Finish(_) => finished(&lease, 0),
            Task::Parse(task) if task.quarantine => passed_over(&lease),
            Task::Parse(task) if [3, 25].iter().any(|at| task.range.start <= *at && *at < task.range.end) => crash(),
            _ => plain(&lease).outcome(&lease),
        };
        leases.extend(grants(&stage.report("w", &lease, outcome)));
    }
    let aside = stage.end();
    assert_eq!((aside.report().counts.quarantined, aside.redrivable()), (1, Ok(())), "{:?}", aside.report());
    let leases = stage.redrive(&[]);
    assert_eq!(work(&mut stage, leases, NOWHERE), []);
    let report = stage.end().report();
    assert_eq!((report.state, report.counts.written), (RunState::Succeeded, 28), "{report:?}");
    assert_eq!((report.counts.quarantined, report.quarantines.len()), (0, 0));
}

/// What is read at last is a text, where all else is whole numbers.
#[test]
fn what_is_read_at_last_may_have_other_types() {
    let (mut stage, leases) = begun(1);
    work(&mut stage, leases, 7);
    let first = plan(&stage);
    assert_eq!((first.keeps, first.success.is_some(), first.removes.len()), (true, true, 0));
    assert_eq!(stage.end().report().counts.quarantined, 1);
    let mut leases = stage.redrive(&[]);
    assert_eq!(leases.len(), 1, "nothing else is read for now");
    while let Some(lease) = leases.pop() {
        let outcome = match &lease.task {
            Task::Finish(_) => finished(&lease, 0),
            Task::Parse(task) if task.range.start <= 7 && 7 < task.range.end => {
                let fits = task.columns[0].ctype == ColumnType::Text;
                let types = fits.then_some(ColumnType::Text);
                Report { classes: Classes::TEXT, types, ..plain(&lease) }.outcome(&lease)
            }
            _ => plain(&lease).outcome(&lease),
        };
        leases.extend(grants(&stage.report("w", &lease, outcome)));
    }
    let last = plan(&stage);
    let mut before: Vec<String> = first.parts.iter().map(|part| part.published.clone()).collect();
    before.sort();
    assert_eq!((last.removes, last.keeps), (before, false), "all is written anew, and what stood goes");
    let report = stage.end().report();
    assert_eq!((report.state, report.counts.written), (RunState::Succeeded, 28));
    assert_eq!(stage.replayed().current_columns()[0].ctype, ColumnType::Text);
}

#[test]
fn a_table_that_stands_keeps_its_report_and_its_rejects() {
    let (mut stage, leases) = begun(1);
    work(&mut stage, leases, 7);
    stage.end();
    let mut leases = stage.redrive(&[]);
    while let Some(lease) = leases.pop() {
        let outcome = match &lease.task {
            Task::Finish(_) => crash(),
            _ => plain(&lease).outcome(&lease),
        };
        leases.extend(grants(&stage.report("w", &lease, outcome)));
    }
    let fails = plan(&stage);
    assert_eq!((fails.report, fails.rejects, fails.removes.len(), fails.keeps), (None, None, 0, true));
    let failed = stage.end();
    assert_eq!((failed.state(), failed.has_been_published()), (RunState::Failed, true));
    let leases = stage.redrive(&[]);
    assert_eq!(work(&mut stage, leases, NOWHERE), []);
    let ends = plan(&stage);
    assert!(ends.report.is_some() && ends.rejects.is_some());
    // The range was halved; what stood of it is read under another name.
    assert!(ends.parts.iter().all(|part| !ends.removes.contains(&part.published)));
    assert_eq!(stage.end().report().state, RunState::Succeeded);
}

#[test]
fn what_was_under_way_before_is_nobodys() {
    let (mut stage, mut leases) = begun(0);
    let mut late = None;
    while let Some(lease) = leases.pop() {
        let outcome = match &lease.task {
            Task::Finish(_) if late.is_none() => {
                // It is thought to be lost, and lives.
                late = Some(held(&lease));
                stage.step(Event::WorkerLeft { worker: worker("w") });
                stage.now = stage.now.plus(SUSPECT_MS);
                stage.step(Event::Tick);
                leases.extend(stage.join("v", 1));
                continue;
            }
            Task::Finish(_) => finished(&lease, 0),
            Task::Parse(task) if task.range.start <= 7 && 7 < task.range.end => crash(),
            _ => plain(&lease).outcome(&lease),
        };
        let by = if late.is_some() { "v" } else { "w" };
        leases.extend(grants(&stage.report(by, &lease, outcome)));
    }
    stage.end();
    let leases = stage.redrive(&[]);
    work_as("v", &mut stage, leases);
    let (late, run) = (late.unwrap(), run_id());
    let said = stage.step(Event::WorkerJoined { worker: worker("w"), slots: 1, running: vec![late.clone()] });
    let attempt = late.attempt;
    assert!(said.contains(&Action::Revoke { worker: worker("w"), run, attempt }), "{said:?}");
}

/// Works on all leases but the finish task's.
fn work_as(name: &str, stage: &mut Stage, mut leases: Vec<Lease>) {
    while let Some(lease) = leases.pop().filter(|lease| matches!(lease.task, Task::Parse(_))) {
        leases.extend(grants(&stage.report(name, &lease, plain(&lease).outcome(&lease))));
    }
}

#[test]
fn a_finish_task_that_failed_is_all_that_is_left() {
    let (mut stage, mut leases) = begun(0);
    while let Some(lease) = leases.pop() {
        let outcome = match &lease.task {
            Task::Finish(_) => crash(),
            _ => plain(&lease).outcome(&lease),
        };
        leases.extend(grants(&stage.report("w", &lease, outcome)));
    }
    assert_eq!(stage.end().state(), RunState::Failed);
    let leases = stage.redrive(&[]);
    assert!(matches!(leases[..], [Lease { task: Task::Finish(_), .. }]), "{leases:?}");
    assert_eq!(work(&mut stage, leases, NOWHERE), []);
    assert_eq!(stage.end().report().state, RunState::Succeeded);
}

#[test]
fn what_did_not_fail_by_its_tasks_is_not_redriven() {
    let (mut stage, leases) = begun(0);
    let (run, reason) = (run_id(), "run job-2 took its output folder".to_owned());
    assert_eq!(stage.replayed().redrivable(), Err(NotRedrivable::Open { run: run.clone() }));
    work(&mut stage, leases, 7);
    stage.end();
    stage.facts.push(Fact::Released { reason: reason.clone() });
    let released = stage.replayed();
    assert_eq!(released.redrivable(), Err(NotRedrivable::Released { run: run.clone(), reason }));
    assert!(!released.keeps_staged());
    let (mut stage, leases) = begun(0);
    work(&mut stage, leases, NOWHERE);
    let state = RunState::Succeeded;
    assert_eq!(stage.end().redrivable(), Err(NotRedrivable::Ended { run: run.clone(), state, reason: None }));
    let (mut stage, _) = begun(0);
    stage.step(Event::Cancelled { run: run.clone(), message: "enough".to_owned() });
    let cancelled = stage.end().redrivable().unwrap_err().to_string();
    assert!(cancelled.contains("Cancelled (enough)"), "{cancelled}");
}
