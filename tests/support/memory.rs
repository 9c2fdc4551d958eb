//! The memory of a process, as the kernel counts it.

use posthouse::config::read_capped;

const STATUS_BYTES_MAX: u64 = 1 << 16;

/// What a process has in memory now.
pub(crate) fn resident_kib(pid: u32) -> u64 {
    field(pid, "VmRSS:")
}

/// The most that a process had in memory since [`forget_peak`].
pub(crate) fn peak_kib(pid: u32) -> u64 {
    field(pid, "VmHWM:")
}

/// Begins to count the peak anew.
pub(crate) fn forget_peak(pid: u32) {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the peak is forgotten");
}

fn field(pid: u32, name: &str) -> u64 {
    let status = read_capped(format!("/proc/{pid}/status").as_ref(), STATUS_BYTES_MAX).expect("a status");
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_else(|| panic!("{name} in KiB: {line:?}"))
}
