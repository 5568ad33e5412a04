//! A turn of the driver: what came of its events, in the order in which it is done.
//!
//! Invariant (WRITE-AHEAD): all facts of a turn are durable before anything else of it happens. Within a turn no fact depends on another
//! action, and each of the others may depend on a fact; so one group commit a run serves them all. Pure.

use std::collections::VecDeque;

use batteuse_shared::ids::RunId;
use batteuse_shared::limits::JOURNAL_SLOT_PARTS_MAX;
use batteuse_shared::mutants::{Mutant, planted};

use crate::scheduler::{Action, Fact};

/// One step of a turn.
#[derive(Debug)]
pub enum Step {
    /// Append these facts to a run's journal, as one slot; the next step waits until they are durable.
    Append {
        /// Whose journal.
        run: RunId,
        /// What.
        facts: Vec<Fact>,
    },
    /// Do this; it is no [`Action::Record`].
    Act(Box<Action>),
}

/// What a turn has to do, in order.
#[derive(Debug, Default)]
pub struct Turn {
    steps: VecDeque<Step>,
}

impl Turn {
    /// Of these actions; with `one_by_one` each fact has a slot of its own.
    #[must_use]
    pub fn of(actions: Vec<Action>, one_by_one: bool) -> Self {
        let (mut facts, mut rest): (Vec<(RunId, Vec<Fact>)>, _) = (Vec::new(), VecDeque::new());
        for action in actions {
            match action {
                Action::Record { run, fact } => match facts.iter_mut().find(|(r, _)| *r == run) {
                    Some((_, batch)) => batch.push(fact),
                    None => facts.push((run, vec![fact])),
                },
                other => rest.push_back(Step::Act(Box::new(other))),
            }
        }
        let mut steps = VecDeque::new();
        for (run, batch) in facts {
            steps.extend(groups(batch, one_by_one).into_iter().map(|facts| Step::Append { run: run.clone(), facts }));
        }
        if planted(Mutant::ActBeforeJournal) {
            rest.append(&mut steps);
            return Self { steps: rest };
        }
        steps.append(&mut rest);
        Self { steps }
    }

    /// The next step to take.
    pub fn take_next(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// A step that was not taken to its end, and is to be taken again.
    pub fn again(&mut self, step: Step) {
        self.steps.push_front(step);
    }

    /// Whether something is still to be appended to the journal of `run`.
    #[must_use]
    pub fn appends(&self, run: &RunId) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Append { run: of, .. } if of == run))
    }

    /// A run that never became durable is left out of what is still to be done.
    pub fn leave_out(&mut self, run: &RunId) {
        self.steps.retain(|step| match step {
            Step::Append { run: of, .. } => of != run,
            Step::Act(action) => !matches!(&**action, Action::Grant { lease, .. } if lease.run == *run),
        });
    }
}

/// The facts of one turn as they are appended: together, as far as a slot holds them.
fn groups(batch: Vec<Fact>, one_by_one: bool) -> Vec<Vec<Fact>> {
    let (mut groups, mut parts): (Vec<Vec<Fact>>, usize) = (Vec::new(), 0);
    for fact in batch {
        parts += fact.parts();
        match groups.last_mut() {
            Some(group) if !one_by_one && parts <= JOURNAL_SLOT_PARTS_MAX => group.push(fact),
            _ => {
                parts = fact.parts();
                groups.push(vec![fact]);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use batteuse_shared::ids::{AttemptId, PartitionId};
    use batteuse_shared::table::{Checksum, Digest};
    use batteuse_shared::task::StagedPart;

    use super::*;

    #[test]
    fn facts_that_name_many_parts_are_appended_apart() {
        let (key, values, upload) = (String::new(), Vec::new(), None);
        let part =
            StagedPart { key, values, bytes: 0, rows: 0, digest: Digest(0), sha256: Checksum::default(), upload };
        let fact = |parts: usize| Fact::PartitionReplaced {
            partition: PartitionId(0),
            attempt: AttemptId(1),
            parts: vec![part.clone(); parts],
            table: None,
            rejects: None,
        };
        let sizes = |parts: &[usize], one_by_one| {
            let batch: Vec<Fact> = parts.iter().map(|&parts| fact(parts)).collect();
            groups(batch, one_by_one).iter().map(Vec::len).collect::<Vec<_>>()
        };
        let most = JOURNAL_SLOT_PARTS_MAX;
        assert_eq!(sizes(&[], false), [0; 0]);
        assert_eq!(sizes(&[1, 0, most - 1], false), [3]);
        assert_eq!(sizes(&[1, 0, most, 0, 1], false), [2, 2, 1]);
        assert_eq!(sizes(&[most + 1, 1], false), [1, 1]);
        assert_eq!(sizes(&[1, 0, 2], true), [1, 1, 1]);
    }
}
