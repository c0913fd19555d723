//! The programs that are measured: the functions, the bare one, and a Python environment for FastAPI.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use local::template::Product;
use shared::app::Error;

use crate::workspace;

/// The functions whose speed is measured.
pub const MEASURED: [&str; 2] = ["create-payment", "get-payment"];

/// The function that does the same with the SDK alone.
pub const BARE: &str = "bare";

/// Where everything is.
pub struct Programs {
    /// The folder of the compiled programs.
    pub folder: PathBuf,
    /// Their build profile.
    pub profile: String,
    /// The functions that were built.
    pub functions: BTreeSet<String>,
    /// The Python interpreter that has FastAPI and boto3.
    pub python: Option<PathBuf>,
}

/// The folder of the FastAPI function.
pub fn fastapi() -> PathBuf {
    workspace().join("tests/bench/fastapi")
}

/// Builds what is to be measured, as a deployment would: one compilation of the functions and nothing else,
/// because a test's features of the same dependencies would be in the programs too.
pub fn build(product: &Product, profile: &str, all: bool, with_python: bool) -> Result<Programs, Error> {
    let mut functions = BTreeSet::from(MEASURED.map(str::to_owned));
    if all {
        functions.extend(product.programs.iter().cloned());
    }
    let target = target();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(workspace()).args(["build", "--bins", "--profile", profile]);
    build.arg("--target-dir").arg(&target);
    for package in functions.iter().map(String::as_str).chain([BARE]) {
        build.args(["--package", package]);
    }
    run(&mut build)?;
    let python = if with_python { Some(python(&target.join("bench-python"))?) } else { None };
    Ok(Programs { folder: target.join(profile), profile: profile.to_owned(), functions, python })
}

/// A Python environment with what the FastAPI function needs, made at the first run.
fn python(folder: &Path) -> Result<PathBuf, Error> {
    let interpreter = folder.join("bin/python");
    if !interpreter.is_file() {
        run(Command::new("python3").args([OsStr::new("-m"), OsStr::new("venv"), folder.as_os_str()]))?;
    }
    let mut install = Command::new(&interpreter);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    run(install.arg(fastapi().join("requirements.txt")))?;
    Ok(interpreter)
}

fn run(command: &mut Command) -> Result<(), Error> {
    let program = command.get_program().display().to_string();
    let status = command.status().map_err(|error| format!("{program} does not start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{program} failed").into()) }
}

/// The target folder that this program was built into.
fn target() -> PathBuf {
    let ours = std::env::current_exe().ok();
    let folder = ours.as_deref().and_then(|program| program.ancestors().nth(2)).map(Path::to_owned);
    folder.unwrap_or_else(|| workspace().join("target"))
}
