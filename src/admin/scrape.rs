//! `/metrics`: what is counted on the way of requests, and what the pools know of themselves at this moment.

use std::sync::Arc;

use http::StatusCode;
use http::header::ACCEPT;
use http::request::Parts;

use super::refusal::{Answer, plain};
use crate::balance::{Limit, Standing};
use crate::metrics::{Format, Labels, Page, render};
use crate::site::Generation;
use crate::upstream::{Cluster, MemberStatus, PoolStatus};

/// The page, in the format that the reader asks for.
pub(super) fn page(generation: &Generation, parts: &Parts) -> Answer {
    let accept = parts.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted_by(accept);
    let metrics = generation.metrics().map(Arc::clone);
    let pools: Vec<_> = generation.clusters().iter().map(Cluster::status).collect();
    let buffered = generation.buffers().used();
    let text = render(format, move |page| {
        if let Some(metrics) = &metrics {
            metrics.write(page)?;
        }
        write_buffers(page, buffered)?;
        write_queues(page, &pools)?;
        write_states(page, &pools)?;
        write_members(page, &pools)?;
        write_reports(page, &pools)
    });
    plain(StatusCode::OK, format.content_type(), text)
}

/// What `buffers` bounds.
fn write_buffers(page: &mut Page<'_>, (memory, temp_files): (u64, u64)) -> std::fmt::Result {
    let used = [("memory", memory), ("temp_files", temp_files)];
    let help = "What waits for slow clients, of requests and replies";
    page.gauge(
        "cornac_buffers_bytes",
        help,
        used.map(|(of, bytes)| (vec![("in", of.to_owned())], bytes as f64)),
    )
}

fn write_queues(page: &mut Page<'_>, pools: &[PoolStatus]) -> std::fmt::Result {
    let each =
        |value: fn(&PoolStatus) -> usize| pools.iter().map(move |pool| (of_pool(pool), value(pool) as f64));
    page.gauge(
        "cornac_pool_queue_waiting",
        "Requests that wait for a worker",
        each(|pool| pool.queue.waiting),
    )?;
    page.gauge("cornac_pool_queue_size", "As many may wait", each(|pool| pool.queue.size))
}

fn write_states(page: &mut Page<'_>, pools: &[PoolStatus]) -> std::fmt::Result {
    let states = members(pools).flat_map(|(pool, member)| {
        Standing::WORDS.iter().map(move |&state| {
            let is_it = member.standing.word() == state;
            (labels(pool, member, &[("state", state)]), f64::from(u8::from(is_it)))
        })
    });
    page.gauge("cornac_member_state", "1 for the state that a member is in, 0 for the others", states)
}

fn write_members(page: &mut Page<'_>, pools: &[PoolStatus]) -> std::fmt::Result {
    let each = |value: fn(&MemberStatus) -> Option<f64>| {
        members(pools).filter_map(move |(pool, member)| Some((labels(pool, member, &[]), value(member)?)))
    };
    page.gauge(
        "cornac_member_in_flight",
        "Requests that it is answering",
        each(|member| Some(member.in_flight.into())),
    )?;
    let help = "As many requests at once it may have; nothing where there is no limit";
    page.gauge("cornac_member_limit", help, each(|member| limit(member.limit)))?;
    page.gauge(
        "cornac_member_weight",
        "Its share relative to the others",
        each(|member| Some(member.weight.into())),
    )?;
    let help = "Connections that wait for their next request";
    page.gauge("cornac_member_idle_connections", help, each(|member| Some(member.idle as f64)))?;
    let requests = members(pools).flat_map(|(pool, member)| {
        [("fresh", member.fresh), ("reused", member.reused)]
            .map(|(kind, count)| (labels(pool, member, &[("connection", kind)]), count as f64))
    });
    page.counter(
        "cornac_member_requests",
        "Requests sent to it, by the connection that they went on",
        requests,
    )?;
    let help = "How often it was taken out by failures";
    page.counter("cornac_member_ejections", help, each(|member| Some(member.counts.ejections as f64)))?;
    let help = "How often it came back from that";
    page.counter("cornac_member_returns", help, each(|member| Some(member.counts.returns as f64)))?;
    let help = "How often its php-fpm was started anew";
    page.counter("cornac_member_restarts", help, each(|member| Some(member.counts.restarts as f64)))
}

/// What the status pages say, of members that have one.
fn write_reports(page: &mut Page<'_>, pools: &[PoolStatus]) -> std::fmt::Result {
    let reports = || members(pools).filter_map(|(pool, member)| Some((pool, member, member.report?)));
    let workers = reports().flat_map(|(pool, member, report)| {
        [("active", report.active), ("idle", report.idle)]
            .map(|(state, count)| (labels(pool, member, &[("state", state)]), count.into()))
    });
    page.gauge("cornac_member_workers", "php-fpm's workers, by its status page", workers)?;
    let queue =
        reports().map(|(pool, member, report)| (labels(pool, member, &[]), report.listen_queue.into()));
    page.gauge("cornac_member_listen_queue", "Connections in php-fpm's backlog, by its status page", queue)
}

fn limit(limit: Limit) -> Option<f64> {
    match limit {
        Limit::Told(most) | Limit::Learnt(most) => Some(most.into()),
        Limit::Unlimited => None,
    }
}

fn members(pools: &[PoolStatus]) -> impl Iterator<Item = (&PoolStatus, &MemberStatus)> {
    pools.iter().flat_map(|pool| pool.members.iter().map(move |member| (pool, member)))
}

fn of_pool(pool: &PoolStatus) -> Labels {
    vec![("pool", pool.name.to_string())]
}

fn labels(pool: &PoolStatus, member: &MemberStatus, more: &[(&'static str, &str)]) -> Labels {
    let mut labels = of_pool(pool);
    labels.push(("member", member.address.to_string()));
    labels.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    labels
}
