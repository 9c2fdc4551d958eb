//! A 2xx means fsynced: the order of system calls, and disks that fail, fill up or crawl.

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod order;
mod producers;
