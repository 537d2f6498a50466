//! Faults of a real php-fpm.

use super::said::*;
use super::table::{Row, Strike, Victim, When, cell, row};

pub const ROWS: [Row; 18] = [
    Row {
        strike: Strike::KillWorker,
        ..row(
            "worker_killed",
            "kill -9 of the worker",
            "The worker dies in the middle of the request, as the kernel's OOM killer would do it. php-fpm's master starts another at once; nothing has to be repaired.",
            [
                cell("200 other", (1, 1), &[CLOSED], "1"),
                cell("502", (1, 0), &[CLOSED, NO_ANSWER], "1"),
                cell("502", (1, 0), &[CLOSED, NO_ANSWER], "1"),
                cell("cut", (1, 0), &[CUT_SHORT], "1"),
                cell("200 victim", (1, 0), &[CLOSED], "1"),
            ],
        )
    },
    Row {
        strike: Strike::CrashWorker,
        victim: Victim::Php(|fpm| {
            fpm.global("emergency_restart_threshold", 1).global("emergency_restart_interval", "1m")
        }),
        ..row(
            "worker_crashed",
            "SIGSEGV in the worker, and emergency_restart",
            "With `emergency_restart_threshold = 1` one crash makes php-fpm's master restart itself. Its listening socket lives on, so that nothing has to be repaired.",
            [
                cell("200 other", (1, 1), &[CLOSED], "1"),
                cell("502", (1, 0), &[CLOSED, NO_ANSWER], "1"),
                cell("502", (1, 0), &[CLOSED, NO_ANSWER], "1"),
                cell("cut", (1, 0), &[CUT_SHORT], "1"),
                cell("200 victim", (1, 0), &[CLOSED], "1"),
            ],
        )
    },
    Row {
        strike: Strike::KillMaster,
        ..row(
            "master_killed",
            "kill -9 of the master alone",
            "The workers live on without it and go on serving: nobody sees anything until one of them ends. Then php-fpm is started again.",
            [
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
            ],
        )
    },
    Row {
        strike: Strike::KillAll,
        ..row(
            "all_killed",
            "kill -9 of the master and its workers",
            "As when a container is killed. The file of the unix socket stays, and nobody listens on it. Then php-fpm is started again.",
            [
                cell("200 other", (1, 1), &[CLOSED], "1"),
                cell("502", (1, 0), &[CLOSED, NO_ANSWER], "1"),
                cell("502", (1, 0), &[CLOSED, NO_ANSWER], "1"),
                cell("cut", (1, 0), &[CUT_SHORT], "1"),
                cell("200 other", (0, 1), &[CLOSED, REFUSED_AGAIN], "1"),
            ],
        )
    },
    Row {
        strike: Strike::Quit,
        victim: Victim::Php(|fpm| fpm.global("process_control_timeout", "10s")),
        ..row(
            "restarted_gracefully",
            "restart, process_control_timeout = 10s",
            "SIGQUIT, which is `systemctl stop php-fpm`: workers finish what they have. Then php-fpm is started again.",
            [
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 other", (0, 1), &[STOPPED], "1"),
            ],
        )
    },
    Row {
        strike: Strike::Quit,
        ..row(
            "restarted_hard",
            "restart, process_control_timeout = 0",
            "The same with php-fpm's default, which gives the workers no time: SIGQUIT is followed by SIGTERM at once. Then php-fpm is started again.",
            [
                cell("200 other", (1, 1), &[CLOSED], "1"),
                cell("502", (1, 0), &[CLOSED, NO_ANSWER], "1"),
                cell("502", (1, 0), &[CLOSED, NO_ANSWER], "1"),
                cell("cut", (1, 0), &[CUT_SHORT], "1"),
                cell("200 other", (0, 1), &[CLOSED, STOPPED_AGAIN], "1"),
            ],
        )
    },
    Row {
        strike: Strike::Reload,
        victim: Victim::Php(|fpm| fpm.global("process_control_timeout", "10s")),
        ..row(
            "reloaded_gracefully",
            "SIGUSR2 reload, process_control_timeout = 10s",
            "Workers finish what they have, the master starts itself anew and keeps its listening socket. Nothing has to be repaired.",
            [
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
            ],
        )
    },
    Row {
        strike: Strike::Reload,
        ..row(
            "reloaded_hard",
            "SIGUSR2 reload, process_control_timeout = 0",
            "The same with php-fpm's default: the workers are ended with what they have. Nothing has to be repaired, but `process_control_timeout` should be set.",
            [
                cell("200 other", (1, 1), &[CLOSED], "1"),
                cell("502", (1, 0), &[CLOSED, NO_ANSWER], "1"),
                cell("502", (1, 0), &[CLOSED, NO_ANSWER], "1"),
                cell("cut", (1, 0), &[CUT_SHORT], "1"),
                cell("200 victim", (1, 0), &[CLOSED], "1"),
            ],
        )
    },
    Row {
        strike: Strike::StopWorker,
        impatient: true,
        ends: false,
        ..row(
            "worker_stopped",
            "SIGSTOP of the worker",
            "The worker is there and says nothing, as on a machine that swaps or in a paused container. `first_byte` and `between_reads` are 2 s here. Then SIGCONT; the script goes on where it was.",
            [
                cell("504", (1, 0), &[SILENT, TOO_LATE], "1"),
                cell("504", (1, 0), &[SILENT, TOO_LATE], "1"),
                cell("504", (1, 0), &[SILENT, TAKES_NO_MORE], "1"),
                cell("cut", (1, 0), &[CUT_STOPPED], "1"),
                cell("200 other", (0, 1), &[], "1"),
            ],
        )
    },
    Row {
        strike: Strike::StopAll,
        impatient: true,
        ends: false,
        ..row(
            "all_stopped",
            "SIGSTOP of the master and its workers",
            "The same for the whole of php-fpm. The kernel goes on making connections for it.",
            [
                cell("504", (1, 0), &[SILENT, TOO_LATE], "1"),
                cell("504", (1, 0), &[SILENT, TOO_LATE], "1"),
                cell("504", (1, 0), &[SILENT, TAKES_NO_MORE], "1"),
                cell("cut", (1, 0), &[CUT_STOPPED], "1"),
                cell("200 other", (0, 1), &[], "1"),
            ],
        )
    },
    Row {
        strike: Strike::StopAndContinue,
        ..row(
            "stopped_and_continued",
            "SIGSTOP and SIGCONT",
            "The same, and it goes on before any timeout: nobody sees anything.",
            [
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
            ],
        )
    },
    Row {
        strike: Strike::RemoveSocket,
        when: When::Before,
        ..row(
            "socket_removed",
            "the unix socket's file is gone",
            "php-fpm runs, but nobody can get to it. Nothing was sent, so that everything goes to the next member. Then php-fpm is started again.",
            [
                cell("200 other", (0, 1), &[UNREACHABLE], "1"),
                cell("200 other", (0, 1), &[UNREACHABLE], "1"),
                cell("200 other", (0, 1), &[UNREACHABLE], "1"),
                cell("200 other", (0, 1), &[UNREACHABLE], "1"),
                cell("200 victim", (1, 0), &[], "1"),
            ],
        )
    },
    Row {
        strike: Strike::KillAll,
        victim: Victim::Php(|fpm| fpm.tcp()),
        when: When::Before,
        ..row(
            "port_closed",
            "nobody listens on the TCP port",
            "The machine is there and refuses. Nothing was sent, so that everything goes to the next member. Then php-fpm is started.",
            [
                cell("200 other", (0, 1), &[REFUSED], "1"),
                cell("200 other", (0, 1), &[REFUSED], "1"),
                cell("200 other", (0, 1), &[REFUSED], "1"),
                cell("200 other", (0, 1), &[REFUSED], "1"),
                cell("200 other", (0, 1), &[CLOSED, REFUSED_AGAIN], "1"),
            ],
        )
    },
    Row {
        strike: Strike::FillBacklog,
        victim: Victim::Php(|fpm| fpm.backlog(1)),
        when: When::Before,
        release: false,
        ends: false,
        pool: "timeouts = { connect = \"300ms\" }",
        ..row(
            "backlog_full",
            "the backlog of its unix socket is full",
            "`listen.backlog = 1`, and others stand in it before a worker that is busy. That is a busy member and not a lost one: it is asked again until `connect` (300 ms here), and is never ejected for it. Then the others leave.",
            [
                cell("200 other", (0, 1), &[], "1"),
                cell("200 other", (0, 1), &[], "1"),
                cell("200 other", (0, 1), &[], "1"),
                cell("200 other", (0, 1), &[], "1"),
                cell("200 other", (0, 1), &[], "1"),
            ],
        )
    },
    Row {
        victim: Victim::Php(|fpm| fpm.max_requests(1)),
        pool: "keepalive = { mode = \"on\" }",
        ..row(
            "max_requests_1",
            "pm.max_requests = 1",
            "Each worker ends after one request, so that no kept connection is ever good for another one. That is no failure of anybody.",
            [
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
                cell("200 victim", (1, 0), &[], "1"),
            ],
        )
    },
    Row {
        victim: Victim::Php(|fpm| fpm.ini("memory_limit", "128M")),
        query: "&then=memory",
        ..row(
            "memory_limit",
            "a fatal error: memory_limit",
            "php ends the script and answers by itself. What was printed before it has gone out already, and php-fpm ends such a reply like any other: no front end can tell it from a whole one, but the log can.",
            [
                cell("500 victim", (1, 0), &[MEMORY], "1"),
                cell("500 victim", (1, 0), &[MEMORY], "1"),
                cell("500 victim", (1, 0), &[MEMORY], "1"),
                cell("200 victim, but only \"begun\"", (1, 0), &[MEMORY], "1"),
                cell("200 victim", (1, 0), &[], "1"),
            ],
        )
    },
    Row {
        victim: Victim::Php(|fpm| fpm.directive("request_terminate_timeout", "2s")),
        release: false,
        ..row(
            "request_terminate_timeout",
            "request_terminate_timeout",
            "php-fpm's master kills a worker that takes too long (2 s here). A GET is tried on the next member, which may have to live with the same request: `retry.tries` bounds that. Nothing has to be repaired.",
            [
                cell("200 other", (1, 1), &[CLOSED], "1"),
                cell("502", (1, 0), &[CLOSED, NO_ANSWER], "1"),
                cell("502", (1, 0), &[CLOSED, NO_ANSWER], "1"),
                cell("cut", (1, 0), &[CUT_SHORT], "1"),
                cell("200 victim", (1, 0), &[CLOSED], "1"),
            ],
        )
    },
    Row {
        release: false,
        ends: false,
        impatient: true,
        ..row(
            "slow_first_byte",
            "a script that takes too long",
            "It is silent for longer than `first_byte` or `between_reads`, which are 2 s here. It may still be at work, so that it is not sent again. Then it ends.",
            [
                cell("504", (1, 0), &[SILENT, TOO_LATE], "1"),
                cell("504", (1, 0), &[SILENT, TOO_LATE], "1"),
                cell("504", (1, 0), &[SILENT, TOO_LATE], "1"),
                cell("cut", (1, 0), &[CUT_STOPPED], "1"),
                cell("200 other", (0, 1), &[], "1"),
            ],
        )
    },
];
