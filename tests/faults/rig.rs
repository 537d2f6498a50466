//! One cell's servers: the victim, the others, a cornac that knows how many requests each takes, and names where a row needs them.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;

use super::support::{Cornac, Fpm, FpmBuilder, Hosts, Scripted, Tp, free_port};
use super::table::{Row, Victim};

/// The member that the fault strikes.
#[derive(Debug)]
pub enum Member {
    Php(Box<Fpm>),
    Scripted(Scripted),
}

/// The fields end in their order: cornac first.
#[derive(Debug)]
pub struct Rig {
    pub cornac: Cornac,
    pub victim: Member,
    pub others: Vec<Fpm>,
    pub hosts: Option<Hosts>,
    /// Processes that are stopped at the moment.
    pub stopped: Vec<u32>,
    /// Connections that fill the victim's backlog.
    pub fillers: Vec<UnixStream>,
}

impl Rig {
    pub fn start(row: &Row) -> Self {
        let rig = Self::of(row);
        // The last of what is said at the start.
        rig.cornac.wait_for_log(" pool pool=");
        rig
    }

    fn of(row: &Row) -> Self {
        match row.victim {
            Victim::Php(build) => {
                let fpm = build(one_worker("victim")).start();
                Self::beside(row, Member::Php(Box::new(fpm)))
            }
            Victim::Scripted => Self::beside(row, Member::Scripted(Scripted::start("victim"))),
            Victim::Named => Self::named(row),
        }
    }

    /// The victim is asked first, as long as it has a slot.
    fn beside(row: &Row, victim: Member) -> Self {
        let other = one_worker("other").start();
        let server = |address: &str, weight| {
            format!("{{ address = \"{address}\", weight = {weight}, max_conns = 1 }}")
        };
        let servers = vec![server(&victim.server(), 100), server(&other.server(), 1)];
        let cornac = site(row, servers).start();
        Self { cornac, victim, others: vec![other], hosts: None, stopped: vec![], fillers: vec![] }
    }

    /// The victim has the lowest address, which is asked first.
    fn named(row: &Row) -> Self {
        let port = free_port();
        let address = |last| SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), port.number()));
        let addresses: Vec<_> = (2..=6).map(address).collect();
        let fpm = |name: &str, index: usize| one_worker(name).at(addresses[index]).start();
        let victim = Member::Php(Box::new(fpm("victim", 0)));
        let others = (1..5).map(|index| fpm("other", index)).collect();
        let hosts = Hosts::of(addresses);
        hosts.lead_to(super::inject::first_addresses(row.strike));
        let servers = vec![format!("{{ address = \"{}:{}\", max_conns = 1 }}", Hosts::NAME, port.number())];
        let tp = site(row, servers).pool("resolve = \"20ms\"");
        let cornac = Cornac::with_hosts(hosts.file(), |listen| tp.toml(listen));
        cornac.wait_for_log("pool php: + ");
        Self { cornac, victim, others, hosts: Some(hosts), stopped: vec![], fillers: vec![] }
    }

    /// How often the script ran under this name: on the victim, on all others.
    pub fn runs(&self, name: &str) -> (u64, u64) {
        (self.victim.count(name), self.others.iter().map(|other| other.count(name)).sum())
    }

    pub fn open_others(&self, gate: &str) {
        self.others.iter().for_each(|other| other.open_gate(gate));
    }

    /// The victim as a php-fpm.
    pub fn fpm(&mut self) -> &mut Fpm {
        match &mut self.victim {
            Member::Php(fpm) => fpm,
            Member::Scripted(_) => panic!("a row of php-fpm"),
        }
    }

    /// Members' addresses as the log has them, and how the table calls them.
    pub fn names(&self) -> Vec<(String, &'static str)> {
        let mut names = vec![(self.victim.server(), "victim")];
        names.extend(self.others.iter().map(|other| (other.server(), "other")));
        names
    }
}

impl Member {
    pub fn server(&self) -> String {
        match self {
            Self::Php(fpm) => fpm.server(),
            Self::Scripted(scripted) => scripted.server(),
        }
    }

    pub fn count(&self, name: &str) -> u64 {
        match self {
            Self::Php(fpm) => fpm.count(name),
            Self::Scripted(scripted) => scripted.count(name),
        }
    }

    pub fn wait_for_count(&self, name: &str, runs: u64) {
        match self {
            Self::Php(fpm) => fpm.wait_for_count(name, runs),
            Self::Scripted(scripted) => scripted.wait_for_count(name, runs),
        }
    }

    pub fn open_gate(&self, gate: &str) {
        match self {
            Self::Php(fpm) => fpm.open_gate(gate),
            Self::Scripted(scripted) => scripted.open_gate(gate),
        }
    }
}

/// The script begins before the body is there, so that an upload can be seen to be on its way.
fn one_worker(name: &str) -> FpmBuilder {
    Fpm::builder(name).workers(1).ini("enable_post_data_reading", "off")
}

/// One thread, so that what was sent first is seen first. Only the request that is watched may be impatient.
fn site(row: &Row, servers: Vec<String>) -> Tp {
    let timeouts = match row.impatient {
        true => "timeouts = { first_byte = \"2s\", between_reads = \"2s\" }\n",
        false => "",
    };
    let route = |path: &str, more: &str| {
        format!(
            "[[sites.routes]]\nmatch = '~ ^/index\\.php/gate/cell{path}'\nfastcgi = \"php\"\n{more}{timeouts}"
        )
    };
    Tp::with_servers(servers)
        .server("threads = 1")
        .pool("policy = \"round_robin\"\nqueue = { timeout = \"15s\" }")
        .pool(row.pool)
        .more(&route("/up", "buffering = false\n"))
        .more(&route("", ""))
}
