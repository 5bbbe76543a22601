use std::path::Path;

/// Bytes that may still be written to the disk of `folder`, which need not exist yet; `None` where the
/// system does not say.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|path| path.is_dir());
    // A relative path's last ancestor is the empty one: the working folder.
    on_disk_of(there.unwrap_or(Path::new(".")))
}

#[cfg(unix)]
fn on_disk_of(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn on_disk_of(_: &Path) -> Option<u64> {
    None
}

/// Bytes as people read them: `120 MB`, `28.9 GB`.
pub fn size_text(bytes: u64) -> String {
    if bytes < 500_000_000 {
        format!("{:.0} MB", bytes as f64 / 1e6)
    } else {
        format!("{:.1} GB", bytes as f64 / 1e9)
    }
}
