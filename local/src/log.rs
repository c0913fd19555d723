//! Where what the functions print goes: a file, the last lines in memory, and the terminal if wanted.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::folder::open_private;

/// Lines kept in memory: enough to see what a test or the last minutes did.
const LINES: usize = 2_000;

/// A file larger than this at start makes room for a new one; one former file is kept.
const FILE_BYTES: u64 = 20 * 1024 * 1024;

/// The functions' log.
#[derive(Clone)]
pub(crate) struct Log {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    lines: VecDeque<String>,
    file: Option<File>,
    echo: bool,
}

impl Log {
    /// A log in memory; with `echo` also on the terminal.
    pub(crate) fn memory(echo: bool) -> Log {
        Log { inner: Arc::new(Mutex::new(Inner { lines: VecDeque::new(), file: None, echo })) }
    }

    /// A log that is also appended to the file at `path`.
    pub(crate) fn file(path: &Path, echo: bool) -> std::io::Result<Log> {
        let large = path.metadata().is_ok_and(|file| file.len() > FILE_BYTES);
        if large {
            std::fs::rename(path, path.with_extension("log.1"))?;
        }
        let file = open_private(path)?;
        let inner = Inner { lines: VecDeque::new(), file: Some(file), echo };
        Ok(Log { inner: Arc::new(Mutex::new(inner)) })
    }

    /// Adds a line of `source`, which is a function and the number of its process.
    pub(crate) fn line(&self, source: &str, text: &str) {
        let line = format!("{source} | {text}");
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.echo {
            eprintln!("{line}");
        }
        let written = inner.file.as_mut().map(|file| writeln!(file, "{line}"));
        if let Some(Err(error)) = written {
            tracing::warn!(%error, "the functions' log cannot be written any more");
            inner.file = None;
        }
        if inner.lines.len() >= LINES {
            inner.lines.pop_front();
        }
        inner.lines.push_back(line);
    }

    /// The last lines, oldest first.
    pub(crate) fn lines(&self) -> Vec<String> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.lines.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_holds_the_last_lines_only() {
        let log = Log::memory(false);
        for n in 0..=LINES {
            log.line("f 1", &n.to_string());
        }
        let lines = log.lines();
        assert_eq!((lines.len(), lines[0].as_str()), (LINES, "f 1 | 1"));
    }

    #[test]
    fn a_file_is_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("functions.log");
        Log::file(&path, false).unwrap().line("f 1", "one");
        Log::file(&path, false).unwrap().line("f 2", "two");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "f 1 | one\nf 2 | two\n");
    }
}
