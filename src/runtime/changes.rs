//! What a reload changes, in an operator's words: one line a pool, a site and a listener.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};

use crate::config::model::{Listen, Listener, Model, Pool, ServerSpec, Site};
use crate::site::Generation;

/// The members of each pool by their addresses, and what they have in flight.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Members(BTreeMap<String, BTreeMap<String, u32>>);

impl Members {
    pub(super) fn of(generation: &Generation) -> Self {
        let pools = generation.clusters().iter().map(|cluster| {
            let members = cluster.status().members.into_iter();
            (
                cluster.name().to_string(),
                members.map(|member| (member.address.to_string(), member.in_flight)).collect(),
            )
        });
        Self(pools.collect())
    }

    fn of_pool(&self, pool: &str) -> impl Iterator<Item = (&String, &u32)> {
        self.0.get(pool).into_iter().flatten()
    }

    fn in_flight(&self, pool: &str) -> u32 {
        self.of_pool(pool).map(|(_, in_flight)| in_flight).sum()
    }

    fn has(&self, pool: &str, address: &str) -> bool {
        self.of_pool(pool).any(|(known, _)| known == address)
    }
}

/// Everything that differs. `before` is taken before the new configuration is in force, `after` then.
pub(super) fn between(old: &Model, new: &Model, before: &Members, after: &Members) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(old.pools.iter().filter(|pool| !new.pools.iter().any(|other| other.name == pool.name)).map(
        |pool| format!("pool {}: removed (draining, {} in flight)", pool.name, before.in_flight(&pool.name)),
    ));
    for pool in &new.pools {
        match old.pools.iter().find(|known| known.name == pool.name) {
            None => lines.push(format!("pool {}: new, {} servers", pool.name, pool.servers.len())),
            Some(known) => lines.extend(of_pool(known, pool, before, after)),
        }
    }
    lines.extend(of_listeners(old, new));
    lines.extend(of_sites(old, new));
    lines
}

/// Whether the operator is listened to where he was.
pub(super) fn same_door(old: &Model, new: &Model) -> bool {
    let listen = |model: &Model| model.admin.as_ref().map(|admin| admin.listen.clone());
    listen(old) == listen(new)
}

/// What is written but holds only from the next start on.
pub(super) fn not_now(old: &Model, new: &Model) -> Vec<&'static str> {
    let reuse_port = staying(old, new).any(|(old, new)| old.reuse_port != new.reuse_port);
    let (old, new) = (&old.server, &new.server);
    let keys = [
        ("server.threads", old.threads != new.threads),
        ("server.pid_file", old.pid_file != new.pid_file),
        ("server.user", old.account != new.account),
        ("reuseport", reuse_port),
    ];
    keys.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}

fn of_pool(old: &Pool, new: &Pool, before: &Members, after: &Members) -> Option<String> {
    let known = |spec: &ServerSpec| old.servers.iter().find(|known| known.endpoint == spec.endpoint).cloned();
    let added = new.servers.iter().filter(|spec| known(spec).is_none());
    let gone = before.of_pool(&new.name).filter(|(address, _)| !after.has(&new.name, address));
    let altered = new.servers.iter().filter(|&spec| known(spec).is_some_and(|known| known != *spec));
    let mut parts: Vec<String> = added.map(|spec| format!("+ {}", spec.endpoint)).collect();
    parts.extend(gone.map(|(address, in_flight)| format!("− {address} (draining, {in_flight} in flight)")));
    parts.extend(altered.map(|spec| format!("{} changed", spec.endpoint)));
    let settings = settings(old).into_iter().zip(settings(new));
    parts.extend(settings.filter(|(old, new)| old != new).map(|(_, (key, _))| format!("{key} changed")));
    (!parts.is_empty()).then(|| format!("pool {}: {}", new.name, parts.join(", ")))
}

/// What is set besides the servers, each as something that can be compared.
fn settings(pool: &Pool) -> [(&'static str, String); 10] {
    let text = |value: &dyn Debug| format!("{value:?}");
    [
        ("discover", text(&pool.discover)),
        ("policy", text(&(pool.policy, &pool.hash_key))),
        ("queue", text(&pool.queue)),
        ("max_share", text(&pool.shares)),
        ("keepalive", text(&pool.keepalive)),
        ("health", text(&pool.health)),
        ("retry", text(&pool.retry)),
        ("timeouts", text(&pool.timeouts)),
        ("params", text(&pool.params)),
        ("resolve", text(&pool.resolve)),
    ]
}

fn of_listeners(old: &Model, new: &Model) -> Vec<String> {
    let only = |some: &Model, others: &Model| -> Vec<String> {
        let known = |listen: &Listen| others.listeners.iter().any(|other| other.listen == *listen);
        let listens = some.listeners.iter().map(|listener| &listener.listen);
        listens.filter(|listen| !known(listen)).map(ToString::to_string).collect()
    };
    let altered = staying(old, new)
        .filter(|(old, new)| Listener { reuse_port: new.reuse_port, ..(*old).clone() } != **new);
    let mut lines: Vec<String> =
        one_line("listeners", &only(new, old), &only(old, new)).into_iter().collect();
    lines.extend(altered.map(|(_, listener)| format!("listener {}: changed", listener.listen)));
    lines
}

/// The listeners whose addresses stay, as they were and as they are.
fn staying<'m>(old: &'m Model, new: &'m Model) -> impl Iterator<Item = (&'m Listener, &'m Listener)> {
    new.listeners.iter().filter_map(|listener| {
        let known = old.listeners.iter().find(|known| known.listen == listener.listen)?;
        Some((known, listener))
    })
}

fn of_sites(old: &Model, new: &Model) -> Vec<String> {
    let (old, new) = (by_name(&old.sites), by_name(&new.sites));
    let only = |some: &BTreeMap<String, String>, others: &BTreeMap<String, String>| -> Vec<String> {
        some.keys().filter(|name| !others.contains_key(*name)).cloned().collect()
    };
    let altered = new.iter().filter(|(name, site)| old.get(*name).is_some_and(|known| known != *site));
    let mut lines: Vec<String> =
        one_line("sites", &only(&new, &old), &only(&old, &new)).into_iter().collect();
    lines.extend(altered.map(|(name, _)| format!("site {name}: changed")));
    lines
}

/// Each site as something that can be compared, by its name, or by where it listens.
fn by_name(sites: &[Site]) -> BTreeMap<String, String> {
    let mut named = BTreeMap::new();
    for site in sites {
        let name = match site.server_name.as_str() {
            "" => site.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            name => name.to_owned(),
        };
        // Two sites of one name, on two listeners, are told together.
        *named.entry(name).or_insert_with(String::new) += &format!("{site:?}");
    }
    named
}

fn one_line(what: impl Display, added: &[String], gone: &[String]) -> Option<String> {
    let added = added.iter().map(|name| format!("+ {name}"));
    let parts: Vec<_> = added.chain(gone.iter().map(|name| format!("− {name}"))).collect();
    (!parts.is_empty()).then(|| format!("{what}: {}", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SITE: &str =
        "[[sites]]\nlisten = [\":80\"]\nroutes = [{ match = \"/\", return = { status = 204 } }]\n";

    fn model(text: &str) -> Model {
        crate::config::parse(text, "test", Path::new("/")).expect("valid")
    }

    fn members(pool: &str, members: &[(&str, u32)]) -> Members {
        let members = members.iter().map(|&(address, in_flight)| (address.to_owned(), in_flight)).collect();
        Members([(pool.to_owned(), members)].into())
    }

    #[test]
    fn a_pool_says_who_comes_who_goes_with_what_and_which_settings_change() {
        let old = model(&format!("[pools.php]\nservers = [\"10.0.0.1:9000\", \"10.0.0.2:9000\"]\n{SITE}"));
        let new = model(&format!(
            "[pools.php]\nservers = [{{ address = \"10.0.0.1:9000\", weight = 2 }}, \"fpm4:9000\"]\nqueue = {{ size = 1 }}\n{SITE}"
        ));
        let before = members("php", &[("10.0.0.1:9000", 1), ("10.0.0.2:9000", 3)]);
        let lines = between(&old, &new, &before, &members("php", &[("10.0.0.1:9000", 1)]));
        assert_eq!(
            lines,
            [
                "pool php: + fpm4:9000, − 10.0.0.2:9000 (draining, 3 in flight), 10.0.0.1:9000 changed, queue changed"
            ]
        );
    }

    #[test]
    fn pools_listeners_and_sites_come_and_go() {
        let old = model(&format!("[pools.a]\nservers = [\"10.0.0.1:9000\"]\n{SITE}"));
        let new = model(&format!("[pools.b]\nservers = [\"10.0.0.1:9000\"]\n{}", SITE.replace(":80", ":81")));
        let lines = between(&old, &new, &members("a", &[("10.0.0.1:9000", 2)]), &Members::default());
        assert_eq!(
            lines,
            [
                "pool a: removed (draining, 2 in flight)",
                "pool b: new, 1 servers",
                "listeners: + 0.0.0.0:81, − 0.0.0.0:80",
                "sites: + 0.0.0.0:81, − 0.0.0.0:80",
            ]
        );
    }

    #[test]
    fn how_an_address_is_spoken_to_changes_at_once_and_its_sockets_at_the_next_start() {
        let (old, none) = (model(SITE), Members::default());
        let with =
            |key: &str| model(&SITE.replace("[\":80\"]", &format!("{{ address = \":80\", {key} = true }}")));
        assert_eq!(between(&old, &with("http2"), &none, &none), ["listener 0.0.0.0:80: changed"]);
        assert_eq!(not_now(&old, &with("http2")), [""; 0]);
        assert_eq!(between(&old, &with("reuseport"), &none, &none), [""; 0]);
        assert_eq!(not_now(&old, &with("reuseport")), ["reuseport"]);
    }

    #[test]
    fn the_same_text_is_no_change_and_another_route_is_one() {
        let text = format!("[server]\nthreads = 2\n[pools.php]\nservers = [\"fpm:9000\"]\n{SITE}");
        let (old, none) = (model(&text), Members::default());
        assert_eq!(between(&old, &model(&text), &none, &none), [""; 0]);
        let new = model(&text.replace("204", "404").replace("threads = 2", "threads = 3"));
        assert_eq!(between(&old, &new, &none, &none), ["site 0.0.0.0:80: changed"]);
        assert_eq!(not_now(&old, &new), ["server.threads"]);
    }
}
