//! `GET /payments/{id}?wait=`, `ETag` and `If-None-Match`: news as they come, and nothing twice.
//!
//! What a test waits for is a change that it makes itself; how often is read meanwhile is a unit test of `shared`.

use std::time::Duration;

use local::Options;
use serde_json::{Value, json};
use tests::answer::Answer;
use tests::database;
use tests::product::{Caller, PAYMENTS, Product, alone, shared};

async fn wait(caller: &Caller, id: &str, seconds: u64, known: Option<&str>) -> Answer {
    let path = format!("{PAYMENTS}/{id}?wait={seconds}");
    let known: Vec<_> = known.map(|tag| ("If-None-Match", tag)).into_iter().collect();
    caller.call("GET", &path, &known, Vec::new()).await
}

/// Generous, because the machine may be busy; shorter than the waits themselves, so that none ends by its time.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many places of waits are held.
async fn held(product: &Product) -> usize {
    let scan = json!({ "TableName": product.table("AccountsTable") });
    let items = database::call(product.local.dynamodb_endpoint(), "Scan", &scan).await;
    let held = |item: &&Value| item["held_until"]["N"].as_str().is_some_and(|until| until != "0");
    items["Items"].as_array().unwrap().iter().filter(held).count()
}

/// Returns when exactly so many places of waits are held.
async fn until_waiting(product: &Product, many: usize) {
    let reached = async {
        while held(product).await != many {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    assert!(reached.is_ok(), "{} places are held, and not {many}", held(product).await);
}

/// What is answered at once to who wanted to wait, and when it is to ask again.
fn assert_refused_wait(answer: &Answer, seconds: &str) {
    assert_eq!(
        (answer.header("x-wait"), answer.header("retry-after")),
        ("refused", seconds),
        "{}",
        answer.text
    );
}

/// How a wait that was granted is answered.
fn assert_waited(answer: &Answer) {
    assert_eq!((answer.header("x-wait"), answer.header("retry-after")), ("", ""), "{}", answer.text);
}

#[test]
fn a_tag_names_what_an_answer_shows_and_saves_showing_it_again() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("10").await;
        let first = shop.test.read(&id).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        let code = first.field("short_code").as_str().unwrap().to_owned();
        for name in [&id, &code] {
            assert_eq!(shop.test.read(name).await.header("etag"), tag);
            let same = wait(&shop.test, name, 0, Some(&tag)).await;
            assert_eq!((same.status, same.text.as_str(), same.header("etag")), (304, "", tag.as_str()));
        }
        // Time alone changes what is shown, and so the tag.
        let advance = json!({ "scenario": "advance", "seconds": 864_000 });
        shop.test.simulate(&id, &advance).await;
        let changed = wait(&shop.test, &id, 25, Some(&tag)).await;
        assert_eq!((changed.status, changed.field("status")), (200, json!("expired")));
        assert_ne!(changed.header("etag"), tag);
    });
}

#[test]
fn a_wait_that_is_no_whole_number_from_0_to_25_is_refused_before_the_payment_is_looked_for() {
    shared(async |product| {
        let shop = product.shop().await;
        for wait in ["26", "-1", "1.5", "", "ten", "99999999999999999999999", "+5", "1&wait=2"] {
            let answer = shop.test.get(&format!("{PAYMENTS}/11111111?wait={wait}")).await;
            answer.assert_refused(400, "invalid_parameter", "wait must be a whole number from 0 to 25");
        }
        wait(&shop.test, "11111111", 25, None).await.assert_refused(
            404,
            "payment_not_found",
            "Payment not found",
        );
    });
}

#[test]
fn who_waits_is_told_what_changed_and_two_waits_of_a_key_leave_no_place_for_a_third() {
    alone(async {
        let mut options = Options::default();
        options.environment.insert("CONCURRENCY".into(), "40".into());
        let product = Product::start(options).await;
        let shop = product.shop().await;
        let id = shop.test.created("10").await;
        let first = shop.test.read(&id).await;
        let tag = first.header("etag").to_owned();
        let waiters = [None, Some(tag.clone())].map(|known| {
            let (caller, id) = (shop.test.clone(), id.clone());
            tokio::spawn(async move { wait(&caller, &id, 25, known.as_deref()).await })
        });
        // Each holds a place of its key and one of the deployment.
        until_waiting(&product, 4).await;
        let third = wait(&shop.test, &id, 25, None).await;
        assert_eq!(third.payment(), first.payment(), "it was answered at once, with what is");
        assert_refused_wait(&third, "25");
        let fourth = wait(&shop.test, &id, 5, Some(&tag)).await;
        assert_eq!(fourth.status, 304);
        assert_refused_wait(&fourth, "5");
        // Who has something new to hear is not kept waiting, and who does not want to wait is refused nothing.
        assert_waited(&wait(&shop.test, &id, 5, Some("\"older\"")).await);
        assert_waited(&wait(&shop.test, &id, 0, None).await);
        let cancelled = shop.test.cancel(&id).await;
        assert_eq!(cancelled.status, 200, "those who wait keep nobody else from being served");
        for waiter in waiters {
            let told = waiter.await.unwrap();
            assert_eq!((told.status, told.payment()), (200, cancelled.payment()));
            assert_waited(&told);
            assert_eq!(told.header("etag"), shop.test.read(&id).await.header("etag"));
        }
        product.local.shutdown().await;
    });
}

/// One execution of four may wait, whosever the key; each round shows that the one before left its place.
#[test]
fn c6_a_quarter_of_the_executions_may_wait_and_what_is_over_frees_its_place() {
    alone(async {
        let mut options = Options::default();
        options.environment.insert("CONCURRENCY".into(), "4".into());
        let product = Product::start(options).await;
        let (one, other) = (product.shop().await, product.shop().await);
        for (waits, refused_one) in [(&one, &other), (&other, &one), (&one, &other)] {
            let (id, theirs) = (waits.test.created("10").await, refused_one.test.created("10").await);
            let (caller, waited_for) = (waits.test.clone(), id.clone());
            let waiter = tokio::spawn(async move { wait(&caller, &waited_for, 25, None).await });
            until_waiting(&product, 2).await;
            let refused = wait(&refused_one.test, &theirs, 25, None).await;
            assert_eq!(refused.field("status"), "kyc_required");
            assert_refused_wait(&refused, "25");
            // What was taken for it is given back: only the waiter's own two places are held.
            until_waiting(&product, 2).await;
            waits.test.cancel(&id).await;
            let told = waiter.await.unwrap();
            assert_eq!(told.field("status"), "cancelled");
            assert_waited(&told);
            until_waiting(&product, 0).await;
        }
        product.local.shutdown().await;
    });
}

/// A client that hung up is not noticed by a function; its place is free again by the end of its wait at the latest.
#[test]
fn c6_a_wait_that_its_client_gave_up_holds_its_place_no_longer_than_it_asked_for() {
    alone(async {
        let mut options = Options::default();
        options.environment.insert("CONCURRENCY".into(), "4".into());
        let product = Product::start(options).await;
        let shop = product.shop().await;
        let id = shop.test.created("10").await;
        let (caller, waited_for) = (shop.test.clone(), id.clone());
        let gave_up = tokio::spawn(async move { wait(&caller, &waited_for, 3, None).await });
        until_waiting(&product, 2).await;
        gave_up.abort();
        until_waiting(&product, 0).await;
        assert_waited(&wait(&shop.test, &id, 1, None).await);
        product.local.shutdown().await;
    });
}
