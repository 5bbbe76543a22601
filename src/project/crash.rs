use std::backtrace::Backtrace;
use std::fs;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::write_bytes_atomic;

/// Beginning of the names of reports nobody was told of yet, and of the others.
const NEW: &str = "new-";
const SEEN: &str = "crash-";

/// From now on a fault of the program leaves a file in `folder` that says what happened and where. Nothing
/// in it is of the person's work.
pub fn report_crashes_to(folder: PathBuf) {
    let before = take_hook();
    set_hook(Box::new(move |info| {
        write(&folder, info);
        before(info);
    }));
}

fn write(folder: &Path, info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let text = format!(
        "flowblend {} ({} {})\n{}\nthread {}\n{info}\n\n{}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        Timestamp::now(),
        thread.name().unwrap_or("without a name"),
        Backtrace::force_capture(),
    );
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S.%6f").to_string();
    // In the middle of a fault there is nobody to tell that this failed too.
    let _ = fs::create_dir_all(folder);
    let path = folder.join(format!("{NEW}{stamp}.txt"));
    let _ = write_bytes_atomic(&path, true, text.as_bytes());
}

/// The newest report that nobody was told of; afterwards all count as told.
pub fn untold_crash(folder: &Path) -> Option<PathBuf> {
    let mut told = Vec::new();
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let name = entry.file_name();
        if let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(NEW)) {
            let path = folder.join(format!("{SEEN}{rest}"));
            if fs::rename(entry.path(), &path).is_ok() {
                told.push(path);
            }
        }
    }
    told.into_iter().max()
}
