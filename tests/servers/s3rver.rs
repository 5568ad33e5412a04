//! s3rver is no store for journals: it tells everybody that they were the first.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::objects::{self, Store, create, read, store};
use crate::support::binary::until;
use crate::support::servers::S3rver;

fn bucket(server: &S3rver) -> Store {
    store(&server.bucket("grain"), server.env())
}

#[tokio::test]
async fn it_answers_and_creates_for_all() {
    let server = S3rver::start();
    let store = bucket(&server);
    objects::must_answer(&store).await;
    assert!(create(&store, "claim", "first".into()).await);
    assert!(create(&store, "claim", "second".into()).await, "it honours conditions: it need not be refused any more");
    assert_eq!(read(&store, "claim").await, "second");
    // What is there then need not even be of one of them.
    for winners in objects::winners(&store, 4).await {
        assert!(winners.len() > 1, "{winners:?} won");
    }
}

#[tokio::test]
async fn it_survives_kill_9() {
    let mut server = S3rver::start();
    let store = bucket(&server);
    assert!(create(&store, "some/object", "bytes".into()).await);
    server.kill9();
    server.restart();
    assert_eq!(read(&store, "some/object").await, "bytes");
}

#[tokio::test]
async fn two_run_side_by_side() {
    let (one, other) = (S3rver::start(), S3rver::start());
    assert_ne!(one.endpoint(), other.endpoint());
    objects::must_be_apart(&bucket(&one), &bucket(&other)).await;
}

#[test]
fn it_ends_with_the_value_and_with_a_killed_test() {
    let running = |id: u32| Path::new(&format!("/proc/{id}/cmdline")).exists();
    let server = S3rver::start();
    let id = server.id();
    assert!(running(id));
    drop(server);
    assert!(!running(id));

    // What a killed test leaves goes with ours.
    let folder = tempfile::tempdir().unwrap();
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.env("TMPDIR", folder.path());
    test.args(["--ignored", "--exact", "--nocapture", "servers::s3rver::holds_one_until_it_is_killed"]);
    let mut test = test.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(test.stdout.take().unwrap()).lines();
    let id = lines.find_map(|line| line.unwrap().rsplit_once("the server is ")?.1.parse().ok()).unwrap();
    assert!(running(id));
    test.kill().unwrap();
    test.wait().unwrap();
    until("the end of the server of a killed test", || (!running(id)).then_some(()));
}

#[test]
#[ignore = "it never ends: another test starts and kills it"]
fn holds_one_until_it_is_killed() {
    let server = S3rver::start();
    println!("the server is {}", server.id());
    loop {
        std::thread::park();
    }
}
