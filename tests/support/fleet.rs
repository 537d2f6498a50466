//! Php-fpms that a pool is told of while it runs, and the way that every source must stand: scaled under load.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::child::wait_until;
use super::{Answer, Cornac, Fpm, Load, Port, Tp, free_port};

/// Php-fpms on one port of several addresses of this machine: as many containers have them.
#[derive(Debug)]
pub struct Fleet {
    pub members: Vec<Fpm>,
    pub port: Port,
}

impl Fleet {
    pub fn start<const N: usize>(names: [&str; N]) -> Self {
        let port = free_port();
        let at = |(name, last): (&str, u8)| {
            let address = SocketAddr::from((ip(last), port.number()));
            Fpm::builder(name).global("process_control_timeout", "60s").at(address).start()
        };
        let members = names.into_iter().zip(2..).map(at).collect();
        Self { members, port }
    }

    pub fn server(&self, index: usize) -> String {
        self.members[index].server()
    }

    pub fn runs(&self) -> Vec<u64> {
        self.members.iter().map(|fpm| fpm.count("runs")).collect()
    }

    /// The address of each, without its port.
    pub fn ip(index: usize) -> Ipv4Addr {
        ip(index as u8 + 2)
    }

    /// Three members, then five, then the two new ones, told by whatever `tell` is; those who are gone are stopped.
    pub fn scales_without_a_failed_request(&mut self, cornac: &Cornac, tell: impl Fn(&[usize], &Self)) {
        let fleet = self;
        for index in 0..3 {
            cornac.wait_for_log(&format!("+ {} (", fleet.server(index)));
        }
        let load = load(cornac);
        load.wait_for(60);
        assert_eq!(fleet.runs()[3..], [0, 0]);

        let told = Instant::now();
        tell(&[0, 1, 2, 3, 4], fleet);
        let served = || fleet.runs()[3..].iter().all(|&runs| runs > 0);
        assert!(wait_until(Duration::from_secs(20), served), "{:?}\n{}", fleet.runs(), cornac.log());
        eprintln!("new members had their first request after {:.2} s", told.elapsed().as_secs_f64());

        tell(&[3, 4], fleet);
        for index in 0..3 {
            cornac.wait_for_log(&format!("− {} (draining", fleet.server(index)));
        }
        fleet.members[..3].iter_mut().for_each(Fpm::stop);
        load.wait_for(100);
        let answers = load.stop();
        Answer::all_are_200(&answers);
        assert_eq!(fleet.runs().iter().sum::<u64>(), answers.len() as u64, "each ran once");
        eprintln!("{} requests sent, {} answered, 0 failed", answers.len(), answers.len());
    }
}

/// A pool that lives on its sources alone.
pub fn told_by(discover: &str) -> Tp {
    Tp::with_servers(vec![]).pool(&format!("discover = [{discover}]"))
}

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

fn load(cornac: &Cornac) -> Load {
    Load::start(cornac.address(), 6, |client, request| match (client + request) % 4 {
        0 => "POST /json?count=runs".to_owned(),
        part => format!("/sleep/{part}?count=runs"),
    })
}
