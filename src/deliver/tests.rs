//! Attempts against receivers that misbehave on purpose, over real sockets on 127.0.0.1.

mod answers;
mod connections;
mod support;
mod timings;
