//! What time alone does: a product on a folder, and later another on the same folder ten days ahead (R15, R20, R25).

use std::path::Path;

use local::{Data, Options};
use serde_json::json;
use shared::clock::Clock;
use shared::keys::{ApiKey, Scope};
use shared::payment::Mode;
use tests::product::{Caller, Product, alone};

const TEN_DAYS: u64 = 864_000;

/// Created between the two products' starts, give or take: the second is this much more than ten days ahead.
const SLACK_SECONDS: u64 = 5;

async fn product(folder: &Path, clock_offset_seconds: u64) -> Product {
    let options =
        Options { data: Data::Folder(folder.to_owned()), clock_offset_seconds, ..Options::default() };
    Product::start_without_prices(options).await
}

#[test]
fn r15_ten_days_later_every_read_says_expired_before_and_after_the_sweep() {
    alone(async {
        let folder = tempfile::tempdir().unwrap();
        let first = product(folder.path(), 0).await;
        first.local.tick("refresh-rates").await.unwrap();
        let shop = first.shop().await;
        let open = shop.live.created("10").await;
        let cancelled = shop.live.created("10").await;
        shop.live.cancel(&cancelled).await;
        let paid = shop.test.created("10").await;
        shop.test.simulate(&paid, &json!({ "scenario": "pay" })).await;
        let chosen = shop.test.created("10").await;
        for scenario in ["approve_identity", "choose_coin"] {
            shop.test.simulate(&chosen, &json!({ "scenario": scenario })).await;
        }
        let (test, live) = (shop.test.key.clone().unwrap(), shop.live.key.clone().unwrap());
        let expires_at = Clock::default().now().plus(TEN_DAYS);
        let temporary = first.key(&shop.account.merchant, Mode::Test, &Scope::ALL, Some(expires_at)).await;
        assert_eq!(first.caller(&temporary).list("").await.status, 200);
        first.local.shutdown().await;

        let second = product(folder.path(), TEN_DAYS.saturating_add(SLACK_SECONDS)).await;
        let (test, live) = (second.caller_with(Some(&test)), second.caller_with(Some(&live)));
        r25_an_expired_key_opens_nothing(&second, &temporary).await;
        assert_expired(&live, &open, &cancelled).await;
        // Its rate is ten days old, and a payment with an address is ended by its chain or the sweep.
        r20_without_a_rate_no_coin_but_payments(&test).await;
        let swept = second.local.tick("expire-payments").await.unwrap();
        assert_eq!(swept["finished"], true, "{swept}");
        assert_eq!(swept["checked"], json!(2), "{swept}");
        assert_expired(&live, &open, &cancelled).await;
        assert_eq!(test.read(&chosen).await.field("status"), "expired");
        assert_eq!(test.read(&paid).await.field("status"), "paid");
        let again = second.local.tick("expire-payments").await.unwrap();
        assert_eq!(again["checked"], json!(0), "what has ended is not looked at again");
        second.local.shutdown().await;
    });
}

async fn assert_expired(live: &Caller, open: &str, cancelled: &str) {
    let read = live.read(open).await.payment();
    assert_eq!(read["status"], "expired");
    assert_eq!(live.list("status=expired").await.listed(), [open]);
    assert_eq!(live.list("status=cancelled,expired").await.listed(), [cancelled, open]);
    assert_eq!(live.list("status=kyc_required,pending").await.listed(), Vec::<String>::new());
    assert_eq!(live.list("").await.json()["payments"][1]["status"], "expired");
    let refused = live.cancel(open).await;
    refused.assert_refused(400, "payment_state", "Payment is expired and cannot be cancelled");
    assert_eq!(live.cancel(cancelled).await.field("status"), "cancelled");
}

async fn r20_without_a_rate_no_coin_but_payments(test: &Caller) {
    let id = test.created("10").await;
    assert_eq!(test.simulate(&id, &json!({ "scenario": "approve_identity" })).await.status, 200);
    let choose = json!({ "scenario": "choose_coin", "coin": "ETH" });
    let detail = "ETH cannot be quoted at the moment: its last price is more than five minutes old. Try again in a \
                  minute";
    test.simulate(&id, &choose).await.assert_refused(503, "rate_unavailable", detail);
    let any = json!({ "scenario": "choose_coin" });
    let detail = "No coin can be quoted at the moment. Try again in a minute";
    test.simulate(&id, &any).await.assert_refused(503, "rate_unavailable", detail);
}

async fn r25_an_expired_key_opens_nothing(product: &Product, key: &ApiKey) {
    let answer = product.caller(key).list("").await;
    answer.assert_refused(401, "invalid_api_key", "Invalid or missing API key");
}
