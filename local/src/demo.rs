//! The demo merchant: an account with a test key and a live key, made at the first start and kept in `DATA/env`.

use std::path::Path;

/// The demo merchant's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// A test mode key.
    pub test: String,
    /// A live mode key.
    pub live: String,
}

/// Why there is no demo merchant.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The file with the keys cannot be read or written.
    #[error("{path} cannot be used: {problem}")]
    File {
        /// The file.
        path: String,
        /// Why.
        problem: std::io::Error,
    },
}

/// Makes the demo merchant, or finds that `known` are its keys; `live_xpub` is its extended key for live payments.
#[expect(clippy::unused_async, reason = "the store, which this will write to, is async")]
pub async fn demo(
    dynamodb_endpoint: &str,
    known: Option<Keys>,
    live_xpub: Option<&str>,
) -> Result<Keys, DemoError> {
    // The account and its keys are written here once `shared` has its store.
    tracing::debug!(dynamodb_endpoint, live_xpub, "the demo merchant is not in the database yet");
    Ok(known.unwrap_or_else(|| Keys { test: "cgk_test_demo".into(), live: "cgk_demo".into() }))
}

/// The keys that an earlier start wrote to the file.
pub fn read(file: &Path) -> Result<Option<Keys>, DemoError> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(problem) => return Err(failed(file, problem)),
    };
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(str::to_owned).filter(|value| !value.is_empty())
    };
    Ok(value("CRYPTOGAP_TEST_KEY").zip(value("CRYPTOGAP_LIVE_KEY")).map(|(test, live)| Keys { test, live }))
}

/// Writes the file that shells source and tests read.
pub fn write(file: &Path, base_url: &str, keys: &Keys) -> Result<(), DemoError> {
    let text = format!(
        "CRYPTOGAP_URL={base_url}\nCRYPTOGAP_TEST_KEY={}\nCRYPTOGAP_LIVE_KEY={}\n",
        keys.test, keys.live
    );
    // Written beside and renamed: a reader never sees half of it.
    let beside = file.with_extension("new");
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, file))
        .map_err(|problem| failed(file, problem))
}

fn failed(file: &Path, problem: std::io::Error) -> DemoError {
    DemoError::File { path: file.display().to_string(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("env");
        assert_eq!(read(&file).unwrap(), None);
        let keys = Keys { test: "cgk_test_a".into(), live: "cgk_b".into() };
        write(&file, "http://127.0.0.1:8787", &keys).unwrap();
        assert_eq!(read(&file).unwrap(), Some(keys));
        let expected =
            "CRYPTOGAP_URL=http://127.0.0.1:8787\nCRYPTOGAP_TEST_KEY=cgk_test_a\nCRYPTOGAP_LIVE_KEY=cgk_b\n";
        assert_eq!(std::fs::read_to_string(file).unwrap(), expected);
    }
}
