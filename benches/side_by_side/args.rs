//! The command line. Cargo adds `--bench`; the two inner commands are how the bench starts itself.

use std::net::SocketAddr;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
cargo bench --bench side_by_side -- [OPTIONS]
  --only NAME[,NAME]  these rows only (also: the environment variable ONLY)
  --quick             short rounds: enough to see that all works
  --rounds N          how often each contestant has its turn
  --all               caddy, apache and lighttpd too, where the rows are the basic ones
  --pgo               target/pgo/cornac too (make pgo), where replies are small and code is what costs
  --subject NAME      what is put beside nginx: cornac (default), or nginx itself, which must come to 1.0
  --json FILE         all samples, for programs
  --write             puts the table into docs/performance.md
  --list              the rows
The environment variable CORNAC names another build of cornac to be measured.";

/// What this process is.
pub(crate) enum Command {
    Compare(Args),
    Floor { listen: SocketAddr, backend: SocketAddr },
    Reap,
}

#[derive(Debug, Default)]
pub(crate) struct Args {
    pub(crate) only: Vec<String>,
    pub(crate) quick: bool,
    pub(crate) all: bool,
    pub(crate) pgo: bool,
    pub(crate) rounds: Option<usize>,
    pub(crate) subject: Subject,
    pub(crate) json: Option<PathBuf>,
    pub(crate) write: bool,
    pub(crate) list: bool,
}

/// Who is put beside nginx.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Subject {
    #[default]
    Cornac,
    Nginx,
}

impl Command {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Args { only: names(&std::env::var("ONLY").unwrap_or_default()), ..Args::default() };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--floor" => {
                    return Ok(Self::Floor { listen: address(&value()?)?, backend: address(&value()?)? });
                }
                "--reap" => return Ok(Self::Reap),
                "--only" => args.only = names(&value()?),
                "--quick" => args.quick = true,
                "--all" => args.all = true,
                "--pgo" => args.pgo = true,
                "--rounds" => args.rounds = Some(rounds(&value()?)?),
                "--subject" => args.subject = subject(&value()?)?,
                "--json" => args.json = Some(value()?.into()),
                "--write" => args.write = true,
                "--list" => args.list = true,
                "--bench" => {}
                _ => return Err(format!("what is {word}?\n{USAGE}")),
            }
        }
        args.refuse_half_a_table()?;
        Ok(Self::Compare(args))
    }
}

impl Args {
    /// Said before the half hour that a run takes: what it writes replaces every row.
    fn refuse_half_a_table(&self) -> Result<(), String> {
        let whole = self.only.is_empty() && !self.quick && self.subject == Subject::Cornac;
        match self.write && !whole {
            true => Err("--write is for a full run: without ONLY, --only, --quick and --subject".to_owned()),
            false => Ok(()),
        }
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn rounds(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|rounds| *rounds > 0)
        .ok_or_else(|| format!("--rounds {text}: a number from 1 on"))
}

fn subject(name: &str) -> Result<Subject, String> {
    match name {
        "cornac" => Ok(Subject::Cornac),
        "nginx" => Ok(Subject::Nginx),
        _ => Err(format!("--subject {name}: cornac or nginx")),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text} is no address"))
}
