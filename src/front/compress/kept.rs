//! Small files that were compressed already: what costs milliseconds is done once for a state of a file, not at each
//! request. A file that changes in any way has another key; what is left of its old state is pushed out by others.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::files::Stamp;
use crate::route::Coding;

/// Files up to this are kept; larger ones are rare, and compressed for each client that wants them.
const LARGEST: u64 = 1 << 20;
/// Of compressed bytes, in all.
const ROOM: u64 = 32 << 20;
/// How many files that is, roughly.
const FILES: usize = 2_000;
/// Fewer than there are by default: each must have room for the largest file.
const SHARDS: usize = 8;

/// A state of a file, and how it is compressed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    stamp: Stamp,
    coding: Coding,
    level: u8,
}

impl Key {
    /// `None` where it is not to be kept.
    pub(super) fn of(stamp: Stamp, coding: Coding, level: u8) -> Option<Self> {
        (stamp.file_len() <= LARGEST).then_some(Self { stamp, coding, level })
    }
}

/// The compressed files of a process.
#[derive(Debug)]
pub(in crate::front) struct Kept(Cache<Key, Bytes, Weight>);

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, Bytes> for Weight {
    fn weight(&self, _: &Key, packed: &Bytes) -> u64 {
        packed.len() as u64 + size_of::<(Key, Bytes)>() as u64
    }
}

impl Default for Kept {
    fn default() -> Self {
        let options = OptionsBuilder::new()
            .weight_capacity(ROOM)
            .estimated_items_capacity(FILES)
            .shards(SHARDS)
            .build()
            .expect("both capacities are named");
        Self(Cache::with_options(options, Weight, DefaultHashBuilder::default(), Default::default()))
    }
}

impl Kept {
    pub(super) fn get(&self, key: &Key) -> Option<Bytes> {
        self.0.get(key)
    }

    pub(super) fn place_for(self: &Arc<Self>, key: Key) -> Place {
        Place { kept: Arc::clone(self), key, packed: BytesMut::new() }
    }
}

/// Gathers a file that is being compressed.
#[derive(Debug)]
pub(super) struct Place {
    kept: Arc<Kept>,
    key: Key,
    packed: BytesMut,
}

impl Place {
    pub(super) fn add(&mut self, packed: &Bytes) {
        self.packed.extend_from_slice(packed);
    }

    /// All of it is here. A file that was changed a moment ago may be changed again without its stamp showing it.
    pub(super) fn keep(self, now: SystemTime) {
        if self.key.stamp.is_settled(now) {
            self.kept.0.insert(self.key, self.packed.freeze());
        }
    }
}
