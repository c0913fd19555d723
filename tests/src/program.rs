//! The programs of the workspace as people run them: `local` until it is killed, and the operator's command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use local::template::Product;
use local::{build_functions, workspace};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::shop::Shop;

/// Generous, because the machine may be busy; nothing waits this long unless it is broken.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks at something that is about to happen.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The folder of all programs, built if they are not current.
pub async fn programs() -> PathBuf {
    let template = std::fs::read_to_string(workspace().join("template.yaml")).unwrap();
    let product = Product::read(&template, &BTreeMap::new()).unwrap();
    build_functions(&product, false).await.unwrap()
}

/// Runs the operator's command against a database on this machine and tells what it printed.
pub async fn operator(endpoint: &str, arguments: &[&str]) -> String {
    let said = try_operator(endpoint, arguments).await;
    said.unwrap_or_else(|complaint| panic!("operator {arguments:?}: {complaint}"))
}

/// The same, or what it complained of.
pub async fn try_operator(endpoint: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(programs().await.join("operator"));
    command.arg(format!("--local={endpoint}")).args(arguments).stdin(Stdio::null());
    let output = command.output().await.expect("the operator's command runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// Returns when `true` comes; says what did not happen otherwise.
pub async fn until(what: &str, mut happened: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !happened().await {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}: not in time"));
}

/// The running program `local`.
pub struct Program {
    child: Child,
    data: PathBuf,
    database: String,
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts it on a folder and returns when it has said that it answers.
    pub async fn start(data: &Path, arguments: &[&str]) -> Program {
        let programs = programs().await;
        let mut command = Command::new(programs.join("local"));
        command.current_dir(workspace()).args(["--port", "0", "--database-port", "0"]);
        command.arg("--binaries").arg(programs).arg("--data").arg(data).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("`local` starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let database = tokio::time::timeout(PATIENCE, ready(&mut lines)).await.expect("`local` is ready");
        Program { child, data: data.to_owned(), database, _lines: lines }
    }

    /// Where its database answers.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The demo shop, with its test key.
    pub fn test_shop(&self) -> Shop {
        Shop::new(&self.variable("CRYPTOGAP_URL"), &self.variable("CRYPTOGAP_TEST_KEY"))
    }

    /// The demo shop, with its live key.
    pub fn live_shop(&self) -> Shop {
        Shop::new(&self.variable("CRYPTOGAP_URL"), &self.variable("CRYPTOGAP_LIVE_KEY"))
    }

    /// What the functions have printed on this folder.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data.join("functions.log")).unwrap_or_default()
    }

    /// The processes of functions that it has now.
    pub fn functions(&self) -> Vec<u32> {
        functions_of(&self.variable("CRYPTOGAP_URL"))
    }

    /// `kill -9`; returns when it and all its functions are gone.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
        self.all_gone().await;
    }

    /// Ctrl-C; returns when it and all its functions are gone.
    pub async fn interrupt(mut self) -> ExitStatus {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.expect("`local` ends when it is asked to").unwrap();
        assert_eq!(self.functions(), [0; 0], "functions left behind");
        status
    }

    /// Functions notice by themselves that nobody calls them any more.
    async fn all_gone(&self) {
        until("the functions end", async || self.functions().is_empty()).await;
    }

    fn variable(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.data.join("env")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.expect("a variable in the folder's file").to_owned()
    }
}

/// Reads on until the program says that it answers; tells where its database is.
async fn ready(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    let mut database = String::new();
    while let Some(line) = lines.next_line().await.expect("`local` writes text") {
        if let Some(endpoint) = line.strip_prefix("Database") {
            endpoint.trim().clone_into(&mut database);
        }
        if line.starts_with("Ctrl-C") {
            return database;
        }
    }
    panic!("`local` ended before it answered");
}

/// The processes that were told to answer for the product at `url`, zombies not counted: their environment is gone.
fn functions_of(url: &str) -> Vec<u32> {
    let told = format!("PUBLIC_URL={url}");
    let is_told = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == told.as_bytes())
    };
    let entries = std::fs::read_dir("/proc").expect("a system that shows its processes");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(is_told).collect()
}
