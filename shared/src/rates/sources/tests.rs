//! The sources against servers that answer as documented, and as they should not.

use std::future::pending;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

/// 2024-03-25T08:45:00Z, as the answers below write it.
const ASKED_AT: Timestamp = Timestamp(1_711_356_300);
const ASKED_AT_HTTP: &str = "Mon, 25 Mar 2024 08:45:00 GMT";

/// No honest answer of a server in the same process takes as long; the silent ones cost the tests no more.
const TEST_TIMEOUT: Duration = Duration::from_millis(500);

const KRAKEN: &str = "/0/public/Ticker";
const TICKER: &str = "/products/{product}/ticker";
const SPOT: &str = "/v2/prices/{pair}/spot";
const COINGECKO: &str = "/api/v3/simple/price";

async fn address_of(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    address
}

fn symbols(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

async fn asked(source: Source, router: Router, names: &[&str]) -> Result<Quotations, SourceError> {
    let feed = Feed::new(source, Some(&address_of(router).await));
    feed.quotations(&Http::new(TEST_TIMEOUT).unwrap(), &symbols(names), ASKED_AT).await
}

fn quoted(source: Source, price: &str, as_of: Timestamp) -> Quotation {
    Quotation { source, rate: price.parse().unwrap(), as_of }
}

/// A document that does not depend on the request, dated [`ASKED_AT`].
fn says(path: &str, body: impl Into<String>) -> Router {
    let body = body.into();
    Router::new().route(path, get(async || ([("date", ASKED_AT_HTTP)], body)))
}

fn kraken_pair(ask: &str, bid: &str) -> Value {
    json!({
        "a": [ask, "1", "1.000"], "b": [bid, "12", "12.000"], "c": ["1.00000", "0.00067643"],
        "v": ["4083.67001100", "4412.73601799"], "p": ["1.00000", "1.00000"], "t": [34_619, 38_907],
        "l": ["1.00000", "1.00000"], "h": ["1.00000", "1.00000"], "o": "1.00000"
    })
}

fn kraken_says(result: &Value) -> Router {
    says(KRAKEN, json!({ "error": [], "result": result }).to_string())
}

fn ticker(price: &str, time: &str) -> String {
    let ticker = json!({
        "ask": "6267.71", "bid": "6265.15", "volume": "53602.03940154", "trade_id": 86_326_522,
        "price": price, "size": "0.00698254", "time": time
    });
    ticker.to_string()
}

fn spot(amount: &str) -> String {
    json!({ "data": { "amount": amount, "base": "USDC", "currency": "USD" } }).to_string()
}

#[tokio::test]
async fn kraken_is_read_under_its_own_names_from_the_middle_of_the_book() {
    let result = json!({
        "XXBTZUSD": kraken_pair("67000.20000", "67000.10000"), "XETHZUSD": kraken_pair("2500.02000", "2500.00000"),
        "XLTCZUSD": kraken_pair("85.00", "85.00"), "USDCUSD": kraken_pair("0.99990000", "0.99980001"),
        "USDTZUSD": kraken_pair("1.00010", "1.00000"),
    });
    let all = ["BTC", "ETH", "LTC", "USDC", "USDT"];
    let quotations = asked(Source::Kraken, kraken_says(&result), &all).await.unwrap();
    let price = |symbol: &str, price| (symbol.to_owned(), quoted(Source::Kraken, price, ASKED_AT));
    let expected = [
        price("BTC", "67000.15"),
        price("ETH", "2500.01"),
        price("LTC", "85"),
        price("USDC", "0.99985"),
        price("USDT", "1.00005"),
    ];
    assert_eq!(quotations, Quotations::from(expected));
}

#[tokio::test]
async fn coinbase_is_read_with_the_time_of_its_trades_and_usdc_at_its_spot_price() {
    let spot_price = async || ([("date", ASKED_AT_HTTP)], spot("1.0"));
    let router = says(TICKER, ticker("2500.01", "2024-03-25T08:44:57.833Z")).route(SPOT, get(spot_price));
    let quotations = asked(Source::Coinbase, router, &["ETH", "USDC"]).await.unwrap();
    let expected = [
        ("ETH".to_owned(), quoted(Source::Coinbase, "2500.01", ASKED_AT.minus(3))),
        ("USDC".to_owned(), quoted(Source::Coinbase, "1", ASKED_AT)),
    ];
    assert_eq!(quotations, Quotations::from(expected));
}

#[tokio::test]
async fn coingeckos_numbers_are_read_digit_by_digit() {
    // No float holds as many digits as the first price has.
    let body = r#"{"ethereum":{"usd":1234567890.123456785,"last_updated_at":1711356000},
                   "usd-coin":{"usd":9.99850000000000000001e-1,"last_updated_at":1711356299}}"#;
    let quotations = asked(Source::CoinGecko, says(COINGECKO, body), &["ETH", "USDC"]).await.unwrap();
    let expected = [
        ("ETH".to_owned(), quoted(Source::CoinGecko, "1234567890.12345679", ASKED_AT.minus(300))),
        ("USDC".to_owned(), quoted(Source::CoinGecko, "0.99985", ASKED_AT.minus(1))),
    ];
    assert_eq!(quotations, Quotations::from(expected));
}

/// Published limits are kept by asking once; Coinbase has no call for several products.
#[tokio::test]
async fn a_source_is_asked_once_for_all_symbols_and_only_for_those_it_knows() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = seen.clone();
    let router = Router::new().fallback(async move |uri: Uri, request: Request| {
        assert!(request.headers().contains_key("user-agent"), "nameless callers are refused");
        record.lock().unwrap().push(uri.to_string());
    });
    let feeds = [Source::Kraken, Source::Coinbase, Source::CoinGecko];
    let address = address_of(router).await;
    let feeds = feeds.map(|source| Feed::new(source, Some(&address)));
    let http = Http::new(TEST_TIMEOUT).unwrap();
    quotations(&http, &feeds, &symbols(&["ETH", "USDC", "DOGE"]), ASKED_AT).await;
    quotations(&http, &feeds, &symbols(&["DOGE"]), ASKED_AT).await;
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_unstable();
    let expected = [
        "/0/public/Ticker?pair=XETHZUSD,USDCUSD",
        "/api/v3/simple/price?ids=ethereum,usd-coin&vs_currencies=usd&include_last_updated_at=true&precision=full",
        "/products/ETH-USD/ticker",
        "/v2/prices/USDC-USD/spot",
    ];
    assert_eq!(seen, expected);
}

/// Every path of every source answers in the same wrong way.
async fn failures(router: Router) -> [Result<Quotations, SourceError>; 3] {
    let ask = async |source| asked(source, router.clone(), &["ETH", "USDC"]).await;
    tokio::join!(ask(Source::Kraken), ask(Source::Coinbase), ask(Source::CoinGecko)).into()
}

#[tokio::test]
async fn a_source_that_fails_says_how() {
    let broken = Router::new().fallback(async || (StatusCode::INTERNAL_SERVER_ERROR, "{}"));
    assert_eq!(failures(broken).await, [const { Err(SourceError::Status(500)) }; 3]);

    let moved = Router::new().fallback(async || (StatusCode::FOUND, [("location", "/elsewhere")]));
    assert_eq!(failures(moved).await, [const { Err(SourceError::Status(302)) }; 3]);

    let page = Router::new().fallback(async || Html("<html><body>Just a moment…</body></html>"));
    assert_eq!(failures(page).await, [const { Err(SourceError::Unreadable) }; 3]);

    let flood = Router::new().fallback(async || "[".repeat(http::MAX_BODY_BYTES + 1));
    assert_eq!(failures(flood).await, [const { Err(SourceError::TooLarge) }; 3]);

    let silent = Router::new().fallback(async || pending::<StatusCode>().await);
    assert_eq!(failures(silent).await, [const { Err(SourceError::TimedOut) }; 3]);
}

#[tokio::test]
async fn a_body_that_never_ends_is_cut_off_by_the_timeout() {
    let started =
        axum::body::Body::from_stream(futures_util::stream::pending::<Result<String, std::io::Error>>());
    let body = Arc::new(Mutex::new(Some(started)));
    let stuck =
        Router::new().route(KRAKEN, get(async move || body.lock().unwrap().take().unwrap().into_response()));
    assert_eq!(asked(Source::Kraken, stuck, &["ETH"]).await, Err(SourceError::TimedOut));
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let feed = Feed::new(Source::Kraken, Some("http://127.0.0.1:1"));
    let http = Http::new(TEST_TIMEOUT).unwrap();
    let answer = feed.quotations(&http, &symbols(&["ETH"]), ASKED_AT).await;
    assert_eq!(answer, Err(SourceError::Unreachable));
}

#[tokio::test]
async fn krakens_refusal_comes_with_success_and_without_prices() {
    let refused = says(KRAKEN, r#"{"error":["EQuery:Unknown asset pair"]}"#);
    assert_eq!(asked(Source::Kraken, refused, &["ETH"]).await, Err(SourceError::Unreadable));
}

#[tokio::test]
async fn a_missing_or_unreadable_price_leaves_the_others() {
    let result = json!({ "XETHZUSD": kraken_pair("2500.02", "2500.00"), "USDCUSD": kraken_pair("0.00000", "0.00000") });
    let kraken = asked(Source::Kraken, kraken_says(&result), &["BTC", "ETH", "USDC"]).await.unwrap();
    assert!(kraken.keys().eq(["ETH"]));

    let router = says("/products/ETH-USD/ticker", ticker("2500.01", "2024-03-25T08:44:57Z"))
        .route("/products/LTC-USD/ticker", get(async || ticker("85", "yesterday")))
        .route(SPOT, get(async || spot("-1.0")));
    let coinbase = asked(Source::Coinbase, router, &["BTC", "ETH", "LTC", "USDC"]).await.unwrap();
    assert!(coinbase.keys().eq(["ETH"]));

    let body = r#"{"bitcoin":{},"litecoin":{"usd":null,"last_updated_at":null},"tether":{"usd":1.0},
                   "ethereum":{"usd":2500,"last_updated_at":1711356300}}"#;
    let all = ["BTC", "ETH", "LTC", "USDC", "USDT"];
    let coingecko = asked(Source::CoinGecko, says(COINGECKO, body), &all).await.unwrap();
    assert!(coingecko.keys().eq(["ETH"]));
}

#[tokio::test]
async fn an_answer_out_of_a_cache_is_as_old_as_it_is() {
    let result = json!({ "error": [], "result": { "XETHZUSD": kraken_pair("2500", "2500") } }).to_string();
    let as_of = async |headers: [(&'static str, &'static str); 2]| {
        let body = result.clone();
        let router = Router::new().route(KRAKEN, get(async move || (headers, body)));
        asked(Source::Kraken, router, &["ETH"]).await.unwrap()["ETH"].as_of
    };
    let old_date = ("date", "Mon, 25 Mar 2024 08:35:00 GMT");
    assert_eq!(as_of([old_date, ("x-none", "0")]).await, ASKED_AT.minus(600));
    assert_eq!(as_of([("date", ASKED_AT_HTTP), ("age", "301")]).await, ASKED_AT.minus(301));
    assert_eq!(as_of([("date", "now"), ("age", "junk")]).await, ASKED_AT);
}

/// Three sources on one server, with the prices and times given.
async fn three_sources(kraken: &str, coinbase: (&str, &str), coingecko: (&str, Timestamp)) -> Sources {
    let result = json!({ "error": [], "result": { "XETHZUSD": kraken_pair(kraken, kraken) } });
    let coingecko =
        format!(r#"{{"ethereum":{{"usd":{},"last_updated_at":{}}}}}"#, coingecko.0, coingecko.1.0);
    let coinbase = ticker(coinbase.0, coinbase.1);
    // Kraken's answer is dated by the server, so now.
    let router = Router::new()
        .route(KRAKEN, get(async move || result.to_string()))
        .route(TICKER, get(async || coinbase))
        .route(COINGECKO, get(async || coingecko));
    let address = address_of(router).await;
    Sources::live(DEFAULT_SOURCES, |_| Some(address.clone()), TEST_TIMEOUT).unwrap()
}

async fn rate_of_ether(sources: &Sources) -> Result<Rate, NoRate> {
    sources.rates(&symbols(&["ETH"])).await["ETH"]
}

fn now_and_text() -> (Timestamp, String) {
    let now = Clock::default().now();
    (now, now.to_string())
}

#[tokio::test]
async fn r20_the_median_of_three_live_sources() {
    let (now, text) = now_and_text();
    let sources = three_sources("2500.00", ("2510.00", &text), ("2505.5", now)).await;
    assert_eq!(rate_of_ether(&sources).await, Ok("2505.5".parse().unwrap()));
}

#[tokio::test]
async fn r20_sources_that_contradict_each_other_give_no_rate() {
    let (now, text) = now_and_text();
    let sources = three_sources("2400.00", ("2500.00", &text), ("2600", now)).await;
    assert_eq!(rate_of_ether(&sources).await, Err(NoRate::Disagreement));
}

#[tokio::test]
async fn r20_stale_prices_are_left_out() {
    let (now, text) = now_and_text();
    let sources = three_sources("2500.00", ("2510.00", &text), ("2505.5", now.minus(301))).await;
    assert_eq!(rate_of_ether(&sources).await, Ok("2505".parse().unwrap()));
    let sources = three_sources("2500", ("2510", "2024-03-25T08:44:57Z"), ("2505", now.minus(301))).await;
    assert_eq!(rate_of_ether(&sources).await, Err(NoRate::TooFew));
}

#[tokio::test]
async fn r20_two_sources_are_enough_when_the_third_fails() {
    let (now, text) = now_and_text();
    let sources = three_sources("no price", ("2510.00", &text), ("2500", now)).await;
    assert_eq!(rate_of_ether(&sources).await, Ok("2505".parse().unwrap()));
}

#[tokio::test]
async fn fixed_prices_are_accepted_as_they_are() {
    let sources = Sources::fixed(r#"{"ETH":"2500.00","USDC":"1.00"}"#).unwrap();
    let rates = sources.rates(&symbols(&["ETH", "BTC"])).await;
    let expected =
        [("BTC".to_owned(), Err(NoRate::NotFixed)), ("ETH".to_owned(), Ok("2500".parse().unwrap()))];
    assert_eq!(rates, BTreeMap::from(expected));
}

#[test]
fn wrong_settings_do_not_start() {
    let live = |names| Sources::live(names, |_| None, TEST_TIMEOUT);
    assert!(live("kraken, coingecko").is_ok());
    assert!(matches!(live("kraken,krakne"), Err(InvalidSources::Unknown(name)) if name == "krakne"));
    assert!(matches!(live("kraken"), Err(InvalidSources::TooFew)));
    assert!(matches!(live("kraken,kraken"), Err(InvalidSources::TooFew)));
    assert!(matches!(live("fixed,kraken"), Err(InvalidSources::Unknown(_))));
    for json in ["", "[]", r#"{"ETH":2500}"#, r#"{"ETH":"0"}"#, r#"{"ETH":"a lot"}"#] {
        assert!(matches!(Sources::fixed(json), Err(InvalidSources::FixedRates)), "{json}");
    }
}
