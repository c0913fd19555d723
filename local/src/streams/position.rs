//! How far each function has been told, kept in a file so that a restart goes on from there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::folder::write_private;

/// The sequence number of the last delivered record, by function and table.
#[derive(Clone)]
pub(crate) struct Positions {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    file: Option<PathBuf>,
    delivered: BTreeMap<String, String>,
}

impl Positions {
    /// Positions that end with the process.
    pub(crate) fn memory() -> Positions {
        Positions { inner: Arc::new(Mutex::new(Inner { file: None, delivered: BTreeMap::new() })) }
    }

    /// Positions kept in `file`.
    pub(crate) fn file(file: PathBuf) -> std::io::Result<Positions> {
        let delivered = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Positions { inner: Arc::new(Mutex::new(Inner { file: Some(file), delivered })) })
    }

    pub(super) fn get(&self, function: &str, table: &str) -> Option<String> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.delivered.get(&key(function, table)).cloned()
    }

    /// Remembers a position. What cannot be written is delivered once more after a restart.
    pub(super) fn set(&self, function: &str, table: &str, sequence: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.delivered.insert(key(function, table), sequence.to_owned());
        let Some(file) = &inner.file else { return };
        let written = serde_json::to_vec_pretty(&inner.delivered)
            .map_err(std::io::Error::from)
            .and_then(|bytes| write_private(file, &bytes));
        if let Err(error) = written {
            tracing::warn!(%error, "the position of a stream cannot be kept");
        }
    }
}

fn key(function: &str, table: &str) -> String {
    format!("{function} {table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("streams.json");
        let first = Positions::file(file.clone()).unwrap();
        assert_eq!(first.get("F", "T"), None);
        first.set("F", "T", "7");
        first.set("G", "T", "8");
        let second = Positions::file(file.clone()).unwrap();
        assert_eq!(
            (second.get("F", "T").as_deref(), second.get("G", "T").as_deref()),
            (Some("7"), Some("8"))
        );
        std::fs::write(&file, "{").unwrap();
        assert!(Positions::file(file).is_err());
    }
}
