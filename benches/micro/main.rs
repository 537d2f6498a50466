//! Single steps of a request, in nanoseconds: criterion compares each run to the one before.
//!
//! `cargo bench --bench micro`, or with a part of a name behind `--`. What is here is public for other reasons; what is not
//! public (a line of the access log) is measured side by side only.

mod balance;
mod fcgi;
mod route;

criterion::criterion_group!(steps, fcgi::steps, route::steps, balance::steps);
criterion::criterion_main!(steps);
