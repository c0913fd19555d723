//! When a node wants to be asked again.

use reqwest::header::HeaderValue;
use serde_json::json;

use super::*;

fn head(fields: &[(HeaderName, &'static str)]) -> Wish {
    let field = |(name, value): &(HeaderName, &'static str)| (name.clone(), HeaderValue::from_static(value));
    wish_of(&fields.iter().map(field).collect())
}

fn seconds(wish: Wish) -> Option<u64> {
    wish.wait.map(|wait| wait.as_secs())
}

#[test]
fn a11_retry_after_is_read_in_seconds_and_as_a_date_by_the_nodes_own_clock() {
    assert_eq!(seconds(head(&[(RETRY_AFTER, "7")])), Some(7));
    let at = (RETRY_AFTER, "Thu, 01 Mar 2029 00:00:10 GMT");
    assert_eq!(seconds(head(&[(DATE, "Wed, 28 Feb 2029 23:59:58 GMT"), at.clone()])), Some(12));
    assert_eq!(seconds(head(&[(DATE, "Thu, 01 Mar 2029 00:01:00 GMT"), at.clone()])), Some(0));
    assert_eq!(seconds(head(&[at])), None, "without a clock of the node's");
    for nonsense in ["", "soon", "-1", "NaN", "Thu, 31 Feb 2029 00:00:10 GMT", "1e300"] {
        assert_eq!(seconds(head(&[(RETRY_AFTER, nonsense)])), None, "{nonsense}");
    }
}

#[test]
fn a11_what_a_refusal_adds_says_how_long_and_how_fast() {
    let wait = |seconds| Some(Duration::from_millis(seconds));
    let told = wish_in(
        &json!({ "rate": { "allowed_rps": 5, "backoff_seconds": 1.5, "current_rps": 9.1 }, "see": "" }),
    );
    assert_eq!(told, Wish { wait: wait(1_500), per_second: Some(5) });
    assert_eq!(wish_in(&json!({ "backoff_seconds": 3 })), Wish { wait: wait(3_000), per_second: None });
    for nonsense in [json!(null), json!("later"), json!({ "rate": "5" }), json!({ "backoff_seconds": -1 })] {
        assert_eq!(wish_in(&nonsense), Wish::default(), "{nonsense}");
    }
}

#[test]
fn what_a_refusal_says_goes_before_what_its_head_says() {
    let head = Wish { wait: Some(Duration::from_secs(9)), per_second: None };
    let refusal = |wait| Refusal { error: RpcError::Status(429), wish: Wish { wait, per_second: Some(5) } };
    assert_eq!(refusal(None).or(head).wish, Wish { per_second: Some(5), ..head });
    assert_eq!(seconds(refusal(Some(Duration::from_secs(2))).or(head).wish), Some(2));
}
