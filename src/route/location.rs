//! A location as the configuration says it: what it matches, its rules, and who answers. Which one of many wins is
//! decided in `search`; what the rules do, in `rewrite`.

use std::sync::Arc;

use regex::bytes::Regex;

use super::{PoolId, Rule, Settings, Template};

/// What a location matches. Paths are compared decoded and merged, as nginx does
/// (<http://nginx.org/en/docs/http/ngx_http_core_module.html#location>).
#[derive(Debug, Clone)]
pub enum Match {
    /// `= /x`: this path and no other.
    Exact(Vec<u8>),
    /// `/p`, or `^~ /p` which stops the search for a regex.
    Prefix {
        /// The decoded prefix, from `/`.
        path: Vec<u8>,
        /// `^~`: when this is the longest prefix, no regex is tried.
        stops_regex: bool,
    },
    /// `~ re` or `~* re` (compiled so): tried in the order of the file.
    Regex(Regex),
    /// `@name`: reached by try_files and error pages only. Held with its `@`.
    Named(String),
}

/// One location with everything that it inherited already filled in.
#[derive(Debug, Clone)]
pub struct Location {
    /// As the configuration spells it (`~ \.php$`): what `explain` and the log call it.
    pub written: String,
    /// What it matches.
    pub matches: Match,
    /// The rewrite phase of nginx: `rewrite`, `set`, `if`, `return`, in order.
    pub rules: Vec<Rule>,
    /// Looked up before the handler runs.
    pub try_files: Option<TryFiles>,
    /// Who answers.
    pub handler: Handler,
    /// Root, index, access and the rest.
    pub settings: Arc<Settings>,
    /// Locations inside this one: searched when this one was the best prefix.
    pub nested: Vec<Location>,
}

/// `try_files`: the steps but the last are checked on disk, the last is where the request goes otherwise.
#[derive(Debug, Clone)]
pub struct TryFiles {
    /// Paths below the root; one that ends in `/` asks for a directory.
    pub steps: Vec<Template>,
    /// The last word.
    pub last: TryLast,
}

/// The last word of `try_files`.
#[derive(Debug, Clone)]
pub enum TryLast {
    /// An internal redirect to this URI, which may carry `?args`.
    Uri(Template),
    /// `=404`.
    Code(u16),
    /// `@name`.
    Named(String),
}

/// Who answers for a location.
#[derive(Debug, Clone)]
pub enum Handler {
    /// Files below the root; never a script's source.
    Static,
    /// A script by a FastCGI pool.
    FastCgi(Arc<FastCgi>),
}

/// How a location hands a request to a pool.
#[derive(Debug, Clone)]
pub struct FastCgi {
    /// Which pool.
    pub pool: PoolId,
    /// How the script and its PATH_INFO are found in the path.
    pub script: ScriptSource,
    /// Where the script must lie: see [`Location`]'s settings for the extensions.
    pub remote: bool,
    /// Extra parameters, by name; one of the standard names replaces the standard value.
    pub params: Vec<(String, Template)>,
    /// At most this part of the pool's workers at once.
    pub max_share: Option<MaxShare>,
}

/// The part of a pool's workers that the requests of one route may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxShare {
    /// 1–100.
    pub percent: u8,
    /// Its place among those of the pool.
    pub place: usize,
}

/// Where the script's name comes from.
#[derive(Debug, Clone)]
pub enum ScriptSource {
    /// The first prefix of the path that ends in a script extension and is a regular file below the root.
    OnDisk,
    /// nginx's `fastcgi_split_path_info`: first group the script, second PATH_INFO.
    Split(Regex),
    /// This one, whatever the path is (`script = "/index.php"`); the whole path stays in DOCUMENT_URI.
    Named(Template),
}
