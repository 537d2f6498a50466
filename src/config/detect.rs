//! Which preset a folder asks for, and which of its sub-folders is the document root: what `cornac serve DIR` goes by.

use std::path::{Path, PathBuf};

use crate::route::{Kind, Lookup};

use super::Preset;

/// What a folder looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// The routes that fit it.
    pub preset: Preset,
    /// The document root: the folder itself, or its `public` or `web`.
    pub root: PathBuf,
    /// The file or folder that gave it away, below the project; empty where nothing did.
    pub because: &'static str,
}

/// A project folder is known by these, wherever its document root is.
const PROJECTS: [(&str, Preset); 6] = [
    ("think", Preset::ThinkPhp),
    ("vendor/topthink/framework", Preset::ThinkPhp),
    ("artisan", Preset::Laravel),
    ("symfony.lock", Preset::Symfony),
    ("bin/console", Preset::Symfony),
    ("core/lib/Drupal.php", Preset::Drupal),
];

/// Files in a document root.
const ROOTS: [(&str, Preset); 5] = [
    ("wp-config.php", Preset::WordPress),
    ("wp-load.php", Preset::WordPress),
    ("wp-login.php", Preset::WordPress),
    ("core/lib/Drupal.php", Preset::Drupal),
    ("index.php", Preset::FrontController),
];

/// Looks at a folder: a project, its document root, or any folder with files.
pub fn detect(disk: &impl Lookup, dir: &Path) -> Detected {
    let root = document_root(disk, dir);
    let project = if root == dir { dir.parent().filter(|_| is_public(dir)).unwrap_or(dir) } else { dir };
    let found = |folder: &Path, signs: &[(&'static str, Preset)]| {
        signs.iter().find(|(sign, _)| disk.kind(&folder.join(sign)) != Kind::Missing).copied()
    };
    let (because, preset) =
        found(project, &PROJECTS).or_else(|| found(&root, &ROOTS)).unwrap_or(("", Preset::Plain));
    Detected { preset, root, because }
}

/// `public` or `web` with an `index.php` in it, when the folder itself has none.
fn document_root(disk: &impl Lookup, dir: &Path) -> PathBuf {
    let has_index = |folder: &Path| disk.kind(&folder.join("index.php")) == Kind::File;
    let candidates = ["public", "web"].map(|name| dir.join(name));
    let inner = candidates.into_iter().find(|folder| has_index(folder));
    // Laravel's and ThinkPHP's projects may carry an index.php that only points at public/: the marker decides.
    let project = PROJECTS.iter().any(|(sign, _)| disk.kind(&dir.join(sign)) == Kind::File);
    match inner {
        Some(inner) if project || !has_index(dir) => inner,
        _ => dir.to_owned(),
    }
}

fn is_public(dir: &Path) -> bool {
    dir.file_name().is_some_and(|name| name == "public" || name == "web")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files(&'static [&'static str]);

    impl Lookup for Files {
        fn kind(&self, path: &Path) -> Kind {
            let is_below = |file: &&str| Path::new(file).starts_with(path);
            match self.0.iter().find(|file| is_below(file)) {
                Some(file) if Path::new(file) == path => Kind::File,
                Some(_) => Kind::Directory,
                None => Kind::Missing,
            }
        }
    }

    #[test]
    fn a_project_is_known_by_what_lies_in_it_from_above_and_from_its_document_root() {
        use Preset::*;
        let cases: [(&'static [&'static str], &str, Preset, &str); 15] = [
            (&["/a/think", "/a/public/index.php"], "/a", ThinkPhp, "/a/public"),
            (&["/a/think", "/a/public/index.php"], "/a/public", ThinkPhp, "/a/public"),
            (&["/a/vendor/topthink/framework/x", "/a/public/index.php"], "/a/public", ThinkPhp, "/a/public"),
            (&["/a/artisan", "/a/public/index.php"], "/a", Laravel, "/a/public"),
            (&["/a/artisan", "/a/index.php", "/a/public/index.php"], "/a", Laravel, "/a/public"),
            (&["/a/symfony.lock", "/a/bin/console", "/a/public/index.php"], "/a", Symfony, "/a/public"),
            (&["/a/bin/console", "/a/web/index.php"], "/a/web", Symfony, "/a/web"),
            (&["/a/wp-login.php", "/a/index.php"], "/a", WordPress, "/a"),
            (&["/a/wp-config.php"], "/a", WordPress, "/a"),
            (&["/a/core/lib/Drupal.php", "/a/index.php"], "/a", Drupal, "/a"),
            (&["/a/web/core/lib/Drupal.php", "/a/web/index.php"], "/a", Drupal, "/a/web"),
            (&["/a/index.php"], "/a", FrontController, "/a"),
            (&["/a/public/index.php"], "/a", FrontController, "/a/public"),
            (&["/a/index.html", "/a/x.php"], "/a", Plain, "/a"),
            (&[], "/a", Plain, "/a"),
        ];
        for (files, dir, preset, root) in cases {
            let detected = detect(&Files(files), Path::new(dir));
            assert_eq!((detected.preset, detected.root), (preset, PathBuf::from(root)), "{files:?} {dir}");
        }
    }

    #[test]
    fn it_says_what_gave_the_project_away() {
        assert_eq!(detect(&Files(&["/a/artisan"]), Path::new("/a")).because, "artisan");
        assert_eq!(detect(&Files(&[]), Path::new("/a")).because, "");
    }
}
