//! The command line's door: parses it and hands over to `app`. The only place with anyhow.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {}
