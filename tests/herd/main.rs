//! Thousands of endpoints at once, and thousands of retries due at one moment. `POSTHOUSE_SOAK=1`
//! runs each at full size.

#[path = "../support/mod.rs"]
mod support;

mod dead;
mod returning;

/// Whether the full size is asked for.
fn is_soak() -> bool {
    std::env::var_os("POSTHOUSE_SOAK").is_some()
}
