//! `batteuse doctor`: tries whether a store is fit for runs, and says in words what is missing.

use anyhow::anyhow;
use batteuse_shared::limits::PROBE_WRITERS;
use batteuse_store::probe::{self, Check, Found};

use crate::cli::{DoctorArgs, OutputForm};
use crate::cmd::output::state_given;
use crate::components;
use crate::exit::{Code, Stop};

/// Tries one store.
pub fn doctor(args: &DoctorArgs) -> Result<Code, Stop> {
    components::logs("warn");
    let (_, store) = state_given("STORE", &args.store, &components::stores())?;
    let place = store.place();
    let checks = store.examine(PROBE_WRITERS, components::wall_clock());
    match args.output {
        OutputForm::Text => checks.iter().for_each(|check| println!("{}", line(check))),
        OutputForm::Json => println!("{}", serde_json::Value::from(checks.iter().map(json).collect::<Vec<_>>())),
    }
    if probe::fit(&checks) {
        return Ok(Code::Ok);
    }
    if checks.iter().any(|check| matches!(check.found, Found::Fails(_))) {
        return Err(Stop::refused(anyhow!("{} is not fit for runs", place.display())));
    }
    Err(Stop::unreachable(anyhow!("{} cannot be tried", place.display())))
}

/// The outcome in a word, and what more is to be said.
fn words(found: &Found) -> (&'static str, Option<&str>) {
    match found {
        Found::Holds => ("ok", None),
        Found::Note(text) => ("note", Some(text)),
        Found::Fails(text) => ("FAILS", Some(text)),
        Found::Untried(text) => ("untried", Some(text)),
    }
}

fn line(check: &Check) -> String {
    let (word, more) = words(&check.found);
    let more = more.map(|more| format!(": {more}")).unwrap_or_default();
    format!("{word:<8}{}{more}", check.what)
}

fn json(check: &Check) -> serde_json::Value {
    let (word, more) = words(&check.found);
    serde_json::json!({ "check": check.what, "found": word.to_lowercase(), "words": more })
}
