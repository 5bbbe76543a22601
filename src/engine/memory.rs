/// The most memory this process has held so far, in bytes; `None` where the system does not say.
pub fn peak_rss_bytes() -> Option<u64> {
    kib_field("/proc/self/status", "VmHWM:")
}

/// Memory this process can have without pushing others out, what it holds already included, in bytes;
/// `None` where the system does not say.
pub fn available_bytes() -> Option<u64> {
    let free = kib_field("/proc/meminfo", "MemAvailable:")?;
    Some(free + kib_field("/proc/self/status", "VmRSS:")?)
}

/// A line such as `VmHWM:   1234 kB`, in bytes.
fn kib_field(file: &str, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
