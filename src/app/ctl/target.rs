//! Which servers are meant: `POOL SERVER …`, or less where that leaves no doubt.

use crate::admin::Pool;
use crate::app::Failure;
use crate::config::nearest;

/// A server of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) pool: String,
    pub(super) server: String,
}

/// The servers that `words` name.
pub(super) fn find(pools: &[Pool], words: &[String]) -> Result<Vec<Target>, Failure> {
    let (first, rest) = words.split_first().ok_or_else(|| wrong("name a server".to_owned()))?;
    let Some(pool) = pools.iter().find(|pool| pool.name == *first) else {
        return words.iter().map(|word| anywhere(pools, word)).collect();
    };
    match (rest, &pool.members[..]) {
        ([], [only]) => Ok(vec![target(pool, &only.address)]),
        ([], members) => {
            let servers: Vec<_> = members.iter().map(|member| &*member.address).collect();
            Err(wrong(format!(
                "pool {first} has {} servers, name one: {}",
                servers.len(),
                servers.join(", ")
            )))
        }
        (servers, _) => servers.iter().map(|server| within(pool, server)).collect(),
    }
}

fn within(pool: &Pool, server: &str) -> Result<Target, Failure> {
    let known: Vec<_> = pool.members.iter().map(|member| &*member.address).collect();
    match known.contains(&server) {
        true => Ok(target(pool, server)),
        false => Err(unknown(&format!("pool {} has no server '{server}'", pool.name), server, &known)),
    }
}

fn anywhere(pools: &[Pool], word: &str) -> Result<Target, Failure> {
    let has = |pool: &&Pool| pool.members.iter().any(|member| member.address == word);
    let found: Vec<_> = pools.iter().filter(has).collect();
    match &found[..] {
        [pool] => Ok(target(pool, word)),
        [] => {
            let servers = pools.iter().flat_map(|pool| &pool.members).map(|member| &*member.address);
            let mut known: Vec<_> = pools.iter().map(|pool| &*pool.name).chain(servers).collect();
            known.dedup();
            Err(unknown(&format!("there is no pool or server '{word}'"), word, &known))
        }
        pools => {
            let names: Vec<_> = pools.iter().map(|pool| &*pool.name).collect();
            Err(wrong(format!("server {word} is in several pools, name one: {}", names.join(", "))))
        }
    }
}

fn target(pool: &Pool, server: &str) -> Target {
    Target { pool: pool.name.clone(), server: server.to_owned() }
}

fn unknown(what: &str, word: &str, known: &[&str]) -> Failure {
    wrong(match nearest(word, known, "known") {
        Some(hint) => format!("{what}; {hint}"),
        None => what.to_owned(),
    })
}

fn wrong(text: String) -> Failure {
    Failure::Request(text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::pool;
    use super::*;

    fn found(words: &[&str]) -> Result<Vec<String>, String> {
        let pools = [
            pool("php", &["10.0.0.1:9000", "10.0.0.2:9000"]),
            pool("batch", &["10.0.0.2:9000", "unix:/b"]),
            pool("one", &["unix:/o"]),
        ];
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        let shown = |targets: Vec<Target>| {
            targets.iter().map(|found| format!("{} {}", found.pool, found.server)).collect()
        };
        find(&pools, &words).map(shown).map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_leaves_no_doubt_is_enough() {
        assert_eq!(found(&["php", "10.0.0.2:9000"]).unwrap(), ["php 10.0.0.2:9000"]);
        assert_eq!(found(&["php", "10.0.0.2:9000", "10.0.0.1:9000"]).unwrap().len(), 2);
        assert_eq!(found(&["10.0.0.1:9000"]).unwrap(), ["php 10.0.0.1:9000"]);
        assert_eq!(found(&["one"]).unwrap(), ["one unix:/o"]);
        assert_eq!(found(&["unix:/b", "unix:/o"]).unwrap(), ["batch unix:/b", "one unix:/o"]);
    }

    #[test]
    fn a_doubt_is_said_with_what_there_is_to_choose() {
        for (words, said) in [
            (&["php"][..], "pool php has 2 servers, name one: 10.0.0.1:9000, 10.0.0.2:9000"),
            (&["10.0.0.2:9000"], "server 10.0.0.2:9000 is in several pools, name one: php, batch"),
            (&["php", "unix:/b"], "pool php has no server 'unix:/b'; known: 10.0.0.1:9000, 10.0.0.2:9000"),
            (
                &["php", "10.0.0.1:900"],
                "pool php has no server '10.0.0.1:900'; did you mean '10.0.0.1:9000'?",
            ),
            (&["phq"], "there is no pool or server 'phq'; did you mean 'php'?"),
            (&[], "name a server"),
        ] {
            assert_eq!(found(words).unwrap_err(), said);
        }
    }
}
