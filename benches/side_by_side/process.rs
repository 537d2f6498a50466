//! What the kernel says about a process and its workers: processor time and memory.

use std::fs;
use std::time::Duration;

use crate::support::worker_pids;

/// USER_HZ: the unit of times in /proc, 100 on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of the process and its children so far.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    with_children(pid).into_iter().map(own_cpu_time).sum()
}

/// The most resident memory that the process and each of its children ever had, added up, in KiB.
pub(crate) fn peak_kib(pid: u32) -> u64 {
    with_children(pid).into_iter().filter_map(|pid| kib(pid, "status", "VmHWM:")).sum()
}

/// The process, its children and theirs.
pub(crate) fn with_children(pid: u32) -> Vec<u32> {
    let mut pids = vec![pid];
    pids.extend(worker_pids(pid).into_iter().flat_map(with_children));
    pids
}

fn own_cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field is the name in brackets, which may hold anything; utime and stime are the 14th and 15th.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok());
    TICK * ticks.sum::<u32>()
}

/// Resident memory now, of the process and its children: what they share counts for each.
pub(crate) fn rss_kib(pid: u32) -> u64 {
    with_children(pid).into_iter().filter_map(|pid| kib(pid, "status", "VmRSS:")).sum()
}

/// The same with what is shared divided among those who share it.
pub(crate) fn pss_kib(pid: u32) -> u64 {
    with_children(pid).into_iter().filter_map(|pid| kib(pid, "smaps_rollup", "Pss:")).sum()
}

fn kib(pid: u32, file: &str, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// TCP connections that this machine opened so far (RFC 4022 tcpActiveOpens): clients' and upstreams' alike.
pub(crate) fn tcp_opens() -> Option<u64> {
    let snmp = fs::read_to_string("/proc/net/snmp").ok()?;
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let column = lines.next()?.split_whitespace().position(|name| name == "ActiveOpens")?;
    lines.next()?.split_whitespace().nth(column)?.parse().ok()
}

/// What all processors of the machine did so far, in ticks (proc(5), `/proc/stat`).
#[derive(Clone, Copy)]
pub(crate) struct Processors {
    all: u64,
    stolen: u64,
}

impl Processors {
    pub(crate) fn so_far() -> Option<Self> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let ticks = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        // user, nice, system, idle, iowait, irq, softirq, steal; what guests had is in the first two.
        let ticks: Vec<u64> = ticks.take(8).map_while(|ticks| ticks.parse().ok()).collect();
        Some(Self { all: ticks.iter().sum(), stolen: *ticks.get(7)? })
    }

    /// The part that the host of a virtual machine kept from it since then: it comes back as latency.
    pub(crate) fn stolen_since(before: Self) -> Option<f64> {
        let now = Self::so_far()?;
        let all = now.all.checked_sub(before.all).filter(|all| *all > 0)?;
        Some(now.stolen.saturating_sub(before.stolen) as f64 / all as f64)
    }
}
