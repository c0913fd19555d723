//! A real browser for tests: chromium, driven by chromedriver, with nothing of anybody's in its profile.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use futures_util::FutureExt;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::program::{PATIENCE, until};
use crate::tools;

/// What makes chromium quick, alone and quiet.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
];

/// A machine that needs longer to start a browser than this has another problem.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Pages that may replace each other while one element is read.
const READS: usize = 100;

/// An open browser.
pub struct Browser {
    client: Client,
    driver: String,
}

/// Opens a browser, lets `test` use it, and closes it whatever happens.
///
/// Without one, says that the test was not run; in CI that is a failure.
pub async fn visit(test: impl AsyncFnOnce(&Browser)) {
    let Some(chromedriver) = tools::find(&["chromedriver"]) else { return };
    let Some(chromium) = tools::find(&["chromium", "google-chrome", "chrome"]) else { return };
    let profile = tempfile::tempdir().unwrap();
    let (mut driver, url) = start(&chromedriver).await;
    let client = connect(&url, &chromium, &profile).await;
    let browser = Browser { client, driver: url };
    let tested = AssertUnwindSafe(test(&browser)).catch_unwind().await;
    browser.client.close().await.expect("the browser closes");
    driver.kill().await.expect("chromedriver ends");
    if let Err(panic) = tested {
        resume_unwind(panic);
    }
}

/// Starts chromedriver on a port of its own.
async fn start(chromedriver: &Path) -> (Child, String) {
    let mut command = Command::new(chromedriver);
    command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut driver = command.spawn().expect("chromedriver starts");
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let started = async {
        while let Some(line) = lines.next_line().await.expect("chromedriver writes text") {
            let port = line.split_once("successfully on port ").map(|(_, port)| port.trim_end_matches('.'));
            if let Some(port) = port {
                return format!("http://127.0.0.1:{port}");
            }
        }
        panic!("chromedriver ended before it listened");
    };
    let url = tokio::time::timeout(START_TIMEOUT, started).await.expect("chromedriver is ready in time");
    // Nobody reads on, and a full pipe would stop it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (driver, url)
}

async fn connect(driver: &str, chromium: &Path, profile: &TempDir) -> Client {
    let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).to_vec();
    arguments.push(format!("--user-data-dir={}", profile.path().display()));
    let options = json!({ "binary": chromium, "args": arguments });
    let capabilities = Capabilities::from_iter([
        ("goog:chromeOptions".to_owned(), options),
        // A test waits for what it wants to see, and for nothing else.
        ("pageLoadStrategy".to_owned(), json!("eager")),
        // What a page writes to its console is an answer too.
        ("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" })),
    ]);
    let mut builder = ClientBuilder::new(HttpConnector::new());
    let connecting = builder.capabilities(capabilities).connect(driver);
    tokio::time::timeout(START_TIMEOUT, connecting).await.expect("in time").expect("the browser starts")
}

impl Browser {
    /// The WebDriver session.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Opens a page.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// The element, once it is there.
    pub async fn element(&self, css: &str) -> Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        found.unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    /// The element's text. A page that is being replaced takes its elements with it; then the next one's is read.
    pub async fn text(&self, css: &str) -> String {
        for _ in 0..READS {
            match self.element(css).await.text().await {
                Ok(text) => return text,
                Err(error) if error.to_string().contains("stale element") => {}
                Err(error) => panic!("{css}: {error}"),
            }
        }
        panic!("{css} is replaced again and again");
    }

    /// Clicks an element, once it is there.
    pub async fn click(&self, css: &str) {
        self.element(css).await.click().await.unwrap();
    }

    /// Returns when the page shows this text.
    pub async fn shows(&self, text: &str) {
        until(&format!("the page shows {text:?}"), async || self.is_shown(text).await).await;
    }

    /// Whether the page shows this text now.
    pub async fn is_shown(&self, text: &str) -> bool {
        // A page that is being replaced runs no script and shows nothing.
        let script = "return document.body ? document.body.innerText : ''";
        let shown = self.client.execute(script, Vec::new()).await;
        shown.is_ok_and(|shown| shown.as_str().is_some_and(|shown| shown.contains(text)))
    }

    /// The text of the QR code that the element shows, as a scanner in front of the screen reads it; `None` where it
    /// cannot be read.
    pub async fn scan(&self, css: &str) -> Option<String> {
        // A picture shows no more of an element than the window does.
        self.element(css).await;
        self.run(&format!("document.querySelector('{css}').scrollIntoView({{ block: 'center' }}); return 0"))
            .await;
        let picture = self.element(css).await.screenshot().await.unwrap();
        let mut decoder = png::Decoder::new(Cursor::new(picture));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        let (width, height) = (usize::try_from(frame.width).unwrap(), usize::try_from(frame.height).unwrap());
        let (line, samples) = (frame.line_size, frame.color_type.samples());
        // Black and white: any one channel tells.
        let rows: Vec<&[u8]> = pixels.chunks(line).collect();
        let brightness = |x: usize, y: usize| rows[y].chunks(samples).nth(x).map_or(0, |pixel| pixel[0]);
        let mut seen = rqrr::PreparedImage::prepare_from_greyscale(width, height, brightness);
        seen.detect_grids().first()?.decode().ok().map(|(_, text)| text)
    }

    /// Runs a script on the page.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Presses a key where the focus is.
    pub async fn press(&self, key: Key) {
        let key = char::from(key);
        let actions = KeyActions::new("keyboard".to_owned())
            .then(KeyAction::Down { value: key })
            .then(KeyAction::Up { value: key });
        self.client.perform_actions(actions).await.unwrap();
    }

    /// What the page has written to the browser's console that is bad.
    pub async fn complaints(&self) -> Vec<Value> {
        let logged = self.driver("se/log", &json!({ "type": "browser" })).await;
        let lines = logged.as_array().expect("a list of lines").iter();
        lines.filter(|line| line["level"] == "SEVERE").cloned().collect()
    }

    /// A command of the browser's own development tools, past WebDriver's.
    pub async fn devtools(&self, command: &str, parameters: Value) {
        self.driver("goog/cdp/execute", &json!({ "cmd": command, "params": parameters })).await;
    }

    /// A command that is chromedriver's own.
    async fn driver(&self, command: &str, parameters: &Value) -> Value {
        let session = self.client.session_id().await.unwrap().expect("an open session");
        let call = reqwest::Client::new().post(format!("{}/session/{session}/{command}", self.driver));
        let mut answer: Value = call.json(parameters).send().await.unwrap().json().await.unwrap();
        assert!(answer["value"].get("error").is_none(), "{command}: {answer}");
        answer["value"].take()
    }
}
