//! Runs into a table of a database: how many leases are out at once, what is believed, and what is published.

use batteuse_shared::spec::{Output, Postgres, TableMode};
use batteuse_shared::status::Waits;
use batteuse_shared::task::StagedTable;

use super::*;

/// A run of three partitions into a table alone, inspected by a worker with three slots; the leases it holds.
fn inspected_into_a_table(max_connections: u32) -> (Stage, Vec<Lease>) {
    let mut run = accepted();
    let (url, table) = ("postgres://me@h/db".to_owned(), "stock".parse().unwrap());
    let postgres = Postgres { url, table, mode: TableMode::Append, key: Vec::new(), max_connections };
    run.job.spec.output = Output { parquet: None, postgres: Some(postgres), folder: Some("file:///out/".to_owned()) };
    let mut stage = Stage::new();
    stage.step(Event::Submitted(Box::new(run)));
    let leases = stage.join("w", 3);
    let leases = grants(&stage.report("w", &leases[0], inspected(ColumnType::Int64)));
    (stage, leases)
}

/// The report of a lease, with its rows in a table of this name.
fn staged_in(lease: &Lease, name: &str) -> Outcome {
    let Outcome::Parsed(mut parsed) = plain(lease).outcome(lease) else { panic!("a parse") };
    let part = parsed.parts.pop().expect("there are rows");
    parsed.table = Some(StagedTable { name: name.to_owned(), rows: part.rows, digest: part.digest });
    Outcome::Parsed(parsed)
}

fn own(lease: &Lease) -> Outcome {
    staged_in(lease, &layout::staging_table("n", lease.attempt))
}

#[test]
fn no_more_leases_are_out_than_connections_are_allowed() {
    let (mut stage, leases) = inspected_into_a_table(2);
    assert_eq!(leases.len(), 2, "a third slot is free");
    assert_eq!(names(&stage.step(Event::Tick)), [""; 0]);
    let waits = stage.scheduler.statuses().next().unwrap().waits;
    assert_eq!(waits, Some(Waits::Connections { most: 2 }));
    let said = stage.report("w", &leases[0], own(&leases[0]));
    assert_eq!(names(&said), ["record Staged", "ack", "grant 2 guess"]);
    assert_eq!(inspected_into_a_table(3).1.len(), 3);
}

#[test]
fn what_is_staged_is_published_in_source_order_and_nothing_else_is_believed() {
    let (mut stage, mut leases) = inspected_into_a_table(3);
    let foreign = staged_in(&leases[0], "stock");
    let said = stage.report("w", &leases[0], foreign);
    assert_eq!(names(&said)[..2], ["record AttemptFailed", "ack"], "a table of that name is not the attempt's");
    leases[0] = grants(&said).remove(0);
    let part = plain(&leases[0]).outcome(&leases[0]);
    let said = stage.report("w", &leases[0], part);
    assert_eq!(names(&said)[0], "record AttemptFailed", "no part was wanted");
    leases[0] = grants(&said).remove(0);
    let mut last = Vec::new();
    for lease in leases.iter().rev() {
        last = stage.report("w", lease, own(lease));
    }
    let finish = grants(&last);
    let said = stage.report("w", &finish[0], finished(&finish[0], 0));
    let plan = said.iter().find_map(|action| if let Action::Publish(plan) = action { Some(plan) } else { None });
    let plan = plan.expect("it is decided");
    let table = plan.table.as_ref().expect("a table is an output");
    let staged = table.staged.as_ref().expect("it is published");
    let attempts: Vec<AttemptId> = leases.iter().map(|lease| lease.attempt).collect();
    assert_eq!(staged.iter().map(|rows| rows.attempt).collect::<Vec<_>>(), attempts);
    assert_eq!((staged.iter().map(|rows| rows.rows).sum::<u64>(), table.epoch, plan.parts.len()), (28, Epoch(1), 0));
    assert_eq!(stage.replayed().table_plan().as_ref(), Some(table), "live and replayed are the same");
}
