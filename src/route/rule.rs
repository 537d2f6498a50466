//! The rewrite phase's rules as the configuration says them. `rewrite` runs them.

use regex::bytes::Regex;

use super::Template;

/// One rule of the rewrite phase, of a site or of a location
/// (<http://nginx.org/en/docs/http/ngx_http_rewrite_module.html>).
#[derive(Debug, Clone)]
pub enum Rule {
    /// `rewrite from to flag`.
    Rewrite(Rewrite),
    /// `set $name value`.
    Set {
        /// Without the `$`.
        name: String,
        /// What it becomes.
        value: Template,
    },
    /// `if (…) { … }`.
    If {
        /// When the rules inside are run.
        condition: Condition,
        /// They run in the place of the `if`.
        rules: Vec<Rule>,
    },
    /// `return`: ends everything.
    Return(Return),
    /// `break`: ends this round of rules.
    Break,
}

/// `rewrite from to flag`.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// Matched against the decoded path.
    pub from: Regex,
    /// May carry `?args`; the old ones are appended unless it ends in `?`.
    pub to: Template,
    /// What happens then.
    pub flag: Flag,
    /// Only where no file, directory or anything else lies at the path (`if (!-e $request_filename)`).
    pub unless_file: bool,
}

/// What happens after a rewrite matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// No flag: goes on with the next rule; a new location is searched after the last.
    Next,
    /// Stops the rules and searches a new location.
    Last,
    /// Stops the rules and stays in this location.
    Break,
    /// 302.
    Redirect,
    /// 301.
    Permanent,
}

/// The condition of an `if`.
#[derive(Debug, Clone)]
pub enum Condition {
    /// `($x)`: neither empty nor `0`.
    Truthy(Template),
    /// `($x = y)`, and `!=` when `negated`.
    Equals {
        /// Left side.
        left: Template,
        /// Right side.
        right: Template,
        /// `!=`.
        negated: bool,
    },
    /// `($x ~ re)`; its groups become `$1`….
    Matches {
        /// Left side.
        value: Template,
        /// Compiled with `~*`'s case folding where asked.
        regex: Regex,
        /// `!~`.
        negated: bool,
    },
    /// `-f`, `-d`, `-e` and their negations.
    Exists {
        /// Usually `$request_filename`.
        path: Template,
        /// A regular file.
        file: bool,
        /// A directory.
        directory: bool,
        /// `!-f` …
        negated: bool,
    },
}

/// `return status [text|url]`.
#[derive(Debug, Clone)]
pub struct Return {
    /// 301, 302, 303, 307, 308 with a URL; any other with a body; 444 closes the connection.
    pub status: u16,
    /// What goes with it.
    pub body: ReturnBody,
}

/// What a `return` carries.
#[derive(Debug, Clone)]
pub enum ReturnBody {
    /// The standard page of that status.
    None,
    /// The text of the reply.
    Text(Template),
    /// Where to.
    Url(Template),
}
