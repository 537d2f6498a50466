//! php-fpm's configuration, where this machine has it: what FastCGI cannot be asked for.
//!
//! A running master names its file in its title (`php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)`); it is read
//! as the master sees it, which may be another file system than ours. Only a master of our own network can be meant by
//! an address. Nothing is started: `php-fpm -tt` would want the master's own rights.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::fpm_conf::FpmConf;
use crate::upstream::Endpoint;

/// The pool of a php-fpm that listens at a member's address.
#[derive(Debug, Clone)]
pub(super) struct LocalPool {
    pub(super) file: PathBuf,
    pub(super) conf: FpmConf,
    pub(super) section: String,
}

impl LocalPool {
    /// The paths of php-fpm's own pages.
    pub(super) fn pages(&self) -> Vec<String> {
        let keys = ["pm.status_path", "ping.path"];
        keys.iter().filter_map(|key| self.conf.get(&self.section, key)).map(str::to_owned).collect()
    }
}

/// Finds who listens there, among the php-fpm of this machine whose files may be read.
pub(super) fn pool_at(endpoint: &Endpoint) -> Option<LocalPool> {
    masters().into_iter().find_map(|master| {
        let conf = master.read()?;
        let is_it = |section: &&str| conf.get(section, "listen").is_some_and(|listen| same(listen, endpoint));
        let section = conf.pools().into_iter().find(is_it)?.to_owned();
        Some(LocalPool { file: master.file, conf, section })
    })
}

/// A running php-fpm, and where its files are for us.
#[derive(Debug)]
struct Master {
    root: PathBuf,
    file: PathBuf,
}

fn masters() -> Vec<Master> {
    let ours = fs::read_link("/proc/self/ns/net").ok();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbered = processes.filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit());
    numbered
        .filter_map(|entry| {
            let process = entry.path();
            let title = fs::read(process.join("cmdline")).ok()?;
            let named = file_in_title(&String::from_utf8_lossy(&title))?;
            // php-fpm -y fpm.conf: as it was written.
            let file = if named.is_absolute() {
                named
            } else {
                fs::read_link(process.join("cwd")).ok()?.join(named)
            };
            let same_network = fs::read_link(process.join("ns/net")).ok() == ours;
            same_network.then(|| Master { root: process.join("root"), file })
        })
        .collect()
}

fn file_in_title(title: &str) -> Option<PathBuf> {
    let file = title.strip_prefix("php-fpm: master process (")?;
    Some(file.split(')').next()?.into())
}

impl Master {
    fn read(&self) -> Option<FpmConf> {
        let text = self.text(&self.file)?;
        Some(FpmConf::read(&text, &mut |pattern| self.include(pattern)))
    }

    fn text(&self, file: &Path) -> Option<String> {
        fs::read_to_string(self.root.join(file.strip_prefix("/").ok()?)).ok()
    }

    /// `pool.d/*.conf` and the like; a relative one begins at php-fpm's prefix, two above the file.
    fn include(&self, pattern: &str) -> Vec<String> {
        let prefix = self.file.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        let pattern = prefix.join(pattern);
        let (Some(folder), Some(name)) =
            (pattern.parent(), pattern.file_name().and_then(|name| name.to_str()))
        else {
            return Vec::new();
        };
        let Some((begins, ends)) = name.split_once('*') else {
            return self.text(&pattern).into_iter().collect();
        };
        let Ok(inside) = folder.strip_prefix("/") else { return Vec::new() };
        let entries = fs::read_dir(self.root.join(inside)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| {
            name.len() >= begins.len() + ends.len() && name.starts_with(begins) && name.ends_with(ends)
        });
        names.sort_unstable();
        names.iter().filter_map(|name| self.text(&folder.join(name))).collect()
    }
}

/// Whether php-fpm's `listen` is what cornac connects to.
fn same(listen: &str, endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Unix(path) => Path::new(listen) == path,
        Endpoint::Tcp(address) => {
            let every = listen.parse::<u16>().ok().or_else(|| listen.strip_prefix("*:")?.parse().ok());
            match (every, listen.parse::<SocketAddr>()) {
                (Some(port), _) => address.ip().is_loopback() && port == address.port(),
                (None, Ok(at)) if at.ip().is_unspecified() => {
                    address.ip().is_loopback() && at.port() == address.port()
                }
                (None, Ok(at)) => at == *address,
                (None, Err(_)) => false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listen_is_recognised_in_all_its_spellings() {
        let tcp = |text: &str| Endpoint::Tcp(text.parse().unwrap());
        for listen in ["9000", "*:9000", "0.0.0.0:9000", "[::]:9000", "127.0.0.1:9000"] {
            assert!(same(listen, &tcp("127.0.0.1:9000")), "{listen}");
            assert!(!same(listen, &tcp("127.0.0.1:9001")), "{listen}");
            assert!(!same(listen, &tcp("10.0.0.3:9000")), "{listen}: another machine");
        }
        assert!(same("/run/a.sock", &Endpoint::Unix("/run/a.sock".into())));
        assert!(!same("/run/a.sock", &Endpoint::Unix("/run/b.sock".into())));
    }

    #[test]
    fn the_masters_title_names_its_file() {
        let title = "php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)\0\0";
        assert_eq!(file_in_title(title), Some("/etc/php/8.2/fpm/php-fpm.conf".into()));
        assert_eq!(file_in_title("php-fpm: pool www\0"), None);
    }
}
