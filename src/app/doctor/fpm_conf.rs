//! php-fpm's own configuration file, as far as it matters to whoever stands in front: an INI with sections, `include` and
//! durations. Which file to read is `local`'s, what follows from it `settings`'.

use std::time::Duration;

/// One `key = value` of a section.
type Line = (String, String, String);

/// All lines in the order in which php-fpm reads them: a later one overrules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FpmConf(Vec<Line>);

impl FpmConf {
    /// Reads a text. `include` brings the texts of the files that a pattern names.
    pub(super) fn read(text: &str, include: &mut dyn FnMut(&str) -> Vec<String>) -> Self {
        let mut conf = Self::default();
        conf.append(text, include, 0);
        conf
    }

    fn append(&mut self, text: &str, include: &mut dyn FnMut(&str) -> Vec<String>, depth: u32) {
        let mut section = "global".to_owned();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with([';', '#'])) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
                name.trim().clone_into(&mut section);
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            let (key, value) = (key.trim(), without_comment(value));
            if key != "include" {
                self.0.push((section.clone(), key.to_owned(), value.replace("$pool", &section)));
            } else if depth < 4 {
                include(value).iter().for_each(|text| self.append(text, include, depth + 1));
            }
        }
    }

    /// The names of its pools.
    pub(super) fn pools(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for (section, _, _) in self.0.iter().filter(|(section, _, _)| section != "global") {
            if !names.contains(&section.as_str()) {
                names.push(section);
            }
        }
        names
    }

    pub(super) fn get(&self, section: &str, key: &str) -> Option<&str> {
        let line = self.0.iter().rev().find(|(of, name, _)| of == section && name == key)?;
        Some(&line.2)
    }

    /// php-fpm's durations: seconds, or a number with `s`, `m`, `h` or `d`. 0 where nothing is said, as with php-fpm.
    pub(super) fn duration(&self, section: &str, key: &str) -> Duration {
        let text = self.get(section, key).unwrap_or("0");
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let seconds = match unit {
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => 1,
        };
        Duration::from_secs(number.parse::<u64>().unwrap_or(0).saturating_mul(seconds))
    }
}

fn without_comment(value: &str) -> &str {
    let value = value.trim();
    match value.strip_prefix('"').and_then(|inner| inner.split_once('"')) {
        Some((inner, _)) => inner,
        None => value.split(';').next().unwrap_or_default().trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_php_fpm_reads_it() {
        let main = "; a comment\n[global]\nprocess_control_timeout = 10s\ninclude=pool.d/*.conf\n";
        let www = "[www]\nlisten = \"/run/$pool.sock\" ; where\nrequest_terminate_timeout = 2m\npm.max_children = 5\n";
        let over = "[www]\npm.max_children = 9\n[api]\nlisten = 9001\n";
        let conf = FpmConf::read(main, &mut |pattern| {
            assert_eq!(pattern, "pool.d/*.conf");
            vec![www.to_owned(), over.to_owned()]
        });
        assert_eq!(conf.pools(), ["www", "api"]);
        assert_eq!(conf.get("www", "listen"), Some("/run/www.sock"));
        assert_eq!(conf.get("www", "pm.max_children"), Some("9"), "the later one");
        assert_eq!(conf.duration("global", "process_control_timeout"), Duration::from_secs(10));
        assert_eq!(conf.duration("www", "request_terminate_timeout"), Duration::from_secs(120));
        assert_eq!(conf.duration("api", "request_terminate_timeout"), Duration::ZERO);
    }

    #[test]
    fn a_file_that_includes_itself_ends() {
        let conf = FpmConf::read("include = x\n", &mut |_| vec!["[a]\nlisten = 1\ninclude = x\n".to_owned()]);
        assert_eq!(conf.pools(), ["a"]);
    }
}
