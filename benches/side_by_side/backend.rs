//! What stands behind the contestants, the same for all: files and scripts, null responders, php-fpm pools.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::null::{NullResponder, Says};
use crate::reaper::Reaper;
use crate::rows::BackendKind;
use crate::support::pki::Authority;
use crate::support::tls::Trust;
use crate::support::{Fpm, Listen, Scratch, find_program};
use crate::transfer::BYTES;

const POOLS: [&str; 3] = ["one", "two", "three"];
pub(crate) const WORKERS_PER_POOL: u32 = 4;

/// php-fpm's default for long; now it is the system's 4,096, a line in which nobody is answered in time.
const BACKLOG: u32 = 511;

/// A document root with the files and scripts of all rows.
pub(crate) struct Document {
    root: Scratch,
    /// Outside the root.
    keys: Scratch,
    authority: Authority,
}

impl Document {
    pub(crate) fn new(reaper: &Reaper) -> Self {
        let root = Scratch::new();
        reaper.watch_folder(root.path());
        for (name, bytes) in [("1k.bin", 1 << 10), ("100k.bin", 100 << 10), ("10m.bin", 10 << 20)] {
            root.write(name, vec![b'x'; bytes]);
        }
        root.write("hello.php", "<?php echo \"Hello world\\n\";\n");
        root.write("sleep.php", SLEEP);
        root.write("member.php", MEMBER);
        root.write("upload.php", UPLOAD);
        root.write("download.php", DOWNLOAD.replace("BYTES", &BYTES.to_string()));
        root.write("big.php", BIG);
        root.write("page.txt", page());
        gzip(&root.join("page.txt"));
        unchanged_since(root.path(), CHANGED);
        let keys = Scratch::new();
        reaper.watch_folder(keys.path());
        let authority = Authority::new("bench");
        authority.signs(&["bench"]).write(&keys, "bench");
        Self { root, keys, authority }
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Of a P-256 key, and the key.
    pub(crate) fn certificate(&self) -> (PathBuf, PathBuf) {
        (self.keys.join("bench.crt"), self.keys.join("bench.key"))
    }

    /// A client's, with no session yet.
    pub(crate) fn trust(&self) -> Trust {
        Trust::of(&self.authority)
    }
}

const SLEEP: &str = r#"<?php
usleep((int) $_GET['us']);
header('Content-Length: 6');
echo "slept\n";
"#;

/// Says which pool it ran in.
const MEMBER: &str = r#"<?php
isset($_GET['us']) && usleep((int) $_GET['us']);
header('Content-Length: 12');
header('X-Member: ' . getenv('FIXTURE_MEMBER'));
echo "Hello world\n";
"#;

const UPLOAD: &str = r#"<?php
$digest = hash_init('fnv1a64');
for ($body = fopen('php://input', 'rb'); ($piece = fread($body, 1 << 20)) != ''; ) {
    hash_update($digest, $piece);
}
$text = hash_final($digest);
header('Content-Length: ' . strlen($text));
echo $text;
"#;

/// The bytes of `support::big_bytes`.
const DOWNLOAD: &str = r#"<?php
$block = '';
for ($i = 0; $i < 65536; $i++) {
    $block .= chr(($i ^ ($i >> 8)) & 255);
}
header('Content-Length: BYTES');
for ($left = BYTES, $number = 0; $left > 0; $left -= 65536, $number++) {
    echo substr(pack('J', $number) . substr($block, 8), 0, $left);
}
"#;

const BIG: &str = r#"<?php
header('Content-Length: 1048576');
echo str_repeat('x', 1 << 20);
"#;

/// 2026-01-01 00:00:00, which `table` names.
const CHANGED: Duration = Duration::from_secs(1_767_225_600);

/// 40 KB of a page as templates make them: much that recurs, and words that do not.
fn page() -> String {
    let mut dice = 1_u64;
    let mut word = || {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:x}", (dice >> 33) % 50_000)
    };
    let mut page = String::new();
    while page.len() < 40_000 {
        let (class, link, text) = (word(), word(), [word(), word(), word(), word()].join(" "));
        page += &format!("<li class=\"item item-{class}\"><a href=\"/articles/{link}\">{text}</a></li>\n");
    }
    page
}

fn gzip(path: &Path) {
    let text = std::fs::read(path).expect("the page was just written");
    let mut coder = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
    let compressed = coder.write_all(&text).and_then(|()| coder.finish());
    std::fs::write(path.with_extension("txt.gz"), compressed.expect("memory takes it"))
        .expect("the folder is ours");
}

fn unchanged_since(folder: &Path, since: Duration) {
    for file in std::fs::read_dir(folder).expect("the folder is ours").flatten() {
        let file = File::options().write(true).open(file.path()).expect("the file is ours");
        file.set_modified(SystemTime::UNIX_EPOCH + since).expect("the file is ours");
    }
}

/// The responders of one row.
pub(crate) enum Backend<'a> {
    None,
    Null(NullResponder<'a>),
    Fpm { pools: Vec<Fpm>, reaper: &'a Reaper },
}

impl<'a> Backend<'a> {
    pub(crate) fn start(kind: BackendKind, document: &Document, reaper: &'a Reaper) -> Result<Self, String> {
        match kind {
            BackendKind::None => Ok(Self::None),
            BackendKind::Null(bytes) => Ok(Self::Null(NullResponder::start(Says::Bytes(bytes), 1, reaper))),
            BackendKind::NullPage => {
                let page = document.root().join("page.txt");
                Ok(Self::Null(NullResponder::start(Says::File(&page), 1, reaper)))
            }
            BackendKind::NullMembers(members) => {
                Ok(Self::Null(NullResponder::start(Says::Bytes(12), members, reaper)))
            }
            BackendKind::Fpm => {
                Ok(Self::Fpm { pools: POOLS.map(|name| start_fpm(name, reaper)).into(), reaper })
            }
        }
    }

    /// Where the responders listen.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::None => vec![],
            Self::Null(responder) => responder.addresses(),
            Self::Fpm { pools, .. } => pools.iter().map(fpm_address).collect(),
        }
    }

    /// The master and the workers of the first pool are killed at once; `meanwhile` it is not there, and then it is started again. Returns its name.
    pub(crate) fn crash_first_pool(&mut self, meanwhile: impl FnOnce()) -> Option<String> {
        let Self::Fpm { pools, reaper } = self else { return None };
        let pool = pools.first_mut()?;
        let pid = pool.pid();
        pool.kill();
        reaper.forget(pid);
        meanwhile();
        pool.restart();
        reaper.watch(pool.pid());
        Some(pool.member().to_owned())
    }
}

impl Drop for Backend<'_> {
    fn drop(&mut self) {
        let Self::Fpm { pools, reaper } = self else { return };
        for mut pool in pools.drain(..) {
            pool.kill();
            reaper.forget(pool.pid());
        }
    }
}

fn start_fpm(name: &str, reaper: &Reaper) -> Fpm {
    let pool = Fpm::builder(name).tcp().workers(WORKERS_PER_POOL).backlog(BACKLOG).start();
    reaper.watch(pool.pid());
    pool.counters().parent().into_iter().for_each(|folder| reaper.watch_folder(folder));
    pool
}

fn fpm_address(pool: &Fpm) -> SocketAddr {
    match pool.listen() {
        Listen::Tcp(address) => *address,
        Listen::Unix(path) => unreachable!("the pools were started on TCP, not on {}", path.display()),
    }
}

pub(crate) fn php_fpm_is_there() -> bool {
    let versions = (1..=9).rev().map(|minor| format!("php-fpm8.{minor}"));
    let names: Vec<String> = versions.chain(["php-fpm".to_owned()]).collect();
    find_program(&names.iter().map(String::as_str).collect::<Vec<_>>()).is_some()
}
