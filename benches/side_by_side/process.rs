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
