//! Golden files: what a function must reply to an event, readable, and compared to the last character.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::payment::{Code, PaymentId};
use shared::settings::optional;

/// What an event is told apart from its reply by.
const REPLY: &str = ".reply.json";

/// Headers that differ by nature, or with each change of a page's look; the page's own tests read the latter.
const HEADERS: [(&str, &str); 3] = [
    ("etag", "<etag>"),
    ("x-request-id", "<request id>"),
    ("content-security-policy", "<content security policy>"),
];

/// All events below the folder: function, case and file, in this order.
pub fn events(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut events = Vec::new();
    for function in std::fs::read_dir(folder).unwrap() {
        let function = function.unwrap();
        let name = function.file_name().into_string().unwrap();
        for file in std::fs::read_dir(function.path()).unwrap() {
            let path = file.unwrap().path();
            if !path.to_str().unwrap().ends_with(REPLY) {
                events.push((name.clone(), path));
            }
        }
    }
    events.sort();
    events
}

/// Checks a reply against the file beside the event, or writes it there if `GOLDEN=update` says so.
pub fn check(event: &Path, reply: &str) {
    let file = event.with_extension("reply.json");
    if optional("GOLDEN").as_deref() == Some("update") {
        std::fs::write(&file, reply).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(reply, expected, "{} (GOLDEN=update rewrites it)", file.display());
}

/// A reply as text: its body as JSON where it is, digits and order kept, and what differs by nature left out.
pub fn readable(reply: &Value, known: &[PaymentId]) -> String {
    let Some(body) = reply.get("body").and_then(Value::as_str) else {
        return pretty(&without_nature(&reply.to_string(), reply, known));
    };
    let parsed = serde_json::from_str::<Value>(body);
    let body_text = if parsed.is_ok() { body.to_owned() } else { json!(page(body)).to_string() };
    let mut headers = reply["headers"].as_object().cloned().unwrap_or_default();
    for (name, values) in reply["multiValueHeaders"].as_object().into_iter().flatten() {
        headers.insert(name.clone(), values[0].clone());
    }
    headers.sort_keys();
    for (name, placeholder) in HEADERS {
        if headers.contains_key(name) {
            headers.insert(name.into(), json!(placeholder));
        }
    }
    let text = format!(
        r#"{{"statusCode":{},"headers":{},"body":{body_text}}}"#,
        reply["statusCode"],
        json!(headers)
    );
    pretty(&without_nature(&text, &parsed.unwrap_or_default(), known))
}

/// Leaves out times, and what is drawn at random: ids, codes, and names of 16 hex digits.
fn without_nature(text: &str, value: &Value, known: &[PaymentId]) -> String {
    let mut text = text.to_owned();
    visit(value, &mut |word| {
        let placeholder = if is_time(word) {
            "<time>"
        } else if word.parse::<PaymentId>().is_ok_and(|id| !known.contains(&id)) {
            "<id>"
        } else if word.parse::<Code>().is_ok_and(|code| known.iter().all(|id| id.code() != code)) {
            "<code>"
        } else if let Some((link, secret)) = word.rsplit_once('/')
            && link.contains("/refund/")
        {
            text = text.replace(secret, "<secret>");
            return;
        } else if word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            "<random>"
        } else {
            return;
        };
        text = text.replace(word, placeholder);
    });
    text
}

/// A page by its title: how it looks is not a matter of golden files.
fn page(html: &str) -> String {
    let title = html.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
    title.map_or_else(|| html.to_owned(), |title| format!("<page: {title}>"))
}

fn visit(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::String(word) => see(word),
        Value::Array(items) => items.iter().for_each(|item| visit(item, see)),
        Value::Object(fields) => fields.values().for_each(|field| visit(field, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `2026-03-09T14:30:00+00:00`.
fn is_time(word: &str) -> bool {
    let shape: String = word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00+00:00"
}

/// Valid JSON, indented. Numbers stay as they are written, which no parser would promise.
fn pretty(json: &str) -> String {
    let (mut text, mut depth, mut in_string, mut escaped) = (String::new(), 0_usize, false, false);
    let mut characters = json.chars().peekable();
    let line = |depth: usize| format!("\n{}", "  ".repeat(depth));
    while let Some(character) = characters.next() {
        if in_string {
            text.push(character);
            in_string = escaped || character != '"';
            escaped = character == '\\' && !escaped;
            continue;
        }
        match character {
            '{' | '[' => {
                text.push(character);
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(end);
                } else {
                    depth = depth.saturating_add(1);
                    text.push_str(&line(depth));
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                text.push_str(&line(depth));
                text.push(character);
            }
            ',' => {
                text.push(character);
                text.push_str(&line(depth));
            }
            ':' => text.push_str(": "),
            '"' => {
                in_string = true;
                text.push(character);
            }
            other if other.is_whitespace() => {}
            other => text.push(other),
        }
    }
    text.push('\n');
    text
}
