//! Every operation that the official SDK for Rust offers, by the SDK as it is published.
//!
//! Run by `tests/sdk.rs` with the version to drive: `newest` or `older`. Reads `POSTHOUSE_URL` and
//! `POSTHOUSE_KEY`; the server tries a failed delivery once more, within seconds, and may deliver to
//! this machine. Each operation that did what is expected of it is said in a line of its own.
//!
//! The steps are compiled twice, once with each version: `newest` and `older` hold what differs.

mod names;
mod newest;
mod older;
mod receiver;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let (url, key) = (variable("POSTHOUSE_URL"), variable("POSTHOUSE_KEY"));
    let receiver = receiver::Receiver::start().await;
    match std::env::args().nth(1).as_deref() {
        Some("newest") => newest::steps::all(&url, &key, &receiver).await,
        Some("older") => older::steps::all(&url, &key, &receiver).await,
        other => panic!("newest or older, not {other:?}"),
    }
    println!("all well");
}
