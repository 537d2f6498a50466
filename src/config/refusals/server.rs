//! `[server]`: threads, logs, times, users.

use super::{Case, SERVER};

#[rustfmt::skip] // one case a paragraph
pub(super) const CASES: &[Case] = &[
    (SERVER, r#"threads = 0"#, &[
        r#"2:11: threads: expected a number from 1 to 1024, found 0"#,
    ]),
    (SERVER, r#"threads = "all""#, &[
        r#"2:11: threads: expected a number from 1 to 1024, found a string"#,
    ]),
    (SERVER, r#"threds = 2"#, &[
        r#"2:1: unknown key 'threds' [did you mean 'threads'?]"#,
    ]),
    (SERVER, r#"user = "no such user""#, &[
        r#"2:8: user: there is no user 'no such user' here [`getent passwd` lists them]"#,
    ]),
    (SERVER, r#"user = "nobody"
group = "no such group""#, &[
        r#"3:9: group: there is no group 'no such group' here [`getent group` lists them]"#,
    ]),
    (SERVER, r#"group = "root""#, &[
        r#"2:9: group: it goes with a user [user = "www-data"]"#,
    ]),
    (SERVER, r#"shutdown_timeout = "30 s""#, &[
        r#"2:20: shutdown_timeout: not a duration [write a number and a unit: "500ms", "3s", "5m", "1h", "1d"]"#,
    ]),
    (SERVER, r#"shutdown_timeout = -1"#, &[
        r#"2:20: shutdown_timeout: expected a duration such as "30s", found a negative number"#,
    ]),
    (SERVER, r#"access_log = 1"#, &[
        r#"2:14: access_log: expected a string or a table, found an integer"#,
    ]),
    (SERVER, r#"access_log = { path = "a.log", format = "xml" }"#, &[
        r#"2:41: format: unknown value 'xml' [allowed: combined, json, logfmt, short]"#,
    ]),
    (SERVER, r#"access_log = "logs/a.log""#, &[
        r#"2:14: access_log: the folder of BASE/logs/a.log does not exist [create it first]"#,
    ]),
    (SERVER, r#"log = "cornac=loud""#, &[
        r#"2:7: log: 'cornac=loud' is not a filter ["error", "warn", "info", "debug", "trace", or "info,cornac=debug"]"#,
    ]),
    (SERVER, r#"access_log = "syslog:nowhere""#, &[
        r#"2:14: access_log: 'nowhere' is not where a syslog listens ["syslog:" (the machine's own), "syslog:10.0.0.5:514" or "syslog:unix:/path"]"#,
    ]),
    (SERVER, r#"slow_log = { path = "slow.log" }"#, &[
        r#"2:12: 'threshold' is missing [{ threshold = "1s" }]"#,
    ]),
    (SERVER, r#"slow_log = { threshold = 0 }"#, &[
        r#"2:26: threshold: must be more than 0"#,
    ]),
    (SERVER, r#"log = { filter = "cornac=loud", file = "e.log" }"#, &[
        r#"2:18: filter: 'cornac=loud' is not a filter ["error", "warn", "info", "debug", "trace", or "info,cornac=debug"]"#,
        r#"2:33: unknown key 'file' [did you mean 'filter'?]"#,
    ]),
    (SERVER, r#"reload_on_change = 1"#, &[
        r#"2:20: reload_on_change: expected true or false, found an integer"#,
    ]),
    (SERVER, r#"temp_dir = "missing""#, &[
        r#"2:12: temp_dir: BASE/missing does not exist [it must exist and be writable]"#,
    ]),
    (SERVER, r#"pid_file = "public""#, &[
        r#"2:12: pid_file: BASE/public is a folder [name a file in it]"#,
    ]),
];
