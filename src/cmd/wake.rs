//! `batteuse wake`: has a process that chaos stopped go on. Nobody types it.

use std::time::Duration;

use crate::cli::WakeArgs;
use crate::components;
use crate::exit::Code;

/// Wakes whoever started this, unless that ends before.
pub fn wake(args: &WakeArgs) -> Code {
    components::die_with_parent();
    components::wake_parent(Duration::from_millis(args.after));
    Code::Ok
}
