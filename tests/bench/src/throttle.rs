//! The share of a processor that Lambda gives a function of 128 MB: a group of the system's scheduler.

use std::path::{Path, PathBuf};

/// Lambda's period, in microseconds, and 128/1769 of it.
const PERIOD: &str = "20000";
const SHARE: &str = "1447";

/// A group of processes that share the allowance; gone when dropped.
pub struct Throttle {
    folder: PathBuf,
}

impl Throttle {
    /// Makes the group; `None` where the system does not let us.
    pub fn new() -> Option<Throttle> {
        let name = format!("cryptogap-bench-{}", std::process::id());
        let unified = Path::new("/sys/fs/cgroup").join(&name);
        let former = Path::new("/sys/fs/cgroup/cpu").join(&name);
        let quota = format!("{SHARE} {PERIOD}");
        Throttle::set(unified, &[("cpu.max", &quota)])
            .or_else(|| Throttle::set(former, &[("cpu.cfs_period_us", PERIOD), ("cpu.cfs_quota_us", SHARE)]))
    }

    fn set(folder: PathBuf, settings: &[(&str, &str)]) -> Option<Throttle> {
        let controlled = folder.parent()?.join("cgroup.procs");
        if !controlled.is_file() {
            return None;
        }
        std::fs::create_dir(&folder).ok()?;
        let throttle = Throttle { folder };
        for (setting, value) in settings {
            std::fs::write(throttle.folder.join(setting), value).ok()?;
        }
        Some(throttle)
    }

    /// Puts a process into it, with all its threads.
    pub fn hold(&self, process: u32) -> std::io::Result<()> {
        std::fs::write(self.folder.join("cgroup.procs"), process.to_string())
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir(&self.folder) {
            eprintln!("{} stays: {error}", self.folder.display());
        }
    }
}
