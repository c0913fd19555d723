//! B3: of every list, what cannot be read is left out, and all else is there.

use std::collections::BTreeMap;

use super::*;
use crate::admin;
use crate::chain::{ChainId, Chains};
use crate::clock::Clock;
use crate::moment::Timestamp;
use crate::money::{BasisPoints, Cents, Rate};
use crate::payment::{
    Code, Fee, FeePaidBy, GivenAddress, KycMethod, LIFETIME_SECONDS, MerchantId, Mode, Payment, PaymentId,
    Request, Status, Terms,
};
use crate::store::attribute::{n, s};
use crate::store::testing;
use crate::store::{AwaitedPayout, Created, Listing, Onward, Page, PageRequest, Watched};
use crate::sweep::sweep;
use crate::wallet::{Owner, Wallet};

const NOW: Timestamp = Timestamp(1_800_000_000);

fn payment(number: u64) -> Payment {
    let request = Request {
        title: "Order".into(),
        description: None,
        amount: Cents(100),
        kyc_method: KycMethod::IdUpload,
        allow_bankid: false,
        fee_paid_by: FeePaidBy::Merchant,
        metadata: None,
    };
    let terms = Terms {
        request,
        fee: Fee { usd: Cents(1), free_tier: false },
        tolerance: BasisPoints::ZERO,
        spread: BasisPoints::ZERO,
        created_at: NOW,
        idempotency: None,
    };
    let id = PaymentId::new(NOW.0 * 1_000 + number, [0; 10], Code::from_random(number * 7_919));
    Payment::new(id, MerchantId::new("mer_1"), Mode::Test, terms)
}

async fn page(store: &Store, limit: usize, offset: usize, before: Option<PaymentId>) -> Page {
    let listing = Listing {
        merchant: MerchantId::new("mer_1"),
        mode: Mode::Test,
        statuses: vec![],
        created: Created::default(),
    };
    store.list_payments(&listing, PageRequest { limit, offset, before }, NOW).await.unwrap()
}

fn ids(page: &Page) -> Vec<PaymentId> {
    page.payments.iter().map(Payment::id).collect()
}

#[tokio::test]
async fn b3_what_cannot_be_read_is_left_out_and_counted_and_what_is_not_known_is_an_error() {
    let store = testing::store().await;
    assert_eq!(store.readable("list", "a", Ok(7)).unwrap(), Some(7));
    let broken = store.readable::<u8>("list", "b", Err(StoreError::Malformed("`n`".into())));
    assert_eq!(broken.unwrap(), None);
    assert!(store.readable::<u8>("list", "c", Err(StoreError::Throttled)).is_err());
    assert_eq!((store.clone().take_left_out(), store.take_left_out()), (1, 0));
}

#[test]
fn b3_a_cause_tells_nothing_of_what_the_item_holds() {
    let cause = "invalid type: string \"Ann, Main Street 1\", expected u64";
    assert_eq!(without_values(cause), "invalid type: string ");
    assert_eq!(without_values("missing field `title`"), "missing field `title`");
}

#[tokio::test]
async fn b3_a_page_of_payments_is_full_and_goes_on_without_the_one_that_cannot_be_read() {
    let store = testing::store().await;
    let mut all: Vec<_> = (0..7).map(payment).collect();
    for payment in &all {
        store.insert_payment(payment).await.unwrap();
    }
    all.reverse();
    let broken = all.remove(1);
    store.break_payment(broken.id().code()).await;
    let expected: Vec<_> = all.iter().map(Payment::id).collect();

    let whole = page(&store, 50, 0, None).await;
    assert_eq!((ids(&whole), whole.next), (expected.clone(), None));
    assert_eq!(store.take_left_out(), 1);
    let first = page(&store, 3, 0, None).await;
    assert_eq!((ids(&first), first.next), (expected[..3].to_vec(), Some(expected[2])));
    let second = page(&store, 3, 0, first.next).await;
    assert_eq!((ids(&second), second.next), (expected[3..].to_vec(), None));
    assert_eq!(
        ids(&page(&store, 3, 2, None).await),
        expected[1..4],
        "an offset counts keys, as a cursor does"
    );
}

#[tokio::test]
async fn b3_entries_of_an_index_that_cannot_be_read_end_no_list() {
    let store = testing::store().await;
    let all = [payment(1), payment(2)];
    for payment in &all {
        store.insert_payment(payment).await.unwrap();
    }
    // Above all others in the index, and more than a short page holds.
    for number in 0..4 {
        let put = store.client.put_item().table_name(&store.tables.payments);
        let put = put.item("code", s(format!("bad{number}"))).item("owner", s("mer_1#test"));
        put.item("id", s(format!("none-{number}"))).send().await.unwrap();
    }
    let first = page(&store, 1, 0, None).await;
    assert_eq!((ids(&first), first.next), (vec![all[1].id()], Some(all[1].id())));
    assert_eq!(ids(&page(&store, 1, 0, first.next).await), [all[0].id()]);
}

#[tokio::test]
async fn b3_what_is_due_is_swept_beside_a_key_that_is_none() {
    let store = testing::store().await;
    let due = payment(1);
    store.insert_payment(&due).await.unwrap();
    let ends_at = NOW.plus(LIFETIME_SECONDS);
    let item = store.item(&due.id().code().to_string()).await.unwrap().unwrap();
    let put = store.client.put_item().table_name(&store.tables.payments).item("code", s("no code at all"));
    let put = put.item("due_hour", item["due_hour"].clone()).item("next_check", n(ends_at.0));
    put.send().await.unwrap();
    let put = store.client.put_item().table_name(&store.tables.chains);
    put.item("chain", s("sweep")).item("entry", s("retry#none")).send().await.unwrap();
    sweep(&store, &Chains::default(), Clock::stopped(ends_at.plus(1))).await.unwrap();
    let swept = store.payment(due.id().code()).await.unwrap().unwrap();
    assert_eq!(swept.recorded_status(), Status::Expired);
    assert!(store.take_left_out() >= 2);
}

#[tokio::test]
async fn b3_accounts_addresses_and_wallets_are_listed_beside_broken_ones() {
    let store = testing::store().await;
    let account = admin::open_account(&store, "Shop").await.unwrap();
    let put = store.client.put_item().table_name(&store.tables.accounts);
    put.item("account", s("mer_2")).item("secret", s("?")).send().await.unwrap();
    let listed: Vec<_> = store.accounts(NOW).await.unwrap().into_iter().map(|one| one.merchant).collect();
    assert_eq!(listed, [account.merchant]);

    let code = Code::from_random(9);
    let given = GivenAddress { family: "evm".into(), address: "0xab".into(), xpub: "f".into(), index: 0 };
    store.claim_address(&given, code).await.unwrap();
    let watched = Watched { address: "0xab".into(), code, listed_at: NOW, heights: BTreeMap::new() };
    store.list_address("evm", &watched).await.unwrap();
    let owner = Owner { merchant: MerchantId::new("mer_1"), mode: Mode::Test };
    let wallet = Wallet { given, received: BTreeMap::new() };
    store.note_wallet(&owner, code, &wallet, 1).await.unwrap();
    for (bucket, stamp) in [
        ("evm", "00000000001800000000#0xcd"),
        ("address#0xcd", "-"),
        ("wallet#mer_1#test", "evm#f#not a number"),
    ] {
        let put = store.client.put_item().table_name(&store.tables.addresses);
        put.item("bucket", s(bucket)).item("stamp", s(stamp)).send().await.unwrap();
    }
    let mut listed = Vec::new();
    store.each_listed_since("evm", NOW, |watched| listed.push(watched.address)).await.unwrap();
    assert_eq!(listed, ["0xab"]);
    let mut ever = Vec::new();
    store.each_given("evm", |given| ever.push(given.address)).await.unwrap();
    assert_eq!(ever, ["0xab"]);
    let (wallets, more) = store.wallets(&owner, None, 9).await.unwrap();
    assert_eq!((wallets.len(), more), (1, None));
    assert_eq!(store.take_left_out(), 4);
}

#[tokio::test]
async fn b3_a_chain_goes_on_beside_notes_that_cannot_be_read() {
    let store = testing::store().await;
    let chain = ChainId::new("ethereum").unwrap();
    let payout = AwaitedPayout {
        code: Code::from_random(3).to_string(),
        coin: "ETH".into(),
        address: "0xab".into(),
        units: "1".into(),
        requested_at: NOW.0,
    };
    store.await_payout(&chain, &payout, NOW).await.unwrap();
    let nobodys = AwaitedPayout { code: "nobody".into(), ..payout.clone() };
    store.await_payout(&chain, &nobodys, NOW).await.unwrap();
    for entry in ["outside#seen#x", "outside#refund#x", "block#00000000000000000007#aa#x"] {
        let put = store.client.put_item().table_name(&store.tables.chains).item("chain", s("ethereum"));
        put.item("entry", s(entry)).send().await.unwrap();
    }
    let outlying = store.outlying(&chain).await.unwrap();
    assert_eq!((outlying.payouts, outlying.sightings.len()), (vec![payout], 0));
    let mut noted = Vec::new();
    let visit = |note| {
        noted.push(note);
        Onward::Next
    };
    assert!(store.each_noted(&chain, 0, visit).await.unwrap());
    assert_eq!(noted, []);
    assert_eq!(store.take_left_out(), 4);
}

#[tokio::test]
async fn b3_one_rate_that_cannot_be_read_takes_no_other_coin_away() {
    let store = testing::store().await;
    let chain = ChainId::new("ethereum").unwrap();
    let rate = Rate::new(250_000_000_000).unwrap();
    store.put_market(&[("ETH".to_owned(), rate)], &BTreeMap::new(), NOW).await.unwrap();
    let update = store.client.update_item().table_name(&store.tables.chains);
    let update = update.key("chain", s("rates")).key("entry", s("latest"));
    let update = update.update_expression("SET rate_BTC = :broken");
    update.expression_attribute_values(":broken", s("much")).send().await.unwrap();
    let market = store.market(&[chain], NOW).await.unwrap();
    assert_eq!(market.rates, BTreeMap::from([("ETH".to_owned(), rate)]));
    assert_eq!(store.take_left_out(), 1);
}
