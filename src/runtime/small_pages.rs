//! Memory in pages of 4 KB. Of a transparent huge one all is there as soon as one byte of it is used: with thousands of idle clients,
//! whose buffers are used in part, that makes half as much again.
//!
//! The allocator is built not to ask for them (`no_thp`); where `/sys/kernel/mm/transparent_hugepage/enabled` says `always` the kernel gives
//! them unasked. What a request takes is reused all the time, and costs the same in small pages.

use rustix::thread::disable_transparent_huge_pages;

/// From now on, for the whole process and whatever it starts: pages that are huge already stay so, so it comes before
/// anything is allocated. A kernel that cannot do it (before 3.15) has us take more memory, and nothing else.
pub fn only() {
    let _: rustix::io::Result<()> = disable_transparent_huge_pages(true);
}
