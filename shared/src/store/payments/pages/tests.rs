//! A payment may have any number of transfers; it is read like any other, and one more of them costs little.

use super::*;
use crate::payment::tests::{at, chosen, counted, lost};
use crate::payment::{Event, Refusal, Status};
use crate::store::testing::{self, Tap};

fn code() -> Code {
    chosen().id().code()
}

fn dust(number: usize) -> TransferId {
    TransferId::new(format!("ethereum:{number:#x}:native:0xabc:0"))
}

/// The payment with so many more transfers, of a cent of a quote's unit each.
fn with_transfers(payment: &Payment, numbers: std::ops::Range<usize>) -> Payment {
    let one = counted(&chosen(), 1, 1, 60);
    let one = one.progress().transfers.values().next().unwrap().clone();
    let mut progress = payment.progress().clone();
    for number in numbers {
        let mut transfer = one.clone();
        transfer.movement.id = dust(number);
        progress.transfers.insert(dust(number), transfer);
    }
    let (merchant, terms) = (payment.merchant().clone(), payment.terms().clone());
    Payment::restore(payment.id(), merchant, payment.mode(), terms, progress)
}

async fn add(store: &Store, numbers: std::ops::Range<usize>) -> Result<(), StoreError> {
    let add = |payment: &Payment| Ok(with_transfers(payment, numbers.clone()));
    store.change_payment(code(), add).await.map(|_| ())
}

async fn stored(tap: Tap, many: usize) -> Store {
    let store = testing::tapped_store(tap).await;
    store.insert_payment(&chosen()).await.unwrap();
    add(&store, 0..many).await.unwrap();
    store
}

async fn read(store: &Store) -> Payment {
    store.payment(code()).await.unwrap().unwrap()
}

/// Every transfer as pages through them tell it.
async fn all(store: &Store) -> Vec<TransferId> {
    let found = store.find_payment(code()).await.unwrap().unwrap();
    let mut all: Vec<_> =
        found.payment.newest_transfers().into_iter().map(|it| it.movement().id.clone()).collect();
    for number in 0..found.pages() {
        let page = store.transfers_on_page(&found, number).await.unwrap();
        all.extend(page.into_iter().map(|transfer| transfer.movement().id.clone()));
    }
    all
}

#[tokio::test]
async fn a20_r38_every_transfer_counts_however_many_and_a_payment_is_read_at_one_cost() {
    let tap = Tap::default();
    let mut costs = Vec::new();
    for many in [400, 1_000] {
        let store = stored(tap.clone(), many).await;
        tap.take();
        let payment = read(&store).await;
        let read_costs = tap.take();
        assert_eq!((payment.transfers_total(), payment.received().0), (many as u64, many as u64 * 2_500));
        assert_eq!(payment.recorded_status(), Status::Overpaid);
        assert!((100..=150).contains(&payment.transfers().count()));
        let told: BTreeSet<_> = all(&store).await.into_iter().collect();
        assert_eq!(told, (0..many).map(dust).collect());
        // One more, and one of the oldest taken back by a re-organisation.
        tap.take();
        add(&store, many..many + 1).await.unwrap();
        let add_costs = tap.take();
        let gone = TransferId::new("ethereum:0x0:native:0xabc:0");
        let take = |payment: &Payment| Ok::<_, StoreError>(lost(payment, 0, 1, 99));
        let after = store.change_payment_with(code(), &[gone], take).await.unwrap().unwrap();
        let take_costs = tap.take();
        assert_eq!(after.received().0, many as u64 * 2_500);
        assert_eq!(read(&store).await.received(), after.received());
        assert_eq!(read(&store).await.transfers_total(), many as u64 + 1);
        costs.push((read_costs, add_costs, take_costs));
    }
    let (first, second) = (costs[0], costs[1]);
    assert_eq!((first.0.reads, second.0.reads, first.0.writes), (1, 1, 0));
    assert_eq!((first.1.reads, second.1.reads), (1, 1));
    assert_eq!((first.2.reads, second.2.reads), (3, 3), "itself, where the transfer lies, its page");
    for (some, more) in [(first.0, second.0), (first.1, second.1), (first.2, second.2)] {
        // Steps of the sums fill up and then stay as many; a read unit or two, whatever comes.
        assert!(more.half_read_units <= some.half_read_units + 4, "{some:?} {more:?}");
        assert!(more.half_write_units <= some.half_write_units + 40, "{some:?} {more:?}");
    }
}

/// A stranger's dust of some months. Its figures are in decision 18.
#[tokio::test]
#[ignore = "it takes minutes to write them"]
async fn a20_r38_a_payment_of_four_hundred_thousand_transfers_is_read_at_the_cost_of_any_other() {
    let tap = Tap::default();
    let mut costs = Vec::new();
    for many in [1_000, 400_000] {
        let store = stored(tap.clone(), 1_000).await;
        for first in (1_000..many).step_by(1_000) {
            add(&store, first..first + 1_000).await.unwrap();
        }
        tap.take();
        let payment = read(&store).await;
        let read_costs = tap.take();
        assert_eq!((payment.transfers_total(), payment.received().0), (many as u64, many as u64 * 2_500));
        let gone = TransferId::new("ethereum:0x0:native:0xabc:0");
        let take = |payment: &Payment| Ok::<_, StoreError>(lost(payment, 0, 1, 99));
        store.change_payment_with(code(), &[gone], take).await.unwrap().unwrap();
        costs.push((read_costs, tap.take()));
    }
    println!("to read, and to take one back: {costs:#?}");
    let (some, more) = (costs[0], costs[1]);
    assert_eq!((some.0.reads, more.0.reads, some.1.reads, more.1.reads), (1, 1, 3, 3));
    assert!(more.0.half_read_units <= some.0.half_read_units + 4, "{costs:?}");
    assert!(more.1.half_write_units <= some.1.half_write_units + 40, "{costs:?}");
}

#[tokio::test]
async fn a20_what_one_write_does_not_carry_goes_in_several_and_goes_on_where_it_stopped() {
    let tap = Tap::default();
    let store = stored(tap.clone(), 120).await;
    tap.take();
    tap.cut_after(3);
    add(&store, 120..520).await.unwrap_err();
    tap.restore();
    let now = read(&store).await;
    assert_eq!(now.transfers_total(), 120 + 3 * ON_PAGE as u64);
    assert_eq!(now.received().0, now.transfers_total() * 2_500, "each write leaves a payment");
    tap.take();
    let rest: Vec<TransferId> = (0..520).map(dust).collect();
    let change = |payment: &Payment| {
        let known: BTreeSet<_> = payment.transfers().map(|it| it.movement().id.clone()).collect();
        let new = (0..520).filter(|number| !known.contains(&dust(*number)));
        Ok::<_, StoreError>(new.fold(payment.clone(), |payment, it| with_transfers(&payment, it..it + 1)))
    };
    store.change_payment_with(code(), &rest, change).await.unwrap();
    assert_eq!(tap.take().writes, 5, "250 that were not told yet");
    let told = all(&store).await;
    assert_eq!((told.len(), told.into_iter().collect::<BTreeSet<_>>().len()), (520, 520));
    assert_eq!(read(&store).await.received().0, 520 * 2_500);
}

#[tokio::test]
async fn a20_a_change_to_every_transfer_is_written_however_many() {
    let store = stored(Tap::default(), 750).await;
    let ids: Vec<TransferId> = (0..750).map(dust).collect();
    let change = |payment: &Payment| {
        let mut progress = payment.progress().clone();
        progress.transfers.values_mut().for_each(|transfer| transfer.after_end = true);
        let (merchant, terms) = (payment.merchant().clone(), payment.terms().clone());
        Ok::<_, StoreError>(Payment::restore(payment.id(), merchant, payment.mode(), terms, progress))
    };
    store.change_payment_with(code(), &ids, change).await.unwrap();
    let after = read(&store).await;
    assert_eq!((after.recorded_status(), after.received().0), (Status::Pending, 750 * 2_500));
    let whole = store.whole_payment(code()).await.unwrap().unwrap();
    assert!(!whole.has_folded() && whole.transfers().all(|transfer| transfer.after_end));
    assert_eq!(whole.transfers().count(), 750);
}

#[tokio::test]
async fn a20_commands_work_on_a_payment_of_many_transfers() {
    let store = stored(Tap::default(), 400).await;
    let cancel = |payment: &Payment| {
        payment.apply(Event::Cancel, at(99)).map_err(|refusal| {
            assert_eq!(refusal, Refusal::NotCancellable { status: Status::Overpaid });
            StoreError::Contended
        })
    };
    assert!(store.change_payment(code(), cancel).await.is_err());
    let coin = crate::chain::CoinId::new("ETH").unwrap();
    let secret = crate::payment::ClaimSecret::new([1; 16]).hash();
    let refund = Event::RequestRefund { coin, units: None, secret };
    let ask = |payment: &Payment| {
        payment.apply(refund.clone(), at(99)).map_err(|refusal| StoreError::Malformed(refusal.to_string()))
    };
    let asked = store.change_payment(code(), ask).await.unwrap().unwrap();
    assert_eq!(asked.refunds().next().unwrap().units().0, 396, "400 units less the four that are due");
    assert_eq!(read(&store).await.refunds().count(), 1);
}

#[tokio::test]
async fn a20_a_page_that_is_newer_than_its_payment_is_not_believed() {
    let store = stored(Tap::default(), 300).await;
    let found = store.find_payment(code()).await.unwrap().unwrap();
    assert!(found.pages() > 0);
    let update = store.client.update_item().table_name(&store.tables.payments);
    let update = update.key("code", s(page_key(code(), 0))).update_expression("SET version = :n");
    update.expression_attribute_values(":n", n(77)).send().await.unwrap();
    let whole = store.whole_payment(code()).await;
    assert!(matches!(whole, Err(StoreError::Contended)), "{whole:?}");
    assert_eq!(store.payment(code()).await.unwrap().unwrap().transfers_total(), 300);
}

#[tokio::test]
async fn b1_r45_what_is_not_known_of_a_transfer_goes_with_it_to_its_page_and_stays_there() {
    let store = stored(Tap::default(), 120).await;
    let tomorrow = |expression: &str, key: String| {
        let update = store.client.update_item().table_name(&store.tables.payments).key("code", s(key));
        update.update_expression(expression.to_owned()).expression_attribute_names("#id", dust(0).to_string())
    };
    let own = tomorrow("SET transfers.#id.tomorrow = :n", code().to_string());
    own.expression_attribute_values(":n", n(1)).send().await.unwrap();
    add(&store, 120..240).await.unwrap();
    let found = store.find_payment_with(code(), &[dust(0)]).await.unwrap().unwrap();
    let page = found.beside.homes[&dust(0)];
    let on_page = async || {
        let item = store.item(&page_key(code(), page)).await.unwrap().unwrap();
        let all = item["transfers"].as_m().unwrap().clone();
        let kept = all[dust(0).as_str()].as_m().unwrap().get("tomorrow").cloned();
        (kept, item.get("tomorrow").cloned())
    };
    assert_eq!(on_page().await, (Some(n(1)), None));
    let update = store.client.update_item().table_name(&store.tables.payments);
    let update = update.key("code", s(page_key(code(), page))).update_expression("SET tomorrow = :n");
    update.expression_attribute_values(":n", n(2)).send().await.unwrap();
    let take = |payment: &Payment| Ok::<_, StoreError>(lost(payment, 0, 1, 99));
    store.change_payment_with(code(), &[dust(0)], take).await.unwrap();
    assert_eq!(on_page().await, (Some(n(1)), Some(n(2))));
}
