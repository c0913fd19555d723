//! `GET /wallets`: the addresses at which money lies, and how far a wallet must look for them (R24).

use local::Options;
use serde_json::{Value, json};
use shared::chain::address::{ExtendedKey, NOBODYS_XPUB};
use tests::product::{Caller, Product, alone};

const WALLETS: &str = "/api/v1/wallets";

/// Payments in a coin, each with an address of its own; those of `paid` get all that is due.
async fn payments(caller: &Caller, coin: &str, many: usize, paid: &[usize]) -> Vec<Value> {
    let mut made = Vec::new();
    for number in 0..many {
        let id = caller.created("10").await;
        caller.simulate(&id, &json!({ "scenario": "approve_identity" })).await;
        let mut last = caller.simulate(&id, &json!({ "scenario": "choose_coin", "coin": coin })).await;
        if paid.contains(&number) {
            last = caller.simulate(&id, &json!({ "scenario": "transfer", "transfer_id": "a" })).await;
        }
        made.push(last.payment());
    }
    made
}

async fn wallets(product: &Product, caller: &Caller, query: &str) -> Value {
    product.local.streams_idle().await.unwrap();
    let answer = caller.get(&format!("{WALLETS}?{query}")).await;
    assert_eq!((answer.status, &answer.json()["success"]), (200, &json!(true)), "{}", answer.text);
    answer.json()
}

#[test]
fn each_address_with_money_is_listed_and_how_far_a_wallet_must_look() {
    alone(async {
        let product = Product::start(Options::default()).await;
        let (shop, rival) = (product.shop().await, product.shop().await);
        let made = payments(&shop.test, "ETH", 5, &[0, 3]).await;
        let list = wallets(&product, &shop.test, "").await;
        let key: ExtendedKey = NOBODYS_XPUB.parse().unwrap();
        let wallet = |index: u32| {
            json!({
                "address": key.evm_address(index).unwrap().to_string(), "family": "evm", "key": key.fingerprint(),
                "path": format!("0/{index}"), "index": index,
                "payment": made[usize::try_from(index).unwrap()]["short_code"],
                "coins": [{
                    "coin": "ETH", "chain": "ethereum", "received": "0.004", "balance": null, "balance_at": null,
                }],
            })
        };
        assert_eq!(list["wallets"], json!([wallet(0), wallet(3)]));
        let reach = json!({
            "key": key.fingerprint(), "highest_index_given_out": 4, "highest_index_with_money": 3,
            "gap_limit_needed": 3,
        });
        assert_eq!(list["keys"], json!([reach]));
        assert_eq!((&list["has_more"], &list["next_cursor"]), (&json!(false), &json!(null)));
        // Page by page it is the same list; a page may hold less than asked for, and the last may be empty.
        let (mut paged, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = wallets(&product, &shop.test, &format!("limit=1&cursor={cursor}")).await;
            paged.extend(page["wallets"].as_array().unwrap().clone());
            let Some(next) = page["next_cursor"].as_str() else { break };
            next.clone_into(&mut cursor);
        }
        assert_eq!(json!(paged), list["wallets"]);
        // Nobody else sees them, not even the account's other mode, and no cursor is good for another list (R4, R8).
        for other in [&rival.test, &shop.live] {
            assert_eq!(wallets(&product, other, "").await["wallets"], json!([]));
            let refused = other.get(&format!("{WALLETS}?cursor={cursor}")).await;
            refused.assert_refused(400, "invalid_parameter", "cursor is not one for this list");
        }
        for (query, detail) in [
            ("limit=0", "limit must be a whole number from 1 to 200"),
            ("limit=201", "limit must be a whole number from 1 to 200"),
            ("cursor=junk", "cursor is not one for this list"),
        ] {
            shop.test.get(&format!("{WALLETS}?{query}")).await.assert_refused(
                400,
                "invalid_parameter",
                detail,
            );
        }
        // What the chain takes away is not there any more; what was used stays in the wallet's reach.
        let id = made[0]["id"].as_str().unwrap();
        shop.test.simulate(id, &json!({ "scenario": "reorg", "transfer_id": "a" })).await;
        let left = wallets(&product, &shop.test, "").await;
        assert_eq!((&left["wallets"], &left["keys"]), (&json!([wallet(3)]), &list["keys"]));
        product.local.shutdown().await;
    });
}
