//! What is refused, and in which words: a table for each room of small mistakes with the line and the remedy that a user reads.

mod pools;
mod routes;
mod server;
mod sites;
mod whole;

use super::testing::{mistakes_in, project};

const SERVER: (&str, &str) = ("[server]\n", "\n[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n");
const POOL: (&str, &str) = ("[pools.php]\n", "\n[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n");
const SITE: (&str, &str) = ("[pools.php]\nservers = [\"a:1\"]\n[[sites]]\n", "\n");
const ROUTE: (&str, &str) = (
    "[pools.php]\nservers = [\"a:1\"]\n[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n[[sites.routes]]\n",
    "\n",
);
const WHOLE: (&str, &str) = ("", "");

/// What stands around the wrong lines, the wrong lines, and every `line:column: message [hint]`.
type Case = ((&'static str, &'static str), &'static str, &'static [&'static str]);

#[test]
fn every_mistake_is_told_with_its_place_and_its_remedy() {
    let project = project();
    let cases = [server::CASES, pools::CASES, sites::CASES, routes::CASES, whole::CASES];
    for ((before, after), wrong, expected) in cases.into_iter().flatten().copied() {
        let text = [before, wrong, after].concat();
        assert_eq!(mistakes_in(project.path(), &text), *expected, "\n{text}");
    }
}
