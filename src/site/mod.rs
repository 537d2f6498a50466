//! Floor 5: one immutable generation of everything that serves.
