//! One file per command.

pub mod attempt;
pub mod bench;
pub mod cancel;
pub mod coordinator;
pub mod demo;
pub mod doctor;
pub mod drain;
pub mod embedded;
pub mod gc;
pub mod generate;
pub mod list;
pub mod manifest;
pub mod output;
pub mod pause;
pub mod redrive;
pub mod remote;
pub mod resume;
pub mod run;
pub mod status;
pub mod submit;
pub mod verify;
pub mod wake;
pub mod worker;
pub mod workers;
