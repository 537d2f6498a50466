//! From samples to what people and programs read: medians, spreads, and ratios of neighbours in time.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::args::Args;
use crate::contestant::{Contestant, binary};
use crate::findings::Findings;
use crate::rows::Row;
use crate::sample::Sample;
use crate::support::find_program;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.md");
const BEGIN: &str = "<!-- side_by_side: begin -->";
const END: &str = "<!-- side_by_side: end -->";

/// A smaller part of the processors' time, kept by the host, changes nothing that could be seen.
const WORTH_TELLING: f64 = 0.02;

/// Everything measured so far.
pub(crate) struct Report {
    machine: String,
    lines: Vec<String>,
    /// Of the rows with figures of their own.
    findings: Vec<String>,
    json: Vec<Value>,
}

impl Report {
    pub(crate) fn begin(args: &Args) -> Self {
        let machine = machine();
        println!("{machine}{}", if args.quick { "; quick: short rounds, wide spreads" } else { "" });
        println!("Each ratio is to the first of the row in the same round: median (lowest–highest).\n");
        Self { machine, lines: vec![], findings: vec![], json: vec![] }
    }

    /// Prints the row, and keeps it.
    pub(crate) fn add(&mut self, row: &Row, measured: Vec<(Contestant, Vec<Sample>)>) {
        let (first, reference) = &measured[0];
        println!("{}: {}", row.name, row.what);
        println!(
            "  {:<20} {:>12} {:>18} {:>9} {:>9} {:>9} {:>9} {:>8} {:>6} {:>7} {:>8}",
            "",
            if row.is_transfer() { "MB/s" } else { "requests/s" },
            if row.is_transfer() { "CPU µs/transfer" } else { "CPU µs/request" },
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "peak MiB",
            "errors",
            "stuck",
            "reuse",
            "goodput"
        );
        for (contestant, samples) in &measured {
            println!("  {}", figures(row, *contestant, samples));
        }
        // Who has no front end has no figures of one.
        let others = measured.iter().skip(1).filter(|(contestant, _)| *contestant != Contestant::Straight);
        for (contestant, samples) in others {
            let ratios = Ratios::of(samples, reference);
            println!("  {}", ratios.sentence(contestant.name(), first.name()));
            // The table of the document has one reference.
            if matches!(first, Contestant::Nginx(_)) {
                self.lines.push(ratios.table_line(row, *contestant, samples, reference));
            }
        }
        self.json.push(to_json(row, &measured));
    }

    /// Prints a row of figures with names of their own, and keeps it for programs.
    pub(crate) fn add_findings(&mut self, row: &Row, found: &[Findings]) {
        println!("{}: {}", row.name, row.what);
        for (place, (what, reference)) in found[0].all.iter().enumerate() {
            println!("  {what}");
            for findings in found {
                let (_, figures) = &findings.all[place];
                let (who, figure) = (findings.contestant.name(), beside(figures, reference));
                println!("    {who:<20} {figure}");
                self.findings.push(format!("| {} | {what} | {who} | {} |\n", row.name, figure.trim()));
            }
        }
        self.json.push(findings_to_json(row, found));
    }

    /// Ends the latest row with how much of the processors the machine's host kept for others, which no ratio takes out.
    pub(crate) fn add_stolen(&mut self, part: Option<f64>) {
        if let (Some(part), Some(row)) = (part, self.json.last_mut()) {
            row["stolen"] = json!(part);
            if part > WORTH_TELLING {
                println!("  the host kept {:.0} % of the processors' time for others", part * 100.0);
            }
        }
        println!();
    }

    pub(crate) fn finish(self, args: &Args) -> Result<(), String> {
        if let Some(path) = &args.json {
            let all = json!({ "machine": self.machine, "rows": self.json });
            std::fs::write(path, format!("{all:#}\n"))
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        if !args.write {
            return Ok(());
        }
        self.write_document(Path::new(DOCUMENT)).map_err(|error| format!("{DOCUMENT}: {error}"))
    }

    /// What stands between the markers is replaced.
    fn write_document(&self, path: &Path) -> std::io::Result<()> {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|_| format!("# Performance\n\n{BEGIN}\n{END}\n"));
        let (before, rest) = text.split_once(BEGIN).unwrap_or((&text, END));
        let (_, after) = rest.split_once(END).unwrap_or((rest, "\n"));
        let mut table = format!("{BEGIN}\n{}\n\n", self.machine);
        table += "| row | who | throughput ÷ nginx | CPU ÷ nginx | p99 ÷ nginx | CPU µs (nginx) | peak MiB (nginx) |\n";
        table += "|---|---|---|---|---|---|---|\n";
        self.lines.iter().for_each(|line| table += line);
        table += "\n| row | figure | who | median (lowest–highest) |\n|---|---|---|---|\n";
        self.findings.iter().for_each(|line| table += line);
        std::fs::write(path, format!("{before}{table}{END}{after}"))
    }
}

/// One contestant's medians.
fn figures(row: &Row, contestant: Contestant, samples: &[Sample]) -> String {
    let unit = if row.is_transfer() { 100.0 } else { 1.0 };
    let milliseconds = |time: fn(&Sample) -> Option<Duration>| {
        let times: Vec<f64> = samples.iter().filter_map(time).map(|time| time.as_secs_f64() * 1e3).collect();
        if times.is_empty() { "–".to_owned() } else { format!("{:.2}", Spread::of(times).median) }
    };
    let percent = |share: fn(&Sample) -> Option<f64>| {
        let shares: Vec<f64> = samples.iter().filter_map(share).collect();
        if shares.is_empty() {
            "–".to_owned()
        } else {
            format!("{:.1} %", Spread::of(shares).median * 100.0)
        }
    };
    let (reuse, goodput) = (percent(|sample| sample.reuse), percent(|sample| sample.goodput));
    let stuck: Vec<f64> = samples.iter().filter_map(|sample| sample.stuck).collect();
    let stuck = if stuck.is_empty() { "–".to_owned() } else { format!("{:.0}", Spread::of(stuck).median) };
    let cpu = Spread::of(samples.iter().map(|sample| sample.cpu_us));
    let cpu = match contestant {
        Contestant::Straight => "–".to_owned(),
        _ => format!("{:.1} ±{:>3.0} %", cpu.median, cpu.half_width_percent()),
    };
    let errors: u64 = samples.iter().map(|sample| sample.errors).sum();
    format!(
        "{:<20} {:>12.0} {cpu:>18} {:>9} {:>9} {:>9} {:>9.1} {errors:>8} {stuck:>6} {reuse:>7} {goodput:>8}",
        contestant.name(),
        Spread::of(samples.iter().map(|sample| sample.rate)).median * unit,
        milliseconds(|sample| sample.p50),
        milliseconds(|sample| sample.p99),
        milliseconds(|sample| sample.p999),
        peak_mib(samples),
    )
}

fn peak_mib(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.peak_kib).max().unwrap_or(0) as f64 / 1024.0
}

/// One contestant against the reference, round by round.
struct Ratios {
    throughput: Spread,
    cpu: Spread,
    p99: Option<Spread>,
}

impl Ratios {
    fn of(samples: &[Sample], reference: &[Sample]) -> Self {
        let pairs = || samples.iter().zip(reference);
        let p99 = |sample: &Sample| sample.p99.map(|time| time.as_secs_f64());
        let p99s: Vec<f64> = pairs().filter_map(|(ours, theirs)| Some(p99(ours)? / p99(theirs)?)).collect();
        Self {
            throughput: Spread::of(pairs().map(|(ours, theirs)| ours.rate / theirs.rate)),
            cpu: Spread::of(pairs().map(|(ours, theirs)| ours.cpu_us / theirs.cpu_us)),
            p99: (!p99s.is_empty()).then(|| Spread::of(p99s)),
        }
    }

    fn sentence(&self, name: &str, reference: &str) -> String {
        let p99 = self.p99.as_ref().map(|p99| format!(", p99 {p99}")).unwrap_or_default();
        format!("{name} ÷ {reference}: throughput {}, CPU {}{p99}", self.throughput, self.cpu)
    }

    fn table_line(
        &self,
        row: &Row,
        contestant: Contestant,
        samples: &[Sample],
        reference: &[Sample],
    ) -> String {
        let cpu = |samples: &[Sample]| Spread::of(samples.iter().map(|sample| sample.cpu_us)).median;
        let mut line =
            format!("| {} | {} | {} | {} |", row.name, contestant.name(), self.throughput, self.cpu);
        let p99 = self.p99.as_ref().map_or("–".to_owned(), ToString::to_string);
        let _ = writeln!(
            line,
            " {p99} | {:.1} ({:.1}) | {:.1} ({:.1}) |",
            cpu(samples),
            cpu(reference),
            peak_mib(samples),
            peak_mib(reference)
        );
        line
    }
}

/// The middle and the ends of some figures.
#[derive(Clone, Copy, Debug)]
struct Spread {
    median: f64,
    lowest: f64,
    highest: f64,
}

impl Spread {
    /// There is at least one: every contestant has at least one round.
    fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        };
        Self { median, lowest: sorted[0], highest: sorted[sorted.len() - 1] }
    }

    fn half_width_percent(self) -> f64 {
        (self.highest - self.lowest) / 2.0 / self.median * 100.0
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} ({:.2}–{:.2})", self.median, self.lowest, self.highest)
    }
}

fn to_json(row: &Row, measured: &[(Contestant, Vec<Sample>)]) -> Value {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let sample = |sample: &Sample| {
        json!({
            "rate_per_second": sample.rate,
            "cpu_us": sample.cpu_us,
            "p50_seconds": seconds(sample.p50),
            "p99_seconds": seconds(sample.p99),
            "p999_seconds": seconds(sample.p999),
            "peak_rss_kib": sample.peak_kib,
            "errors": sample.errors,
            "stuck": sample.stuck,
            "reuse": sample.reuse,
            "goodput": sample.goodput,
        })
    };
    let contestants = measured.iter().map(|(contestant, samples)| {
        let samples: Vec<Value> = samples.iter().map(sample).collect();
        json!({ "name": contestant.name(), "samples": samples })
    });
    json!({ "name": row.name, "what": row.what, "contestants": contestants.collect::<Vec<_>>() })
}

/// Figures, and how they compare to the reference's where that is no zero and not themselves.
fn beside(figures: &[f64], reference: &[f64]) -> String {
    let own = Spread::of(figures.iter().copied());
    if figures == reference || reference.contains(&0.0) {
        return own.to_string();
    }
    let ratio = Spread::of(figures.iter().zip(reference).map(|(figure, reference)| figure / reference));
    format!("{:<28} ÷ first: {ratio}", own.to_string())
}

fn findings_to_json(row: &Row, found: &[Findings]) -> Value {
    let contestants = found.iter().map(|findings| {
        let all: serde_json::Map<_, _> =
            findings.all.iter().map(|(what, figures)| ((*what).to_owned(), json!(figures))).collect();
        json!({ "name": findings.contestant.name(), "findings": all })
    });
    json!({ "name": row.name, "what": row.what, "contestants": contestants.collect::<Vec<_>>() })
}

/// What the figures were measured on and with.
fn machine() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cores} × {}, Linux {}; {}; {}; {}; {}",
        model.trim_start_matches([' ', '\t', ':']),
        kernel.trim(),
        version(&binary(), "--version"),
        find_program(&["nginx"]).map_or_else(String::new, |nginx| version(&nginx, "-v")),
        find_program(&["wrk"]).map_or_else(String::new, |wrk| version(&wrk, "--version")),
        find_program(&["haproxy"]).map_or_else(String::new, |haproxy| version(&haproxy, "-v")),
    )
}

fn version(program: &Path, flag: &str) -> String {
    let Ok(output) = Command::new(program).arg(flag).output() else { return String::new() };
    let said = [output.stdout, output.stderr].concat();
    let first = String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned();
    first.replace("nginx version: ", "").split(" [").next().unwrap_or_default().to_owned()
}
