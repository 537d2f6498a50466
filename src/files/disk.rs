//! The file system as the router asks for it: what lies at a path.
