/// Has all threads take memory from one place, which keeps what is freed, up to 128 MiB. A step and a decode allocate the same few
/// megabytes over and over, on whichever thread comes first. By itself glibc gives each thread a place of its own, so that what one
/// frees lies unused while another takes new room, and gives freed room back to the system, which hands it out again page by page and
/// cleared. Elsewhere than with glibc nothing is done. Call it before any other thread exists.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const PLACES: libc::c_int = 1;
        const KEPT: libc::c_int = 128 << 20;
        // What is larger has pages of its own, which go back as ever, weights of a model that makes room among them.
        const LARGEST_INSIDE: libc::c_int = 32 << 20;
        // SAFETY: mallopt(3) looks at what it is given; a number that it refuses leaves things as they are.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, PLACES);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_INSIDE);
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
