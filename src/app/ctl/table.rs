//! The pools as a table for people: one line a pool, one a server, in columns.

use crate::admin::{Member, Pool};

const HEAD: [&str; 8] = ["SERVER", "STATE", "FOR", "WEIGHT", "IN FLIGHT", "IDLE", "REUSED", "REASON"];

/// All pools.
pub(super) fn of(pools: &[Pool]) -> String {
    let rows: Vec<Vec<_>> = pools.iter().map(|pool| pool.members.iter().map(row).collect()).collect();
    let widths = widths(rows.iter().flatten());
    let mut text = String::new();
    for (pool, rows) in pools.iter().zip(&rows) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&title(pool));
        text.push_str(&line(&HEAD.map(str::to_owned), &widths));
        rows.iter().for_each(|row| text.push_str(&line(row, &widths)));
    }
    text
}

/// `php  least_conn  queue 3 of 1024 (first waits 1.2 s)  12 refused`.
fn title(pool: &Pool) -> String {
    let queue = &pool.queue;
    let first = match queue.waiting {
        0 => String::new(),
        _ => format!(" (first waits {})", age(queue.first_s)),
    };
    let mut title = format!(
        "{}  {}  queue {} of {}{first}  {} refused",
        pool.name, pool.policy, queue.waiting, queue.size, queue.refused
    );
    for (count, what) in [(pool.retries, "sent again"), (pool.standstills, "standstills")] {
        if count > 0 {
            title.push_str(&format!("  {count} {what}"));
        }
    }
    title.push('\n');
    title
}

fn row(member: &Member) -> [String; HEAD.len()] {
    let backup = if member.backup { " backup" } else { "" };
    let limit = match member.limit {
        Some(limit) if member.limit_learnt => format!("~{limit}"),
        Some(limit) => limit.to_string(),
        None => "any".to_owned(),
    };
    let all = member.reused + member.fresh;
    let reused = match all {
        0 => "-".to_owned(),
        _ => format!("{} %", member.reused * 100 / all),
    };
    [
        member.address.clone(),
        member.state.clone(),
        age(member.for_s),
        format!("{}{backup}", member.weight),
        format!("{}/{limit}", member.in_flight),
        member.idle.to_string(),
        reused,
        member.reason.clone().unwrap_or_default(),
    ]
}

fn widths<'a>(rows: impl Iterator<Item = &'a [String; HEAD.len()]>) -> [usize; HEAD.len()] {
    let mut widths = HEAD.map(|word| word.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

fn line(cells: &[String; HEAD.len()], widths: &[usize; HEAD.len()]) -> String {
    let padded = cells.iter().zip(widths).map(|(cell, &width)| format!("  {cell:width$}"));
    let line: String = padded.collect();
    format!("{}\n", line.trim_end())
}

/// `0.2 s`, `48 s`, `12 min`, `3 h`, `9 d`.
pub(super) fn age(seconds: f64) -> String {
    match seconds {
        few if few < 10.0 => format!("{few:.1} s"),
        some if some < 120.0 => format!("{some:.0} s"),
        many if many < 7_200.0 => format!("{:.0} min", many / 60.0),
        many if many < 172_800.0 => format!("{:.0} h", many / 3_600.0),
        many => format!("{:.0} d", many / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::pool;
    use super::*;

    #[test]
    fn the_columns_stand_one_below_the_other() {
        let mut php = pool("php", &["10.0.0.1:9000", "unix:/run/php/php8.2-fpm.sock"]);
        php.queue.refused = 12;
        let member = &mut php.members[1];
        (member.state, member.reason) = ("ejected".to_owned(), Some("connection refused".to_owned()));
        (member.reused, member.fresh, member.limit, member.backup) = (199, 1, None, true);
        let expected = "\
php  least_conn  queue 0 of 1024  12 refused
  SERVER                         STATE    FOR    WEIGHT    IN FLIGHT  IDLE  REUSED  REASON
  10.0.0.1:9000                  ready    1.5 s  1         0/~8       0     -
  unix:/run/php/php8.2-fpm.sock  ejected  1.5 s  1 backup  0/any      0     99 %    connection refused
";
        assert_eq!(of(&[php]), expected);
    }

    #[test]
    fn an_age_has_the_unit_that_fits() {
        let texts = [0.24, 47.6, 720.0, 10_800.0, 777_600.0].map(age);
        assert_eq!(texts, ["0.2 s", "48 s", "12 min", "3 h", "9 d"]);
    }
}
