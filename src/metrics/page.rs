//! The text that Prometheus reads: families of numbers, one after another, in either of its two text formats.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::histogram::Total;

/// Names and values.
pub type Labels = Vec<(&'static str, String)>;

/// What the reader understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own, version 0.0.4: what everybody reads.
    Classic,
    /// OpenMetrics 1.0, for who asks for it.
    OpenMetrics,
}

impl Format {
    /// By what a reader says that it accepts.
    pub fn accepted_by(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Classic,
        }
    }

    /// Its `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A page that is being written.
#[derive(Debug)]
pub struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    /// A family of counters. `name` is without its `_total`.
    pub fn counter(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            match labels.is_empty() {
                true => family.encode_counter::<Labels, _, f64>(&value, None)?,
                false => family.encode_family(&labels)?.encode_counter::<Labels, _, f64>(&value, None)?,
            }
        }
        Ok(())
    }

    /// A family of gauges.
    pub fn gauge(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            match labels.is_empty() {
                true => family.encode_gauge(&value)?,
                false => family.encode_family(&labels)?.encode_gauge(&value)?,
            }
        }
        Ok(())
    }

    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels, Total)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, Total { sum, count, buckets }) in rows {
            family.encode_family(&labels)?.encode_histogram::<Labels>(sum, count, &buckets, None)?;
        }
        Ok(())
    }
}

/// Writes a page.
pub fn render(
    format: Format,
    write: impl Fn(&mut Page<'_>) -> fmt::Result + Send + Sync + 'static,
) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Source(write)));
    let mut written = String::new();
    text::encode(&mut written, &registry).expect("a String takes everything");
    match format {
        Format::Classic => classic(&written),
        Format::OpenMetrics => written,
    }
}

struct Source<F>(F);

impl<F> fmt::Debug for Source<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl<F: Fn(&mut Page<'_>) -> fmt::Result + Send + Sync + 'static> Collector for Source<F> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)(&mut Page(encoder))
    }
}

/// The older format names a family of counters with its `_total`, where OpenMetrics has it without, and knows no end.
fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" {
            continue;
        }
        let kind = lines.peek().copied().filter(|_| line.starts_with("# HELP ")).unwrap_or(line);
        let is_counters = kind.strip_prefix("# TYPE ").is_some_and(|kind| kind.ends_with(" counter"));
        match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
            ["#", what, name, rest] if is_counters => text.push_str(&format!("# {what} {name}_total {rest}")),
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(format: Format) -> String {
        render(format, |page| {
            let labels = |pool: &str| vec![("pool", pool.to_owned())];
            page.counter("c", "Counts", [(labels("a"), 1.0), (labels("q\"\\\n"), 2.5)])?;
            page.gauge("g", "Gauges", [(vec![], 3.0)])
        })
    }

    #[test]
    fn open_metrics_has_the_total_at_the_number_and_an_end() {
        let expected = "# HELP c Counts\n# TYPE c counter\nc_total{pool=\"a\"} 1.0\nc_total{pool=\"q\\\"\\\\\\n\"} 2.5\n\
                        # HELP g Gauges\n# TYPE g gauge\ng 3.0\n# EOF\n";
        assert_eq!(page(Format::OpenMetrics), expected);
    }

    #[test]
    fn the_classic_format_has_the_total_everywhere_and_no_end() {
        let expected = "# HELP c_total Counts\n# TYPE c_total counter\nc_total{pool=\"a\"} 1.0\nc_total{pool=\"q\\\"\\\\\\n\"} 2.5\n\
                        # HELP g Gauges\n# TYPE g gauge\ng 3.0\n";
        assert_eq!(page(Format::Classic), expected);
    }

    #[test]
    fn open_metrics_is_for_who_asks_for_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        assert_eq!(Format::accepted_by(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted_by("*/*"), Format::Classic);
    }
}
