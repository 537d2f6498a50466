//! Faults of names: php-fpms whose addresses change under one host name.

use super::said::*;
use super::table::{Row, Strike, Victim, cell, row};

pub const ROWS: [Row; 3] = [
    Row {
        strike: Strike::Scale,
        victim: Victim::Named,
        ..row(
            "scaled",
            "scale 3 → 5 → 2",
            "The name leads to three addresses, then to five, then to the two new ones: the victim and two others are gone from it, and finish what they have. Then the three are back.",
            [
                cell("200 victim", (1, 0), &[FOUND, GONE], "3"),
                cell("200 victim", (1, 0), &[FOUND, GONE], "3"),
                cell("200 victim", (1, 0), &[FOUND, GONE], "3"),
                cell("200 victim", (1, 0), &[FOUND, GONE], "3"),
                cell("200 other", (0, 1), &[FOUND, GONE], "1"),
            ],
        )
    },
    Row {
        strike: Strike::Readdress,
        victim: Victim::Named,
        ..row(
            "readdressed",
            "the name leads to another address",
            "As when a container is made anew: the old address finishes what it has. Then the name leads to the old one again.",
            [
                cell("200 victim", (1, 0), &[MOVED], "1"),
                cell("200 victim", (1, 0), &[MOVED], "1"),
                cell("200 victim", (1, 0), &[MOVED], "1"),
                cell("200 victim", (1, 0), &[MOVED], "1"),
                cell("200 other", (0, 1), &[MOVED], "1"),
            ],
        )
    },
    Row {
        strike: Strike::LoseName,
        victim: Victim::Named,
        ..row(
            "name_lost",
            "the name server does not know the name any more",
            "The last known good is kept, and no client sees anything.",
            [
                cell("200 victim", (1, 0), &[NO_LOOKUP], "1"),
                cell("200 victim", (1, 0), &[NO_LOOKUP], "1"),
                cell("200 victim", (1, 0), &[NO_LOOKUP], "1"),
                cell("200 victim", (1, 0), &[NO_LOOKUP], "1"),
                cell("200 victim", (1, 0), &[NO_LOOKUP], "1"),
            ],
        )
    },
];
