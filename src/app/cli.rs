//! The command line's words and their help: what `--help` says is written here and nowhere else.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

/// A FastCGI load balancer and HTTP front end for php-fpm pools.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Start here:\n  \
        cornac serve                        a PHP project in this folder, in the browser\n  \
        cornac run -c cornac.toml           a site in front of php-fpm pools\n  \
        cornac check -c cornac.toml         every mistake in a configuration, with its place and its remedy\n  \
        cornac explain -c cornac.toml /a/b  which file or script answers /a/b, and why\n  \
        cornac doctor -c cornac.toml        how each php-fpm is, what that means and what to change\n  \
        cornac ctl status                   what the pools of a running cornac are doing\n\n\
        Exit codes: 0 fine, 1 the configuration or the request is wrong, or the doctor found problems, 2 bad usage, 3 could not start, or nobody to talk to."
)]
pub struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve a folder: starts php-fpm itself and picks the preset
    Serve(Serve),
    /// Serve what a configuration says, in the foreground
    Run(Config),
    /// Check a configuration and print every mistake in it
    Check(Config),
    /// Show how a request would be served, without sending anything
    Explain(Explain),
    /// Ask each php-fpm how it is: reachable, busy, sees the site's files, has workers enough
    Doctor(Doctor),
    /// Show and change the pools of a running cornac, over its admin API
    Ctl(Ctl),
    /// Print a script that completes cornac's words in a shell
    #[command(after_help = "Example:  cornac completions bash > /etc/bash_completion.d/cornac")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(super) struct Config {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "cornac.toml")]
    config: PathBuf,
    /// The same without -c
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
}

impl Config {
    pub(super) fn path(&self) -> &Path {
        self.file.as_deref().unwrap_or(&self.config)
    }
}

/// `cornac serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cornac serve                      this folder, or its public/ or web/ folder\n  \
    cornac serve ~/shop --listen 127.0.0.1:8001\n  \
    cornac serve public --preset laravel\n  \
    cornac serve public --fpm 127.0.0.1:9000 --fpm unix:/run/php/php-fpm.sock")]
pub(super) struct Serve {
    /// The project's folder, or its document root
    #[arg(default_value = ".")]
    pub(super) dir: PathBuf,
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    pub(super) listen: SocketAddr,
    /// How requests find their script: plain, front-controller, thinkphp, thinkphp-query, laravel, symfony, wordpress,
    /// drupal [default: by what lies in the folder]
    #[arg(long, value_name = "P")]
    pub(super) preset: Option<String>,
    /// Use this php-fpm (host:port or unix:/path) instead of starting one; may be repeated
    #[arg(long, value_name = "ADDR")]
    pub(super) fpm: Vec<String>,
    /// php-fpm's workers: as many scripts run at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(super) workers: u32,
    /// Listen to an operator there, as [admin] listen does; other than on 127.0.0.1 with the token in CORNAC_ADMIN_TOKEN
    #[arg(long, value_name = "ADDR")]
    pub(super) open_admin: Option<String>,
}

/// `cornac explain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cornac explain /index.php/blog/read/id/5\n  \
    cornac explain -X POST -H 'Host: shop.example' 'http://shop.example/cart?x=1'\n  \
    cornac explain --routes /")]
pub(super) struct Explain {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "cornac.toml")]
    pub(super) config: PathBuf,
    /// The request's method
    #[arg(short = 'X', long = "request", value_name = "METHOD", default_value = "GET")]
    pub(super) method: String,
    /// A header of the request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "K: V")]
    pub(super) headers: Vec<String>,
    /// The client's address
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(super) from: IpAddr,
    /// Answer in JSON, for programs
    #[arg(long)]
    pub(super) json: bool,
    /// Print the site's routes in full, those of its preset included, instead of a request's way
    #[arg(long)]
    pub(super) routes: bool,
    /// A URL, or a path on the first site
    #[arg(default_value = "/")]
    pub(super) url: String,
}

/// `cornac doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "It only reads, runs none of the application's scripts, and may be used while cornac is running.\n\n\
    Exit codes: 0 fine, or hints and warnings only; 1 problems found."
)]
pub(super) struct Doctor {
    #[command(flatten)]
    pub(super) config: Config,
    /// Answer in JSON, for programs
    #[arg(long)]
    pub(super) json: bool,
}

/// `cornac ctl`.
#[derive(Debug, Args)]
#[command(
    after_help = "Where one of them is enough to tell, POOL or SERVER may be left out. If [admin] has a token, it is taken from\n\
    --token-file or from the environment variable CORNAC_ADMIN_TOKEN.\n\n\
    Examples:\n  \
    cornac ctl status\n  \
    cornac ctl drain php 10.0.0.2:9000 --wait\n  \
    cornac ctl ready 10.0.0.2:9000\n  \
    cornac ctl weight php 10.0.0.1:9000 3\n\n\
    Exit codes: 0 done, 1 refused (no such server, wrong token, mistakes in the configuration), 2 bad usage, 3 nobody listens there."
)]
pub(super) struct Ctl {
    #[command(subcommand)]
    pub(super) order: CtlOrder,
    /// Where cornac's [admin] listens: host:port or unix:/path
    #[arg(long, global = true, value_name = "ADDR", default_value = "127.0.0.1:9180")]
    pub(super) admin: String,
    /// A file that holds the token
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// Answer in JSON, for programs
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum CtlOrder {
    /// Show the pools, their queues and their servers
    Status {
        /// Only these
        #[arg(value_name = "POOL")]
        pools: Vec<String>,
    },
    /// Send a server no new requests; what is in flight finishes, idle connections close
    Drain {
        #[arg(value_name = "POOL SERVER", required = true)]
        servers: Vec<String>,
        /// Return when the last request is answered
        #[arg(long)]
        wait: bool,
    },
    /// Put a server back, whatever took it out
    Ready {
        #[arg(value_name = "POOL SERVER", required = true)]
        servers: Vec<String>,
    },
    /// Take a server out: like drain, and it reads as down
    Down {
        #[arg(value_name = "POOL SERVER", required = true)]
        servers: Vec<String>,
    },
    /// Set a server's share of the requests: 1 to 65535, or `configured`
    Weight {
        #[arg(value_name = "POOL SERVER WEIGHT", required = true, num_args = 2..)]
        words: Vec<String>,
    },
    /// Read the configuration again; a wrong one changes nothing
    Reload,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn path_of(words: &str) -> Result<PathBuf, clap::error::ErrorKind> {
        let cli = Cli::try_parse_from(words.split(' ')).map_err(|error| error.kind())?;
        match &cli.command {
            Command::Run(config) | Command::Check(config) => Ok(config.path().to_owned()),
            Command::Doctor(doctor) => Ok(doctor.config.path().to_owned()),
            other => panic!("{other:?} has no file"),
        }
    }

    #[test]
    fn the_configuration_may_be_named_without_its_flag() {
        for command in ["run", "check", "doctor"] {
            let path = |rest: &str| path_of(&format!("cornac {command}{rest}"));
            assert_eq!(path(""), Ok("cornac.toml".into()), "{command}");
            for rest in [" a.toml", " -c a.toml", " --config=a.toml"] {
                assert_eq!(path(rest), Ok("a.toml".into()), "{command}{rest}");
            }
            let two = path(" -c a.toml b.toml");
            assert_eq!(two, Err(clap::error::ErrorKind::ArgumentConflict), "{command}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
