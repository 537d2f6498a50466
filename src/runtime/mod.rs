//! Floor 7: threads, listening sockets, signals, and a php-fpm of our own.

mod listen;
mod open_files;
mod operator;
mod php;
mod server;
mod signals;
mod workers;

pub use listen::{BindError, written};
pub use php::{Php, PhpError};
pub use server::{Server, StartError};
