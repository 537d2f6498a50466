//! The rig of the black-box tests: real php-fpm, real nginx, the built cornac, and a client that sends exactly the bytes it is told.
//!
//! Everything here is blocking and bounded in time, so that a test that goes wrong fails with a log instead of hanging.
//! What a test starts is gone when its value is dropped. Use it by `mod support;`.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each test file is a crate of its own and uses its part of the rig; `pub` is what the rig offers"
)]

pub mod api;
mod asking;
mod child;
pub mod compare;
pub mod consul;
mod cornac;
pub mod curl;
pub mod dns;
pub mod docker;
pub mod etcd;
mod fleet;
mod fpm;
pub mod frames;
mod hosts;
pub mod http;
mod load;
mod long;
mod nginx;
mod operated;
pub mod paths;
pub mod pki;
mod ports;
mod responder;
mod root;
mod scratch;
mod scripted;
mod site;
pub mod tls;
pub mod whole;

pub use asking::Asking;
pub use child::{Listen, Process, Signal, find_program, freeze, signal, wait_until, worker_pids};
pub use cornac::{Cornac, Finished};
pub use fleet::{Fleet, told_by};
pub use fpm::{Fpm, FpmBuilder, Pm};
pub use hosts::Hosts;
pub use load::{Answer, Load};
pub use long::Long;
pub use nginx::{FASTCGI_PARAMS, Nginx};
pub use operated::{JSON, Operated};
pub use ports::{Port, free_port};
pub use responder::{Call, Responder, record, reply};
pub use root::{Root, script};
pub use scratch::{Scratch, big_bytes, config_example, fixtures};
pub use scripted::{Mode, Scripted, digest_line};
pub use site::{Tp, server};
