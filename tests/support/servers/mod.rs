//! Real servers for tests: SeaweedFS, Azurite, s3rver and PostgreSQL, on loopback, each started by the test that needs it.
//!
//! Invariant: a started server answers its real protocol, has ports and a folder that no other one has, and is gone with the
//! value that stands for it or with the test's process, whichever goes first. After `kill9` it can be started again, at the same
//! address with the same files, and has all it acknowledged. A program that is not installed fails the test with the command
//! that installs it; nothing is skipped.

mod azurite;
mod daemon;
mod place;
mod postgres;
mod request;
mod s3;
mod s3rver;
mod seaweedfs;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

pub use self::azurite::Azurite;
use self::daemon::Daemon;
use self::place::Place;
pub use self::postgres::Postgres;
pub use self::s3rver::S3rver;
pub use self::seaweedfs::Seaweed;

/// How long a server may take until it answers: far beyond what a loaded machine needs.
const DEADLINE: Duration = Duration::from_secs(120);

/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// How many places are tried when others take ports in the instant between the choice and the start.
const PLACES_MAX: usize = 5;

/// What a program says when its port is taken.
const TAKEN: [&str; 4] = ["Address already in use", "address already in use", "EADDRINUSE", "is not available on"];

/// How a server is run.
struct Recipe {
    name: &'static str,
    /// Makes of an empty place what the command needs.
    prepare: fn(&Place),
    command: fn(&Place) -> Command,
    /// Asks the server for something that only works when all does.
    ask: fn(&Place) -> Result<(), String>,
}

/// A server at its place.
struct Server {
    recipe: Recipe,
    place: Place,
    daemon: Daemon,
}

impl Server {
    /// Starts it and waits until it answers.
    fn start(recipe: Recipe) -> Self {
        for _ in 0..PLACES_MAX {
            let place = Place::new();
            (recipe.prepare)(&place);
            if let Some(daemon) = launch(&recipe, &place) {
                return Self { recipe, place, daemon };
            }
        }
        panic!("{}: others took the ports of {PLACES_MAX} places", recipe.name);
    }

    /// Kills all its processes with SIGKILL.
    fn kill9(&mut self) {
        self.daemon.kill9();
    }

    /// Starts it again where it was, and waits until it answers.
    fn restart(&mut self) {
        self.kill9();
        let daemon = launch(&self.recipe, &self.place);
        self.daemon = daemon.unwrap_or_else(|| panic!("{}: another took the port meanwhile", self.recipe.name));
    }
}

/// Runs the command at the place and waits for an answer; none if a port was taken.
fn launch(recipe: &Recipe, place: &Place) -> Option<Daemon> {
    let mut daemon = Daemon::spawn((recipe.command)(place), place.log());
    let began = Instant::now();
    loop {
        let Err(why) = (recipe.ask)(place) else { return Some(daemon) };
        let (ended, log) = (daemon.ended(), place.log_text());
        if ended && TAKEN.iter().any(|words| log.contains(words)) {
            return None;
        }
        assert!(!ended, "{} ended before it answered ({why}); it said:\n{log}", recipe.name);
        assert!(began.elapsed() < DEADLINE, "{} never answered ({why}); it said:\n{log}", recipe.name);
        std::thread::sleep(ASK_EVERY);
    }
}

/// A file that `make parts` installs: in the folder `parts` of Cargo's target folder, in which this binary lies too.
fn part(path: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let mut places = here.ancestors().map(|folder| folder.join("parts").join(path));
    places.find(|place| place.exists()).unwrap_or_else(|| missing(&format!("parts/{path}")))
}

fn missing(what: &str) -> ! {
    panic!("{what} is not installed: run `make parts`");
}

/// Pairs of the environment.
fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}
