//! The ThinkPHP-style fixture behind one pool: the configuration that most tests start from.

use super::{Cornac, Fpm, fixtures};

/// A cornac to be: `fixtures("tp/public")`, preset thinkphp, its access log as JSON on standard output.
#[derive(Clone, Debug)]
pub struct Tp {
    servers: Vec<String>,
    server: String,
    pool: String,
    site: String,
    more: String,
    quiet: bool,
}

impl Tp {
    /// Over these members, each with all defaults.
    pub fn over<'a>(members: impl IntoIterator<Item = &'a Fpm>) -> Self {
        Self::with_servers(members.into_iter().map(|fpm| server(fpm, "")).collect())
    }

    /// Over these entries of `servers`, as TOML.
    pub fn with_servers(servers: Vec<String>) -> Self {
        let (server, pool, site, more, quiet) = Default::default();
        Self { servers, server, pool, site, more, quiet }
    }

    /// Lines for `[server]`.
    pub fn server(mut self, lines: &str) -> Self {
        self.server += &format!("{lines}\n");
        self
    }

    /// Without the access log on standard output.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Lines for the pool.
    pub fn pool(mut self, lines: &str) -> Self {
        self.pool += &format!("{lines}\n");
        self
    }

    /// Lines for the site.
    pub fn site(mut self, lines: &str) -> Self {
        self.site += &format!("{lines}\n");
        self
    }

    /// Tables behind the site: its routes.
    pub fn more(mut self, tables: &str) -> Self {
        self.more += tables;
        self
    }

    pub fn start(self) -> Cornac {
        Cornac::serving(|listen| self.toml(listen))
    }

    pub fn toml(&self, listen: &str) -> String {
        let log = if self.quiet { "" } else { "access_log = { path = \"stdout\", format = \"json\" }\n" };
        format!(
            "[server]\n{log}{}\n\
             [pools.php]\nservers = [{}]\n{}\n\
             [[sites]]\nlisten = [\"{listen}\"]\nroot = \"{}\"\npreset = \"thinkphp\"\n{}\n{}",
            self.server,
            self.servers.join(", "),
            self.pool,
            fixtures("tp/public").display(),
            self.site,
            self.more
        )
    }
}

/// An entry of `servers` with more keys: `server(&fpm, "weight = 2")`.
pub fn server(fpm: &Fpm, keys: &str) -> String {
    let more = if keys.is_empty() { String::new() } else { format!(", {keys}") };
    format!("{{ address = \"{}\"{more} }}", fpm.server())
}
