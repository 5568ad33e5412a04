//! Runs into tables of a real PostgreSQL, by the real binary: what is in the table is what was read, once, whatever happens.
//!
//! Invariant: no row of a run is in its table before the run is decided, and no staging table is left when it has ended and its folder
//! was swept.

mod faults;
mod kills;
mod modes;
mod proxy;
mod refusals;
mod values;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use batteuse_shared::location;
use tempfile::TempDir;

use super::journals::in_database;
use crate::support::binary::{BINARY, Ended, Process};
use crate::support::servers::Postgres;

/// A database, and a folder for sources and what runs leave.
pub struct Barn {
    pub server: Postgres,
    pub folder: TempDir,
    /// Of the database, without its password.
    pub url: String,
    pub env: Vec<(String, String)>,
}

impl Barn {
    pub fn new() -> Self {
        let server = Postgres::start();
        let (url, env) = in_database(&server);
        Self { server, folder: tempfile::tempdir().unwrap(), url, env }
    }

    /// Where the run `name` leaves its report.
    pub fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The spec of a run of `source` in so many partitions, into the table that `table` tells: `table: name` and what goes with it.
    pub fn spec(&self, name: &str, source: &str, partitions: u64, table: &str, more: &str) -> String {
        let folder = location::url_of_dir(&self.out(name)).unwrap();
        self.spec_of(name, source, partitions, &format!("folder: \"{folder}\""), table, more)
    }

    /// The same, with an output `beside` the table.
    pub fn spec_of(&self, name: &str, source: &str, partitions: u64, beside: &str, table: &str, more: &str) -> String {
        let csv = self.folder.path().join(format!("{name}.csv"));
        fs::write(&csv, source).unwrap();
        let (bytes, from) = ((source.len() as u64).div_ceil(partitions), location::url_of_file(&csv).unwrap());
        let text = format!(
            "apiVersion: batteuse.dev/v1alpha1\nkind: Ingest\nmetadata: {{name: grain}}\nspec:\n  source: {{url: \"{from}\"}}\n  \
             partition: {{bytes: {bytes}}}\n  output:\n    {beside}\n    postgres: {{url: \"{}\", {table}}}\n{more}",
            self.url
        );
        let path = self.folder.path().join(format!("{name}.yaml"));
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn start(&self, args: &[&str]) -> Process {
        let mut command = Command::new(BINARY);
        command.args(args).env_remove("BATTEUSE_LOG").envs(self.env.iter().cloned());
        Process::spawn(command)
    }

    pub fn ask(&self, args: &[&str]) -> Ended {
        self.start(args).wait()
    }

    /// Runs a spec to its end, and makes sure that nothing that was staged is left.
    pub fn run(&self, spec: &str, code: i32) -> Ended {
        let ended = self.ask(&["run", "-f", spec]).expect(code);
        assert_eq!(self.staged(), [""; 0], "no staging table is left");
        ended
    }

    pub fn sql(&self, sql: &str) -> String {
        self.server.psql(sql)
    }

    /// What is in a table, whatever the order of its rows: how many, and a sum over all of them.
    pub fn content(&self, table: &str) -> String {
        self.sql(&format!(
            "SELECT count(*), md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} t"
        ))
    }

    /// Names of the staging tables there are.
    pub fn staged(&self) -> Vec<String> {
        let select = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^batteuse_[0-9a-f]{32}_'";
        self.sql(select).lines().map(str::to_owned).collect()
    }
}
