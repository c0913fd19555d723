//! A payment to which strangers sent dust by the thousand, as its merchant and its payer see it: R38, A20.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::chain::{ChainId, CoinId};
use shared::clock::Clock;
use shared::http::ApiError;
use shared::moment::Timestamp;
use shared::money::{Decimals, Units};
use shared::payment::{BlockAt, Code, Movement, Payment, Report, Sequence, Standing, TransferId};
use tests::product::{Caller, PAYMENTS, Product, Shop, shared};

/// As many as once made every answer fail, and some.
const MANY: u64 = 3_700;

/// The token that the template takes as USDC.
const USDC: &str = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48";

/// A millionth of a USDC each.
fn dust(payment: &Payment, number: u64, now: Timestamp) -> Report {
    let address = payment.selection().unwrap().address.clone();
    let tx_id = format!("{number:016x}");
    let movement = Movement {
        id: TransferId::new(format!("ethereum:{tx_id}:{USDC}:{}:0", address.to_lowercase())),
        coin: CoinId::new("USDC").unwrap(),
        decimals: Decimals::new(6).unwrap(),
        chain: ChainId::new("ethereum").unwrap(),
        tx_id,
        address,
        units: Units(1),
        confirmations_required: 1,
    };
    let block = BlockAt { height: now.0 / 12, time: now };
    let standing = Standing::InBlock { block, confirmations: 1 };
    Report { movement, sequence: Sequence(now.0), at: now, standing, rates: Vec::new() }
}

/// A payment of 100 USD in USDC with so much dust, by its id and its code.
async fn dusty(product: &Product, shop: &Shop<'_>, many: u64) -> (String, Code) {
    let id = shop.test.created("100").await;
    let choose =
        [json!({ "scenario": "approve_identity" }), json!({ "scenario": "choose_coin", "coin": "USDC" })];
    let code: Code =
        shop.test.play(&id, &choose).await.field("short_code").as_str().unwrap().parse().unwrap();
    let now = Clock::default().now();
    let add = |payment: &Payment| {
        let reports: Vec<_> = (0..many).map(|number| dust(payment, number, now)).collect();
        Ok::<_, ApiError>(payment.apply_reports(&reports, now))
    };
    product.local.store().change_payment(code, add).await.unwrap();
    (id, code)
}

/// Every transfer that pages tell.
async fn all(caller: &Caller, id: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = caller.get(&format!("{PAYMENTS}/{id}/transfers?limit={limit}{cursor}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let page = page.json();
        assert_eq!((&page["transfers_total"], &page["limit"]), (&json!(MANY + 1), &json!(limit)));
        let transfers = page["transfers"].as_array().unwrap();
        assert!(transfers.len() <= limit);
        all.extend(transfers.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        assert_eq!(page["has_more"], true);
    }
    all
}

#[test]
fn a20_r38_everything_works_on_a_payment_with_thousands_of_transfers() {
    shared(async |product| {
        let shop = product.shop().await;
        let (id, code) = dusty(product, &shop, MANY).await;
        let read = shop.test.read(&id).await.payment();
        assert_eq!((&read["transfers_total"], &read["status"]), (&json!(MANY), &json!("partially_paid")));
        assert_eq!(read["transfers"].as_array().unwrap().len(), 100);
        let listed = shop.test.list("").await.json();
        assert_eq!(listed["payments"][0]["transfers_total"], MANY);
        let explained = shop.test.get(&format!("{PAYMENTS}/{id}/explain")).await;
        assert_eq!(explained.status, 200, "{}", explained.text);
        let explained = explained.json()["explanation"].clone();
        assert_eq!(explained["transfers"].as_array().unwrap().len(), 100, "dust is not told by the thousand");
        assert!(
            explained["sentences"].to_string().contains("3600 earlier transfers"),
            "{}",
            explained["sentences"]
        );
        let page = shop.test.get(&format!("/pay/{code}")).await;
        assert!(page.status == 200 && page.text.contains("not listed here: 3600"), "{}", page.text);
        let state = shop.test.get(&format!("/pay/{code}/state")).await;
        assert_eq!((state.status, state.json()["transfers"].as_array().unwrap().len()), (200, 100));
        // The rest in another coin, an old transfer taken away and back, money that pays it all.
        let choose = json!({ "scenario": "choose_coin", "coin": "ETH" });
        assert_eq!(shop.test.play(&id, &[choose]).await.field("selected_coin"), "ETH");
        let reorg = json!({ "scenario": "reorg", "transfer_id": format!("{:016x}", 0) });
        shop.test.play(&id, &[reorg.clone(), reorg]).await;
        let told = {
            let paid = json!({ "scenario": "pay" });
            let paid = shop.test.play(&id, &[paid]).await;
            assert_eq!(
                (paid.field("status"), paid.field("transfers_total")),
                (json!("paid"), json!(MANY + 1))
            );
            assert!(paid.field("paid_at").is_string());
            all(&shop.test, &id, 200).await
        };
        let lost = told.iter().filter(|transfer| transfer["state"] == "lost").count();
        let ids: BTreeSet<_> = told.iter().map(|transfer| transfer["id"].to_string()).collect();
        assert_eq!((told.len(), ids.len(), lost), (3_701, 3_701, 1), "each once");
        let confirm = json!({ "scenario": "confirm", "transfer_id": format!("{:016x}", 0) });
        assert_eq!(shop.test.play(&id, &[confirm]).await.field("transfers_total"), MANY + 1);
        assert_eq!(shop.test.cancel(&id).await.refusal(400), "Payment is paid and cannot be cancelled");
    });
}

#[test]
fn a20_r8_pages_of_transfers_are_newest_first_and_stay_what_they_are_while_more_come() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("100").await;
        let arrive =
            |name: usize| json!({ "scenario": "transfer", "percent": 1, "transfer_id": format!("t{name}") });
        shop.test
            .play(
                &id,
                &[
                    json!({ "scenario": "approve_identity" }),
                    json!({ "scenario": "choose_coin", "coin": "USDC" }),
                ],
            )
            .await;
        for name in 0..3 {
            shop.test.play(&id, &[arrive(name), json!({ "scenario": "advance", "seconds": 60 })]).await;
        }
        let path = format!("{PAYMENTS}/{id}/transfers");
        let names = |page: &Value| -> Vec<String> {
            let all = page["transfers"].as_array().unwrap();
            all.iter().map(|transfer| transfer["tx_id"].as_str().unwrap().to_owned()).collect()
        };
        let first = shop.test.get(&format!("{path}?limit=1")).await.json();
        assert_eq!((names(&first), &first["has_more"]), (vec!["t2".to_owned()], &json!(true)));
        shop.test.play(&id, &[arrive(3)]).await;
        let cursor = first["next_cursor"].as_str().unwrap();
        let rest = shop.test.get(&format!("{path}?cursor={cursor}")).await.json();
        assert_eq!(
            (names(&rest), &rest["next_cursor"]),
            (vec!["t1".to_owned(), "t0".to_owned()], &Value::Null)
        );
        for query in
            ["limit=0", "limit=201", "cursor=junk", &format!("cursor={}", &cursor[2..]), "offset=1", "page=2"]
        {
            assert_eq!(shop.test.get(&format!("{path}?{query}")).await.status, 400, "{query}");
        }
        let other = shop.test.created("5").await;
        let stolen = shop.test.get(&format!("{PAYMENTS}/{other}/transfers?cursor={cursor}")).await;
        assert_eq!(stolen.status, 400, "a cursor is good for its payment");
        assert_eq!(shop.live.get(&path).await.refusal(404), "Payment not found");
        assert_eq!(shop.test.post(&path, "{}").await.status, 405);
    });
}
