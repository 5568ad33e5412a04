//! The binary: reads the command line, calls one command, turns its answer into an exit code.

mod chaos;
mod cli;
mod cmd;
mod components;
mod config;
mod exit;
mod generate;
mod memory;
mod render;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::exit::{Code, Stop};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { Code::Refused } else { Code::Ok };
            let _ = error.print();
            return code.into();
        }
    };
    match dispatch(cli.command) {
        Ok(code) => code.into(),
        Err(Stop { code, error }) => {
            eprintln!("error: {}", render::chain(&error));
            code.into()
        }
    }
}

fn dispatch(command: Command) -> Result<Code, Stop> {
    match command {
        Command::Run(args) => cmd::run::run(&args),
        Command::Resume(args) => cmd::resume::resume(&args),
        Command::Coordinator(args) => cmd::coordinator::coordinator(&args),
        Command::Worker(args) => cmd::worker::worker(&args),
        Command::Attempt(args) => cmd::attempt::attempt(&args),
        Command::Wake(args) => Ok(cmd::wake::wake(&args)),
        Command::Submit(args) => cmd::submit::submit(&args),
        Command::Status(args) => cmd::status::status(&args),
        Command::List(args) => cmd::list::list(&args),
        Command::Cancel(args) => cmd::cancel::cancel(&args),
        Command::Pause(args) => cmd::pause::pause(&args),
        Command::Unpause(args) => cmd::pause::unpause(&args),
        Command::Redrive(args) => cmd::redrive::redrive(&args),
        Command::Workers(args) => cmd::workers::workers(&args),
        Command::Drain(args) => cmd::drain::drain(&args),
        Command::Verify(args) => cmd::verify::verify(&args),
        Command::Manifest(args) => cmd::manifest::manifest(&args),
        Command::Gc(args) => cmd::gc::gc(&args),
        Command::Doctor(args) => cmd::doctor::doctor(&args),
        Command::Generate(args) => cmd::generate::generate(&args).map(|()| Code::Ok).map_err(Stop::refused),
        Command::Bench(args) => cmd::bench::bench(&args),
        Command::Demo(args) => cmd::demo::demo(&args),
    }
}
