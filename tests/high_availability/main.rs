//! Two cornacs with keepalived and the files of `config/`, in network namespaces with a switch between them: one dies, or its cable is
//! pulled, and the address moves. It needs root and keepalived, so it runs by `make test-ha` only.
#![allow(clippy::print_stdout, reason = "the sums are what one runs this for")]
#![allow(unreachable_pub, reason = "a test's modules are private to it; `pub` is what they offer each other")]

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod network;
mod node;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clients::{Clients, Sums};
use network::Network;
use node::{Node, Php, php};
use support::wait_until;

/// config/keepalived.conf has it.
const ADDRESS: &str = "192.0.2.100";
const SOON: Duration = Duration::from_secs(30);

struct Pair {
    network: Network,
    nodes: [Node; 2],
    _php: [Php; 2],
}

impl Pair {
    fn start() -> Self {
        let mut network = Network::new();
        let php = ["192.0.2.11", "192.0.2.12"].map(|address| php(network.host(address)));
        let nodes = ["192.0.2.1", "192.0.2.2"].map(|address| Node::start(network.host(address)));
        network.host("192.0.2.20");
        Self { network, nodes, _php: php }
    }

    /// The one that has the address. Both may for a moment, and neither for a longer one.
    fn master(&self) -> Option<usize> {
        let has = [0, 1].map(|index| self.nodes[index].host().has(ADDRESS));
        match has {
            [true, false] => Some(0),
            [false, true] => Some(1),
            _ => None,
        }
    }

    fn wait_for_master(&self, wanted: Option<usize>) -> usize {
        let is_there = || self.master().is_some_and(|master| wanted.is_none_or(|wanted| master == wanted));
        let log = || self.nodes.iter().map(Node::log).collect::<Vec<_>>().join("\n---\n");
        assert!(
            wait_until(SOON, is_there),
            "the address is at {:?}, not at {wanted:?}:\n{}",
            self.master(),
            log()
        );
        self.master().expect("somebody has it")
    }

    fn clients(&self) -> Clients {
        let site = SocketAddr::new(ADDRESS.parse().expect("an address"), 80);
        let clients = Clients::start(&self.network.by_address("192.0.2.20"), site);
        clients.wait_for(100);
        clients
    }

    /// Something happens to the master under load, and the other one takes over.
    fn lose(&mut self, what: &str, how: impl FnOnce(&mut Node)) -> Sums {
        let master = self.wait_for_master(None);
        let other = &self.nodes[1 - master];
        assert!(wait_until(SOON, || other.is_fit()), "nobody can take over: {}", other.log());
        let clients = self.clients();
        let lost = Instant::now();
        how(&mut self.nodes[master]);
        self.wait_for_master(Some(1 - master));
        let moved = lost.elapsed();
        clients.wait_for(200);
        let sums = clients.stop();
        println!("{what}: {sums}; the other one had the address after {:.2} s", moved.as_secs_f64());
        sums
    }
}

#[test]
#[ignore = "needs root and keepalived: make test-ha"]
fn the_address_moves_when_cornac_dies_and_when_its_cable_is_pulled() {
    let mut pair = Pair::start();
    for round in 1..=2 {
        let master = pair.wait_for_master(None);
        pair.lose(&format!("kill -9 of cornac, round {round}"), Node::kill_cornac).assert_only_a_gap();
        pair.nodes[master].start_cornac();
        pair.lose(&format!("cable pulled, round {round}"), Node::pull_the_cable).assert_only_a_gap();
        pair.nodes[1 - master].plug_in();
    }
}

#[test]
#[ignore = "needs root and keepalived: make test-ha"]
fn a_graceful_stop_costs_only_the_requests_that_are_on_their_way_when_the_address_moves() {
    let mut pair = Pair::start();
    for round in 1..=2 {
        let master = pair.wait_for_master(None);
        pair.lose(&format!("cornac is stopped gracefully, round {round}"), Node::begin_to_stop)
            .assert_only_those_on_their_way();
        pair.nodes[master].wait_for_the_end();
        pair.nodes[master].start_cornac();
    }
}
