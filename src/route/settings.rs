//! What holds for every request of a location, inherited values filled in: root, index, access, headers, limits.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Guard, Template};

/// The settings of one location.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The document root, absolute. nginx's `root`.
    pub root: PathBuf,
    /// Replaces the matched part of the path (nginx's `alias`), absolute.
    pub alias: Option<PathBuf>,
    /// Where the root's files lie for php-fpm; the same as `root` unless told.
    pub backend_root: PathBuf,
    /// Files that answer for a directory, in order; one with `/` in front is a URI.
    pub index: Vec<Template>,
    /// Only internal redirects get here; 404 from outside.
    pub internal: bool,
    /// `allow` and `deny` in order; the first that matches decides; none: allowed.
    pub access: Vec<AccessRule>,
    /// `auth`, `auth_request`, `satisfy` and `limits`, where there is any.
    pub guard: Option<Arc<Guard>>,
    /// Extensions of scripts, each with its dot.
    pub script_extensions: Vec<String>,
    /// Files that look like a script's source may be sent (off: they are 404).
    pub serve_source: bool,
    /// Added to replies.
    pub headers: Vec<HeaderRule>,
    /// nginx's `expires`.
    pub expires: Option<Expires>,
    /// Charset named for text types.
    pub charset: String,
    /// Largest request body in bytes; 0 is unlimited (nginx's `client_max_body_size`).
    pub max_body: u64,
    /// Requests and replies are taken off the worker as fast as it gives them (nginx's `fastcgi_buffering`).
    pub buffering: bool,
    /// Overrides of the pool's timeouts: first byte, between reads.
    pub first_byte_timeout: Option<Duration>,
    /// See `first_byte_timeout`.
    pub between_reads_timeout: Option<Duration>,
    /// `error_page`: status → URI or `@name`, for the errors that cornac itself makes.
    pub error_pages: Vec<(u16, Template)>,
}

/// One `allow` or `deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// `allow` rather than `deny`.
    pub allow: bool,
    /// Whom.
    pub who: Who,
}

/// Whom an access rule means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// `all`.
    All,
    /// An address or a CIDR network.
    Network {
        /// First address of the network.
        base: IpAddr,
        /// Leading bits that count.
        bits: u8,
    },
}

/// A header that is added to a reply (`add_header`).
#[derive(Debug, Clone)]
pub struct HeaderRule {
    /// Lower case.
    pub name: http::HeaderName,
    /// May hold variables.
    pub value: Template,
    /// `"!Name"`: replaces what is there.
    pub replace: bool,
}

/// nginx's `expires`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expires {
    /// `Cache-Control: no-cache` and a date in the past.
    Epoch,
    /// Far in the future.
    Max,
    /// This many seconds from now; negative: already stale, `no-cache`.
    Seconds(i64),
}
