//! An item of a later version goes through this version's hands unharmed.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::payment::tests::{at, chosen, counted, offer};
use crate::payment::{ClaimSecret, Event, Payment, RefundStatus, Status};
use crate::store::attribute::{Item, n, s};
use crate::store::{Store, StoreError, testing};

fn map(value: &mut AttributeValue) -> &mut Item {
    match value {
        AttributeValue::M(item) => item,
        other => panic!("{other:?} is no map"),
    }
}

/// Adds an attribute of each shape to a map, and to all maps in it; returns how many maps there were.
fn add_unknown(item: &mut Item) -> usize {
    let set = AttributeValue::Ss(vec!["a".into(), "b".into()]);
    let nested = AttributeValue::M(Item::from([("deep".to_owned(), AttributeValue::L(vec![n(1), set]))]));
    let mut maps = 1;
    for (name, value) in item.iter_mut() {
        match value {
            AttributeValue::M(inner) if name != "standing" => maps += add_unknown(inner),
            AttributeValue::L(all) => {
                for entry in all {
                    if let AttributeValue::M(entry) = entry {
                        maps += add_unknown(entry);
                    }
                }
            }
            _ => {}
        }
    }
    // Where names are keys of entries, an unknown one would be an entry and no attribute.
    let is_entries = item.keys().any(|name| name.contains(':') || name == "ETH" || name == "ethereum");
    if !is_entries {
        item.insert("tomorrow".to_owned(), nested);
        return maps;
    }
    maps - 1
}

fn count_unknown(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::M(item) => {
            let own = usize::from(item.contains_key("tomorrow"));
            own + item.values().map(count_unknown).sum::<usize>()
        }
        AttributeValue::L(all) => all.iter().map(count_unknown).sum(),
        _ => 0,
    }
}

async fn own(store: &Store) -> Item {
    store.item(&chosen().id().code().to_string()).await.unwrap().unwrap()
}

async fn put(store: &Store, item: Item) {
    let put = store.client.put_item().table_name(&store.tables.payments).set_item(Some(item));
    put.send().await.unwrap();
}

async fn apply(store: &Store, event: Event, seconds: u64) -> Payment {
    let decide = |payment: &Payment| {
        let next = payment.apply(event.clone(), at(seconds));
        next.map_err(|refusal| StoreError::Malformed(refusal.to_string()))
    };
    store.change_payment(chosen().id().code(), decide).await.unwrap().unwrap()
}

/// A payment with a part paid, cancelled, with a refund asked for.
async fn written(store: &Store) -> Payment {
    let payment = counted(&chosen(), 1, 1, 60);
    store.insert_payment(&chosen()).await.unwrap();
    let to = payment.clone();
    store.change_payment(payment.id().code(), |_| Ok::<_, StoreError>(to.clone())).await.unwrap();
    payment
}

fn refund() -> Event {
    let secret = ClaimSecret::new([1; 16]).hash();
    Event::RequestRefund { coin: "ETH".parse_coin(), units: None, secret }
}

trait ParseCoin {
    fn parse_coin(&self) -> crate::chain::CoinId;
}

impl ParseCoin for str {
    fn parse_coin(&self) -> crate::chain::CoinId {
        crate::chain::CoinId::new(self).unwrap()
    }
}

#[tokio::test]
async fn b1_r45_no_command_erases_an_attribute_that_this_version_does_not_know() {
    let store = testing::store().await;
    written(&store).await;
    let mut item = own(&store).await;
    let maps = add_unknown(&mut item);
    assert!(maps >= 4, "the item, an address, a quote and a transfer: {maps}");
    put(&store, item).await;
    // A new quote, an end, a refund, and what a chain says of the transfer that is there.
    apply(&store, Event::Choose(offer("ETH", 2_500)), 200).await;
    apply(&store, Event::Cancel, 300).await;
    apply(&store, refund(), 310).await;
    let current = store.payment(chosen().id().code()).await.unwrap().unwrap();
    let deeper = counted(&current, 1, 1, 400);
    store.change_payment(deeper.id().code(), |_| Ok::<_, StoreError>(deeper.clone())).await.unwrap();
    let after = own(&store).await;
    assert_eq!(count_unknown(&AttributeValue::M(after.clone())), maps);
    // And what such a version puts beside a refund.
    let mut item = after;
    let refunds = map(item.get_mut("refunds").unwrap());
    map(refunds.get_mut("ETH").unwrap()).insert("tomorrow".to_owned(), n(1));
    put(&store, item).await;
    let current = store.payment(chosen().id().code()).await.unwrap().unwrap();
    let meant = current.meant(current.refund(&"ETH".parse_coin()).unwrap());
    let withdrawn = apply(&store, Event::WithdrawRefund { meant }, 320).await;
    assert_eq!(withdrawn.refunds().next().unwrap().status(at(320)), RefundStatus::Withdrawn);
    assert_eq!(count_unknown(&AttributeValue::M(own(&store).await)), maps + 1);
}

#[tokio::test]
async fn b1_r45_a_word_that_this_version_does_not_know_is_read_as_little_and_kept() {
    let store = testing::store().await;
    written(&store).await;
    let mut item = own(&store).await;
    item.insert("kyc_method".to_owned(), s("iris"));
    item.insert("kyc_status".to_owned(), s("approved_twice"));
    let transfers = map(item.get_mut("transfers").unwrap());
    let held = AttributeValue::M(Item::from([("by_court".to_owned(), AttributeValue::M(Item::new()))]));
    let transfer = map(transfers.values_mut().next().unwrap());
    transfer.insert("standing".to_owned(), held.clone());
    put(&store, item.clone()).await;
    let read = store.payment(chosen().id().code()).await.unwrap().unwrap();
    assert_eq!((read.recorded_status(), read.received().0), (Status::Pending, 0));
    apply(&store, Event::Cancel, 300).await;
    let after = own(&store).await;
    for name in ["kyc_method", "kyc_status", "transfers"] {
        assert_eq!(after.get(name), item.get(name), "{name}");
    }
    let mut archived = after;
    archived.insert("ending".to_owned(), s("archived"));
    put(&store, archived).await;
    let late = counted(&store.payment(chosen().id().code()).await.unwrap().unwrap(), 2, 1, 400);
    assert_eq!(late.recorded_status(), Status::Cancelled);
    store.change_payment(late.id().code(), |_| Ok::<_, StoreError>(late.clone())).await.unwrap();
    assert_eq!(own(&store).await.get("ending"), Some(&s("archived")));
}
