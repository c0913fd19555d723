//! A contender's process, and what the system says that it used. Only Linux says.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use shared::app::Error;
use tokio::process::{Child, Command};

use crate::contenders::Launch;

/// The unit in which Linux tells a process's times, on every platform that Lambda has.
const TICK_MILLISECONDS: u64 = 10;

/// A running process, killed when dropped.
pub struct Process {
    child: Child,
    folder: PathBuf,
    /// Its number.
    pub id: u32,
}

impl Process {
    /// Starts it against the runtime API at `api`.
    pub fn start(launch: &Launch, api: &str) -> Result<Process, Error> {
        let (program, arguments) = launch.command.split_first().ok_or("a contender has no program")?;
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(&launch.environment)
            .env("AWS_LAMBDA_RUNTIME_API", api)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", program.display()))?;
        let id = child.id().ok_or("a contender ended at once")?;
        Ok(Process { child, folder: PathBuf::from(format!("/proc/{id}")), id })
    }

    /// Processor time so far: to the nanosecond for threads that live, to the tick for those that have ended. Python
    /// starts some for each call; the functions have one.
    pub fn cpu(&self) -> Result<Duration, Error> {
        Ok(self.cpu_of_threads()?.max(self.cpu_in_ticks()?))
    }

    fn cpu_in_ticks(&self) -> Result<Duration, Error> {
        let text = std::fs::read_to_string(self.folder.join("stat"))?;
        // The second field is the program's name in parentheses, in which there may be anything.
        let (_, fields) = text.rsplit_once(") ").ok_or("the system says nothing of a process")?;
        let mut ticks = 0_u64;
        for field in fields.split(' ').skip(11).take(2) {
            ticks = ticks.saturating_add(field.parse()?);
        }
        Ok(Duration::from_millis(ticks.saturating_mul(TICK_MILLISECONDS)))
    }

    fn cpu_of_threads(&self) -> Result<Duration, Error> {
        let mut nanoseconds = 0_u64;
        for thread in std::fs::read_dir(self.folder.join("task"))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            let ran: u64 = text.split(' ').next().unwrap_or_default().parse()?;
            nanoseconds = nanoseconds.saturating_add(ran);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// The most memory that it has held at once, in KiB.
    pub fn peak_memory(&self) -> Result<u64, Error> {
        let status = std::fs::read_to_string(self.folder.join("status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        Ok(peak.unwrap_or_default().trim().trim_end_matches(" kB").parse()?)
    }

    /// Ends it.
    pub async fn end(mut self) -> Result<(), Error> {
        Ok(self.child.kill().await?)
    }
}
