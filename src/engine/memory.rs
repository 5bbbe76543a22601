/// Has the C library keep what is freed, up to 256 MiB, in place of giving it back to the system at once. A step and a decode
/// allocate the same few megabytes over and over, and a page that comes back from the system has to be cleared first. Elsewhere than
/// with glibc nothing is done.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const KEPT: libc::c_int = 256 << 20;
        // What is larger has pages of its own, which go back as ever: the most that glibc takes from a heap.
        const IN_HEAP: libc::c_int = 32 << 20;
        // SAFETY: both only set a number in the allocator, under its lock.
        unsafe {
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
            libc::mallopt(libc::M_MMAP_THRESHOLD, IN_HEAP);
        }
    }
}

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
