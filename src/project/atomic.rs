use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Why a file could not be put in place. Each is a whole sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum AtomicError {
    /// Something has the name already.
    #[error("{} already exists; pass --overwrite or choose another name", .0.display())]
    Exists(PathBuf),
    /// The name is a folder's.
    #[error("{} is a folder; give the file a name inside it", .0.display())]
    IsFolder(PathBuf),
    /// The path ends without a file name.
    #[error("'{}' names no file; give a file name", .0.display())]
    NoName(PathBuf),
    /// The folder is missing; none is ever created.
    #[error("the folder {} does not exist; create it or choose another one", .0.display())]
    NoFolder(PathBuf),
    /// A part of the path that should be a folder is a file.
    #[error("{} is not a folder, so nothing can be written into it; choose another path", .0.display())]
    NotAFolder(PathBuf),
    /// No permission, or a file system mounted for reading only.
    #[error("{} cannot be written to; choose a folder you may write to", .0.display())]
    ReadOnly(PathBuf),
    /// No space or quota left.
    #[error("no space is left on the disk of {}; free some or choose another disk", .0.display())]
    Full(PathBuf),
    /// Anything else the system said.
    #[error("{} could not be written ({source}); check the disk and try again", path.display())]
    Io {
        /// The file it was about.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl AtomicError {
    /// The sentence for what the system said while `path` was being written.
    pub fn from_io(path: &Path, source: io::Error) -> Self {
        let folder = || folder_of(path).to_owned();
        match source.kind() {
            io::ErrorKind::AlreadyExists => Self::Exists(path.to_owned()),
            io::ErrorKind::IsADirectory => Self::IsFolder(path.to_owned()),
            // Some file systems, such as /proc, say "not found" of a folder that takes no files.
            io::ErrorKind::NotFound if folder_of(path).is_dir() => Self::ReadOnly(folder()),
            io::ErrorKind::NotFound => Self::NoFolder(folder()),
            io::ErrorKind::NotADirectory => Self::NotAFolder(folder()),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly(folder())
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full(path.to_owned())
            }
            _ => Self::Io {
                path: path.to_owned(),
                source,
            },
        }
    }
}

/// A file that takes its final name only when it is complete. Until [`commit`](Self::commit) it is a
/// hidden temporary file in the same folder with the same ending; dropped before that, it vanishes.
#[derive(Debug)]
pub struct AtomicFile {
    temp: NamedTempFile,
    /// What the system gives any new file here.
    permissions: fs::Permissions,
    target: PathBuf,
    overwrite: bool,
}

impl AtomicFile {
    /// Makes the temporary file. Refuses early what [`commit`](Self::commit) would refuse late, so
    /// that nobody waits for an encode that cannot be kept.
    pub fn create(target: &Path, overwrite: bool) -> Result<Self, AtomicError> {
        check_target(target, overwrite)?;
        let ending = target.extension().map_or_else(Default::default, |e| {
            let mut ending = std::ffi::OsString::from(".");
            ending.push(e);
            ending
        });
        // A fixed prefix: the target's own name plus random letters could be too long for the disk.
        let mut builder = tempfile::Builder::new();
        builder.prefix(".flowblend-").suffix(&ending);
        #[cfg(unix)]
        let permissions = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666);
        // The umask still applies: the mode is what any new file gets, not a temporary file's 0600.
        #[cfg(unix)]
        builder.permissions(permissions);
        let failed = |e| AtomicError::from_io(target, e);
        let temp = builder.tempfile_in(folder_of(target)).map_err(failed)?;
        let permissions = temp.as_file().metadata().map_err(failed)?.permissions();
        Ok(Self {
            temp,
            permissions,
            target: target.to_owned(),
            overwrite,
        })
    }

    /// Where the bytes go meanwhile, for writers that open files by name.
    pub fn temp_path(&self) -> &Path {
        self.temp.path()
    }

    /// The open temporary file.
    pub fn file(&mut self) -> &mut File {
        self.temp.as_file_mut()
    }

    /// Flushes to the disk and renames: afterwards the whole file is there, even if the power fails, and
    /// whoever may read other new files may read it.
    pub fn commit(self) -> Result<(), AtomicError> {
        let Self {
            temp,
            permissions,
            target,
            overwrite,
        } = self;
        let failed = |e: io::Error| AtomicError::from_io(&target, e);
        // Opened anew: a writer that was given the path may have put a file of its own there, which only
        // its owner could read. That of safetensors does.
        let written = File::options()
            .append(true)
            .open(temp.path())
            .map_err(failed)?;
        if written.metadata().map_err(failed)?.permissions() != permissions {
            written.set_permissions(permissions).map_err(failed)?;
        }
        written.sync_all().map_err(failed)?;
        if overwrite {
            temp.persist(&target).map_err(|e| failed(e.error))?;
        } else {
            temp.persist_noclobber(&target)
                .map_err(|e| failed(e.error))?;
        }
        sync_folder(&target);
        Ok(())
    }
}

/// Lets `write` fill a temporary file by its path, then flushes and renames it to `target`. An
/// error, also one of `write`'s own such as a cancel, leaves `target` as it was and no trace beside it.
pub fn write_atomic<E: From<AtomicError>>(
    target: &Path,
    overwrite: bool,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let file = AtomicFile::create(target, overwrite)?;
    write(file.temp_path())?;
    Ok(file.commit()?)
}

/// [`write_atomic`] for bytes that are already in memory.
pub fn write_bytes_atomic(target: &Path, overwrite: bool, bytes: &[u8]) -> Result<(), AtomicError> {
    let mut file = AtomicFile::create(target, overwrite)?;
    file.file()
        .write_all(bytes)
        .map_err(|e| AtomicError::from_io(target, e))?;
    file.commit()
}

/// Makes a rename into `path`'s folder durable. A file system that cannot do this for folders still
/// has the file, so a failure is no error.
pub fn sync_folder(path: &Path) {
    if cfg!(unix) {
        let _ = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    }
}

/// The folder a path lies in; `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn check_target(target: &Path, overwrite: bool) -> Result<(), AtomicError> {
    if target.file_name().is_none() {
        return Err(AtomicError::NoName(target.to_owned()));
    }
    match fs::symlink_metadata(target) {
        Ok(meta) if meta.is_dir() => Err(AtomicError::IsFolder(target.to_owned())),
        Ok(_) if !overwrite => Err(AtomicError::Exists(target.to_owned())),
        Ok(_) => Ok(()),
        // A missing folder and a missing file look alike here; making the temporary file tells.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(AtomicError::from_io(target, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_file_has_its_bytes_and_a_new_files_mode() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.json");
        write_bytes_atomic(&target, false, b"{}").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"{}");
        let plain = folder.path().join("plain");
        File::create(&plain).unwrap();
        assert_eq!(
            fs::metadata(&target).unwrap().permissions(),
            fs::metadata(&plain).unwrap().permissions()
        );
        assert_eq!(names(folder.path()), ["a.json", "plain"]);
    }

    /// As the writer of safetensors does: beside it, private, then renamed over it.
    #[test]
    fn a_file_that_a_writer_put_in_its_place_has_a_new_files_mode_too() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.bin");
        write_atomic(&target, false, |temp| {
            let mut own = NamedTempFile::new_in(folder.path()).unwrap();
            own.write_all(b"whole").unwrap();
            own.persist(temp).unwrap();
            Ok::<_, AtomicError>(())
        })
        .unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"whole");
        let plain = folder.path().join("plain");
        File::create(&plain).unwrap();
        assert_eq!(
            fs::metadata(&target).unwrap().permissions(),
            fs::metadata(&plain).unwrap().permissions()
        );
        assert_eq!(names(folder.path()), ["a.bin", "plain"]);
    }

    #[test]
    fn an_existing_file_is_replaced_only_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.txt");
        write_bytes_atomic(&target, false, b"old").unwrap();
        let refused = write_bytes_atomic(&target, false, b"new").unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("pass --overwrite or choose another name")
        );
        assert_eq!(fs::read(&target).unwrap(), b"old");
        write_bytes_atomic(&target, true, b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn one_that_appears_meanwhile_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.txt");
        let file = AtomicFile::create(&target, false).unwrap();
        File::create(&target).unwrap().write_all(b"theirs").unwrap();
        assert!(matches!(file.commit(), Err(AtomicError::Exists(_))));
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.mp4");
        let result = write_atomic(&target, false, |temp| {
            assert_eq!(temp.extension().unwrap(), "mp4");
            assert_eq!(temp.parent(), target.parent());
            Err(AtomicError::Full(target.clone()))
        });
        assert!(result.is_err());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn impossible_places_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none").join("a.txt");
        let text = write_bytes_atomic(&missing, false, b"")
            .unwrap_err()
            .to_string();
        assert!(text.contains("does not exist; create it"), "{text}");
        assert!(!folder.path().join("none").exists());

        let file = folder.path().join("file");
        write_bytes_atomic(&file, false, b"").unwrap();
        let text = write_bytes_atomic(&file.join("a.txt"), true, b"")
            .unwrap_err()
            .to_string();
        assert!(text.contains("is not a folder"), "{text}");

        let text = write_bytes_atomic(folder.path(), true, b"")
            .unwrap_err()
            .to_string();
        assert!(text.contains("is a folder; give the file a name"), "{text}");
        let text = write_bytes_atomic(Path::new(".."), true, b"")
            .unwrap_err()
            .to_string();
        assert!(text.contains("names no file"), "{text}");
    }

    #[test]
    fn what_the_system_says_becomes_a_sentence() {
        let say = |kind| AtomicError::from_io(Path::new("out/a.mp4"), kind).to_string();
        assert!(say(io::ErrorKind::StorageFull.into()).contains("no space is left"));
        assert!(
            say(io::ErrorKind::PermissionDenied.into()).starts_with("out cannot be written to")
        );
        assert!(say(io::ErrorKind::ReadOnlyFilesystem.into()).contains("may write to"));
        assert!(say(io::Error::other("cable")).contains("(cable)"));
        assert_eq!(folder_of(Path::new("a.mp4")), Path::new("."));
    }
}
