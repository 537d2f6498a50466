//! Whatever text stands in a configuration: a model, or mistakes each of which names a place that is in the text.

use std::path::Path;

use cornac::config::parse;
use cornac::site::Sites;

/// The bytes are the file.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match parse(&text, "cornac.toml", Path::new("/nowhere")) {
        Ok(model) => drop(Sites::build(&model, None)),
        Err(mistakes) => {
            let told = mistakes.to_string();
            assert!(mistakes.len() > 0 && !told.is_empty(), "refused without a reason");
            let places = told
                .lines()
                .filter_map(|line| line.split("cornac.toml:").nth(1)?.split(':').next()?.parse().ok());
            let lines = text.lines().count().max(1);
            assert!(places.into_iter().all(|line: usize| (1..=lines + 1).contains(&line)), "{told}");
        }
    }
}
