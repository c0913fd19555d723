//! The data folder: what is where in it, and that only one product uses it at a time.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The files in it hold keys, or what functions print: nobody else's business on a machine that several use.
const OWN_FILE: u32 = 0o600;

/// And so is the folder, as far as it is ours.
const OWN_FOLDER: u32 = 0o700;

/// The database's file.
const DATABASE: &str = "dynamodb.sqlite";

/// Who uses the folder holds a lock on this file.
const LOCK: &str = "lock";

/// Files that an earlier version may have left for everybody to read.
const FILES: [&str; 9] = [
    "dynamodb.sqlite",
    "dynamodb.sqlite-journal",
    "dynamodb.sqlite-shm",
    "dynamodb.sqlite-wal",
    "env",
    "functions.env",
    "functions.log",
    "functions.log.1",
    "streams.json",
];

/// A data folder that is ours until this is dropped.
pub(crate) struct Folder {
    path: PathBuf,
    /// The system lets go of the lock when the process ends, however it ends.
    _lock: File,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process has it.
    #[error("the data folder {} is in use by another `cargo local`; stop it or choose another with --data", .0.display())]
    InUse(PathBuf),
    /// The system refuses.
    #[error("the data folder {} cannot be used: {problem}", .path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// Why.
        problem: std::io::Error,
    },
}

impl Folder {
    /// Makes the folder if it is not there, and takes it.
    pub(crate) fn take(path: &Path) -> Result<Folder, FolderError> {
        let unusable = |problem| FolderError::Unusable { path: path.to_owned(), problem };
        make_private(path).map_err(unusable)?;
        let lock = open_private(&path.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {
                for name in FILES {
                    close_to_others(&path.join(name)).map_err(unusable)?;
                }
                // The engine would make it for everybody; what it puts beside it gets the same permissions.
                open_private(&path.join(DATABASE)).map_err(unusable)?;
                Ok(Folder { path: path.to_owned(), _lock: lock })
            }
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse(path.to_owned())),
            Err(TryLockError::Error(problem)) => Err(unusable(problem)),
        }
    }

    /// The database's file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// How far the streams are.
    pub(crate) fn positions(&self) -> PathBuf {
        self.path.join("streams.json")
    }

    /// What the functions print.
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("functions.log")
    }

    /// An error with one of the files.
    pub(crate) fn unusable(&self, problem: std::io::Error) -> FolderError {
        FolderError::Unusable { path: self.path.clone(), problem }
    }
}

/// Makes a folder for its owner alone. One that was there keeps its permissions unless it is ours already.
fn make_private(path: &Path) -> std::io::Result<()> {
    if path.is_dir() && !path.join(LOCK).exists() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(OWN_FOLDER).create(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(OWN_FOLDER))
}

/// Opens a file for its owner alone, made if it is not there, to be written to at its end.
pub(crate) fn open_private(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(OWN_FILE).open(path)?;
    file.set_permissions(Permissions::from_mode(OWN_FILE))?;
    Ok(file)
}

fn close_to_others(path: &Path) -> std::io::Result<()> {
    match std::fs::set_permissions(path, Permissions::from_mode(OWN_FILE)) {
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => Ok(()),
        changed => changed,
    }
}

/// Writes a file for its owner alone: beside it first and then renamed, so that a reader or a crash never finds half of it.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = OsString::from(path);
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(OWN_FILE).open(&beside)?;
    file.set_permissions(Permissions::from_mode(OWN_FILE))?;
    file.write_all(bytes)?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_user_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = Folder::take(&path).unwrap();
        assert!(matches!(Folder::take(&path), Err(FolderError::InUse(_))));
        drop(first);
        assert!(Folder::take(&path).is_ok());
    }

    #[test]
    fn c17_what_was_left_for_everybody_to_read_is_closed_and_a_strange_folder_is_not() {
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        for name in FILES.into_iter().chain(["somebody's"]) {
            std::fs::write(path.join(name), "").unwrap();
            std::fs::set_permissions(path.join(name), Permissions::from_mode(0o644)).unwrap();
        }
        drop(Folder::take(&path).unwrap());
        assert_eq!((mode(&path), mode(&path.join("somebody's"))), (0o755, 0o644), "not ours yet");
        for name in FILES {
            assert_eq!(mode(&path.join(name)), 0o600, "{name}");
        }
        drop(Folder::take(&path).unwrap());
        assert_eq!(mode(&path), 0o700);
    }
}
