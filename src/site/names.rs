//! Which site of a listener a Host names: nginx's order for `server_name`
//! (<http://nginx.org/en/docs/http/server_names.html>): exact, longest `*.suffix`, longest `prefix.*`, first regex,
//! and the listener's first site when nothing fits.

use std::collections::HashMap;

use regex::Regex;

use crate::config::model::SiteName;

/// The sites of one listener by name, each an index that the caller gave.
#[derive(Debug, Default)]
pub(super) struct Names {
    exact: HashMap<String, usize>,
    suffixes: HashMap<String, usize>,
    prefixes: HashMap<String, usize>,
    regexes: Vec<(Regex, usize)>,
    default: Option<usize>,
    one_for_all: bool,
}

impl Names {
    /// Adds a site. The first one added is the default.
    pub(super) fn add(&mut self, names: &[SiteName], site: usize) {
        self.one_for_all = self.default.is_none();
        self.default.get_or_insert(site);
        for name in names {
            match name {
                SiteName::Exact(name) => drop(self.exact.entry(name.clone()).or_insert(site)),
                SiteName::Suffix(name) => drop(self.suffixes.entry(name.clone()).or_insert(site)),
                SiteName::Prefix(name) => drop(self.prefixes.entry(name.clone()).or_insert(site)),
                SiteName::Regex(regex) => self.regexes.push((regex.clone(), site)),
            }
        }
    }

    /// The site for a host, which is lower case and has no port. `None` only where no site was added.
    pub(super) fn find(&self, host: &str) -> Option<usize> {
        if self.one_for_all {
            return self.default;
        }
        self.exact
            .get(host)
            .copied()
            .or_else(|| self.by_suffix(host))
            .or_else(|| self.by_prefix(host))
            .or_else(|| self.regexes.iter().find(|(regex, _)| regex.is_match(host)).map(|&(_, site)| site))
            .or(self.default)
    }

    /// `.example.com` for `a.b.example.com`: from the longest suffix to the shortest, a look-up each.
    fn by_suffix(&self, host: &str) -> Option<usize> {
        if self.suffixes.is_empty() {
            return None;
        }
        host.match_indices('.').find_map(|(at, _)| self.suffixes.get(&host[at..]).copied())
    }

    fn by_prefix(&self, host: &str) -> Option<usize> {
        if self.prefixes.is_empty() {
            return None;
        }
        host.rmatch_indices('.').find_map(|(at, _)| self.prefixes.get(&host[..=at]).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names::default();
        names.add(&[], 0);
        names.add(&[SiteName::Exact("example.com".into()), SiteName::Suffix(".example.com".into())], 1);
        names.add(&[SiteName::Suffix(".deep.example.com".into()), SiteName::Prefix("www.".into())], 2);
        names.add(&[SiteName::Regex(Regex::new(r"^shop\d+\.").expect("a literal"))], 3);
        names.add(&[SiteName::Exact("a.example.com".into())], 4);
        names
    }

    #[test]
    fn a_host_finds_its_site_in_nginxs_order() {
        for (host, site) in [
            ("example.com", 1),
            ("a.example.com", 4),
            ("b.example.com", 1),
            ("x.deep.example.com", 2),
            ("www.elsewhere.org", 2),
            ("shop12.test", 3),
            ("unknown.test", 0),
            ("", 0),
        ] {
            assert_eq!(names().find(host), Some(site), "{host}");
        }
    }

    /// Looked up in a map, a name costs the same among many; only regexes are tried one after the other, as nginx does.
    #[test]
    fn a_name_costs_a_look_up_a_label_however_many_sites_there_are() {
        let mut names = Names::default();
        for site in 0..1000 {
            names.add(
                &[SiteName::Exact(format!("s{site}.test")), SiteName::Suffix(format!(".w{site}.test"))],
                site,
            );
        }
        names.add(&[SiteName::Regex(Regex::new(r"^r\d+\.").expect("a literal"))], 1000);
        let tables = [names.exact.len(), names.suffixes.len(), names.prefixes.len(), names.regexes.len()];
        assert_eq!(
            tables,
            [1000, 1000, 0, 1],
            "nothing that is tried one after the other grows with the sites"
        );
        for site in [0, 1, 499, 999] {
            assert_eq!(names.find(&format!("s{site}.test")), Some(site));
            assert_eq!(names.find(&format!("a.b.w{site}.test")), Some(site));
        }
        assert_eq!((names.find("r7.test"), names.find("nobody.test")), (Some(1000), Some(0)));
    }

    #[test]
    fn a_single_site_answers_for_every_host() {
        let mut names = Names::default();
        names.add(&[SiteName::Exact("example.com".into())], 7);
        assert_eq!(names.find("elsewhere.org"), Some(7));
    }
}
