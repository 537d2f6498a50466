//! One function per command: wires the floors together.
//!
//! | file | owns |
//! |---|---|
//! | `cli` | the command line's words and their help |
//! | `run` | `cornac run`: a configuration, served |
//! | `serve` | `cornac serve`: a folder, served without a configuration |
//! | `explain` | `cornac explain`: how a request would be served |
//! | `checks` | what of a request's checks `explain` can look at: passwords, but no counts and no script |
//! | `ctl` | `cornac ctl`: an operator's word to a running cornac |
//! | `doctor` | `cornac doctor`: how the members of the pools are |

mod checks;
mod cli;
mod ctl;
mod doctor;
mod explain;
mod run;
mod serve;

use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;

pub use cli::Cli;
use cli::Command;

use crate::config::{self, Mistakes, model::Model};
use crate::runtime::{PhpError, StartError};

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration.
    #[error("{0}")]
    Config(Mistakes),
    /// What was asked for, such as a URL that is none.
    #[error("{0}")]
    Request(String),
    /// No running cornac where one was asked.
    #[error("{0}")]
    Unreachable(String),
    /// The doctor found problems, and has said them.
    #[error("the doctor found problems")]
    Unwell,
    /// A socket, a log, a folder.
    #[error(transparent)]
    Start(#[from] StartError),
    /// php-fpm.
    #[error(transparent)]
    Php(#[from] PhpError),
    /// Threads, or standard output.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Failure {
    /// 1: the configuration or the request was wrong; 3: could not start, or could not reach who was asked. (2, bad usage, is clap's.)
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Request(_) | Self::Unwell => 1,
            Self::Start(_) | Self::Unreachable(_) | Self::Php(_) | Self::Io(_) => 3,
        }
    }
}

/// Does what the command line says.
///
/// # Errors
/// What kept it from that; [`Failure::exit_code`] is the process's.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Serve(args) => serve::serve(&args),
        Command::Run(args) => run::run(args.path()),
        Command::Check(args) => check(args.path()),
        Command::Explain(args) => explain::explain(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Ctl(args) => ctl::ctl(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "cornac", &mut script);
            out(&script)
        }
    }
}

/// Writes a failure where errors go. Mistakes carry their own layout, anything else is one line.
pub fn say_error(failure: &Failure) {
    let text = match failure {
        Failure::Config(mistakes) => mistakes.to_string(),
        // The findings are on standard output.
        Failure::Unwell => return,
        other => format!("cornac: {other}\n"),
    };
    // There is nowhere left to complain to.
    drop(io::stderr().write_all(text.as_bytes()));
}

fn check(path: &Path) -> Result<(), Failure> {
    let model = load(path)?;
    if let Some(warnings) = &model.warnings {
        out(warnings.to_string().as_bytes())?;
    }
    let (sites, pools) = (model.sites.len(), model.pools.len());
    out(format!("{}: fine (sites: {sites}, pools: {pools})\n", path.display()).as_bytes())
}

fn load(path: &Path) -> Result<Model, Failure> {
    config::load(path).map_err(Failure::Config)
}

/// A closed pipe (`cornac explain … | head`) is no failure.
fn out(text: &[u8]) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
