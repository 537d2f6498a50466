//! What the kernel knows of this process, under the names that every Prometheus client library uses. Where there is no /proc
//! there is nothing to tell.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::page::Page;

/// `/proc/self/stat`, the fields that are asked for (proc_pid_stat(5)).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: f64,
    threads: f64,
    started_ticks: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

impl Stat {
    /// The second field is the program's name in parentheses, and may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
        // The first of these is field 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            started_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

pub(super) fn write(page: &mut Page<'_>) -> std::fmt::Result {
    let one = |value: f64| [(vec![], value)];
    if let Some(open) = open_fds() {
        page.gauge("process_open_fds", "Open files and sockets", one(open))?;
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        page.gauge("process_max_fds", "As many may be open", one(most as f64))?;
    }
    let Some(stat) = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::parse(&text)) else {
        return Ok(());
    };
    let ticks = clock_ticks_per_second() as f64;
    page.counter("process_cpu_seconds", "CPU time, user and system", one(stat.cpu_ticks / ticks))?;
    page.gauge("process_threads", "Threads", one(stat.threads))?;
    page.gauge("process_virtual_memory_bytes", "Virtual memory", one(stat.virtual_bytes))?;
    let resident = stat.resident_pages * page_size() as f64;
    page.gauge("process_resident_memory_bytes", "Resident memory", one(resident))?;
    if let Some(boot) = boot_time() {
        let started = boot + stat.started_ticks / ticks;
        page.gauge("process_start_time_seconds", "When it was started, in seconds since 1970", one(started))?;
    }
    Ok(())
}

/// Without the one that counts them.
fn open_fds() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

/// When the machine was started, in seconds since 1970.
fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let text = "12 (a) b (c) S 1 12 12 0 -1 4194560 100 0 0 0 7 3 0 0 20 0 5 0 4711 1048576 256 18446744073709551615";
        let expected = Stat {
            cpu_ticks: 10.0,
            threads: 5.0,
            started_ticks: 4711.0,
            virtual_bytes: 1_048_576.0,
            resident_pages: 256.0,
        };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("nonsense"), None);
    }
}
