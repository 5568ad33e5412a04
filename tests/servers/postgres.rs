//! PostgreSQL keeps what it commits, whatever way it ends.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::support::servers::Postgres;

async fn connect(server: &Postgres) -> Client {
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn insert(client: &Client, id: i64) {
    assert_eq!(client.execute("INSERT INTO slots VALUES ($1, 'written')", &[&id]).await.unwrap(), 1);
}

async fn with_table(server: &Postgres) -> Client {
    let client = connect(server).await;
    client.batch_execute("CREATE TABLE slots (id bigint PRIMARY KEY, text text NOT NULL)").await.unwrap();
    client
}

#[tokio::test]
async fn it_answers_and_inserts_once() {
    let server = Postgres::start();
    let client = with_table(&server).await;
    insert(&client, 7).await;
    let row = client.query_one("SELECT text FROM slots WHERE id = $1", &[&7_i64]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "written");
    let again = client.execute("INSERT INTO slots VALUES (7, 'again')", &[]).await.unwrap_err();
    assert_eq!(again.code(), Some(&SqlState::UNIQUE_VIOLATION));
    assert_eq!(server.psql("SELECT id, text FROM slots; SHOW fsync"), "7|written\non");
}

#[tokio::test]
async fn it_survives_a_stop_at_once_and_kill_9() {
    let mut server = Postgres::start();
    let client = with_table(&server).await;
    insert(&client, 1).await;
    server.kill();
    assert!(client.execute("INSERT INTO slots VALUES (2, '')", &[]).await.is_err(), "its sessions are cut");
    server.restart();
    let client = connect(&server).await;
    insert(&client, 3).await;
    // A transaction that is not committed, open when it dies.
    client.batch_execute("BEGIN; INSERT INTO slots VALUES (4, '')").await.unwrap();
    server.kill9();
    server.restart();
    assert_eq!(server.psql("SELECT id FROM slots ORDER BY id"), "1\n3");
}

#[tokio::test]
async fn two_run_side_by_side() {
    let (one, other) = (Postgres::start(), Postgres::start());
    assert_ne!(one.url(), other.url());
    drop(with_table(&one).await);
    assert_eq!(other.psql("SELECT count(*) FROM pg_tables WHERE tablename = 'slots'"), "0");
}
