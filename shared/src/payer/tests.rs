//! What comes with a page: headers, refusals, and forms read like JSON (R13, R27).

use std::collections::HashMap;

use lambda_http::http::Response;
use lambda_http::{Body, Request};

use super::*;
use crate::chain::CoinId;
use crate::pay::NotOffered;
use crate::payment::{Refusal, Status};
use crate::rates::NoRate;

const CODE: &str = "11EDcEAE";

fn call(code: &str, headers: &[(&'static str, &str)], body: &str) -> Call<()> {
    let mut request = Request::new(Body::Text(body.into()));
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let parameters = HashMap::from([("code".to_owned(), code.to_owned())]);
    Call::new(request, Timestamp(1_800_000_000)).with_path(parameters)
}

fn refused(error: ApiError, code: &str) -> Response<String> {
    refusal(error, &call(code, &[], "")).into_response("request-1")
}

fn header<'a>(response: &'a Response<String>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[test]
fn r27_only_the_short_code_names_a_page() {
    assert_eq!(call(CODE, &[], "").code().unwrap().to_string(), CODE);
    for wrong in ["", "11EDcEA", "11EDcEA0", "01932b66-7c00-7000-8000-000000000000", "../x/../y"] {
        assert!(matches!(call(wrong, &[], "").code(), Err(ApiError::PaymentNotFound)), "{wrong}");
    }
}

#[test]
fn r27_an_unknown_code_and_a_malformed_one_give_the_same_404_page() {
    let (unknown, malformed) =
        (refused(ApiError::PaymentNotFound, CODE), refused(ApiError::PaymentNotFound, "<b>"));
    assert_eq!(unknown.body(), malformed.body());
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(header(&unknown, "content-type"), "text/html; charset=utf-8");
    assert!(unknown.body().contains("Payment not found") && !unknown.body().contains("href=\"/pay"));
}

#[test]
fn r13_a_refusal_says_why_has_its_word_and_leads_back() {
    let ended = refused(Refusal::Ended { status: Status::Paid }.into(), CODE);
    assert_eq!((ended.status(), header(&ended, "x-error-code")), (StatusCode::BAD_REQUEST, "payment_state"));
    assert!(ended.body().contains("Payment is paid.") && ended.body().contains(r#"href="/pay/11EDcEAE""#));
    let coin = CoinId::new("ETH").unwrap();
    let no_rate = refused(ApiError::NotOffered { coin, why: NotOffered::NoRate(NoRate::Disagreement) }, CODE);
    assert_eq!(no_rate.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        no_rate.body().contains("ETH cannot be quoted at the moment: fewer than 2 sources agree on a price.")
    );
    let broken = refused(ApiError::internal("the table burns"), CODE);
    assert!(!broken.body().contains("burns"));
}

#[test]
fn r27_every_page_comes_with_headers_that_keep_it_harmless_and_cookies_away() {
    let page = refused(ApiError::PaymentNotFound, CODE);
    assert_eq!(header(&page, "content-security-policy"), content_security_policy());
    for rule in ["default-src 'none'", "form-action 'self'", "base-uri 'none'", "frame-ancestors *"] {
        assert!(header(&page, "content-security-policy").contains(rule), "{rule}");
    }
    assert_eq!(header(&page, "referrer-policy"), "no-referrer");
    assert_eq!(header(&page, "x-content-type-options"), "nosniff");
    assert_eq!(header(&page, "cache-control"), "no-store");
    assert!(header(&page, "permissions-policy").contains("camera=()"));
    for absent in ["set-cookie", "x-frame-options"] {
        assert!(page.headers().get(absent).is_none(), "{absent}");
    }
}

#[test]
fn a_form_and_json_name_a_coin_alike() {
    let form = ("content-type", "application/x-www-form-urlencoded");
    let json = ("content-type", "application/json; charset=utf-8");
    let coin = |headers: &[_], body| call(CODE, headers, body).field("coin").ok().flatten();
    assert_eq!(coin(&[form], "a=1&coin=ETH"), Some("ETH".into()));
    assert_eq!(coin(&[form], "coin=%45TH"), Some("ETH".into()));
    assert_eq!(coin(&[json], r#"{"coin":"ETH"}"#), Some("ETH".into()));
    assert_eq!(coin(&[form], ""), None);
    for wrong in ["coin=ETH", r#"{"coin":1}"#, "[]"] {
        assert!(call(CODE, &[json], wrong).field("coin").is_err(), "{wrong}");
    }
    let too_long = format!("coin=ETH&x={}", "x".repeat(64 * 1_024));
    assert_eq!(coin(&[form], &too_long), None);
}

#[test]
fn a_browser_gets_a_page_and_a_script_gets_json() {
    let browser = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let script = ("accept", "application/json");
    assert!(!call(CODE, &[browser], "coin=ETH").wants_json());
    assert!(call(CODE, &[script], "coin=ETH").wants_json());
    assert!(call(CODE, &[("content-type", "application/json")], "{}").wants_json());
}
