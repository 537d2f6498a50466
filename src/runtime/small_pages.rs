//! Memory in pages of 4 KB. The allocator asks for transparent huge ones, of which each is there as a whole as soon as one byte
//! of it is used: with thousands of idle clients, whose buffers are used in part, that makes half as much again.
//!
//! What a request takes is reused all the time, and costs the same in small pages.

use rustix::thread::disable_transparent_huge_pages;
use tracing::debug;

/// From now on, for the whole process and whatever it starts.
pub(super) fn only() {
    if let Err(error) = disable_transparent_huge_pages(true) {
        debug!(%error, "idle clients take more memory: huge pages cannot be disabled");
    }
}
