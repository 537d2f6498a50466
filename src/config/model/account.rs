//! Who the process is once its sockets are open.

/// A user of this machine, with one of its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// As it is written.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The group's number; what else the user belongs to is the system's to know.
    pub gid: u32,
}
