//! Rates in a real table.

use std::collections::BTreeMap;

use super::*;
use crate::rates::NoRate;
use crate::store::testing;

const MINUTE: Minute = Minute(30_000_000);

fn none() -> BTreeMap<String, NoRate> {
    BTreeMap::new()
}

fn rate(hundred_millionths: u64) -> Rate {
    Rate::new(hundred_millionths).unwrap()
}

#[tokio::test]
async fn r20_an_accepted_rate_never_changes() {
    let store = testing::store().await;
    store.put_rate("ETH", MINUTE, rate(1)).await.unwrap();
    store.put_rate("ETH", MINUTE, rate(2)).await.unwrap();
    assert_eq!(store.rate_at("ETH", MINUTE).await.unwrap(), Some(rate(1)));
}

#[tokio::test]
async fn r20_a_transfer_is_priced_by_the_first_rate_from_its_minute_on() {
    let store = testing::store().await;
    assert_eq!(store.rate_at("ETH", MINUTE).await.unwrap(), None);
    for (minute, price) in [(MINUTE.0 - 1, 1), (MINUTE.0 + 2, 3), (MINUTE.0 + 3, 4)] {
        store.put_rate("ETH", Minute(minute), rate(price)).await.unwrap();
    }
    store.put_rate("USDC", MINUTE, rate(9)).await.unwrap();
    let at = async |minute| store.rate_at("ETH", Minute(minute)).await.unwrap();
    assert_eq!(at(MINUTE.0 - 2).await, Some(rate(1)));
    assert_eq!(
        at(MINUTE.0).await,
        Some(rate(3)),
        "a minute without a rate takes the next one, not the former"
    );
    assert_eq!(at(MINUTE.0 + 3).await, Some(rate(4)));
    assert_eq!(at(MINUTE.0 + 4).await, None, "the last rate says nothing about later minutes");
}

#[tokio::test]
async fn r20_the_markets_rates_are_not_older_than_five_minutes() {
    let store = testing::store().await;
    let start = MINUTE.start();
    store
        .put_market(&[("ETH".to_owned(), rate(1)), ("USDC".to_owned(), rate(9))], &none(), start)
        .await
        .unwrap();
    store.put_market(&[("ETH".to_owned(), rate(2))], &none(), start.plus(60)).await.unwrap();
    let rates = async |now| store.market(&[], now).await.unwrap().rates.into_iter().collect::<Vec<_>>();
    let (ether, dollar) = (("ETH".to_owned(), rate(2)), ("USDC".to_owned(), rate(9)));
    assert_eq!(rates(start.plus(300)).await, [ether.clone(), dollar]);
    assert_eq!(rates(start.plus(301)).await, [ether]);
    assert_eq!(rates(start.plus(361)).await, []);
}

#[tokio::test]
async fn r20_of_two_runs_that_overlap_the_newer_makes_the_market() {
    let store = testing::store().await;
    let now = MINUTE.start();
    store.put_market(&[("ETH".to_owned(), rate(2))], &none(), now).await.unwrap();
    store.put_market(&[("ETH".to_owned(), rate(1))], &none(), now.minus(30)).await.unwrap();
    assert_eq!(store.market(&[], now).await.unwrap().rate("ETH"), Ok(rate(2)));
}

#[tokio::test]
async fn r20_the_market_knows_why_a_symbol_has_no_rate() {
    let store = testing::store().await;
    let start = MINUTE.start();
    let rate_of = async |now| store.market(&[], now).await.unwrap().rate("ETH");
    assert_eq!(rate_of(start).await, Err(NoRate::Stale), "nobody ever asked");
    store.put_market(&[("ETH".to_owned(), rate(2))], &none(), start).await.unwrap();
    let disagree = BTreeMap::from([("ETH".to_owned(), NoRate::Disagreement)]);
    store.put_market(&[], &disagree, start.plus(240)).await.unwrap();
    assert_eq!(rate_of(start.plus(300)).await, Ok(rate(2)), "five minutes old still says something");
    assert_eq!(rate_of(start.plus(301)).await, Err(NoRate::Disagreement));
    assert_eq!(rate_of(start.plus(541)).await, Err(NoRate::Stale), "the sources are not asked any more");
}

#[tokio::test]
async fn r20_a_rate_is_kept_for_45_days() {
    let store = testing::store().await;
    store.put_rate("ETH", MINUTE, rate(u64::MAX)).await.unwrap();
    let rows = store.client.scan().table_name(&store.tables.chains).send().await.unwrap();
    let expected = Item::from([
        ("chain".to_owned(), s("rates#ETH")),
        ("entry".to_owned(), s("00000000000030000000")),
        ("rate".to_owned(), n(u64::MAX)),
        ("ttl".to_owned(), n(MINUTE.start().0 + 45 * 24 * 60 * 60)),
    ]);
    assert_eq!(rows.items(), [expected]);
}

#[tokio::test]
async fn a_table_that_cannot_be_reached_is_an_error_and_not_a_missing_rate() {
    let store = testing::unreachable_store();
    assert!(matches!(store.put_rate("ETH", MINUTE, rate(1)).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.rate_at("ETH", MINUTE).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.market(&[], MINUTE.start()).await, Err(StoreError::Unavailable(_))));
}
