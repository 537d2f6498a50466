//! Faults that php-fpm cannot be made to have: a scripted member has them.

use super::said::*;
use super::support::Mode;
use super::table::{Row, Strike, Victim, When, cell, row};

/// It misbehaves in the middle of the request and goes on so until the repair.
const fn becomes(
    mode: Mode,
    id: &'static str,
    title: &'static str,
    does: &'static str,
    cells: [super::table::Cell; 5],
) -> Row {
    Row { strike: Strike::Be(mode), victim: Victim::Scripted, ..row(id, title, does, cells) }
}

pub const ROWS: [Row; 10] = [
    Row {
        when: When::Before,
        impatient: true,
        ..becomes(
            Mode::Silent,
            "accepts_and_is_silent",
            "a TCP member that takes connections and never answers",
            "A machine whose kernel lives and whose php-fpm does not. Nobody can tell whether it has the request, so that it is sent once; it stands in the member's socket and is served to nobody when the member is well again. `first_byte` is 2 s here.",
            [
                cell("504", (1, 0), &[SILENT, TOO_LATE], "1"),
                cell("504", (1, 0), &[SILENT, TOO_LATE], "1"),
                cell("504", (1, 0), &[SILENT, TOO_LATE_OR_NO_MORE], "1"),
                cell("504", (1, 0), &[SILENT, TOO_LATE], "1"),
                cell("200 victim", (1, 0), &[], "1"),
            ],
        )
    },
    Row {
        when: When::Before,
        pool: "timeouts = { connect = \"300ms\" }",
        ..becomes(
            Mode::Blackhole,
            "never_connects",
            "a TCP member that never completes a connect",
            "Its backlog is full, or its packets are lost: no connection comes about within `connect` (300 ms here). Nothing was sent, so that everything goes to the next member.",
            [
                cell("200 other", (0, 1), &[NO_CONNECT], "1"),
                cell("200 other", (0, 1), &[NO_CONNECT], "1"),
                cell("200 other", (0, 1), &[NO_CONNECT], "1"),
                cell("200 other", (0, 1), &[NO_CONNECT], "1"),
                cell("200 victim", (1, 0), &[], "1"),
            ],
        )
    },
    becomes(
        Mode::Close,
        "closes",
        "the connection is closed without an answer",
        "As a worker that dies, or `listen.allowed_clients` without our address. It does so with every request until the repair.",
        [
            cell("200 other", (1, 1), &[CLOSED], "1"),
            cell("502", (1, 0), &[CLOSED, NO_ANSWER], "1"),
            cell("502", (1, 0), &[CLOSED, NO_ANSWER], "1"),
            cell("cut", (1, 0), &[CUT_SHORT], "1"),
            cell("200 other", (1, 1), &[CLOSED, CLOSED_AGAIN], "1"),
        ],
    ),
    becomes(
        Mode::Reset,
        "resets_before_the_first_byte",
        "RST before the first byte",
        "The same with a reset, as from a firewall that has forgotten the connection.",
        [
            cell("200 other", (1, 1), &[CLOSED], "1"),
            cell("502", (1, 0), &[CLOSED, NO_ANSWER], "1"),
            cell("502", (1, 0), &[CLOSED, NO_ANSWER], "1"),
            cell("cut", (1, 0), &[CUT_SHORT], "1"),
            cell("200 other", (1, 1), &[CLOSED, CLOSED_AGAIN], "1"),
        ],
    ),
    becomes(
        Mode::ResetAfterPart,
        "resets_after_the_first_byte",
        "RST after the first byte",
        "A part of the reply came (of its head; streaming, of its body). It is never sent again, whatever the method.",
        [
            cell("502", (1, 0), &[SHORT], "1"),
            cell("502", (1, 0), &[SHORT], "1"),
            cell("502", (1, 0), &[SHORT], "1"),
            cell("cut", (1, 0), &[CUT_SHORT], "1"),
            cell("502", (1, 0), &[SHORT], "1"),
        ],
    ),
    becomes(
        Mode::Truncate,
        "truncates",
        "truncated reply: EOF before END_REQUEST",
        "The same with an orderly close. FastCGI ends a reply by END_REQUEST, so that this is half of one.",
        [
            cell("502", (1, 0), &[SHORT], "1"),
            cell("502", (1, 0), &[SHORT], "1"),
            cell("502", (1, 0), &[SHORT], "1"),
            cell("cut", (1, 0), &[CUT_SHORT], "1"),
            cell("502", (1, 0), &[SHORT], "1"),
        ],
    ),
    becomes(
        Mode::Trickle,
        "trickles",
        "slow trickle",
        "The reply comes byte by byte. It is slow, and whole.",
        [
            cell("200 victim", (1, 0), &[], "1"),
            cell("200 victim", (1, 0), &[], "1"),
            cell("200 victim", (1, 0), &[], "1"),
            cell("200 victim", (1, 0), &[], "1"),
            cell("200 victim", (1, 0), &[], "1"),
        ],
    ),
    becomes(
        Mode::Garbage,
        "speaks_something_else",
        "garbage",
        "An HTTP server where php-fpm should be: what it says is not FastCGI.",
        [
            cell("502", (1, 0), &[WRONG, NOT_FASTCGI], "1"),
            cell("502", (1, 0), &[WRONG, NOT_FASTCGI], "1"),
            cell("502", (1, 0), &[WRONG, NOT_FASTCGI], "1"),
            cell("cut", (1, 0), &[WRONG, CUT_NOT_FASTCGI], "1"),
            cell("502", (1, 0), &[WRONG, WRONG_AGAIN, NOT_FASTCGI], "1"),
        ],
    ),
    becomes(
        Mode::Overloaded,
        "overloaded",
        "END_REQUEST with FCGI_OVERLOADED",
        "The member refuses, or breaks off, in FastCGI's own words. php-fpm never does.",
        [
            cell("502", (1, 0), &[WRONG, OVERLOADED], "1"),
            cell("502", (1, 0), &[WRONG, OVERLOADED], "1"),
            cell("502", (1, 0), &[WRONG, OVERLOADED], "1"),
            cell("cut", (1, 0), &[WRONG, CUT_OVERLOADED], "1"),
            cell("502", (1, 0), &[WRONG, WRONG_AGAIN, OVERLOADED], "1"),
        ],
    ),
    becomes(
        Mode::AnotherRequest,
        "answers_another_request",
        "the reply to another request",
        "A whole reply under another request's id, such as a late one of a script that was given up. Nobody gets it.",
        [
            cell("502", (1, 0), &[WRONG, ANOTHERS], "1"),
            cell("502", (1, 0), &[WRONG, ANOTHERS], "1"),
            cell("502", (1, 0), &[WRONG, ANOTHERS], "1"),
            cell("cut", (1, 0), &[WRONG, CUT_ANOTHERS], "1"),
            cell("502", (1, 0), &[WRONG, WRONG_AGAIN, ANOTHERS_LATER], "1"),
        ],
    ),
];
