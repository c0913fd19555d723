//! A node as bad as a test wants it: a proxy in front of a real one, by whose rules single answers are changed, held back,
//! shortened or refused, and which counts what was asked.
//!
//! Rules can be set and taken away while it runs; the one that was set last is asked first. A batch is taken apart, each
//! question goes through the rules by itself, and the answers are put together again. What no rule concerns passes as the
//! node says it, byte for byte, and with the caller's own credentials; so does what is no JSON-RPC at all.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The largest request that passes.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// What of a caller's headers the node gets to see.
const PASSED_ON: [header::HeaderName; 2] = [header::AUTHORIZATION, header::CONTENT_TYPE];

/// A proxy in front of one node. It serves as long as the runtime that started it.
#[derive(Clone)]
pub struct Proxy {
    url: String,
    node: Arc<Node>,
}

/// One question to the node, as a rule sees it.
#[derive(Clone)]
pub struct Question {
    /// What is asked.
    pub method: String,
    /// About what.
    pub params: Value,
    /// How often this very question (method and parameters) came since the rule was set; 1 the first time.
    pub times: u64,
    /// How many questions of that method, whatever about, came since then; 1 the first time.
    pub nth: u64,
    id: Value,
    caller: Caller,
    node: Arc<Node>,
}

/// What a rule says to a question.
#[derive(Clone, Debug)]
pub enum Says {
    /// Nothing: the next rule, or the node, answers.
    Pass,
    /// This is the result.
    Result(Value),
    /// An error of JSON-RPC.
    Error(i64, &'static str),
    /// An HTTP status with these headers and this body, for the whole request.
    Status(u16, Vec<(&'static str, String)>, String),
    /// No answer, ever.
    Silence,
}

/// A rule that was set, by which it is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleId(usize);

/// A rule that always applies the same way: with the question, how it came out is told.
type Answerer = dyn Fn(Question) -> Pin<Box<dyn Future<Output = Says> + Send>> + Send + Sync;

#[derive(Clone)]
struct Rule {
    id: RuleId,
    answer: Arc<Answerer>,
    times: Arc<Mutex<HashMap<String, u64>>>,
}

/// The way to the node, and what is known of the questions to it.
struct Node {
    url: String,
    http: reqwest::Client,
    rules: Mutex<Vec<Rule>>,
    asked: Mutex<Vec<(String, Value)>>,
}

/// Where and as whom the caller asked.
#[derive(Clone)]
struct Caller {
    path: String,
    headers: HeaderMap,
}

/// What the node itself answered over HTTP.
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// The answer to one question: a part of a batch's, or all there is.
enum Part {
    /// What the node said, or what stands for it.
    Said(Answered),
    /// What ends the whole request.
    Ends(Response),
}

impl Proxy {
    /// A proxy in front of the node at `url`, without rules.
    pub async fn start(url: &str) -> Proxy {
        let node = Arc::new(Node {
            url: without_credentials(url),
            http: reqwest::Client::new(),
            rules: Mutex::default(),
            asked: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(serve).with_state(Arc::clone(&node));
        tokio::spawn(async { axum::serve(listener, router).await });
        Proxy { url: with_address(url, &address.to_string()), node }
    }

    /// Where it answers; with the user and password of the node's own URL, if there are any.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sets a rule. It may take its time, ask the node ([`Question::answer`]), and do something to the chain before.
    pub fn rule<F: Future<Output = Says> + Send + 'static>(
        &self,
        rule: impl Fn(Question) -> F + Send + Sync + 'static,
    ) -> RuleId {
        let answer: Arc<Answerer> = Arc::new(move |question| Box::pin(rule(question)));
        let mut rules = self.node.rules.lock().unwrap();
        let id = RuleId(rules.last().map_or(0, |rule| rule.id.0.wrapping_add(1)));
        rules.push(Rule { id, answer, times: Arc::default() });
        id
    }

    /// Sets a rule that says the same to every question of that method.
    pub fn always(&self, method: &'static str, says: Says) -> RuleId {
        self.rule(move |question| {
            let says = if question.method == method { says.clone() } else { Says::Pass };
            std::future::ready(says)
        })
    }

    /// Sets a rule that changes results of the node's to questions of that method: it is given the question and the
    /// result, and gives what is to be said instead; `None` leaves it as it is. Refusals of the node's pass.
    pub fn change(
        &self,
        method: &'static str,
        change: impl Fn(&Question, Value) -> Option<Value> + Send + Sync + 'static,
    ) -> RuleId {
        let change = Arc::new(change);
        self.rule(move |question| {
            let change = Arc::clone(&change);
            async move {
                if question.method != method {
                    return Says::Pass;
                }
                let Ok(result) = question.answer().await else { return Says::Pass };
                change(&question, result).map_or(Says::Pass, Says::Result)
            }
        })
    }

    /// Takes a rule away.
    pub fn remove(&self, id: RuleId) {
        self.node.rules.lock().unwrap().retain(|rule| rule.id != id);
    }

    /// Takes all rules away.
    pub fn clear(&self) {
        self.node.rules.lock().unwrap().clear();
    }

    /// How many questions of that method came, since the start or the last [`Proxy::forget`].
    pub fn asked(&self, method: &str) -> usize {
        self.node.asked.lock().unwrap().iter().filter(|(asked, _)| asked == method).count()
    }

    /// Every question since then, in its order.
    pub fn questions(&self) -> Vec<(String, Value)> {
        self.node.asked.lock().unwrap().clone()
    }

    /// Forgets what was asked.
    pub fn forget(&self) {
        self.node.asked.lock().unwrap().clear();
    }
}

/// The address of a node that answers as the one at `url` does, but not to `method`.
pub async fn without(url: &str, method: &'static str) -> String {
    let proxy = Proxy::start(url).await;
    proxy.always(method, Says::Error(-32601, "the method does not exist"));
    proxy.url
}

impl Question {
    /// What the node itself answers now: its result, or the error that it refuses with.
    pub async fn answer(&self) -> Result<Value, Value> {
        let request = json!({ "jsonrpc": "2.0", "id": 0, "method": self.method, "params": self.params });
        let answered = self.node.ask(Method::POST, &self.caller, request.to_string().into()).await;
        let mut reply: Value = serde_json::from_slice(&answered.body).map_err(|_| Value::Null)?;
        let error = reply["error"].take();
        if error.is_null() { Ok(reply["result"].take()) } else { Err(error) }
    }
}

impl Node {
    async fn ask(&self, method: Method, caller: &Caller, body: Bytes) -> Answered {
        let mut request = self.http.request(method, format!("{}{}", self.url, caller.path)).body(body);
        for name in PASSED_ON {
            if let Some(value) = caller.headers.get(&name) {
                request = request.header(name, value);
            }
        }
        let response = request.send().await.expect("the node answers");
        let (status, mut headers) = (response.status(), response.headers().clone());
        headers.remove(header::TRANSFER_ENCODING);
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::CONNECTION);
        Answered { status, headers, body: response.bytes().await.expect("the node answers in full") }
    }

    /// The answer to one question, by the rules or by the node.
    async fn answer(self: &Arc<Node>, caller: &Caller, raw: &str) -> Part {
        let asked: Value = serde_json::from_str(raw).unwrap();
        let method = asked["method"].as_str().unwrap_or_default().to_owned();
        let mut question = Question {
            params: asked["params"].clone(),
            times: 0,
            nth: 0,
            id: asked["id"].clone(),
            caller: caller.clone(),
            node: Arc::clone(self),
            method,
        };
        self.asked.lock().unwrap().push((question.method.clone(), question.params.clone()));
        let rules: Vec<Rule> = self.rules.lock().unwrap().iter().rev().cloned().collect();
        for rule in rules {
            question.times = rule.count(format!("{} {}", question.method, question.params));
            question.nth = rule.count(question.method.clone());
            match (rule.answer)(question.clone()).await {
                Says::Pass => {}
                Says::Result(result) => return Part::said(&question, "result", result),
                Says::Error(code, message) => {
                    return Part::said(&question, "error", json!({ "code": code, "message": message }));
                }
                Says::Status(status, headers, body) => return Part::Ends(refusal(status, &headers, body)),
                Says::Silence => std::future::pending().await,
            }
        }
        Part::Said(self.ask(Method::POST, caller, raw.to_owned().into()).await)
    }
}

impl Rule {
    fn count(&self, question: String) -> u64 {
        let mut all = self.times.lock().unwrap();
        let times = all.entry(question).or_default();
        *times = times.saturating_add(1);
        *times
    }
}

impl Part {
    fn said(question: &Question, what: &str, value: Value) -> Part {
        let mut reply = json!({ "jsonrpc": "2.0", "id": question.id });
        reply[what] = value;
        let headers = [(header::CONTENT_TYPE, "application/json".parse().unwrap())].into_iter().collect();
        Part::Said(Answered { status: StatusCode::OK, headers, body: reply.to_string().into() })
    }
}

impl IntoResponse for Answered {
    fn into_response(self) -> Response {
        (self.status, self.headers, self.body).into_response()
    }
}

fn refusal(status: u16, headers: &[(&'static str, String)], body: String) -> Response {
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

async fn serve(State(node): State<Arc<Node>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let caller = Caller { path, headers: parts.headers };
    let body = axum::body::to_bytes(body, MAX_REQUEST_BYTES).await.unwrap();
    if let Ok(batch) = serde_json::from_slice::<Vec<&RawValue>>(&body) {
        return serve_batch(&node, &caller, &batch).await;
    }
    match serde_json::from_slice::<&RawValue>(&body) {
        Ok(question) => match node.answer(&caller, question.get()).await {
            Part::Said(answered) => answered.into_response(),
            Part::Ends(response) => response,
        },
        Err(_) => node.ask(parts.method, &caller, body).await.into_response(),
    }
}

async fn serve_batch(node: &Arc<Node>, caller: &Caller, batch: &[&RawValue]) -> Response {
    let answers = batch.iter().map(|question| node.answer(caller, question.get()));
    let mut all = Vec::new();
    for part in futures_util::future::join_all(answers).await {
        match part {
            Part::Said(answered) => all.push(String::from_utf8(answered.body.to_vec()).unwrap()),
            Part::Ends(response) => return response,
        }
    }
    ([(header::CONTENT_TYPE, "application/json")], format!("[{}]", all.join(","))).into_response()
}

/// The URL as it is called with the caller's credentials.
fn without_credentials(url: &str) -> String {
    let mut parsed = reqwest::Url::parse(url).expect("a node's URL");
    parsed.set_username("").unwrap();
    parsed.set_password(None).unwrap();
    parsed.as_str().trim_end_matches('/').to_owned()
}

/// The URL with another host and port.
fn with_address(url: &str, address: &str) -> String {
    let mut parsed = reqwest::Url::parse(url).expect("a node's URL");
    let (host, port) = address.rsplit_once(':').unwrap();
    parsed.set_host(Some(host)).unwrap();
    parsed.set_port(port.parse().ok()).unwrap();
    parsed.as_str().trim_end_matches('/').to_owned()
}
