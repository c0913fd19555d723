//! One process of a function: how it is started and where what it prints goes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::call::{InvokeError, ProcessNumber};
use crate::log::Log;

/// All that is needed to start a process of a function.
pub(super) struct Launch {
    pub(super) function: String,
    pub(super) program: PathBuf,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) api: SocketAddr,
    pub(super) log: Log,
}

impl Launch {
    /// Starts process `number`.
    pub(super) fn start(&self, number: ProcessNumber) -> Result<Child, InvokeError> {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .envs(&self.environment)
            // Its own address, so that the API knows who asks. An address with a path needs its scheme.
            .env("AWS_LAMBDA_RUNTIME_API", format!("http://{}/{}/{number}", self.api, self.function))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // Ctrl-C in the terminal is for us alone; we end the functions.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command
            .spawn()
            .map_err(|error| InvokeError::NotStarted(format!("{}: {error}", self.program.display())))?;
        let source = format!("{} {number}", self.function);
        follow(child.stdout.take(), self.log.clone(), source.clone());
        follow(child.stderr.take(), self.log.clone(), source);
        Ok(child)
    }
}

/// Logs what comes out of a process until it ends.
fn follow(output: Option<impl AsyncRead + Unpin + Send + 'static>, log: Log, source: String) {
    let Some(output) = output else { return };
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        loop {
            match lines.next_line().await {
                Ok(Some(line)) => log.line(&source, &line),
                Ok(None) => break,
                Err(error) => {
                    log.line(&source, &format!("(what it prints cannot be read: {error})"));
                    break;
                }
            }
        }
    });
}
