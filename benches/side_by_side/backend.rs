//! What stands behind the contestants, the same for all: files and scripts, null responders, php-fpm pools.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::contestant::BINARY;
use crate::reaper::Reaper;
use crate::rows::BackendKind;
use crate::support::{Fpm, Listen, Port, Process, Scratch, Signal, find_program, free_port};
use crate::transfer::BYTES;

const POOLS: [&str; 3] = ["one", "two", "three"];
pub(crate) const WORKERS_PER_POOL: u32 = 4;

/// A document root with the files and scripts of all rows.
#[derive(Debug)]
pub(crate) struct Document(Scratch);

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
        Self(root)
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
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

/// The responders of one row.
pub(crate) enum Backend<'a> {
    None,
    Null(NullResponder<'a>),
    Fpm { pools: Vec<Fpm>, reaper: &'a Reaper },
}

impl<'a> Backend<'a> {
    pub(crate) fn start(kind: BackendKind, reaper: &'a Reaper) -> Result<Self, String> {
        match kind {
            BackendKind::None => Ok(Self::None),
            BackendKind::Null(bytes) => Ok(Self::Null(NullResponder::start(bytes, reaper))),
            BackendKind::Fpm => {
                Ok(Self::Fpm { pools: POOLS.map(|name| start_fpm(name, reaper)).into(), reaper })
            }
        }
    }

    /// Where the responders listen.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::None => vec![],
            Self::Null(responder) => vec![responder.port.address()],
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
    let pool = Fpm::builder(name).tcp().workers(WORKERS_PER_POOL).start();
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

/// `examples/null-responder.rs` as cargo built it.
pub(crate) struct NullResponder<'a> {
    process: Process,
    port: Port,
    reaper: &'a Reaper,
    _scratch: Scratch,
}

impl<'a> NullResponder<'a> {
    fn start(bytes: usize, reaper: &'a Reaper) -> Self {
        let (port, scratch) = (free_port(), Scratch::new());
        reaper.watch_folder(scratch.path());
        let mut command = Command::new(null_responder());
        command.args(["--listen", &port.to_string(), "--bytes", &bytes.to_string()]);
        let mut process = Process::start("null-responder", &mut command, scratch.join("output.log"));
        reaper.watch(process.pid());
        process.wait_for_listener(&Listen::Tcp(port.address()), None);
        Self { process, port, reaper, _scratch: scratch }
    }
}

impl Drop for NullResponder<'_> {
    fn drop(&mut self) {
        self.process.end(Signal::TERM);
        self.reaper.forget(self.process.pid());
    }
}

/// Cargo puts examples beside the binary.
fn null_responder() -> PathBuf {
    Path::new(BINARY).with_file_name("examples").join("null-responder")
}

pub(crate) fn look_for_null_responder() -> Result<(), String> {
    if null_responder().is_file() {
        return Ok(());
    }
    Err("the null responder is not built; do it by:\n    cargo build --release --example null-responder"
        .to_owned())
}
