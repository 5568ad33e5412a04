//! PostgreSQL: one server with a cluster of its own, the machine's services untouched.
//!
//! It refuses to be root: where tests are, it runs as the user `postgres`. It syncs what it commits; that its files are synced when
//! they are made nobody needs, since the machine does not fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::place::Place;
use super::{Recipe, Server, missing};

const USER: &str = "batteuse";
const PASSWORD: &str = "threshed";
const DATABASE: &str = "postgres";

/// A running PostgreSQL.
pub struct Postgres(Server);

impl Postgres {
    pub fn start() -> Self {
        Self(Server::start(Recipe { name: "PostgreSQL", prepare, command, ask }))
    }

    /// `postgres://USER:PASSWORD@127.0.0.1:PORT/DATABASE`, of a superuser.
    pub fn url(&self) -> String {
        url(&self.0.place)
    }

    /// What one or several commands print: values only, a row a line, fields between `|`.
    pub fn psql(&self, sql: &str) -> String {
        psql(&self.0.place, sql).unwrap_or_else(|why| panic!("{sql}: {why}"))
    }

    /// Stops it at once, as `pg_ctl stop -m immediate` does: all sessions are cut, the next start recovers.
    pub fn kill(&mut self) {
        let mut stop = as_server(&program("pg_ctl"));
        let output = stop.args(["stop", "-s", "-m", "immediate", "-D"]).arg(cluster(&self.0.place)).output().unwrap();
        assert!(output.status.success(), "{stop:?}: {}", String::from_utf8_lossy(&output.stderr));
        self.0.daemon.wait();
    }

    /// Kills all its processes with SIGKILL.
    pub fn kill9(&mut self) {
        self.0.kill9();
    }

    /// Starts it again at the same address with the same files.
    pub fn restart(&mut self) {
        self.0.restart();
    }
}

fn url(place: &Place) -> String {
    format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{DATABASE}", place.port(0))
}

fn cluster(place: &Place) -> PathBuf {
    place.folder().join("cluster")
}

fn psql(place: &Place, sql: &str) -> Result<String, String> {
    let mut psql = Command::new(program("psql"));
    psql.env("PGCONNECT_TIMEOUT", "5").args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", &url(place), "-c", sql]);
    let output = psql.output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn ask(place: &Place) -> Result<(), String> {
    psql(place, "SELECT").map(|_| ())
}

fn prepare(place: &Place) {
    let password = place.folder().join("password");
    fs::write(&password, PASSWORD).unwrap();
    if let Some(user) = user() {
        std::os::unix::fs::chown(place.folder(), Some(user.id), Some(user.group)).unwrap();
    }
    let mut initdb = as_server(&program("initdb"));
    initdb.args(["-U", USER, "-A", "scram-sha-256", "-E", "UTF8", "--no-locale", "--no-sync", "--wal-segsize=1"]);
    initdb.arg("--pwfile").arg(&password).arg("-D").arg(cluster(place));
    let output = initdb.output().unwrap();
    assert!(output.status.success(), "{initdb:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn command(place: &Place) -> Command {
    let mut command = as_server(&program("postgres"));
    command.args(["-p", &place.port(0).to_string(), "-D"]).arg(cluster(place));
    // A start after a kill syncs all files: one call for all of them.
    let settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "recovery_init_sync_method=syncfs"];
    for setting in settings {
        command.args(["-c", setting]);
    }
    command.current_dir(place.folder());
    command
}

/// A program of PostgreSQL: the newest of Debian's, which are in no PATH, or another.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().map(|version| version.unwrap().path());
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.max_by_key(number).map(|version| version.join("bin"));
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut programs = newest.into_iter().chain(std::env::split_paths(&folders)).map(|folder| folder.join(name));
    programs.find(|program| program.exists()).unwrap_or_else(|| missing(&format!("PostgreSQL's {name}")))
}

/// Who runs the server.
struct User {
    id: u32,
    group: u32,
}

/// Whom to become if we are root.
fn user() -> Option<User> {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| users.lines().find(|line| line.split(':').next() == Some(name));
    let line = find("postgres").or_else(|| find("nobody")).expect("a user to run PostgreSQL as");
    let number = |n| line.split(':').nth(n).unwrap().parse().unwrap();
    Some(User { id: number(2), group: number(3) })
}

/// A command that is not run as root.
fn as_server(program: &Path) -> Command {
    let Some(user) = user() else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user.id.to_string(), "--regid", &user.group.to_string(), "--clear-groups", "--"]);
    command.arg(program);
    command
}
