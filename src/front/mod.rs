//! Floor 6: HTTP in, HTTP out.
