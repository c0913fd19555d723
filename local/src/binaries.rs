//! Building the functions' programs, and finding where they are.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::template::Product;

/// The file that cargo puts into every target folder.
const TARGET_MARK: &str = "CACHEDIR.TAG";

/// Why there are no programs to run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Cargo cannot be run.
    #[error("cargo cannot be started: {0}")]
    NoCargo(String),
    /// The functions do not compile; cargo has said why, or its words are here on lines of their own.
    #[error("the functions do not compile{0}")]
    Failed(String),
}

/// The root of the workspace that this crate was compiled in.
pub fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Compiles all programs that the template names, once per process, and returns their folder.
/// With `show`, cargo's progress goes to the terminal; without, its words come with the error.
pub async fn build_functions(product: &Product, show: bool) -> Result<PathBuf, BuildError> {
    static BUILT: OnceCell<Result<PathBuf, BuildError>> = OnceCell::const_new();
    BUILT.get_or_init(|| build(product, show)).await.clone()
}

async fn build(product: &Product, show: bool) -> Result<PathBuf, BuildError> {
    let target = target();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace()).args(["build", "--bins", "--target-dir"]).arg(&target);
    cargo.args(packages(product, show));
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_outer_cargo(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    cargo.stdin(Stdio::null()).kill_on_drop(true);
    let (success, said) = if show {
        let status = cargo.status().await.map_err(|error| BuildError::NoCargo(error.to_string()))?;
        (status.success(), String::new())
    } else {
        let output = cargo.output().await.map_err(|error| BuildError::NoCargo(error.to_string()))?;
        (output.status.success(), format!("\n{}", String::from_utf8_lossy(&output.stderr)))
    };
    if success { Ok(target.join("debug")) } else { Err(BuildError::Failed(said)) }
}

/// What to build beside the functions, so that dependencies get the same features as in the build that we come from
/// and are not compiled again: for a person that is `cargo local`, for tests the whole workspace.
fn packages(product: &Product, show: bool) -> Vec<String> {
    if !show {
        return vec!["--workspace".into()];
    }
    let ours = std::iter::once(env!("CARGO_PKG_NAME").to_owned());
    ours.chain(product.programs.iter().cloned()).flat_map(|name| ["--package".to_owned(), name]).collect()
}

/// What `cargo run` and `cargo test` set for us. Build scripts watch some of it, and would run again each time.
fn is_of_outer_cargo(name: &str) -> bool {
    let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    let names = ["CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR", "OUT_DIR"];
    prefixes.iter().any(|prefix| name.starts_with(prefix)) || names.contains(&name)
}

/// The target folder that this program was built into, whatever configuration chose it.
fn target() -> PathBuf {
    let ours = std::env::current_exe().ok();
    let marked = ours.iter().flat_map(|path| path.ancestors()).find(|path| path.join(TARGET_MARK).is_file());
    let named = || std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    marked.map(Path::to_owned).or_else(named).unwrap_or_else(|| workspace().join("target"))
}
