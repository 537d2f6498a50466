//! Who is known from whom, and who is seated by that.
//!
//! Every source's latest list is kept. An address that several tell of is one member, on the terms of the first. What a
//! source cannot tell changes nothing. When all sources together would leave nobody, those who flap are taken all the same, and
//! then those who were known last: a wrong list must not stop a site, and a member that is really gone costs a refused connection.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::found::{Found, Origin, Report};
use super::trouble::Trouble;
use crate::balance::{Change, Flapping, Tier};
use crate::config::model::{Pool, Terms};
use crate::upstream::Endpoint;
use crate::upstream::member::{Member, Seat};

/// All members of a pool by their sources: `servers` in their order, then `discover`.
#[derive(Debug, Clone)]
pub(crate) struct Roster {
    entries: Vec<Entry>,
    /// Who was told of when it was last composed.
    listed: HashSet<Endpoint>,
    flapping: HashMap<Endpoint, Flapping>,
}

/// A source, and what is known from it.
#[derive(Debug, Clone)]
struct Entry {
    origin: Origin,
    terms: Terms,
    known: Known,
}

#[derive(Debug, Clone, Default)]
struct Known {
    /// Nothing was heard yet.
    pending: bool,
    /// The latest list.
    told: Vec<Found>,
    /// The latest that was not empty.
    last_good: Vec<Found>,
    /// What the latest report said instead of a list.
    trouble: Option<String>,
    /// Its list is empty, and its members are kept.
    clings: bool,
    /// Its first list is not seated yet: who is in it has been there from the start as far as anybody knows.
    is_start: bool,
}

/// A source at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// As the log names it.
    pub source: String,
    /// How many members it told of last.
    pub members: usize,
    /// Why it cannot tell now.
    pub trouble: Option<String>,
}

/// Who is to sit where, and what to say of it.
#[derive(Debug)]
pub(super) struct Roll {
    pub(super) seats: Vec<Placed>,
    /// Who flaps, and until when he waits.
    pub(super) held: Vec<(Endpoint, Instant)>,
}

#[derive(Debug)]
pub(super) struct Placed {
    pub(super) seat: Seat,
    pub(super) origin: Origin,
    /// Known by the first word of its source.
    pub(super) is_start: bool,
}

impl Roster {
    /// What `before` knew of a source that is still there is taken over.
    pub(crate) fn new(pool: &Pool, before: Option<&Self>) -> Self {
        let servers = pool.servers.iter().map(|spec| (Origin::from(&spec.endpoint), spec.terms()));
        let discover = pool.discover.iter().map(|told| (Origin::Told(told.source.clone()), told.terms));
        let known = |origin: &Origin| {
            let entry = before?.entries.iter().find(|entry| entry.origin == *origin)?;
            Some(entry.known.clone())
        };
        let entry = |(origin, terms)| {
            let known = known(&origin).unwrap_or_else(|| Known::first(&origin));
            Entry { origin, terms, known }
        };
        let entries = servers.chain(discover).map(entry).collect();
        let (listed, flapping) =
            before.map_or_else(Default::default, |before| (before.listed.clone(), before.flapping.clone()));
        Self { entries, listed, flapping }
    }

    /// The sources that can tell anything new, each with its place.
    pub(super) fn sources(&self) -> Vec<(usize, Origin)> {
        let origins = self.entries.iter().map(|entry| &entry.origin).enumerate();
        let tells = |(_, origin): &(usize, &Origin)| !matches!(origin, Origin::Written(_));
        origins.filter(tells).map(|(place, origin)| (place, origin.clone())).collect()
    }

    pub(crate) fn has_sources(&self) -> bool {
        !self.sources().is_empty()
    }

    /// The sources as an operator sees them.
    pub(crate) fn status(&self) -> Vec<SourceStatus> {
        let status = |Entry { origin, known, .. }: &Entry| SourceStatus {
            source: origin.to_string(),
            members: known.told.len(),
            trouble: known.trouble.clone(),
        };
        let told = self.entries.iter().filter(|entry| !matches!(entry.origin, Origin::Written(_)));
        told.map(status).collect()
    }

    /// Whether some source was not heard yet.
    pub(crate) fn has_pending(&self) -> bool {
        self.entries.iter().any(|entry| entry.known.pending)
    }

    /// Takes in what the source at this place tells. What it changes, if anything.
    pub(super) fn hear(&mut self, place: usize, report: Report, pool: &str) -> Option<Change> {
        let Entry { origin, known, .. } = &mut self.entries[place];
        let was_pending = std::mem::take(&mut known.pending);
        known.say(&report, origin, pool);
        let Ok(mut list) = report else {
            known.is_start = false;
            // Who waited for it waits no longer.
            return was_pending.then_some(Change::Arrivals);
        };
        list.sort_unstable();
        list.dedup_by(|one, other| one.endpoint == other.endpoint);
        let change = match known.told == list {
            true => was_pending.then_some(Change::Arrivals),
            false if known.told.iter().all(|before| list.contains(before)) => Some(Change::Arrivals),
            false => Some(Change::Other),
        };
        if !list.is_empty() {
            known.last_good.clone_from(&list);
        }
        known.told = list;
        change
    }

    /// The seats as things are known now. Those of `present` that stay are the same.
    pub(crate) fn seats(&mut self, present: &[Arc<Member>], now: Instant) -> Vec<Seat> {
        self.compose(present, now).seats.into_iter().map(|placed| placed.seat).collect()
    }

    /// The same, with what there is to say.
    pub(super) fn compose(&mut self, present: &[Arc<Member>], now: Instant) -> Roll {
        let told = self.candidates(|known| &known.told);
        self.watch_for_flapping(&told, now);
        let wait =
            |found: &Found| self.flapping.get(&found.endpoint).and_then(|flaps| flaps.waits_until(now));
        let held: Vec<_> =
            told.iter().filter_map(|(_, found)| Some((found.endpoint.clone(), wait(found)?))).collect();
        let free: Vec<_> = told.iter().filter(|(_, found)| wait(found).is_none()).cloned().collect();
        let (chosen, held) = match (self.is_anybody(&free), self.is_anybody(&told)) {
            (true, _) => (free, held),
            (false, true) => (told, Vec::new()),
            (false, false) => (self.candidates(|known| &known.last_good), Vec::new()),
        };
        let seats = chosen.into_iter().map(|(place, found)| self.place(place, found, present)).collect();
        Roll { seats, held }
    }

    /// The first lists are seated.
    pub(super) fn is_seated(&mut self) {
        for known in self.entries.iter_mut().map(|entry| &mut entry.known) {
            known.is_start &= known.pending;
        }
    }

    /// Which sources keep those whom they do not tell of any more, and which do so no longer.
    pub(super) fn clinging(&mut self, seats: &[Placed]) -> Vec<(Origin, bool)> {
        let mut news = Vec::new();
        for Entry { origin, known, .. } in &mut self.entries {
            let has_seats = seats.iter().any(|placed| placed.origin == *origin);
            let clings = known.told.is_empty() && has_seats;
            if std::mem::replace(&mut known.clings, clings) != clings {
                news.push((origin.clone(), clings));
            }
        }
        news
    }

    /// Every address once, with the place of the first source that tells of it.
    fn candidates(&self, list: fn(&Known) -> &Vec<Found>) -> Vec<(usize, Found)> {
        let mut seen = HashSet::new();
        let all = self.entries.iter().enumerate();
        let all = all.flat_map(|(place, entry)| list(&entry.known).iter().map(move |found| (place, found)));
        all.filter(|(_, found)| seen.insert(&found.endpoint))
            .map(|(place, found)| (place, found.clone()))
            .collect()
    }

    fn is_anybody(&self, candidates: &[(usize, Found)]) -> bool {
        candidates.iter().any(|&(place, _)| !self.entries[place].terms.down)
    }

    fn watch_for_flapping(&mut self, told: &[(usize, Found)], now: Instant) {
        let listed: HashSet<_> = told.iter().map(|(_, found)| found.endpoint.clone()).collect();
        for gone in self.listed.difference(&listed) {
            self.flapping.entry(gone.clone()).or_default().is_gone(now);
        }
        self.flapping.retain(|endpoint, flaps| {
            if listed.contains(endpoint) {
                flaps.is_there(now);
            }
            !flaps.is_forgotten(now)
        });
        self.listed = listed;
    }

    fn place(&self, place: usize, found: Found, present: &[Arc<Member>]) -> Placed {
        let Entry { origin, terms, known } = &self.entries[place];
        let member = present.iter().find(|member| *member.endpoint() == found.endpoint).cloned();
        let seat = Seat {
            member: member.unwrap_or_else(|| Member::new(found.endpoint)),
            weight: found.weight.unwrap_or(terms.weight),
            max_conns: terms.max_conns,
            rules: terms.rules,
            slow_start: terms.slow_start,
            tier: if found.backup == Some(true) { Tier::Backup } else { terms.tier },
            down: terms.down,
        };
        Placed { seat, origin: origin.clone(), is_start: known.is_start }
    }
}

impl Known {
    fn first(origin: &Origin) -> Self {
        match origin {
            Origin::Written(endpoint) => {
                let told = vec![Found::from(endpoint.clone())];
                Self { last_good: told.clone(), told, ..Self::default() }
            }
            _ => Self { pending: true, is_start: true, ..Self::default() },
        }
    }

    /// One line when trouble begins, and one when it is over.
    fn say(&mut self, report: &Report, origin: &Origin, pool: &str) {
        let trouble = report.as_ref().err().map(ToString::to_string);
        let failed = std::mem::replace(&mut self.trouble, trouble).is_some();
        match (failed, report) {
            (false, Err(error)) => say_trouble(origin, error, self.last_good.len(), pool),
            (true, Err(error)) => tracing::debug!(pool, source = %origin, %error, "it still fails"),
            (true, Ok(found)) => {
                tracing::info!(pool, source = %origin, members = found.len(), "the source of members is well again");
            }
            (false, Ok(_)) => {}
        }
    }
}

fn say_trouble(origin: &Origin, error: &Trouble, known: usize, pool: &str) {
    match known {
        0 => tracing::warn!(pool, source = %origin, %error, "a source of members fails; trying again"),
        _ => {
            tracing::warn!(pool, source = %origin, %error, "a source of members fails; the last known good is kept")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::Limit;
    use crate::config::model::{Discover, EndpointSpec, ServerSpec, Source};
    use crate::upstream::responder;
    use std::io;
    use std::time::Duration;

    fn spec(host: &str) -> ServerSpec {
        let mut spec = responder::spec("10.0.0.9:9000".parse().unwrap());
        spec.endpoint = EndpointSpec::Tcp { host: host.into(), port: 9000 };
        (spec.weight, spec.max_conns) = (2, crate::balance::MaxConns::Most(4));
        spec
    }

    /// `servers` of these hosts, and a members file.
    fn roster(hosts: &[&str], before: Option<&Roster>) -> Roster {
        let mut pool = responder::pool(hosts.iter().map(|host| spec(host)).collect());
        let terms = Terms { weight: 3, ..spec("any").terms() };
        pool.discover = vec![Discover { source: Source::File("/m.json".into()), terms }];
        Roster::new(&pool, before)
    }

    fn named(hosts: &[&str], before: Option<&Roster>) -> Roster {
        Roster::new(&responder::pool(hosts.iter().map(|host| spec(host)).collect()), before)
    }

    fn told(texts: &[&str]) -> Report {
        Ok(texts.iter().map(|text| Endpoint::Tcp(text.parse().unwrap()).into()).collect())
    }

    fn trouble() -> Report {
        Err(Trouble::Lookup("fpm".into(), io::Error::other("SERVFAIL")))
    }

    fn texts(seats: &[Seat]) -> Vec<String> {
        seats.iter().map(|seat| seat.member.name().to_string()).collect()
    }

    fn names_of(roster: &mut Roster) -> Vec<String> {
        texts(&roster.seats(&[], Instant::now()))
    }

    #[test]
    fn a_name_with_several_addresses_becomes_several_members_each_with_its_settings() {
        let mut roster = named(&["fpm", "10.0.0.9"], None);
        assert!(roster.has_pending());
        assert_eq!(names_of(&mut roster), ["10.0.0.9:9000"]);
        let change = roster.hear(0, told(&["10.0.0.2:9000", "10.0.0.1:9000", "10.0.0.2:9000"]), "php");
        assert_eq!(change, Some(Change::Arrivals));
        let seats = roster.seats(&[], Instant::now());
        assert_eq!(texts(&seats), ["10.0.0.1:9000", "10.0.0.2:9000", "10.0.0.9:9000"]);
        assert!(seats.iter().all(|seat| seat.weight == 2 && seat.limit() == Limit::Told(4)));
        assert!(!roster.has_pending());
    }

    #[test]
    fn who_stays_is_the_same_member() {
        let mut roster = named(&["fpm"], None);
        roster.hear(0, told(&["10.0.0.1:9000", "10.0.0.2:9000"]), "php");
        let before: Vec<_> = roster.seats(&[], Instant::now()).into_iter().map(|seat| seat.member).collect();
        let change = roster.hear(0, told(&["10.0.0.2:9000", "10.0.0.3:9000"]), "php");
        assert_eq!(change, Some(Change::Other));
        let after = roster.seats(&before, Instant::now());
        assert_eq!(texts(&after), ["10.0.0.2:9000", "10.0.0.3:9000"]);
        assert!(Arc::ptr_eq(&after[0].member, &before[1]));
    }

    #[test]
    fn what_a_source_cannot_tell_changes_nothing_also_over_a_reload() {
        let mut roster = named(&["fpm"], None);
        roster.hear(0, told(&["10.0.0.1:9000"]), "php");
        assert_eq!(roster.hear(0, trouble(), "php"), None);
        assert_eq!(names_of(&mut roster), ["10.0.0.1:9000"]);
        let mut reloaded = named(&["fpm"], Some(&roster));
        assert_eq!(names_of(&mut reloaded), ["10.0.0.1:9000"]);
        assert!(!reloaded.has_pending());
        assert!(named(&["other"], Some(&roster)).has_pending(), "another name is another source");
    }

    #[test]
    fn one_address_from_two_sources_is_one_member_on_the_first_ones_terms() {
        let mut roster = roster(&["10.0.0.1", "10.0.0.1"], None);
        roster.hear(2, told(&["10.0.0.1:9000", "10.0.0.2:9000"]), "php");
        let seats = roster.seats(&[], Instant::now());
        assert_eq!(texts(&seats), ["10.0.0.1:9000", "10.0.0.2:9000"]);
        assert_eq!((seats[0].weight, seats[1].weight), (2, 3));
    }

    #[test]
    fn what_a_source_tells_of_a_member_is_over_the_sources_own_terms() {
        let mut roster = roster(&[], None);
        let heavy =
            Found { weight: Some(7), backup: Some(true), ..told(&["10.0.0.1:9000"]).unwrap().remove(0) };
        roster.hear(0, Ok(vec![heavy]), "php");
        let seats = roster.seats(&[], Instant::now());
        assert_eq!((seats[0].weight, seats[0].tier), (7, Tier::Backup));
    }

    #[test]
    fn an_empty_list_is_obeyed_while_there_is_somebody_else_and_never_takes_the_last() {
        let mut beside = roster(&["10.0.0.1"], None);
        beside.hear(1, told(&["10.0.0.2:9000"]), "php");
        beside.hear(1, told(&[]), "php");
        assert_eq!(names_of(&mut beside), ["10.0.0.1:9000"]);
        let mut alone = roster(&[], None);
        alone.hear(0, told(&["10.0.0.2:9000"]), "php");
        assert_eq!(alone.hear(0, told(&[]), "php"), Some(Change::Other));
        let roll = alone.compose(&[], Instant::now());
        assert_eq!(alone.clinging(&roll.seats).len(), 1);
        assert_eq!(names_of(&mut alone), ["10.0.0.2:9000"]);
        alone.hear(0, told(&["10.0.0.3:9000"]), "php");
        assert_eq!(names_of(&mut alone), ["10.0.0.3:9000"], "as soon as there is somebody");
    }

    #[test]
    fn a_server_that_is_down_is_nobody_to_fall_back_on() {
        let mut pool = responder::pool(vec![ServerSpec { down: true, ..spec("10.0.0.1") }, spec("fpm")]);
        pool.discover.clear();
        let mut roster = Roster::new(&pool, None);
        roster.hear(1, told(&["10.0.0.2:9000"]), "php");
        roster.hear(1, told(&[]), "php");
        assert_eq!(names_of(&mut roster), ["10.0.0.1:9000", "10.0.0.2:9000"]);
    }

    /// One member stays, the other is there in every second list.
    fn flap(roster: &mut Roster, times: usize, now: Instant) {
        for _ in 0..times {
            for list in [&["10.0.0.1:9000"][..], &["10.0.0.1:9000", "10.0.0.2:9000"]] {
                roster.hear(0, told(list), "php");
                roster.seats(&[], now);
            }
        }
    }

    #[test]
    fn who_comes_back_for_the_third_time_in_a_minute_waits() {
        let (mut roster, now) = (roster(&[], None), Instant::now());
        roster.hear(0, told(&["10.0.0.1:9000", "10.0.0.2:9000"]), "php");
        roster.seats(&[], now);
        flap(&mut roster, 2, now);
        assert_eq!(texts(&roster.seats(&[], now)), ["10.0.0.1:9000", "10.0.0.2:9000"]);
        flap(&mut roster, 1, now);
        let roll = roster.compose(&[], now);
        assert_eq!(roll.held[0].1, now + Duration::from_secs(5));
        assert_eq!(texts(&roster.seats(&[], now)), ["10.0.0.1:9000"]);
        let later = now + Duration::from_secs(5);
        assert_eq!(texts(&roster.seats(&[], later)), ["10.0.0.1:9000", "10.0.0.2:9000"]);
    }

    #[test]
    fn who_flaps_is_taken_all_the_same_where_nobody_else_is() {
        let (mut roster, now) = (roster(&[], None), Instant::now());
        roster.hear(0, told(&["10.0.0.1:9000", "10.0.0.2:9000"]), "php");
        roster.seats(&[], now);
        flap(&mut roster, 5, now);
        roster.hear(0, told(&["10.0.0.2:9000"]), "php");
        assert_eq!(texts(&roster.seats(&[], now)), ["10.0.0.2:9000"]);
    }
}
