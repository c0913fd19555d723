//! Programs that tests need and a machine may lack: found, or reported as the reason why a test was not run.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use shared::settings::optional;

/// The first of these programs on the path.
///
/// Without any, says that the test was not run, and `None`; in CI that is a failure.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    let path = optional("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(OsStr::new(&path)).collect();
    let places = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = places.into_iter().find(|place| place.is_file());
    if found.is_none() {
        not_run(names.first().copied().unwrap_or_default());
    }
    found
}

/// Whether a command runs and succeeds. If it does not, the test was not run: in CI that is a failure.
pub fn works(command: &[&str]) -> bool {
    let (program, arguments) = command.split_first().expect("a command has a program");
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let works = output.is_ok_and(|output| output.status.success());
    if !works {
        not_run(&command.join(" "));
    }
    works
}

/// Says that the running test needs a tool that is missing; in CI that is a failure.
pub fn not_run(tool: &str) {
    assert!(optional("CI").is_none(), "{tool} is missing, and in CI it must not be");
    let test = std::thread::current();
    let line = format!("test {} ... not run: {tool} is missing\n", test.name().unwrap_or_default());
    // Past the test runner, which keeps to itself what a test prints that passes.
    std::io::stderr().write_all(line.as_bytes()).expect("somebody listens");
}
