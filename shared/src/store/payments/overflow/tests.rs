//! A payment may have any number of transfers, and one more of them costs little.

use super::*;
use crate::payment::Event;
use crate::payment::tests::{at, chosen, counted};
use crate::store::testing;

/// A payment with so many transfers.
fn with_transfers(many: usize) -> Payment {
    let payment = counted(&chosen(), 1, 1, 60);
    let mut progress = payment.progress().clone();
    let (_, one) = progress.transfers.pop_first().unwrap();
    for number in 1..=many {
        let mut transfer = one.clone();
        transfer.movement.id = TransferId::new(format!("ethereum:{number:#x}:native:0xabc:0"));
        progress.transfers.insert(transfer.movement.id.clone(), transfer);
    }
    let (merchant, terms) = (payment.merchant().clone(), payment.terms().clone());
    Payment::restore(payment.id(), merchant, payment.mode(), terms, progress)
}

async fn stored(store: &Store, payment: &Payment) {
    store.insert_payment(&chosen()).await.unwrap();
    change(store, payment).await.unwrap();
}

async fn change(store: &Store, to: &Payment) -> Result<Option<Payment>, StoreError> {
    store.change_payment(to.id().code(), |_| Ok::<_, StoreError>(to.clone())).await
}

async fn read(store: &Store) -> Payment {
    store.payment(chosen().id().code()).await.unwrap().unwrap()
}

/// The last write of each item as it is written in it, the payment's own first.
async fn written(store: &Store) -> Vec<u64> {
    let code = chosen().id().code();
    let own = store.item(&code.to_string()).await.unwrap().unwrap();
    let mut all = vec![number(&own, "version").unwrap()];
    for place in 1..=optional_number(&own, "chunks").unwrap().unwrap_or(0) {
        all.push(store.chunk(code, place).await.unwrap().version);
    }
    all
}

async fn update(store: &Store, key: &str, expression: &str) {
    let update = store.client.update_item().table_name(&store.tables.payments).key("code", s(key));
    let update = update.update_expression(expression);
    let update =
        if expression.contains(":n") { update.expression_attribute_values(":n", n(77)) } else { update };
    update.send().await.unwrap();
}

#[tokio::test]
async fn r22_every_transfer_counts_however_many() {
    let store = testing::store().await;
    let many = with_transfers(1_100);
    stored(&store, &many).await;
    assert_eq!(read(&store).await, many);
    assert_eq!(many.received().0, 1_100 * 2_500);
    let refused = |payment: &Payment| payment.apply(Event::Cancel, at(61)).map_err(|_| StoreError::Contended);
    assert!(store.change_payment(many.id().code(), refused).await.is_err());
    let more = counted(&many, 2_000, 1, 70);
    change(&store, &more).await.unwrap();
    assert_eq!(read(&store).await, more);
}

#[tokio::test]
async fn r22_one_more_transfer_costs_the_payment_and_one_further_item() {
    let store = testing::store().await;
    let many = with_transfers(1_100);
    stored(&store, &many).await;
    assert_eq!(written(&store).await, [2, 2, 2, 2]);
    // By their keys these lie before all others, and after them.
    let before = counted(&many, 0, 1, 70);
    change(&store, &before).await.unwrap();
    assert_eq!(written(&store).await, [3, 2, 2, 3]);
    let after = counted(&before, 9_999, 1, 70);
    change(&store, &after).await.unwrap();
    assert_eq!(written(&store).await, [4, 2, 2, 4]);
    let found = store.find_payment(many.id().code()).await.unwrap().unwrap();
    let id = found.layout.0[1].ids.first().unwrap().clone();
    let mut progress = after.progress().clone();
    progress.transfers.get_mut(&id).unwrap().after_end = true;
    let (merchant, terms) = (after.merchant().clone(), after.terms().clone());
    let changed = Payment::restore(after.id(), merchant, after.mode(), terms, progress);
    change(&store, &changed).await.unwrap();
    assert_eq!(written(&store).await, [5, 2, 5, 4]);
    assert_eq!(read(&store).await, changed);
}

#[tokio::test]
async fn r22_what_one_write_does_not_carry_goes_in_several_and_each_leaves_a_payment() {
    let tap = testing::Tap::default();
    let store = testing::tapped_store(tap.clone()).await;
    let (few, many) = (with_transfers(200), with_transfers(3_600));
    stored(&store, &few).await;
    tap.cut_after(1);
    change(&store, &many).await.unwrap_err();
    tap.restore();
    let now = read(&store).await;
    let all = &many.progress().transfers;
    assert!(now.progress().transfers.iter().all(|(id, transfer)| all.get(id) == Some(transfer)));
    assert_eq!(now.transfers().count(), 200 + LOTS_AT_ONCE * IN_CHUNK);
    tap.take();
    change(&store, &many).await.unwrap();
    assert_eq!(tap.take().writes, 1);
    assert_eq!(read(&store).await, many);
    assert_eq!(written(&store).await, [&[4], [3; 7].as_slice(), &[4; 2]].concat());
}

#[tokio::test]
async fn a_change_to_every_transfer_is_written_however_many() {
    let store = testing::store().await;
    let many = with_transfers(3_800);
    stored(&store, &many).await;
    let mut progress = many.progress().clone();
    progress.transfers.values_mut().for_each(|transfer| transfer.after_end = true);
    let (merchant, terms) = (many.merchant().clone(), many.terms().clone());
    let changed = Payment::restore(many.id(), merchant, many.mode(), terms, progress);
    change(&store, &changed).await.unwrap();
    assert_eq!(read(&store).await, changed);
}

#[tokio::test]
async fn items_of_old_which_were_all_written_at_once_are_read() {
    let store = testing::store().await;
    let many = with_transfers(1_100);
    stored(&store, &many).await;
    update(&store, &many.id().code().to_string(), "REMOVE chunk_versions").await;
    assert_eq!(read(&store).await, many);
    let more = counted(&many, 2_000, 1, 70);
    change(&store, &more).await.unwrap();
    assert_eq!(read(&store).await, more);
    assert_eq!(written(&store).await, [3, 2, 2, 3]);
}

#[tokio::test]
async fn items_that_are_not_of_one_piece_are_not_believed() {
    let store = testing::store().await;
    let many = with_transfers(1_100);
    stored(&store, &many).await;
    update(&store, &format!("{}#2", many.id().code()), "SET version = :n").await;
    let told = store.payment(many.id().code()).await;
    assert!(matches!(told, Err(StoreError::Contended)), "{told:?}");
}
