//! Azurite is a store for journals.

use super::objects::{self, Store, store};
use crate::support::servers::Azurite;

fn container(server: &Azurite) -> Store {
    store(&server.container("grain"), server.env())
}

#[tokio::test]
async fn it_answers_and_creates_once() {
    let server = Azurite::start();
    let store = container(&server);
    objects::must_answer(&store).await;
    objects::must_create_once(&store, 4).await;
}

#[tokio::test]
async fn it_survives_kill_9() {
    let mut server = Azurite::start();
    let store = container(&server);
    objects::must_survive(&store, || {
        server.kill9();
        server.restart();
    })
    .await;
}

#[tokio::test]
async fn two_run_side_by_side() {
    let (one, other) = (Azurite::start(), Azurite::start());
    assert_ne!(one.endpoint(), other.endpoint());
    objects::must_be_apart(&container(&one), &container(&other)).await;
}
