//! The command line's door: parses it, hands over to `app`, and turns what came of it into an exit code.

use std::process::ExitCode;

use clap::Parser;
use cornac::app::{self, Cli};
use cornac::runtime::small_pages;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    small_pages::only();
    match app::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            app::say_error(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}
