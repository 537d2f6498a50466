//! A document root of a test's own, whose scripts print what php received and count that they ran.

use std::path::PathBuf;

use super::{Scratch, fixtures};

/// A `public/` folder with something beside it that must never be reached.
#[derive(Debug)]
pub struct Root(Scratch);

impl Root {
    /// Empty, with `secret.txt` next to it.
    pub fn new() -> Self {
        let root = Self(Scratch::new());
        root.0.write("secret.txt", "SECRET beside the root\n");
        std::fs::create_dir(root.path()).expect("a folder in the scratch folder");
        root
    }

    pub fn path(&self) -> PathBuf {
        self.0.join("public")
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.0.write(&format!("public/{name}"), content);
        self
    }

    /// A file next to the root, not below it.
    pub fn outside(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.0.write(name, content);
        self
    }

    /// Prints everything that it received, with its own name as `entry`; each run is counted as `runs`.
    pub fn script(self, name: &str) -> Self {
        self.counted(name, "runs")
    }

    /// The same with a counter of its own.
    pub fn counted(self, name: &str, counter: &str) -> Self {
        let text = script(name, counter);
        self.file(name, text)
    }
}

/// The text of a script that prints and counts; where it lies does not matter.
pub fn script(name: &str, counter: &str) -> String {
    let mirror = fixtures("shared/mirror.php");
    format!(
        "<?php // SOURCE of {name}\nrequire '{}';\nfixture\\count_run('{counter}');\n\
         fixture\\send_json(fixture\\mirror(['entry' => '{name}']));\n",
        mirror.display()
    )
}
