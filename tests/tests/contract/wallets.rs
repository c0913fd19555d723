//! `GET /wallets`: the addresses at which money lies, and how far a wallet must look for them (R24).

use std::collections::BTreeSet;

use local::Options;
use serde_json::{Value, json};
use shared::chain::address::{ExtendedKey, NOBODYS_XPUB};
use shared::chain::{ChainId, CoinId};
use shared::clock::Clock;
use shared::http::ApiError;
use shared::money::Units;
use shared::payment::{BlockAt, Code, Event, Movement, Payment, Report, Standing, TransferId};
use shared::wallet::Balance;
use tests::product::{Caller, PAYMENTS, Product, alone};

const WALLETS: &str = "/api/v1/wallets";

/// Of the block in which money comes.
const HEIGHT: u64 = 800_000;

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

#[test]
fn r24_a_sweep_is_for_the_merchants_own_wallet_to_sign() {
    alone(async {
        let product = Product::start(Options::default()).await;
        let shop = product.shop().await;
        let to = "0x00000000000000000000000000000000DeaDBeef";
        payments(&shop.test, "ETH", 2, &[1]).await;
        payments(&shop.test, "USDC", 1, &[0]).await;
        product.local.streams_idle().await.unwrap();
        let sweep = async |body: &Value| shop.test.post(&format!("{WALLETS}/sweep"), &body.to_string()).await;
        let key: ExtendedKey = NOBODYS_XPUB.parse().unwrap();
        let address = |index| key.evm_address(index).unwrap().to_string();
        let ether = sweep(&json!({ "coin": "ETH", "to": to, "max_fee_per_gas": 1_000_000_000 })).await;
        assert_eq!(ether.status, 200, "{}", ether.text);
        let ether = ether.json();
        let expected = json!({
            "coin": "ETH", "chain": "ethereum", "to": to, "chain_id": 11_155_111, "top_ups": [],
            "transactions": [{
                "key": key.fingerprint(), "path": "0/1", "from": address(1), "to": to, "value": "3979000000000000",
                "data": "0x", "gas_limit": 21_000, "available": "4000000000000000",
            }],
            "left_out": [],
        });
        assert_eq!(ether["sweep"], expected);
        let dollars = sweep(&json!({ "coin": "USDC", "to": to })).await.json()["sweep"].clone();
        let [moved] = dollars["transactions"].as_array().unwrap().as_slice() else { panic!("{dollars}") };
        assert_eq!((&moved["from"], &moved["available"]), (&json!(address(2)), &json!("10000000")));
        assert_eq!(dollars["top_ups"][0], json!({ "to": address(2), "value": null, "gas_limit": 100_000 }));
        for (body, detail) in [
            (json!({ "to": to }), "coin must be the name of a coin"),
            (json!({ "coin": "DOGE", "to": to }), "coin must be the name of a coin"),
            (json!({ "coin": "ETH" }), "to is required"),
            (json!({ "coin": "ETH", "to": "bc1q" }), "to is not an Ethereum address"),
            (
                json!({ "coin": "ETH", "to": to, "fee_rate_sat_vb": 0 }),
                "fee_rate_sat_vb must be a whole number from 1 to 1000",
            ),
            (json!({ "coin": "ETH", "to": to, "cursor": "junk" }), "cursor is not one for this list"),
        ] {
            sweep(&body).await.assert_refused(400, "invalid_parameter", detail);
        }
        product.local.shutdown().await;
    });
}

/// A chain like Bitcoin: outputs are known by their transactions, which a simulated transfer has none of.
#[test]
fn r24_outputs_are_swept_by_one_transaction_to_sign_without_those_that_a_refund_needs() {
    alone(async {
        let mut options = Options::default();
        let chains = r#"[{"chain":"bitcoin","family":"bitcoin","hrp":"bc","test_hrp":"tb","coins":[
            {"coin":"BTC","asset":"native","decimals":8,"rate":"BTC","minimum_usd":"1.00"}],
            "confirmations":[{"blocks":1}]}]"#;
        options.environment.insert("CHAINS".into(), chains.into());
        options.environment.insert("FIXED_RATES".into(), r#"{"BTC":"50000.00"}"#.into());
        let product = Product::start(options).await;
        let shop = product.shop().await;
        let mut made = payments(&shop.test, "BTC", 3, &[]).await;
        for (number, payment) in (1_u8..).zip(&made) {
            let code: Code = payment["short_code"].as_str().unwrap().parse().unwrap();
            let store = product.local.store();
            store.change_payment(code, |payment| arrived(payment, number, HEIGHT)).await.unwrap();
        }
        // The last one's money is on its way back.
        let last = made.pop().unwrap();
        assert_eq!(shop.test.read(last["id"].as_str().unwrap()).await.field("status"), "overpaid");
        let path = format!("{PAYMENTS}/{}/refunds", last["id"].as_str().unwrap());
        let dust = shop.test.post(&path, r#"{"coin": "BTC", "amount": "0.00000545"}"#).await;
        dust.assert_refused(400, "invalid_parameter", "amount must be at least 0.00000546");
        let asked = shop.test.post(&path, r#"{"coin": "BTC"}"#).await;
        assert!(asked.status < 300, "{}", asked.text);
        product.local.streams_idle().await.unwrap();
        let to = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";
        let sweep = async || {
            let body = json!({ "coin": "BTC", "to": to, "fee_rate_sat_vb": 2 });
            let swept = shop.test.post(&format!("{WALLETS}/sweep"), &body.to_string()).await;
            assert_eq!(swept.status, 200, "{}", swept.text);
            swept.json()["sweep"].clone()
        };
        let swept = sweep().await;
        // Twice 30,000 units less 2 × (11 + 2 × 68 + 31).
        assert_eq!((&swept["inputs"], &swept["amount"]), (&json!(2), &json!("0.00059644")));
        assert!(swept["psbt"].as_str().unwrap().starts_with("cHNidP"), "{swept}");
        assert_eq!(swept["left_out"][0]["payment"], last["short_code"]);
        // Of the first, the chain was seen to hold nothing any more; then more comes.
        let code: Code = made[0]["short_code"].as_str().unwrap().parse().unwrap();
        let first = product.local.store().payment(code).await.unwrap().unwrap();
        let at = Clock::default().now();
        let emptied = Balance { units: Units(0), height: HEIGHT, at, unspent: BTreeSet::new() };
        let coin = CoinId::new("BTC").unwrap();
        let (owner, given) = (first.owner(), &first.addresses()[0]);
        assert!(product.local.store().note_balance(&owner, given, &coin, &emptied).await.unwrap());
        assert_eq!(sweep().await["inputs"], 1);
        let more = |payment: &Payment| arrived(payment, 9, HEIGHT + 1);
        product.local.store().change_payment(code, more).await.unwrap();
        product.local.streams_idle().await.unwrap();
        assert_eq!(sweep().await["inputs"], 2);
        let listed = wallets(&product, &shop.test, "").await["wallets"][0]["coins"][0].clone();
        assert_eq!((&listed["received"], &listed["balance"]), (&json!("0.0006"), &json!("0")));
        let live = json!({ "coin": "BTC", "to": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4" });
        let refused = shop.test.post(&format!("{WALLETS}/sweep"), &live.to_string()).await;
        assert_eq!(
            (refused.status, refused.header("x-error-code")),
            (400, "invalid_parameter"),
            "{}",
            refused.text
        );
        product.local.shutdown().await;
    });
}

/// More than is due arrives in an output of a transaction.
fn arrived(payment: &Payment, number: u8, height: u64) -> Result<Payment, ApiError> {
    let now = Clock::default().now();
    let (quote, selected) = (payment.quote().unwrap(), payment.selection().unwrap());
    let tx_id = format!("{number:02x}").repeat(32);
    let movement = Movement {
        id: TransferId::new(format!("bitcoin:{tx_id}:0")),
        coin: quote.coin.clone(),
        decimals: quote.decimals,
        chain: ChainId::new("bitcoin").unwrap(),
        tx_id,
        address: selected.address.clone(),
        units: Units(30_000),
        confirmations_required: 1,
    };
    let block = BlockAt { height, time: now };
    let standing = Standing::InBlock { block, confirmations: 1 };
    let report = Report { movement, sequence: payment.next_sequence(), at: now, standing, rates: Vec::new() };
    Ok(payment.apply(Event::Reported(report), now)?)
}
