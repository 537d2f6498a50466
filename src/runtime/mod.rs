//! Floor 7: threads, listening sockets, signals, and a php-fpm of our own.

mod activation;
mod changes;
mod doors;
mod handover;
mod listen;
mod open_files;
mod operator;
mod php;
mod pid_file;
mod privileges;
mod reception;
mod reload;
mod server;
mod service_manager;
mod signals;
pub mod small_pages;
mod upgrade;
mod workers;

pub use listen::BindError;
pub use php::{Php, PhpError};
pub use reload::ReloadError;
pub use server::{Server, StartError};
