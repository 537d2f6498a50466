//! Folders: a private one for each thing that a test starts, and where the fixtures lie.

use std::fs;
use std::path::{Path, PathBuf};

/// A private folder, gone with the value.
#[derive(Debug)]
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Self {
        // Short on purpose: the path of a unix socket has at most 107 bytes.
        let folder = tempfile::Builder::new().prefix("cornac-").tempdir().expect("a temporary folder");
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).expect("a folder in the scratch folder");
        }
        fs::write(&path, content).expect("a file in the scratch folder");
        path
    }
}

/// `php-fixtures/` of this repository, or what lies below it: `fixtures("tp/public")`.
pub fn fixtures(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("php-fixtures").join(below)
}

/// The text of an example in `config/`.
pub fn config_example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The bytes that the fixture's `/big/N` answers: 64 KiB blocks, each its number (8 bytes, big-endian), then byte i is `(i ^ (i >> 8)) & 255`.
pub fn big_bytes(length: usize) -> Vec<u8> {
    const BLOCK: usize = 65_536;
    let mut block: Vec<u8> = (0..BLOCK).map(|i| ((i ^ (i >> 8)) & 255) as u8).collect();
    let mut bytes = Vec::with_capacity(length.next_multiple_of(BLOCK));
    for number in 0..length.div_ceil(BLOCK) as u64 {
        block[..8].copy_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&block);
    }
    bytes.truncate(length);
    bytes
}
