//! cornac, a FastCGI load balancer and HTTP front end for php-fpm pools.
//!
//! The crate is a house with floors; a module may use the floors below it and nothing above or beside it
//! (`tests/architecture.rs` holds it to that):
//!
//! | floor | rooms | what happens there |
//! |---|---|---|
//! | 7 | [`runtime`] | threads, listening sockets, signals, a php-fpm of our own |
//! | 6 | [`front`], [`admin`] | HTTP in, HTTP out · the operator's API |
//! | 5 | [`site`] | one immutable generation of everything that serves |
//! | 4 | [`upstream`], [`files`], [`users`], [`limits`], [`logs`], [`tls`] | members, connections, permits, queue · document roots, sending files · password files · how often who came · where lines go · certificates at work |
//! | 3 | [`config`], [`metrics`] | TOML → one resolved model, or every mistake in it · counters as handles |
//! | 2 | [`watch`] | files that others write |
//! | 1 | [`fcgi`], [`route`], [`guard`], [`balance`] | bytes, paths and choices: no clock, no socket, no file of their own |
//!
//! [`app`] holds one function per command and wires the floors together.

pub mod admin;
pub mod app;
pub mod balance;
pub mod config;
pub mod fcgi;
pub mod files;
pub mod front;
pub mod guard;
pub mod limits;
pub mod logs;
pub mod metrics;
pub mod route;
pub mod runtime;
pub mod site;
pub mod tls;
pub mod upstream;
pub mod users;
pub mod watch;
