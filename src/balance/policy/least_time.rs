//! Least time: the shortest expected wait, which is the usual time to the first byte, once for each request in flight and
//! once for this one, divided by the weight. Members that are level take smooth turns.
//!
//! A member that nobody knows yet gets one request at once; until that is answered it counts as slow as the slowest.

use super::Members;
use super::smooth::Turns;
use std::cmp::Ordering;

pub(super) fn choose(
    turns: &mut Turns,
    members: &impl Members,
    eligible: &impl Fn(usize) -> bool,
) -> Option<usize> {
    let candidates = || (0..members.len()).filter(|&index| eligible(index));
    let slowest = candidates().filter_map(|index| members.latency(index)).fold(0.0, f64::max);
    let wait = |index| expected_wait(members, index, slowest);
    let mut best: Option<(usize, f64)> = None;
    let mut level = 0;
    for index in candidates() {
        let wait = wait(index);
        match best.map_or(Ordering::Less, |(_, least)| wait.total_cmp(&least)) {
            Ordering::Less => (best, level) = (Some((index, wait)), 1),
            Ordering::Equal => level += 1,
            Ordering::Greater => {}
        }
    }
    let (index, least) = best?;
    if level == 1 {
        return Some(index);
    }
    turns.next(members, &|index| eligible(index) && wait(index).total_cmp(&least).is_eq())
}

fn expected_wait(members: &impl Members, index: usize, slowest: f64) -> f64 {
    let in_flight = members.in_flight(index);
    let seconds = match members.latency(index) {
        Some(seconds) => seconds,
        None if in_flight == 0 => return 0.0,
        // Nobody has answered yet: then the requests in flight alone decide.
        None if slowest == 0.0 => 1.0,
        None => slowest,
    };
    seconds * (f64::from(in_flight) + 1.0) / f64::from(members.weight(index))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fakes;
    use super::*;

    fn fastest(members: &Fakes) -> Option<usize> {
        choose(&mut Turns::default(), members, &|index| members.usable(index))
    }

    fn times(weights: &[u32], times: &[f64]) -> Fakes {
        let mut members = Fakes::weights(weights);
        for (member, &time) in members.0.iter_mut().zip(times) {
            member.latency = Some(time);
        }
        members
    }

    #[test]
    fn the_fastest_is_chosen_until_its_requests_in_flight_outweigh_that() {
        let mut members = times(&[1, 1], &[0.010, 0.035]);
        for _ in 0..3 {
            assert_eq!(fastest(&members), Some(0));
            members.0[0].in_flight += 1;
        }
        assert_eq!(fastest(&members), Some(1), "the fourth would wait 40 ms, here it is 35");
    }

    #[test]
    fn a_heavier_member_may_be_slower_and_has_more_in_flight() {
        let mut members = times(&[3, 1], &[0.02, 0.02]);
        members.0[0].in_flight = 1;
        assert_eq!(fastest(&members), Some(0), "2/3 of its time against 1/1");
        members.0[0].in_flight = 3;
        assert_eq!(fastest(&members), Some(1));
    }

    #[test]
    fn members_that_are_as_fast_take_turns_by_weight() {
        let members = Fakes::weights(&[3, 2, 1]);
        let mut turns = Turns::default();
        let mut seen = [0; 3];
        for _ in 0..60 {
            seen[choose(&mut turns, &members, &|_| true).unwrap()] += 1;
        }
        assert_eq!(seen, [30, 20, 10]);
    }

    #[test]
    fn a_newcomer_gets_one_request_and_then_waits_for_its_answer_as_the_slowest_does() {
        let mut members = times(&[1, 1, 1], &[0.010, 0.030, 0.0]);
        members.0[2].latency = None;
        assert_eq!(fastest(&members), Some(2));
        members.0[2].in_flight = 1;
        members.0[0].in_flight = 4;
        assert_eq!(fastest(&members), Some(1), "two at 30 ms are more than one");
        members.0[1].in_flight = 2;
        members.0[0].in_flight = 9;
        assert_eq!(fastest(&members), Some(2), "and it is never starved");
    }

    #[test]
    fn while_nobody_has_answered_the_requests_are_spread() {
        let mut members = Fakes::weights(&[2, 1]);
        for _ in 0..9 {
            let chosen = fastest(&members).unwrap();
            members.0[chosen].in_flight += 1;
        }
        assert_eq!([members.0[0].in_flight, members.0[1].in_flight], [6, 3]);
    }
}
