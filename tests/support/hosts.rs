//! An `/etc/hosts` of a test's own, in which one name leads to what the test says.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::Scratch;

/// The `/etc/hosts` that a cornac sees.
#[derive(Debug)]
pub struct Hosts {
    file: PathBuf,
    addresses: Vec<SocketAddr>,
    _folder: Scratch,
}

impl Hosts {
    pub const NAME: &str = "php-fpm.test";

    /// The name may lead to these, and leads nowhere yet.
    pub fn of(addresses: Vec<SocketAddr>) -> Self {
        let folder = Scratch::new();
        Self { file: folder.write("hosts", ""), addresses, _folder: folder }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The name leads to these of the addresses.
    pub fn lead_to(&self, which: &[usize]) {
        let mut text = "127.0.0.1 localhost\n".to_owned();
        for &index in which {
            let _ = writeln!(text, "{} {}", self.addresses[index].ip(), Self::NAME);
        }
        // Over what is there and of the same length: nobody reads an empty file in between.
        let mut file = File::options().write(true).open(&self.file).expect("the file of the names");
        file.write_all(format!("{text:\n<512}").as_bytes()).expect("the file of the names");
    }

    pub fn address(&self, index: usize) -> String {
        self.addresses[index].to_string()
    }
}
