//! Floor 1: from a request target to a plan, by the rules of nginx. The file system is an argument ([`Lookup`]).
//!
//! The way through the room: [`Target`] reads what the client sent, [`Router::plan`] walks rules and locations and
//! ends in one [`Plan`]. [`env`] turns a script's plan into FastCGI parameters. What the configuration says is
//! held by [`Location`], [`Rule`], [`Template`] and [`Settings`]; `config` builds them, nothing here reads TOML.

mod access;
mod address;
mod coding;
mod compression;
mod content;
mod disk_path;
pub mod env;
mod escape;
mod expiry;
mod facts;
mod guard;
mod inside;
mod location;
mod pattern;
mod plan;
mod real_ip;
mod rewrite;
mod router;
mod rule;
mod search;
mod secured;
mod settings;
mod source;
mod split;
mod target;
mod template;
mod trace;
mod try_files;
mod variables;

#[cfg(test)]
mod promises;
#[cfg(test)]
mod rig;

pub use access::BadWho;
pub use address::{Address, Announced};
pub use coding::{Coding, acceptable};
pub use compression::{Compression, Levels, MediaTypes};
pub use expiry::{Expires, Expiry};
pub use facts::{GivenLabel, Label, RequestFacts, Scheme, protocol};
pub use guard::{
    Asked, AuthRequest, BasicAuth, Check, Guard, Guarded, Limit, Limits, RequestRate, What, WhoIs,
};
pub use inside::{BadOrder, Order};
pub use location::{FastCgi, Handler, Location, Match, MaxShare, ScriptSource, TryFiles, TryLast};
pub use pattern::{BadPattern, pattern};
pub use plan::{FilePlan, Fixed, ListingPlan, Plan, PoolId, Redirect, ScriptPlan};
pub use real_ip::{Origin, RealIp, RealIpSource};
pub use router::Router;
pub use rule::{Condition, Flag, Return, ReturnBody, Rewrite, Rule};
pub use secured::{ClientCertificate, Proof, Secured, SslVariable};
pub use settings::{AccessRule, ErrorPage, HeaderRule, ListingFormat, PageStatus, Settings, Types, Who};
pub use source::is_source;
pub use target::{BadTarget, Target};
pub use template::{Template, TemplateError, TemplateErrorKind};
pub use trace::{NoTrace, Step, Steps, Trace};
pub use variables::{Variable, Variables};

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::Serialize;

/// What lies at a path. Symlinks are followed, as nginx does, unless they may not lead out of the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Something that is neither: a socket, a device. Never served.
    Other,
    /// Nothing, or nothing that may be looked at.
    Missing,
    /// What a link leads to that may not lead there.
    Outside,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Other => "neither file nor directory",
            Self::Missing => "not there",
            Self::Outside => "outside: a symbolic link leads out of the root",
        })
    }
}

/// The file system as the router sees it. `files::Disk` is the real one; tests and `scripts = "remote"` have others.
pub trait Lookup {
    /// What lies at this absolute path.
    fn kind(&self, path: &Path) -> Kind;

    /// The same for a path that is to be run as a script; may be the answer of a moment ago.
    fn script_kind(&self, path: &Path) -> Kind {
        self.kind(path)
    }

    /// The same for a path below `root` whose links may not lead out of it.
    fn kind_beneath(&self, _root: &Path, path: &Path) -> Kind {
        self.kind(path)
    }
}

impl<D: Lookup> Lookup for &D {
    fn kind(&self, path: &Path) -> Kind {
        D::kind(self, path)
    }

    fn script_kind(&self, path: &Path) -> Kind {
        D::script_kind(self, path)
    }

    fn kind_beneath(&self, root: &Path, path: &Path) -> Kind {
        D::kind_beneath(self, root, path)
    }
}

fn os_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
