//! A file as a source: read when its folder changes (`watch`), and now and then in case that went unseen. What the file says is
//! `listing`'s.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::found::{Outlet, Report};
use super::listing;
use super::names::{Lookup, located};
use super::trouble::Trouble;
use crate::watch::Watch;

/// Who writes a file may do so in several steps.
const WRITING: Duration = Duration::from_millis(50);
/// Network file systems tell nobody of a change.
const UNSEEN: Duration = Duration::from_secs(5);

/// Tells what stands in the file.
pub(super) async fn follow(path: PathBuf, lookup: Lookup, outlet: Outlet) {
    let mut watch = Watch::default();
    loop {
        // Watched first, read then: what changes in between is seen.
        watch.look_at([path.as_path()]);
        outlet.tell(read(&path, &lookup).await).await;
        if timeout(UNSEEN, watch.changed()).await.is_ok() {
            sleep(WRITING).await;
        }
    }
}

async fn read(path: &Path, lookup: &Lookup) -> Report {
    let path_there = path.to_owned();
    let reading = spawn_blocking(move || std::fs::read_to_string(path_there)).await;
    let text = reading.map_err(io::Error::from).and_then(|text| text);
    let text = text.map_err(|error| Trouble::Unreadable { path: path.to_owned(), error })?;
    let listed = listing::read(path, &text)?;
    located(listed, lookup).await
}
