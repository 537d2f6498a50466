//! Floor 4: document roots: what to send for a file, and sending it.
