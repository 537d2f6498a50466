//! The fuzz targets of fuzz/ on the stable toolchain: every input of their corpora, and so many that are made from those by chance.
//! FUZZ_CASES says how many for each target. Inputs that fail belong into the corpus.

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "they are what the crate in fuzz/ offers")]
mod targets;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// Without FUZZ_CASES: enough to see that nothing is broken for a beginning.
const FEW: u32 = 300;

/// An input, printed so that it can be written into a file by `printf '…'`.
#[derive(Clone)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.escape_ascii())
    }
}

/// One step away from an input that is known.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// A part is there so many times more.
    Repeat(Index, usize, usize),
    /// A word of the language.
    Word(Index, Index),
    /// From here on it is another input of the corpus, from there on.
    Splice(Index, Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, to)| Change::Set(at, to)),
        (at(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (at(), prop::collection::vec(any::<u8>(), 1..5)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), 1..20_usize).prop_map(|(at, length)| Change::Remove(at, length)),
        (at(), 1..30_usize, 1..20_usize).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        (at(), at()).prop_map(|(at, word)| Change::Word(at, word)),
        (at(), at(), at()).prop_map(|(at, other, from)| Change::Splice(at, other, from)),
    ]
}

/// A target, what is known of it, and words that its readers look for.
struct Fuzz {
    run: fn(&[u8]),
    corpus: Vec<Vec<u8>>,
    words: &'static [&'static str],
}

impl Fuzz {
    fn new(name: &str, run: fn(&[u8]), words: &'static [&'static str]) -> Self {
        let mut files: Vec<_> = listed(&folder().join("corpus").join(name));
        files.sort();
        assert!(files.len() >= 8, "{name} has a corpus of {}", files.len());
        let corpus = files.iter().map(|file| fs::read(file).expect("a file of the corpus")).collect();
        Self { run, corpus, words }
    }

    /// `share`: how much of FUZZ_CASES, so that the slow ones do not take all the time.
    fn run(&self, share: u32) {
        self.corpus.iter().for_each(|input| (self.run)(input));
        let asked = std::env::var("FUZZ_CASES").ok().and_then(|cases| cases.parse().ok());
        let cases = asked.map_or(FEW, |cases: u32| (cases / share).max(1));
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let inputs = (any::<Index>(), prop::collection::vec(change(), 1..6))
            .prop_map(|(base, changes)| self.changed(base, &changes));
        let result = TestRunner::new(config).run(&inputs, |Input(bytes)| {
            (self.run)(&bytes);
            Ok(())
        });
        if let Err(error) = result {
            panic!("{error}");
        }
    }

    fn changed(&self, base: Index, changes: &[Change]) -> Input {
        let base = base.get(&self.corpus).clone();
        Input(changes.iter().fold(base, |input, change| self.step(input, change)))
    }

    fn step(&self, mut input: Vec<u8>, change: &Change) -> Vec<u8> {
        let len = input.len();
        let place = |at: &Index| at.index(len + 1);
        let end = |at: usize, length: usize| (at + length).min(len);
        match change {
            Change::Set(at, _) | Change::Flip(at, _) if place(at) == len => {}
            Change::Set(at, to) => input[place(at)] = *to,
            Change::Flip(at, bit) => input[place(at)] ^= 1 << bit,
            Change::Insert(at, bytes) => drop(input.splice(place(at)..place(at), bytes.iter().copied())),
            Change::Remove(at, length) => drop(input.drain(place(at)..end(place(at), *length))),
            Change::Repeat(at, length, times) => {
                let part = input[place(at)..end(place(at), *length)].repeat(*times);
                drop(input.splice(place(at)..place(at), part));
            }
            Change::Word(at, word) => drop(input.splice(place(at)..place(at), word.get(self.words).bytes())),
            Change::Splice(at, other, from) => {
                let other = other.get(&self.corpus);
                input.truncate(place(at));
                input.extend(&other[from.index(other.len() + 1)..]);
            }
        }
        input
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("a folder that can be read").path()).collect()
}

#[test]
fn no_stream_of_a_backend_means_two_things_or_leaves_bytes_behind() {
    let words = &[
        "\x01\x06\x00\x01\x00\x01\x00\x00",
        "\x01\x07\x00\x01\x00\x04\x04\x00",
        "\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        "\r\n\r\n",
        "\n\n",
        "Status: 404\r\n",
        "Content-Length: 3\n",
    ];
    Fuzz::new("record", targets::record, words).run(1);
}

#[test]
fn no_head_of_a_script_leaves_unsound() {
    let words = &[
        "Status: ",
        "Location: ",
        "Content-Length: ",
        "Transfer-Encoding: chunked",
        "Connection: ",
        "HTTP/1.1 200 OK",
        "X-Accel-Redirect: /",
        "\r\n",
        "\n",
        "\r",
        ":",
        " ",
        "\0",
        "18446744073709551616",
        "-1",
        "\x7f",
    ];
    Fuzz::new("reply_head", targets::reply_head, words).run(1);
}

#[test]
fn no_target_leads_out_of_the_root_or_to_source() {
    let words = &[
        "/",
        "//",
        "..",
        "/../",
        "/./",
        "%2e%2e",
        "%2F",
        "%5C",
        "\\",
        "%00",
        "%0A",
        ".php",
        "/index.php",
        "a.jpg/x.php",
        "lib/a.php",
        ".env",
        "a.inc",
        "a.PHP",
        "~",
        "%20",
        ";",
        "?",
        "#",
        "http://h",
        "/i",
        "/j/",
        "/x/",
        "/y",
        "/t",
        "/go",
        "$uri",
    ];
    Fuzz::new("target", targets::target, words).run(2);
}

#[test]
fn no_text_of_a_configuration_is_refused_without_a_place() {
    let words = &[
        "[pools.php]\n",
        "[[sites]]\n",
        "[[sites.routes]]\n",
        "servers = [\"127.0.0.1:9000\"]\n",
        "= ",
        "\"",
        "'",
        "\n",
        "[",
        "]",
        "{",
        "}",
        "$uri",
        "~ ",
        "preset = \"plain\"\n",
        "match = ",
        "\u{feff}",
        "中",
        "#",
    ];
    Fuzz::new("config", targets::config, words).run(20);
}

#[test]
fn each_target_is_everywhere_that_it_has_to_be() {
    let stem = |path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let names =
        |part: &str| -> BTreeSet<String> { listed(&folder().join(part)).into_iter().map(stem).collect() };
    let targets = names("fuzz_targets");
    assert_eq!(targets, names("corpus"));
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).expect("the manifest");
    for target in &targets {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
        assert!(folder().join("src").join(format!("{target}.rs")).exists(), "{target}");
    }
}
