//! Floor 1: from a request target to a plan, by the rules of nginx. The file system is an argument ([`Lookup`]).
//!
//! The way through the room: [`Target`] reads what the client sent, [`Router::plan`] walks rules and locations and
//! ends in one [`Plan`]. [`env`] turns a script's plan into FastCGI parameters. What the configuration says is
//! held by [`Location`], [`Rule`], [`Template`] and [`Settings`]; `config` builds them, nothing here reads TOML.

mod location;
mod plan;
mod rule;
mod settings;

pub use location::{FastCgi, Handler, Location, Match, ScriptSource, TryFiles, TryLast};
pub use plan::{FilePlan, Fixed, Plan, PoolId, Redirect, ScriptPlan};
pub use rule::{Condition, Flag, Return, ReturnBody, Rewrite, Rule};
pub use settings::{AccessRule, Expires, HeaderRule, Settings, Who};

use std::path::Path;

/// What lies at a path. Symlinks are followed, as nginx does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Something that is neither: a socket, a device. Never served.
    Other,
    /// Nothing, or nothing that may be looked at.
    Missing,
}

/// The file system as the router sees it. `files::Disk` is the real one; tests and `scripts = "remote"` have others.
pub trait Lookup {
    /// What lies at this absolute path.
    fn kind(&self, path: &Path) -> Kind;
}
