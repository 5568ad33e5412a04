//! `batteuse doctor`, and who is refused for what it finds; `batteuse gc` and `batteuse manifest`.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::sync::Arc;

use batteuse_coordinator::journal::{Journal, Position, state_at};
use batteuse_shared::ids::RunId;
use batteuse_store::{Folder, Stores};
use serde_json::Value;
use uuid::Uuid;

use super::files;
use super::journals::in_database;
use crate::support::binary::{BINARY, Ended, Process};
use crate::support::servers::{Azurite, Postgres, S3rver, Seaweed};

fn ask(env: &[(String, String)], args: &[&str]) -> Ended {
    let mut command = Command::new(BINARY);
    command.args(args).env_remove("BATTEUSE_LOG").envs(env.iter().cloned());
    Process::spawn(command).wait()
}

/// The findings, each as (what was found, words).
fn found(ended: &Ended) -> Vec<(String, Value)> {
    let checks: Vec<Value> = serde_json::from_str(&ended.out).unwrap();
    checks.into_iter().map(|check| (check["found"].as_str().unwrap().to_owned(), check["words"].clone())).collect()
}

fn must_be_fit(url: &str, env: Vec<(String, String)>, notes: usize) {
    let healthy = ask(&env, &["doctor", url, "-o", "json"]).expect(0);
    let findings = found(&healthy);
    assert_eq!(findings.len(), 8, "{}", healthy.out);
    assert_eq!(findings.iter().filter(|(found, _)| found == "note").count(), notes, "{}", healthy.out);
    assert!(findings.iter().all(|(found, _)| found == "ok" || found == "note"), "{}", healthy.out);
    let folder = Stores::new(env).folder(url).unwrap();
    assert_eq!(files(&*folder, ""), [""; 0], "it leaves nothing behind");
}

#[test]
fn seaweedfs_is_fit() {
    let server = Seaweed::start();
    must_be_fit(&format!("{}below/", server.bucket("grain")), server.env(), 0);
}

#[test]
fn azurite_is_fit() {
    let server = Azurite::start();
    // It lists no uploads, and drops them by itself.
    must_be_fit(&server.container("grain"), server.env(), 2);
}

#[test]
fn a_disk_is_fit() {
    let dir = tempfile::tempdir().unwrap();
    let url = batteuse_shared::location::url_of_dir(dir.path()).unwrap();
    must_be_fit(&url, Vec::new(), 0);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "no folder either");
}

#[test]
fn a_store_without_conditional_writes_is_refused_by_all() {
    let server = S3rver::start();
    let (url, env) = (server.bucket("chaff"), server.env());
    let ill = ask(&env, &["doctor", &url]).expect(12);
    assert!(
        ill.out.contains("FAILS") && ill.out.contains("If-None-Match") && ill.out.contains("postgres://"),
        "{}",
        ill.out
    );

    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("a.csv");
    fs::write(&source, "a,b\n1,2\n").unwrap();
    let to = format!("{url}out/");
    let refused = ask(&env, &["run", "--from", source.to_str().unwrap(), "--to", &to]).expect(12);
    assert!(refused.err.contains("is not fit for output") && refused.err.contains("doctor"), "{}", refused.err);
    let state = format!("{url}state/");
    let refused = ask(&env, &["coordinator", "--listen", "127.0.0.1:0", "--state", &state]).expect(12);
    assert!(refused.err.contains("not fit for journals"), "{}", refused.err);
    let folder = Stores::new(env).folder(&url).unwrap();
    assert_eq!(files(&*folder, ""), [""; 0], "nothing was written before the refusal");
}

#[test]
fn postgresql_is_fit_unless_it_forgets_or_denies() {
    let mut server = Postgres::start();
    let (url, env) = in_database(&server);
    let doctor = |url: &str, env: &[(String, String)], code| ask(env, &["doctor", url, "-o", "json"]).expect(code);
    let words = |ended: &Ended| found(ended).into_iter().map(|(found, _)| found).collect::<Vec<_>>();
    let fresh = doctor(&url, &env, 0);
    assert_eq!(words(&fresh), ["ok", "ok", "ok", "note", "ok", "ok"], "{}", fresh.out);
    assert_eq!(
        server.psql("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'batteuse%'"),
        "0",
        "it drops its table"
    );
    let state = state_at(&url, &Stores::new(env.clone())).unwrap();
    Journal::open(&*state, &RunId::new("job-1").unwrap(), Uuid::new_v4(), Position::default()).unwrap();
    assert_eq!(words(&doctor(&url, &env, 0)), ["ok"; 6]);

    // Somebody who may do nothing; then one who may.
    server.psql("CREATE ROLE miller LOGIN PASSWORD 'threshed'");
    let as_miller = url.replace("//batteuse@", "//miller@");
    let denied = doctor(&as_miller, &env, 12);
    assert_eq!(words(&denied), ["fails", "fails", "ok", "ok"], "{}", denied.out);
    assert!(denied.out.contains("GRANT CREATE") && denied.out.contains("GRANT SELECT, INSERT"), "{}", denied.out);
    // A coordinator needs no more than this, where the table is there.
    server.psql("GRANT SELECT, INSERT ON batteuse_journal TO miller");
    assert_eq!(words(&doctor(&as_miller, &env, 0)), ["note", "ok", "ok", "ok"]);
    server.psql("GRANT CREATE ON SCHEMA public TO miller");
    assert_eq!(words(&doctor(&as_miller, &env, 0)), ["ok"; 6]);

    // Journals as somebody else may have made them.
    let refused = |cause: &str| {
        let ill = doctor(&url, &env, 12);
        assert_eq!(words(&ill), ["ok", "ok", "ok", "fails", "ok", "ok"], "{}", ill.out);
        assert!(ill.out.contains(cause), "{}", ill.out);
        let refused = ask(&env, &["coordinator", "--listen", "127.0.0.1:0", "--state", &url]).expect(12);
        assert!(refused.err.contains("not fit for journals") && refused.err.contains(cause), "{}", refused.err);
    };
    server.psql("ALTER TABLE batteuse_journal DROP CONSTRAINT batteuse_journal_pkey");
    refused("made twice");
    server.psql("CREATE UNIQUE INDEX ON batteuse_journal (run, seq) WHERE seq > 0");
    server.psql("CREATE UNIQUE INDEX ON batteuse_journal (run, slot)");
    refused("made twice");
    server.psql("ALTER TABLE batteuse_journal ADD PRIMARY KEY (run, seq)");
    server.psql("ALTER TABLE batteuse_journal SET UNLOGGED");
    refused("not logged");
    server.psql("ALTER TABLE batteuse_journal SET LOGGED");
    assert_eq!(words(&doctor(&url, &env, 0)), ["ok"; 6]);

    server.psql("ALTER SYSTEM SET fsync = off");
    server.kill();
    server.restart();
    let forgetful = doctor(&url, &env, 12);
    assert!(forgetful.out.contains("fsync = on"), "{}", forgetful.out);
    let refused = ask(&env, &["coordinator", "--listen", "127.0.0.1:0", "--state", &url]).expect(12);
    assert!(refused.err.contains("not fit for journals") && refused.err.contains("fsync"), "{}", refused.err);

    server.kill9();
    let gone = doctor(&url, &env, 16);
    assert!(words(&gone).iter().all(|found| found == "untried" || found == "note"), "{}", gone.out);
    ask(&env, &["coordinator", "--listen", "127.0.0.1:0", "--state", &url]).expect(16);
    let wrong = ask(&env, &["doctor", "postgres://me:secret@127.0.0.1/db"]).expect(12);
    assert!(wrong.err.contains("PGPASSWORD") && !wrong.err.contains("secret"), "{}", wrong.err);
}

#[test]
fn a_store_that_is_not_there_is_told_apart_from_an_unfit_one() {
    let mut server = Seaweed::start();
    let (url, env) = (server.bucket("grain"), server.env());
    server.kill9();
    ask(&env, &["doctor", &url]).expect(16);
    ask(&env, &["coordinator", "--listen", "127.0.0.1:0", "--state", &url]).expect(16);
}

#[test]
fn what_lost_attempts_left_is_collected() {
    let server = Seaweed::start();
    let (url, env) = (format!("{}out/", server.bucket("grain")), server.env());
    let stores = Stores::new(env.clone());
    let folder: Arc<dyn Folder> = stores.folder(&url).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("a.csv");
    fs::write(&source, "a,b\n1,2\n3,4\n").unwrap();
    ask(&env, &["gc", &url]).expect(12);
    ask(&env, &["run", "--from", source.to_str().unwrap(), "--to", &url]).expect(0);
    assert_eq!(folder.pending_uploads().unwrap(), Some(Vec::new()));

    let orphan = |name: &str| {
        let mut file = folder.stage("unseen", name).unwrap();
        file.write_all(b"rows").unwrap();
        file.seal().unwrap();
        file.keep().unwrap()
    };
    orphan("part-0000000000000004-0000000100000009.parquet");
    let stranger = orphan("theirs.bin");
    let told = ask(&env, &["gc", &url, "-o", "json"]).expect(0).json();
    assert_eq!(told["uploads"], 1);
    let left: Vec<String> = folder.pending_uploads().unwrap().unwrap().into_iter().map(|upload| upload.key).collect();
    assert_eq!(left, ["theirs.bin"], "what is not ours is left");
    folder.discard("unseen", Some(&stranger)).unwrap();

    let manifest = ask(&env, &["manifest", &url, "-o", "json"]).expect(0).json();
    assert_eq!((manifest["rows"].as_u64(), manifest["parts"].as_array().map(Vec::len)), (Some(2), Some(1)));
    let listed = ask(&env, &["manifest", &url]).expect(0).out;
    let part = manifest["parts"][0]["file"].as_str().unwrap();
    assert_eq!(listed, format!("{url}{part} 2 rows {} bytes\n", manifest["parts"][0]["bytes"]));
    ask(&env, &["verify", &url]).expect(0);
}
