//! The data folder: what is where in it, and that only one product uses it at a time.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

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
        std::fs::create_dir_all(path).map_err(unusable)?;
        let lock = File::create(path.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse(path.to_owned())),
            Err(TryLockError::Error(problem)) => Err(unusable(problem)),
        }
    }

    /// The database's file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("dynamodb.sqlite")
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
}
