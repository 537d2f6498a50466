//! Figures with names of their own, for rows where requests a second are not the question.

use crate::contestant::Contestant;

/// One figure of one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finding {
    pub(crate) what: &'static str,
    pub(crate) figure: f64,
}

impl Finding {
    pub(crate) fn new(what: &'static str, figure: f64) -> Self {
        Self { what, figure }
    }
}

/// All rounds of one contestant: every round has the same findings in the same order.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) contestant: Contestant,
    pub(crate) all: Vec<(&'static str, Vec<f64>)>,
}

impl Findings {
    pub(crate) fn none_yet(contestant: Contestant) -> Self {
        Self { contestant, all: vec![] }
    }

    pub(crate) fn add(&mut self, round: Vec<Finding>) {
        for (place, Finding { what, figure }) in round.into_iter().enumerate() {
            match self.all.get_mut(place) {
                Some((_, figures)) => figures.push(figure),
                None => self.all.push((what, vec![figure])),
            }
        }
    }
}
