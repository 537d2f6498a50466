//! Single steps of a request, in nanoseconds: criterion compares each run to the one before.
//!
//! `cargo bench --bench micro`, or with a part of a name behind `--`.

mod balance;
mod fcgi;
mod log;
mod route;

criterion::criterion_group!(steps, fcgi::steps, route::steps, balance::steps, log::steps);
criterion::criterion_main!(steps);
