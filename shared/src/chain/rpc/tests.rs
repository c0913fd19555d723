//! A node that turns questions away because there are too many.

use std::sync::Mutex;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use tokio::net::TcpListener;

use super::*;

/// How a node refuses: status, head and body.
type Refuses = (u16, Option<(&'static str, &'static str)>, Value);

/// A node that refuses so many requests, and answers each question with its own parameters then. It notes how many
/// questions each request held.
async fn node(refuses: Refuses, times: usize) -> (JsonRpc, Arc<Mutex<Vec<usize>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let answer = post(move |request: String| {
        let request: Value = serde_json::from_str(&request).unwrap();
        let mut log = log.lock().unwrap();
        log.push(request.as_array().map_or(1, Vec::len));
        let (status, head, body) =
            if log.len() <= times { refuses.clone() } else { (200, None, answers(&request)) };
        let body = body.as_str().map_or_else(|| body.to_string(), ToOwned::to_owned);
        async move { (StatusCode::from_u16(status).unwrap(), head.map(|head| [head]), body).into_response() }
    });
    (serve(answer).await, asked)
}

async fn serve(answer: axum::routing::MethodRouter) -> JsonRpc {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().fallback(answer)).await });
    JsonRpc::new(&url).unwrap().in_haste()
}

fn answers(request: &Value) -> Value {
    let answer = |one: &Value| json!({ "jsonrpc": "2.0", "id": one["id"], "result": one["params"][0] });
    request.as_array().map_or_else(|| answer(request), |all| all.iter().map(answer).collect())
}

fn refusal_in(code: i64, message: &str, data: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 0, "error": { "code": code, "message": message, "data": data } })
}

fn too_many() -> Vec<Refuses> {
    let backoff = json!({ "rate": { "allowed_rps": 2_000, "backoff_seconds": 0.002 } });
    vec![
        (429, Some(("retry-after", "0")), json!("slow down")),
        (429, None, json!("")),
        (503, None, json!("Work queue depth exceeded")),
        (
            200,
            None,
            refusal_in(429, "Your app has exceeded its compute units per second capacity.", &json!(null)),
        ),
        (429, None, refusal_in(-32005, "project ID request rate exceeded", &backoff)),
        (429, None, refusal_in(-32000, "no", &json!(null))),
        (200, None, refusal_in(-32016, "over rate limit", &json!(null))),
        (400, None, refusal_in(-32029, "rate limit", &json!(null))),
    ]
}

#[tokio::test]
async fn a11_a_question_that_is_turned_away_for_being_too_many_is_asked_again() {
    for refuses in too_many() {
        let (rpc, asked) = node(refuses.clone(), 3).await;
        assert_eq!(rpc.call::<u8>("any", json!([7])).await.unwrap(), 7, "{refuses:?}");
        assert_eq!(asked.lock().unwrap().len(), 4);
        assert_eq!(rpc.at_once(), 1, "after three refusals");
    }
}

#[tokio::test]
async fn a11_a_question_that_is_always_turned_away_ends_with_the_nodes_words() {
    for refuses in too_many() {
        let (rpc, asked) = node(refuses.clone(), usize::MAX).await;
        let error = rpc.call::<u8>("any", json!([7])).await.unwrap_err();
        assert_eq!(limit(&error), Some(Limit::Pace), "{error:?}");
        assert_eq!(asked.lock().unwrap().len(), TURNS, "{refuses:?}");
    }
}

#[tokio::test]
async fn a11_what_is_no_limit_of_pace_is_not_asked_again() {
    for refuses in [
        (200, None, refusal_in(-32005, "query returned more than 10000 results", &json!(null))),
        (413, None, json!("too large")),
        (403, None, json!("no")),
        (500, None, json!("")),
    ] {
        let (rpc, asked) = node(refuses, usize::MAX).await;
        assert!(rpc.call::<u8>("any", json!([7])).await.is_err());
        assert_eq!((asked.lock().unwrap().len(), rpc.at_once()), (1, pace::AT_ONCE));
    }
}

#[tokio::test]
async fn a11_a_node_that_wants_to_be_left_alone_longer_than_a_run_is_not_asked_again_in_it() {
    let (rpc, asked) = node((429, Some(("retry-after", "45")), json!("")), 1).await;
    for _ in 0..3 {
        let error = rpc.call::<u8>("any", json!([7])).await.unwrap_err();
        assert!(matches!(error, RpcError::Paused(wait) if wait > LONGEST_WAIT), "{error:?}");
    }
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a11_a_batch_that_is_turned_away_is_asked_again_in_smaller_ones() {
    let params: Vec<Value> = (0..10).map(|number| json!([number])).collect();
    for refuses in too_many() {
        let (rpc, asked) = node(refuses.clone(), 2).await;
        let answers = rpc.batch::<u8>("any", &params).await.unwrap();
        let answers: Vec<u8> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, (0..10).collect::<Vec<u8>>(), "{refuses:?}");
        assert_eq!(*asked.lock().unwrap(), [10, 5, 3, 3, 3, 1], "{refuses:?}");
    }
}

#[tokio::test]
async fn a11_of_a_batch_only_the_questions_that_were_turned_away_are_asked_again() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    // Two of each request are answered, of which one is a refusal of another kind.
    let rpc = serve(post(move |request: String| {
        let request: Value = serde_json::from_str(&request).unwrap();
        let all = request.as_array().unwrap().clone();
        log.lock().unwrap().push(all.iter().map(|one| one["id"].as_u64().unwrap()).collect::<Vec<_>>());
        let answer = |(place, one): (usize, &Value)| {
            let error = match place {
                0 => return answers(one),
                1 => json!({ "code": -5, "message": "No such transaction" }),
                _ => json!({ "code": 429, "message": "too many" }),
            };
            json!({ "jsonrpc": "2.0", "id": one["id"], "error": error })
        };
        let answers: Value = all.iter().enumerate().map(answer).rev().collect();
        async move { answers.to_string() }
    }));
    let params: Vec<Value> = (0..5).map(|number| json!([number])).collect();
    let answers = rpc.await.batch::<u8>("any", &params).await.unwrap();
    let answers: Vec<Option<u8>> = answers.into_iter().map(Result::ok).collect();
    assert_eq!(answers, [Some(0), None, Some(2), None, Some(4)]);
    assert_eq!(*asked.lock().unwrap(), [vec![0, 1, 2, 3, 4], vec![2, 3, 4], vec![4]]);
}
