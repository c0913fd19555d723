//! Free volume: what was first paid this month, counted from the table's stream (R14).

use serde_json::json;
use shared::account::Account;
use shared::admin;
use shared::chain::{ChainId, CoinId};
use shared::clock::Clock;
use shared::http::ApiError;
use shared::money::{Cents, Decimals, Rate, Units};
use shared::payment::{
    BlockAt, Code, Event, GivenAddress, IdentityStep, Movement, Offer, Payment, Report, Sequence, Standing,
    TransferId,
};
use shared::store::Store;
use tests::product::{Product, Shop, shared};

/// An account that is free up to 100 USD a month.
async fn free_shop(product: &Product) -> Shop<'_> {
    let store = product.local.store();
    let model = admin::open_account(&store, "Model").await.unwrap();
    let merchant = shared::payment::MerchantId::new(format!("{}-free", model.merchant.as_str()));
    let account = Account { merchant, free_volume: Some(Cents(10_000)), ..model };
    assert!(store.insert_account(&account).await.unwrap());
    product.shop_of(account).await
}

/// Does to a live payment what identity, payer and chain would.
async fn pay(store: &Store, code: Code) {
    let now = Clock::default().now();
    let address =
        GivenAddress { family: "evm".into(), address: format!("0x{code}"), xpub: "x".into(), index: 0 };
    let (coin, decimals) = (CoinId::new("USDC").unwrap(), Decimals::new(6).unwrap());
    let rate = Rate::new(100_000_000).unwrap();
    let offer = Offer { coin: coin.clone(), decimals, rate, address };
    let report = |payment: &Payment| Report {
        movement: Movement {
            id: TransferId::new(format!("ethereum:{code}")),
            coin: coin.clone(),
            decimals,
            chain: ChainId::new("ethereum").unwrap(),
            tx_id: code.to_string(),
            address: format!("0x{code}"),
            units: payment.quote().map_or(Units(0), |quote| quote.units),
            confirmations_required: 1,
        },
        sequence: Sequence(1),
        at: now,
        standing: Standing::InBlock { block: BlockAt { height: 1, time: now }, confirmations: 1 },
        rates: Vec::new(),
    };
    let paid = |payment: &Payment| {
        let steps = [IdentityStep::Start, IdentityStep::Submit, IdentityStep::Approve];
        let proven = steps
            .into_iter()
            .try_fold(payment.clone(), |payment, step| payment.apply(Event::Identity(step), now))?;
        let chosen = proven.apply(Event::Choose(offer.clone()), now)?;
        Ok::<_, ApiError>(chosen.apply(Event::Reported(report(&chosen)), now)?)
    };
    let paid = store.change_payment(code, paid).await.unwrap().unwrap();
    assert_eq!(paid.recorded_status().as_str(), "paid");
}

#[test]
fn r14_a_payment_is_free_while_what_was_paid_and_itself_fit_the_month() {
    shared(async |product| {
        let shop = free_shop(product).await;
        let fee = async |amount: &str| {
            let body = json!({ "title": "Order", "amount_usd": amount, "fee_paid_by": "payer" });
            let made = shop.live.create(&body).await.payment();
            let shown = ["fee_free_tier", "fee_usd", "amount_due_usd"].map(|field| made[field].clone());
            (shown, made["short_code"].as_str().unwrap().parse::<Code>().unwrap())
        };
        let free = |amount: f64| [json!(true), json!(0.0), json!(amount)];
        // Volume is what was paid, not what was asked for: open payments use up nothing.
        assert_eq!(fee("100").await.0, free(100.0));
        let (shown, code) = fee("60").await;
        assert_eq!(shown, free(60.0));
        assert_eq!(fee("100.01").await.0, [json!(false), json!(1.0), json!(101.01)]);
        pay(&product.local.store(), code).await;
        product.local.streams_idle().await.unwrap();
        // Functions may remember the account for 25 s, so the default route's is asked, which has not seen it yet.
        let fee_now = async |amount: &str| {
            let body = json!({ "title": "Order", "amount_usd": amount }).to_string();
            let made = shop.live.post("/api/v1/payments/", &body).await.payment();
            (made["fee_free_tier"].clone(), made["fee_usd"].clone())
        };
        assert_eq!(fee_now("40").await, (json!(true), json!(0.0)));
        assert_eq!(fee_now("40.01").await, (json!(false), json!(0.4)));
    });
}

#[test]
fn r14_test_payments_use_up_no_volume() {
    shared(async |product| {
        let shop = free_shop(product).await;
        let id = shop.test.created("100").await;
        assert_eq!(shop.test.simulate(&id, &json!({ "scenario": "pay" })).await.field("status"), "paid");
        product.local.streams_idle().await.unwrap();
        let now = Clock::default().now();
        let account = product.local.store().account(&shop.account.merchant, now).await.unwrap().unwrap();
        assert_eq!(account.volume_used, Cents::ZERO);
    });
}

#[test]
fn r14_a_payment_is_counted_once_however_often_it_changes() {
    shared(async |product| {
        let shop = free_shop(product).await;
        let id = shop.live.created("60").await;
        let code: Code = shop.live.read(&id).await.field("short_code").as_str().unwrap().parse().unwrap();
        let store = product.local.store();
        pay(&store, code).await;
        let now = Clock::default().now();
        let movement = store.payment(code).await.unwrap().unwrap();
        let movement = movement.transfers().next().unwrap().movement().clone();
        let block = BlockAt { height: 1, time: now };
        for (n, standing) in [
            (2, Standing::Lost { block: Some(block), at: now }),
            (3, Standing::InBlock { block: BlockAt { height: 2, time: now }, confirmations: 1 }),
        ] {
            let report = Report {
                movement: movement.clone(),
                sequence: Sequence(n),
                at: now,
                standing,
                rates: Vec::new(),
            };
            let told =
                |payment: &Payment| Ok::<_, ApiError>(payment.apply(Event::Reported(report.clone()), now)?);
            store.change_payment(code, told).await.unwrap();
        }
        product.local.streams_idle().await.unwrap();
        let account = store.account(&shop.account.merchant, now).await.unwrap().unwrap();
        assert_eq!(account.volume_used, Cents(6_000));
    });
}
