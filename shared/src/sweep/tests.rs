//! Payments end in time, none early, whatever happens to the sweep (R15).

use super::*;
use crate::chain::{ChainId, CoinId};
use crate::money::{BasisPoints, Cents, Decimals, Rate};
use crate::payment::{
    BlockAt, Fee, FeePaidBy, GivenAddress, IdentityStep, KycMethod, MerchantId, Mode, Movement, Offer,
    PaymentId, Report, Request, Sequence, Standing, Status, Terms, TransferId,
};
use crate::store::testing;

/// Forty seconds before the hour, so that the payments lie on both sides of it.
const START: Timestamp = Timestamp(1_700_002_760);

fn payment(number: u64, expires_at: Timestamp) -> Payment {
    let request = Request {
        title: "Order".into(),
        description: None,
        amount: Cents(100),
        kyc_method: KycMethod::IdUpload,
        allow_bankid: false,
        fee_paid_by: FeePaidBy::Merchant,
        metadata: None,
    };
    let created_at = expires_at.minus(LIFETIME_SECONDS);
    let fee = Fee { usd: Cents(1), free_tier: false };
    let terms = Terms {
        request,
        fee,
        tolerance: BasisPoints::ZERO,
        spread: BasisPoints::ZERO,
        created_at,
        idempotency: None,
    };
    let id = PaymentId::new(created_at.0 * 1_000, [0; 10], Code::from_random(number * 7_919));
    Payment::new(id, MerchantId::new("mer_1"), Mode::Live, terms)
}

/// A payment that ends at the start and has an address.
fn with_address(number: u64) -> Payment {
    let before = START.minus(600);
    let address = GivenAddress { family: "evm".into(), address: "0xabc".into(), xpub: "f".into(), index: 0 };
    let coin = CoinId::new("ETH").unwrap();
    let decimals = Decimals::new(18).unwrap();
    let offer = Offer { coin, decimals, rate: Rate::new(250_000_000_000).unwrap(), address };
    let approved = payment(number, START).decide_identity(IdentityStep::Approve, before).unwrap();
    approved.apply(Event::Choose(offer), before).unwrap()
}

async fn run(store: &Store, chains: &Chains, now: Timestamp) -> Swept {
    sweep(store, chains, Clock::stopped(now)).await.unwrap()
}

async fn recorded(store: &Store, payment: &Payment) -> Status {
    store.payment(payment.id().code()).await.unwrap().unwrap().recorded_status()
}

#[tokio::test]
async fn r15_payments_due_evenly_end_within_a_minute_and_none_early() {
    let store = testing::store().await;
    let chains = Chains::default();
    let payments: Vec<_> = (0..120).map(|number| payment(number, START.plus(2 * number))).collect();
    for payment in &payments {
        store.insert_payment(payment).await.unwrap();
    }
    for minute in 0..=5 {
        let now = START.plus(minute * 60);
        assert!(run(&store, &chains, now).await.finished);
        for payment in &payments {
            let ended = recorded(&store, payment).await == Status::Expired;
            assert_eq!(
                ended,
                payment.terms().expires_at() <= now,
                "at {now}: {}",
                payment.terms().expires_at()
            );
        }
    }
}

#[tokio::test]
async fn r15_the_sweep_goes_on_where_it_stopped() {
    let store = testing::store().await;
    let chains = Chains::default();
    let (early, late) = (payment(1, START), payment(2, START.plus(30 * HOUR_SECONDS)));
    store.insert_payment(&early).await.unwrap();
    store.insert_payment(&late).await.unwrap();
    run(&store, &chains, START.minus(60)).await;
    // Away for more than a day: both are found by one run, from the hour that was stored.
    let back = late.terms().expires_at().plus(5);
    assert_eq!(run(&store, &chains, back).await.checked, 2);
    assert_eq!([recorded(&store, &early).await, recorded(&store, &late).await], [Status::Expired; 2]);
    assert_eq!(
        run(&store, &chains, back.plus(60)).await,
        Swept { checked: 0, finished: true, lag_seconds: 0 }
    );
    assert!(store.sweep_start().await.unwrap().hour.unwrap() > START.plus(20 * HOUR_SECONDS));
}

#[tokio::test]
async fn r15_a_payment_with_an_address_waits_for_its_chain() {
    let store = testing::store().await;
    let json = r#"[{"chain":"ethereum","family":"evm","chain_id":1,"test_chain_id":5,"coins":[],"confirmations":[{"blocks":1}]}]"#;
    let chains = Chains::parse(json).unwrap();
    let ethereum = chains.named("ethereum").unwrap().id.clone();
    let payment = with_address(1);
    store.insert_payment(&payment).await.unwrap();
    let cursor =
        |at: Timestamp| Cursor { version: 1, height: 50, caught_up: vec![(at, 50)], ..Cursor::default() };
    store.move_cursor(&ethereum, 0, &cursor(START.minus(1))).await.unwrap();
    run(&store, &chains, START).await;
    assert_eq!(recorded(&store, &payment).await, Status::Pending, "the chain was last read before the end");
    store.move_cursor(&ethereum, 1, &cursor(START)).await.unwrap();
    run(&store, &chains, START.plus(59)).await;
    assert_eq!(recorded(&store, &payment).await, Status::Pending, "it is looked at again after a minute");
    run(&store, &chains, START.plus(60)).await;
    assert_eq!(recorded(&store, &payment).await, Status::Expired);
}

#[tokio::test]
async fn r15_a_network_that_nobody_watches_holds_no_payment_open() {
    let store = testing::store().await;
    let chain = |name: &str| {
        format!(
            r#"{{"chain":"{name}","family":"evm","chain_id":1,"test_chain_id":5,"coins":[],"confirmations":[{{"blocks":1}}]}}"#
        )
    };
    let chains = Chains::parse(&format!("[{},{}]", chain("ethereum"), chain("base"))).unwrap();
    let payment = with_address(1);
    store.insert_payment(&payment).await.unwrap();
    run(&store, &chains, START).await;
    assert_eq!(recorded(&store, &payment).await, Status::Pending, "none of its networks was ever read");
    let cursor = Cursor { version: 1, height: 50, caught_up: vec![(START, 50)], ..Cursor::default() };
    store.move_cursor(&chains.named("ethereum").unwrap().id, 0, &cursor).await.unwrap();
    run(&store, &chains, START.plus(60)).await;
    assert_eq!(recorded(&store, &payment).await, Status::Expired);
}

#[tokio::test]
async fn a_payment_that_cannot_be_read_holds_up_no_other() {
    let store = testing::store().await;
    let (broken, sound) = (payment(1, START), payment(2, START));
    store.insert_payment(&broken).await.unwrap();
    store.insert_payment(&sound).await.unwrap();
    store.break_payment(broken.id().code()).await;
    let swept = run(&store, &Chains::default(), START.plus(400)).await;
    assert_eq!(recorded(&store, &sound).await, Status::Expired);
    assert!(swept.lag_seconds > 0, "somebody is told");
}

#[tokio::test]
async fn r15_a_payment_that_a_fork_opens_again_after_its_end_is_found() {
    let store = testing::store().await;
    let chains = Chains::default();
    let payment = with_address(1);
    let quote = payment.quote().unwrap();
    let movement = Movement {
        id: TransferId::new("ethereum:0x1:native:0xabc:0"),
        coin: quote.coin.clone(),
        decimals: quote.decimals,
        chain: ChainId::new("ethereum").unwrap(),
        tx_id: "0x1".into(),
        address: "0xabc".into(),
        units: quote.units,
        confirmations_required: 1,
    };
    let block = BlockAt { height: 1, time: START.minus(500) };
    let report = |sequence, standing| {
        let report = Report {
            movement: movement.clone(),
            sequence: Sequence(sequence),
            at: block.time,
            standing,
            rates: vec![],
        };
        [report]
    };
    let paid = payment.apply_reports(&report(1, Standing::InBlock { block, confirmations: 1 }), block.time);
    assert_eq!(paid.recorded_status(), Status::Paid);
    store.insert_payment(&paid).await.unwrap();
    let later = START.plus(10 * HOUR_SECONDS);
    run(&store, &chains, later).await;
    store.sweep_hour_done(hour_of(later.minus(2 * HOUR_SECONDS))).await.unwrap();
    let lost = report(2, Standing::Lost { block: Some(block), at: later });
    let lose = |payment: &Payment| Ok::<_, StoreError>(payment.apply_reports(&lost, later));
    store.change_payment(paid.id().code(), lose).await.unwrap();
    assert_eq!(
        run(&store, &chains, later.plus(60)).await.checked,
        1,
        "it does not wait in an hour left behind"
    );
}

#[tokio::test]
async fn r15_a_payment_that_cannot_be_looked_at_is_put_off_and_its_hour_left() {
    let store = testing::store().await;
    let chains = Chains::default();
    let (broken, late) = (payment(1, START), payment(2, START.plus(30 * HOUR_SECONDS)));
    store.insert_payment(&broken).await.unwrap();
    store.insert_payment(&late).await.unwrap();
    store.sweep_hour_done(hour_of(START.minus(HOUR_SECONDS))).await.unwrap();
    store.break_payment(broken.id().code()).await;
    run(&store, &chains, START.plus(60)).await;
    assert_eq!(store.sweep_start().await.unwrap().put_off, [], "its hour is not over");
    let back = late.terms().expires_at().plus(5);
    let swept = run(&store, &chains, back).await;
    assert_eq!(recorded(&store, &late).await, Status::Expired);
    let start = store.sweep_start().await.unwrap();
    assert!(start.hour.unwrap() > START.plus(20 * HOUR_SECONDS), "the hour is left behind");
    assert_eq!(start.put_off, [PutOff { code: broken.id().code(), hour: hour_of(START) }]);
    for swept in [swept, run(&store, &chains, back.plus(60)).await] {
        assert!(swept.lag_seconds >= 30 * HOUR_SECONDS, "somebody is told, as long as it is broken");
    }
    store.mend_payment(broken.id().code()).await;
    assert_eq!(
        run(&store, &chains, back.plus(120)).await,
        Swept { checked: 1, finished: true, lag_seconds: 0 }
    );
    assert_eq!(recorded(&store, &broken).await, Status::Expired);
    assert_eq!(store.sweep_start().await.unwrap().put_off, []);
}

#[tokio::test]
async fn r15_an_hour_of_more_failures_than_are_put_off_is_not_left() {
    let store = testing::store().await;
    let chains = Chains::default();
    for number in 0..=u64::try_from(PUT_OFF).unwrap() {
        let payment = payment(number, START);
        store.insert_payment(&payment).await.unwrap();
        store.break_payment(payment.id().code()).await;
    }
    store.sweep_hour_done(hour_of(START.minus(HOUR_SECONDS))).await.unwrap();
    run(&store, &chains, START.plus(2 * HOUR_SECONDS)).await;
    assert_eq!(store.sweep_start().await.unwrap().hour, Some(hour_of(START)));
}
