//! Floor 3: TOML → one resolved model, or every mistake in it with its place and its remedy.
pub mod model;
