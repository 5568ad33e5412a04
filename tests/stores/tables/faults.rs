//! A database that goes away: at the commit, or with all that was not logged; and coordinators that come too late.

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::layout;

use super::Barn;
use super::proxy::{Cut, Proxy};
use crate::recovery::{facts, run_of, state};
use crate::support::binary::until;

fn rows(n: u64) -> String {
    "id,name\n".to_owned() + &(0..n).map(|id| format!("{id},name {id}\n")).collect::<String>()
}

#[test]
fn a_session_cut_at_its_commit_leaves_the_rows_there_once() {
    let mut barn = Barn::new();
    let direct = barn.url.clone();
    let (head, rest) = direct.split_once("127.0.0.1:").unwrap();
    let (port, database) = rest.split_once('/').unwrap();
    for cut in [Cut::Before, Cut::Under, Cut::After] {
        let proxy = Proxy::start(port.parse().unwrap(), cut);
        barn.url = format!("{head}127.0.0.1:{}/{database}", proxy.port);
        let name = format!("{cut:?}").to_lowercase();
        barn.run(&barn.spec(&name, &rows(500), 5, &format!("table: \"{name}\""), ""), 0);
        assert_eq!(proxy.cuts(), 1, "{cut:?}");
        assert_eq!(barn.sql(&format!("SELECT count(*), count(DISTINCT id) FROM \"{name}\"")), "500|500", "{cut:?}");
        assert!(barn.out(&name).join("_SUCCESS").exists());
    }
    assert_eq!(barn.sql("SELECT count(*) FROM batteuse_ledger WHERE rows = 500"), "3");
}

/// A run that is decided and cannot be published, because the table has a row of its first key.
fn held(barn: &Barn, name: &str) -> String {
    barn.sql(&format!("CREATE TABLE {name} (id bigint PRIMARY KEY, name text); INSERT INTO {name} VALUES (0, 'mine')"));
    let spec = barn.spec(name, &rows(300), 3, &format!("table: {name}"), "");
    barn.ask(&["run", "-f", &spec]).expect(16).says(&["does not take the rows"]);
    barn.sql(&format!("DELETE FROM {name}"));
    barn.out(name).to_str().unwrap().to_owned()
}

#[test]
fn rows_that_a_crash_of_the_server_took_are_made_again() {
    let mut barn = Barn::new();
    let must_end = |barn: &Barn, table: &str, out: &str, replaced: usize| {
        let ended = barn.ask(&["resume", "--to", out]).expect(0);
        ended.says(&["such tables are not logged", "made again from the source"]);
        assert_eq!(barn.sql(&format!("SELECT count(*), count(DISTINCT id) FROM {table}")), "300|300");
        let again = |fact: &Fact| matches!(fact, Fact::PartitionReplaced { .. });
        assert_eq!(facts(&state(out.as_ref()), out.as_ref()).iter().filter(|fact| again(fact)).count(), replaced);
        assert_eq!(barn.staged(), [""; 0], "no staging table is left");
        barn.ask(&["verify", out]).expect(0);
    };
    let out = held(&barn, "stock");
    barn.server.kill();
    barn.server.restart();
    must_end(&barn, "stock", &out, 3);

    let out = held(&barn, "other");
    let staged = barn.staged();
    barn.sql(&format!("DROP TABLE {}", staged[1]));
    must_end(&barn, "other", &out, 1);
}

/// A table whose check waits for a lock at one row, and the session that holds the lock.
fn blocked_at(barn: &Barn, table: &str, id: u64) -> (tokio::runtime::Runtime, tokio_postgres::Client) {
    barn.sql(&format!(
        "CREATE FUNCTION waits() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_lock_shared(1); RETURN true; END'; \
         CREATE TABLE {table} (id bigint CHECK (id <> {id} OR waits()), name text)"
    ));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let client = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&barn.server.url(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.execute("SELECT pg_advisory_lock(1)", &[]).await.unwrap();
        client
    });
    (runtime, client)
}

#[test]
fn a_server_that_stops_under_a_run_holds_it_up_and_what_it_lost_is_made_again() {
    let mut barn = Barn::new();
    let holder = blocked_at(&barn, "stock", 600);
    let spec = barn.spec("stock", &rows(1_000), 20, "table: stock, maxConnections: 1", "");
    let out = barn.out("stock");
    let run = barn.start(&["run", "-f", &spec, "--workers", "2"]);
    let staged = || facts(&state(&out), &out).iter().filter(|fact| matches!(fact, Fact::Staged { .. })).count();
    until("partitions to be staged", || (staged() >= 3).then_some(()));
    barn.server.kill();
    run.wait().expect(16).says(&["resume"]);
    drop(holder);
    barn.server.restart();
    assert_eq!(barn.sql("SELECT count(*) FROM stock"), "0", "nothing is visible");
    barn.ask(&["resume", "--to", out.to_str().unwrap()]).expect(0).says(&[" holds 0 rows, and ", "not logged"]);
    assert_eq!(barn.sql("SELECT count(*), count(DISTINCT id) FROM stock"), "1000|1000");
    assert_eq!(barn.staged(), [""; 0], "no staging table is left");
}

#[test]
fn a_late_coordinator_does_not_commit() {
    let barn = Barn::new();
    let out = held(&barn, "stock");
    let run = run_of(out.as_ref()).unwrap();
    assert_eq!(barn.sql("SELECT epoch, rows IS NULL FROM batteuse_ledger"), "1|t");
    barn.sql("UPDATE batteuse_ledger SET epoch = 9");
    let late = barn.ask(&["resume", "--to", &out]).expect(16);
    late.says(&[&format!("run {run} was taken over in epoch 9"), "nothing was touched"]);
    assert_eq!(barn.sql("SELECT count(*) FROM stock"), "0");
    barn.sql("UPDATE batteuse_ledger SET epoch = 1");
    barn.ask(&["resume", "--to", &out]).expect(0);
    assert_eq!(barn.sql("SELECT count(*) FROM stock"), "300");
}

#[test]
fn what_lost_attempts_left_beside_a_table_is_collected() {
    let barn = Barn::new();
    barn.run(&barn.spec("stock", &rows(10), 1, "table: stock", ""), 0);
    let out = barn.out("stock");
    let accepted = facts(&state(&out), &out).remove(0);
    let Fact::RunAccepted(accepted) = accepted else { panic!("{accepted:?}") };
    let orphan = format!("{}00000001000000ff", layout::staging_tables(&accepted.nonce));
    let stranger = format!("batteuse_{}_0000000100000001", "a".repeat(32));
    barn.sql(&format!("CREATE UNLOGGED TABLE {orphan} (a int); CREATE UNLOGGED TABLE {stranger} (a int)"));
    let told = barn.ask(&["gc", out.to_str().unwrap(), "-o", "json"]).expect(0).json();
    assert_eq!(told["stagingTables"], 1);
    assert_eq!(barn.staged(), [stranger], "what is another run's is left");
    assert_eq!(barn.sql("SELECT count(*) FROM stock"), "10");
}
