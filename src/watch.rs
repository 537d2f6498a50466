//! Floor 2: files that others write, watched without missing how they are really written.
//!
//! The folder is watched, not the file: editors and deployments put a new file in the place of the old one, and Kubernetes swaps a
//! link beside it (`..data`) that the file goes through.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// The folders that some files hang on.
#[derive(Debug, Default)]
pub struct Watch {
    folders: Vec<Folder>,
    /// Ends with this value, as does its thread.
    watcher: Option<RecommendedWatcher>,
    changed: Arc<Notify>,
}

/// A folder that was watched is not the one that has its name now, if it was made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Folder {
    path: PathBuf,
    inode: Option<(u64, u64)>,
}

impl Watch {
    /// Watches these files from now on, through whatever links they are reached now. Asked again after each change.
    pub fn look_at<'a>(&mut self, files: impl IntoIterator<Item = &'a Path>) {
        let mut folders: Vec<_> = files.into_iter().flat_map(folders_of).collect();
        folders.sort_by(|a, b| a.path.cmp(&b.path));
        folders.dedup();
        if self.watcher.is_some() && self.folders == folders {
            return;
        }
        match watcher(&folders, &self.changed) {
            Ok(watcher) => (self.watcher, self.folders) = (Some(watcher), folders),
            // Whoever watches reads now and then all the same.
            Err(error) => {
                let folders: Vec<_> = folders.iter().map(|folder| folder.path.display()).collect();
                tracing::debug!(?folders, %error, "they cannot be watched yet");
            }
        }
    }

    /// Returns when one of the folders has changed since it was asked last.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Where the file is named, and where it lies when that is a link.
fn folders_of(path: &Path) -> Vec<Folder> {
    let parent = |path: &Path| path.parent().map(Path::to_owned);
    let real = path.canonicalize().ok().as_deref().and_then(parent);
    let mut paths: Vec<_> = parent(path).into_iter().chain(real).collect();
    paths.dedup();
    paths.into_iter().map(|path| Folder { inode: inode(&path).ok(), path }).collect()
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    path.metadata().map(|folder| (folder.dev(), folder.ino()))
}

fn watcher(folders: &[Folder], changed: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let changed = Arc::clone(changed);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.map_or(true, |event| is_a_change(event.kind)) {
            changed.notify_one();
        }
    })?;
    for folder in folders {
        watcher.watch(&folder.path, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// That somebody reads, as we do, is none.
fn is_a_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use tokio::time::timeout;

    async fn is_seen(watch: &Watch) -> bool {
        timeout(Duration::from_secs(20), watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn a_file_that_is_written_replaced_or_reached_by_another_link_is_seen_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("v1")).unwrap();
        fs::create_dir_all(at("v2")).unwrap();
        fs::write(at("v1/m.json"), "[]").unwrap();
        symlink("v1", at("data")).unwrap();
        symlink("data/m.json", at("m.json")).unwrap();
        let mut watch = Watch::default();
        watch.look_at([at("m.json").as_path()]);
        assert_eq!(watch.folders.len(), 2);
        fs::write(at("v1/m.json"), "[ ]").unwrap();
        assert!(is_seen(&watch).await, "written where it lies");
        symlink("v2", at("new")).unwrap();
        assert!(is_seen(&watch).await);
        fs::rename(at("new"), at("data")).unwrap();
        assert!(is_seen(&watch).await, "the link is swapped");
        fs::write(at("v2/m.json"), "[]").unwrap();
        watch.look_at([at("m.json").as_path()]);
        fs::rename(at("v2/m.json"), at("v2/old")).unwrap();
        assert!(is_seen(&watch).await, "watched where it lies now");
    }

    #[test]
    fn that_a_file_is_read_is_no_change() {
        use notify::event::ModifyKind;
        assert!(!is_a_change(EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(!is_a_change(EventKind::Access(AccessKind::Close(AccessMode::Read))));
        assert!(is_a_change(EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(is_a_change(EventKind::Modify(ModifyKind::Any)));
    }
}
