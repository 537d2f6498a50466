//! What a request comes to: one value that `explain` prints and the pipeline executes.

use std::path::PathBuf;

use bytes::Bytes;
use http::StatusCode;

use super::{FastCgi, Guarded, ListingFormat, Settings};

/// A pool by its place in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolId(pub usize);

/// How a request will be served.
#[derive(Debug, Clone)]
pub enum Plan<'a> {
    /// Send this file.
    File(FilePlan<'a>),
    /// Send what lies in this folder.
    Listing(ListingPlan<'a>),
    /// Let a pool run this script.
    Script(ScriptPlan<'a>),
    /// Send the client elsewhere.
    Redirect(Redirect<'a>),
    /// Answer with this, from memory.
    Fixed(Fixed<'a>),
    /// One of the others, for who passes the checks before it.
    Guarded(Box<Guarded<'a>>),
}

impl<'a> Plan<'a> {
    /// What holds where the request came to an end: its headers and limits.
    pub fn settings(&self) -> &'a Settings {
        match self {
            Self::File(file) => file.settings,
            Self::Listing(listing) => listing.settings,
            Self::Script(script) => script.settings,
            Self::Redirect(redirect) => redirect.settings,
            Self::Fixed(fixed) => fixed.settings,
            Self::Guarded(guarded) => guarded.plan.settings(),
        }
    }

    /// The plan behind its checks, for who has passed them.
    pub fn unguarded(self) -> Self {
        match self {
            Self::Guarded(guarded) => guarded.plan,
            plan => plan,
        }
    }

    /// The location's spelling, for the log.
    pub fn route(&self) -> &'a str {
        match self {
            Self::File(file) => file.route,
            Self::Listing(listing) => listing.route,
            Self::Script(script) => script.route,
            Self::Redirect(redirect) => redirect.route,
            Self::Fixed(fixed) => fixed.route,
            Self::Guarded(guarded) => guarded.plan.route(),
        }
    }
}

/// A file to send.
#[derive(Debug, Clone)]
pub struct FilePlan<'a> {
    /// Absolute, without dot segments, below the root by construction.
    pub path: PathBuf,
    /// How many bytes of it are a folder which symbolic links behind it may not leave; `None`: they may lead anywhere.
    pub beneath: Option<usize>,
    /// Of the location that serves it.
    pub settings: &'a Settings,
    /// The location's spelling, for the log.
    pub route: &'a str,
}

/// A folder to list.
#[derive(Debug, Clone)]
pub struct ListingPlan<'a> {
    /// As of a file.
    pub path: PathBuf,
    /// What the client calls it: decoded, with its slash.
    pub uri: Vec<u8>,
    /// Page or JSON.
    pub format: ListingFormat,
    /// Of the location that serves it.
    pub settings: &'a Settings,
    /// The location's spelling, for the log.
    pub route: &'a str,
}

/// A script to run: the paths are bytes, because a client may send any.
#[derive(Debug, Clone)]
pub struct ScriptPlan<'a> {
    /// How the location hands it over: pool and extra parameters.
    pub fastcgi: &'a FastCgi,
    /// SCRIPT_NAME: the path up to the script, from `/`.
    pub script_name: Vec<u8>,
    /// PATH_INFO: what follows; empty when nothing does.
    pub path_info: Vec<u8>,
    /// SCRIPT_FILENAME as php-fpm must open it: `backend_root` and the script's name.
    pub script_filename: Vec<u8>,
    /// DOCUMENT_URI (nginx's `$uri`): the decoded path after rewrites, PATH_INFO included.
    pub uri: Vec<u8>,
    /// QUERY_STRING after rewrites.
    pub args: Bytes,
    /// Extra parameters with their variables filled in.
    pub params: Vec<(String, Vec<u8>)>,
    /// Of the location that runs it.
    pub settings: &'a Settings,
    /// The location's spelling, for the log.
    pub route: &'a str,
}

/// A redirect.
#[derive(Debug, Clone)]
pub struct Redirect<'a> {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// `Location`, percent-encoded, free of control characters.
    pub location: Vec<u8>,
    /// Of the location that decided it: its headers go out too.
    pub settings: &'a Settings,
    /// The location's spelling, for the log.
    pub route: &'a str,
}

/// An answer from memory.
#[derive(Debug, Clone)]
pub struct Fixed<'a> {
    /// Any status; 444 (nginx) closes the connection without an answer.
    pub status: StatusCode,
    /// The text of a `return`; `None` gives the standard page of an error.
    pub body: Option<Vec<u8>>,
    /// Of the location that decided it: its headers and error pages.
    pub settings: &'a Settings,
    /// The location's spelling, for the log.
    pub route: &'a str,
}
