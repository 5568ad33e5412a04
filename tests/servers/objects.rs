//! What is asked of a store of objects, whichever it is.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::join_all;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use url::Url;

/// Writers in a race.
const RACERS: usize = 16;

pub type Store = Arc<dyn ObjectStore>;

/// The store that a client with the environment `env` finds at `url`.
pub fn store(url: &str, env: Vec<(String, String)>) -> Store {
    let env = env.into_iter().map(|(key, value)| (key.to_lowercase(), value));
    let (store, path) = object_store::parse_url_opts(&Url::parse(url).unwrap(), env).unwrap();
    assert_eq!(path, Path::default());
    Arc::from(store)
}

/// Writes an object if there is none yet; tells whether that was so.
pub async fn create(store: &Store, path: &str, bytes: String) -> bool {
    match store.put_opts(&Path::from(path), PutPayload::from(bytes), PutMode::Create.into()).await {
        Ok(_) => true,
        Err(Error::AlreadyExists { .. }) => false,
        Err(e) => panic!("{path}: {e}"),
    }
}

pub async fn read(store: &Store, path: &str) -> Bytes {
    store.get(&Path::from(path)).await.unwrap().bytes().await.unwrap()
}

/// Writes, reads, lists and deletes.
pub async fn must_answer(store: &Store) {
    let path = Path::from("some/where/object");
    store.put(&path, "to thresh".into()).await.unwrap();
    assert_eq!(read(store, "some/where/object").await, "to thresh");
    assert_eq!(store.get_range(&path, 3..6).await.unwrap(), "thr");
    assert_eq!(store.head(&path).await.unwrap().size, 9);
    let listed: Vec<_> = store.list(Some(&Path::from("some"))).try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|object| object.location.as_ref()).collect::<Vec<_>>(), ["some/where/object"]);
    store.delete(&path).await.unwrap();
    assert!(matches!(store.get(&path).await, Err(Error::NotFound { .. })));
}

/// Who of the first, second, .. writer was told, of the object `race/N` that all had to create at once, that it did; for N from 0.
pub async fn winners(store: &Store, races: usize) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    for race in 0..races {
        let path = format!("race/{race}");
        let created = join_all((0..RACERS).map(|racer| create(store, &path, racer.to_string()))).await;
        all.push((0..RACERS).filter(|&racer| created[racer]).collect());
    }
    all
}

/// Creates an object under exactly one of many writers, and a second time under none.
pub async fn must_create_once(store: &Store, races: usize) {
    assert!(create(store, "claim", "first".into()).await);
    assert!(!create(store, "claim", "second".into()).await);
    assert_eq!(read(store, "claim").await, "first");
    for (race, winners) in winners(store, races).await.into_iter().enumerate() {
        assert_eq!(winners.len(), 1, "{winners:?} won");
        assert_eq!(read(store, &format!("race/{race}")).await, winners[0].to_string());
    }
}

/// Writes objects, the last of them right before `kill_and_restart`, and finds all of them after it; conditions count still.
pub async fn must_survive(store: &Store, kill_and_restart: impl FnOnce()) {
    let paths: Vec<_> = (0..20).map(|n| format!("journal/{n}")).collect();
    for path in &paths {
        assert!(create(store, path, path.clone()).await);
    }
    kill_and_restart();
    for path in &paths {
        assert_eq!(read(store, path).await, path.as_str());
    }
    assert!(!create(store, &paths[19], "again".into()).await);
    assert!(create(store, "journal/20", "next".into()).await);
}

/// Holds different objects under one name than `other` does.
pub async fn must_be_apart(store: &Store, other: &Store) {
    assert!(create(store, "name", "one".into()).await);
    assert!(create(other, "name", "other".into()).await);
    assert_eq!((read(store, "name").await, read(other, "name").await), ("one".into(), "other".into()));
}
