//! SeaweedFS is a store for journals.

use super::objects::{self, Store, store};
use crate::support::servers::Seaweed;

fn bucket(server: &Seaweed) -> Store {
    store(&server.bucket("grain"), server.env())
}

#[tokio::test]
async fn it_answers_and_creates_once() {
    let server = Seaweed::start();
    let store = bucket(&server);
    objects::must_answer(&store).await;
    // Who finds an object locked looks again after a second: one race takes ten.
    objects::must_create_once(&store, 1).await;
}

#[tokio::test]
async fn it_survives_kill_9() {
    let mut server = Seaweed::start();
    let store = bucket(&server);
    objects::must_survive(&store, || {
        server.kill9();
        server.restart();
    })
    .await;
}

#[tokio::test]
async fn two_run_side_by_side() {
    let (one, other) = (Seaweed::start(), Seaweed::start());
    assert_ne!(one.endpoint(), other.endpoint());
    objects::must_be_apart(&bucket(&one), &bucket(&other)).await;
}
