//! What a journal may say: which staged attempts stand after its facts, and that no fact and no lease does such a one again.
//!
//! Invariant: worked out from the facts and the true first boundaries alone, with no code of the scheduler.

use std::collections::{BTreeMap, BTreeSet};

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::ids::{AttemptId, Epoch, PartitionId};
use batteuse_shared::table::ColumnType;
use batteuse_shared::task::{Parsed, Task};

/// The true first boundary of each partition: none where its range holds none.
pub type Firsts = Vec<Option<u64>>;

/// A journal's account of its partitions.
#[derive(Default)]
struct Ledger<'f> {
    staged: BTreeMap<PartitionId, (AttemptId, &'f Parsed)>,
    ever: BTreeSet<PartitionId>,
    settled: Option<&'f [ColumnType]>,
}

impl<'f> Ledger<'f> {
    /// Enters a fact, and strikes out what it takes out: starts that are known to be guessed wrong, types that did not settle.
    fn enter(&mut self, fact: &'f Fact, firsts: &Firsts) {
        match fact {
            Fact::Staged { partition, attempt, parsed } => {
                self.staged.insert(*partition, (*attempt, parsed));
                self.ever.insert(*partition);
            }
            Fact::SchemaSettled { types } => self.settled = Some(types),
            _ => return,
        }
        // A start is known once every partition before it was parsed.
        let known = (0..).take_while(|&i| self.ever.contains(&PartitionId(i))).count() as u32;
        let settled = self.settled;
        self.staged.retain(|partition, (_, parsed)| {
            let proven = partition.0 <= known;
            let wrong = parsed.first != firsts[partition.0 as usize];
            let other = settled.is_some_and(|types| parsed.types.as_deref() != Some(types));
            !(proven && (wrong || other))
        });
    }

    fn after(facts: &'f [Fact], firsts: &Firsts) -> Self {
        let mut ledger = Self::default();
        facts.iter().for_each(|fact| ledger.enter(fact, firsts));
        ledger
    }
}

/// The first boundaries as the accepted attempts of a finished run tell them.
pub fn firsts(facts: &[Fact]) -> Firsts {
    let accepted: BTreeMap<_, _> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Accepted { partition, attempt } => Some((*partition, *attempt)),
            _ => None,
        })
        .collect();
    let first = |(partition, attempt): (&PartitionId, &AttemptId)| {
        let staged = facts.iter().find_map(|fact| match fact {
            Fact::Staged { partition: p, attempt: a, parsed } if (p, a) == (partition, attempt) => Some(parsed.first),
            _ => None,
        });
        staged.expect("what is accepted was staged")
    };
    accepted.iter().map(first).collect()
}

/// The name of a fact's kind.
pub fn kind(fact: &Fact) -> String {
    let value = serde_json::to_value(fact).unwrap();
    value.as_object().unwrap().keys().next().unwrap().clone()
}

/// Fails when a journal tells of something done twice, or out of order.
#[track_caller]
pub fn must_be_lawful(facts: &[Fact], firsts: &Firsts, how: &str) {
    let mut ledger = Ledger::default();
    let (mut accepted, mut once, mut epoch) = (BTreeSet::new(), BTreeSet::new(), Epoch(0));
    let mut replaced = BTreeSet::new();
    for (i, fact) in facts.iter().enumerate() {
        let kind = kind(fact);
        match fact {
            Fact::Staged { partition, .. } => {
                assert!(!ledger.staged.contains_key(partition), "{how}: fact {i}: partition {partition} stood staged");
            }
            Fact::Accepted { partition, attempt } => {
                assert!(
                    accepted.insert(*partition),
                    "{how}: fact {i}: partition {partition} was accepted (SINGLE-DECISION)"
                );
                let stands = ledger.staged.get(partition).map(|(attempt, _)| attempt);
                assert_eq!(stands, Some(attempt), "{how}: fact {i}: what is accepted stands");
                assert!(ledger.settled.is_some(), "{how}: fact {i}: accepted before the types settled");
            }
            Fact::PartitionReplaced { partition, .. } => {
                assert!(once.contains("decision"), "{how}: fact {i}: replaced before the decision");
                assert!(accepted.contains(partition) && replaced.insert(*partition), "{how}: fact {i}: {partition}");
            }
            Fact::EpochBegun { epoch: begun, .. } => {
                assert!(*begun > epoch, "{how}: fact {i}: epochs rise");
                epoch = *begun;
            }
            Fact::Split { .. } | Fact::Quarantined { .. } => {
                panic!("{how}: nothing was late, and nothing kills: {fact:?}")
            }
            Fact::AttemptFailed { .. } | Fact::SteppedDown { .. } | Fact::Paused { .. } | Fact::Unpaused { .. } => {}
            Fact::RunDecided(_) | Fact::RunAborted(_) => {
                assert!(once.insert("decision".to_owned()), "{how}: fact {i}: decided twice");
            }
            _ => assert!(once.insert(kind.clone()), "{how}: fact {i}: {kind} twice"),
        }
        assert!(kind == "RunAccepted" || i > 0, "{how}: a journal begins with RunAccepted");
        assert!(kind != "RunDone" || i + 1 == facts.len(), "{how}: nothing comes after RunDone");
        ledger.enter(fact, firsts);
    }
}

/// Fails when `task` was leased after `facts`, though what it does was done and stood.
#[track_caller]
pub fn must_be_wanted(task: &Task, facts: &[Fact], firsts: &Firsts, how: &str) {
    let done = |kinds: &[&str]| facts.iter().any(|fact| kinds.contains(&kind(fact).as_str()));
    let decided = done(&["RunDecided", "RunAborted"]);
    if decided {
        let replaced =
            |id| facts.iter().any(|f| matches!(f, Fact::PartitionReplaced { partition, .. } if *partition == id));
        let again = matches!(task, Task::Parse(task) if task.replaces.is_some() && !replaced(task.partition));
        assert!(again, "{how}: leased after the decision: {task:?}");
        return;
    }
    match task {
        Task::Inspect(_) => assert!(!done(&["Inspected"]), "{how}: inspected again"),
        Task::Parse(task) => {
            let stands = Ledger::after(facts, firsts).staged.get(&task.partition).map(|(attempt, _)| *attempt);
            assert_eq!(stands, None, "{how}: partition {} was staged and leased again", task.partition);
        }
        Task::Finish(_) => assert!(!done(&["FinishStaged"]), "{how}: finished again"),
    }
}
