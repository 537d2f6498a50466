//! Certificates whose files change: read again, and served from the next handshake on. Connections that stand are not touched.
//!
//! A certificate and its key are two files, written one after the other: what does not fit together is served by nobody, and the old
//! pair stays until it does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::served::Served;
use crate::config::{BadCertificate, Identity, Stamps};
use crate::watch::Watch;

/// Whoever renews a certificate writes several files, in several steps.
const WRITING: Duration = Duration::from_millis(500);
/// Network file systems, and ConfigMaps on them, tell nobody of a change.
const UNSEEN: Duration = Duration::from_secs(30);

/// Looks after certificates until it is dropped.
#[derive(Debug)]
pub(super) struct Renewal(AbortHandle);

impl Renewal {
    /// Must be called within a tokio runtime. `None` where no certificate lies in files.
    pub(super) fn of(served: Vec<Arc<Served>>) -> Option<Self> {
        let in_files: Vec<_> = served.into_iter().filter(|served| served.files.is_some()).collect();
        (!in_files.is_empty()).then(|| Self(tokio::spawn(follow(in_files)).abort_handle()))
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn follow(all: Vec<Arc<Served>>) {
    let mut watch = Watch::default();
    let mut refused: Vec<Option<Stamps>> = vec![None; all.len()];
    loop {
        watch.look_at(all.iter().flat_map(|served| paths(served)));
        for (served, refused) in all.iter().zip(&mut refused) {
            look_at(served, refused).await;
        }
        if timeout(UNSEEN, watch.changed()).await.is_ok() {
            sleep(WRITING).await;
        }
    }
}

fn paths(served: &Served) -> impl Iterator<Item = &Path> {
    served.files.iter().flat_map(|files| files.paths())
}

/// `refused` are the files that were complained of: once.
async fn look_at(served: &Arc<Served>, refused: &mut Option<Stamps>) {
    let Some(files) = &served.files else { return };
    let stamps = files.stamps();
    if stamps == served.now().stamps || refused.as_ref() == Some(&stamps) {
        return;
    }
    let there = files.clone();
    let Ok(loaded) = spawn_blocking(move || there.load()).await else { return };
    match loaded {
        Ok(identity) => {
            *refused = None;
            tell(&files.cert, &identity);
            served.renew(identity);
        }
        Err(BadCertificate { file, message, hint, .. }) => {
            *refused = Some(stamps);
            tracing::warn!(
                "{} {message}; the certificate that was read before is served on ({hint})",
                file.display()
            );
        }
    }
}

fn tell(cert: &Path, identity: &Identity) {
    let until = httpdate::fmt_http_date(identity.not_after);
    tracing::info!("{} has changed: served from now on, valid until {until}", cert.display());
}
