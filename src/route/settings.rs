//! What holds for every request of a location, inherited values filled in: root, index, access, headers, limits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};

use super::{Compression, Expiry, Guard, Template};

/// The settings of one location.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The document root, absolute. nginx's `root`.
    pub root: PathBuf,
    /// Replaces the matched part of the path (nginx's `alias`), absolute.
    pub alias: Option<PathBuf>,
    /// Symbolic links below root or alias may not lead out of it.
    pub beneath: bool,
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
    pub expires: Option<Arc<Expiry>>,
    /// What files are, where it is not what everybody says; `None`: as everybody says.
    pub types: Option<Arc<Types>>,
    /// A folder without an index is listed (nginx's `autoindex`).
    pub autoindex: Option<ListingFormat>,
    /// Large files go out unread where they can (nginx's `sendfile`).
    pub sendfile: bool,
    /// Charset named for text types; empty: none.
    pub charset: String,
    /// `None`: nothing is compressed, and no compressed neighbour of a file is sent.
    pub compression: Option<Arc<Compression>>,
    /// Largest request body in bytes; 0 is unlimited (nginx's `client_max_body_size`).
    pub max_body: u64,
    /// Requests and replies are taken off the worker as fast as it gives them (nginx's `fastcgi_buffering`).
    pub buffering: bool,
    /// Overrides of the pool's timeouts: first byte, between reads.
    pub first_byte_timeout: Option<Duration>,
    /// See `first_byte_timeout`.
    pub between_reads_timeout: Option<Duration>,
    /// nginx's `error_page`, one for a status.
    pub error_pages: Vec<ErrorPage>,
    /// A script's own errors get these pages too (nginx's `fastcgi_intercept_errors`).
    pub intercept_errors: bool,
    /// Redirects name scheme and host (nginx's `absolute_redirect`, which is on there).
    pub absolute_redirect: bool,
    /// Folders whose files a script may send by path (`X-Sendfile`): as php-fpm sees them, and where they lie here. Both absolute.
    pub x_sendfile: Vec<(PathBuf, PathBuf)>,
}

impl Settings {
    /// The page of an error.
    pub fn error_page(&self, status: StatusCode) -> Option<&ErrorPage> {
        self.error_pages.iter().find(|page| page.on == status.as_u16())
    }
}

/// What an error is answered with instead of the standard page.
#[derive(Debug, Clone)]
pub struct ErrorPage {
    /// 300–599.
    pub on: u16,
    /// A path, `@name`, or a URL that the client is sent to.
    pub page: Template,
    /// What the reply says.
    pub status: PageStatus,
}

/// The status of an error page's reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStatus {
    /// The error's.
    OfError,
    /// `= /page`: whatever the page has itself.
    OfPage,
    /// `=200 /page`
    Always(StatusCode),
}

/// One `allow` or `deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// `allow` rather than `deny`.
    pub allow: bool,
    /// Whom.
    pub who: Who,
}

/// Whom an access rule or `trusted_proxies` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// `all`.
    All,
    /// `unix:`: whoever comes over a unix socket.
    Unix,
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
    /// Also on errors, as nginx's `add_header … always`.
    pub always: bool,
}

/// nginx's `types` and `default_type`, over the usual ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Types {
    /// By extension: lower case, without its dot.
    pub by_extension: HashMap<String, String>,
    /// Of a name that tells nothing.
    pub default: Option<HeaderValue>,
}

/// How a folder is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListingFormat {
    /// A page.
    Html,
    /// nginx's `autoindex_format json`.
    Json,
}
