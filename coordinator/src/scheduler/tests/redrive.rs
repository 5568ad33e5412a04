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
    assert_eq!(failed.lost(|_| true), []);
    let key = &failed.partitions[accepted].staged.as_ref().unwrap().1.parts[0].key;
    let lost = failed.lost(|staged| staged.name != *key);
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
