//! What each call costs in DynamoDB: requests and units, by the table of `design.md`, section 4.
//!
//! Measured between the functions and the engine with a payment of the usual size. `--nocapture` prints the table.
//! What a watcher's run costs is a test of `shared`, beside the watcher.
#![cfg(test)]
#![allow(
    clippy::float_arithmetic,
    clippy::print_stdout,
    reason = "capacity units are halves, and the table is printed"
)]

use local::Options;
use serde_json::{Value, json};
use shared::chain::ChainId;
use shared::chain::address::ExtendedKey;
use shared::clock::Clock;
use shared::http::ApiError;
use shared::money::{BasisPoints, Cents};
use shared::payment::{Code, Event, Fee, IdentityStep, Mode, Payment, PaymentId, Request, Terms};
use shared::store::Cursor;
use tests::answer::Answer;
use tests::meter::{Cost, Meter};
use tests::product::{PAYMENTS, Product, Shop, alone};

/// An account's extended key for live addresses; nobody holds its private half.
const XPUB: &str = tests::anvil::ANVIL_XPUB;

/// More than a page.
const MANY: usize = 55;

/// The most that a call may cost.
struct Budget {
    requests: u32,
    reads: f64,
    writes: f64,
}

struct Bench {
    product: Product,
    meter: Meter,
    /// What follows the payments is measured by itself.
    follower: Meter,
}

impl Bench {
    async fn start() -> Bench {
        let meter = Meter::start().await;
        let mut options = Options::default();
        options.environment.insert("AWS_ENDPOINT_URL_DYNAMODB".into(), meter.endpoint().to_owned());
        let follower = Meter::start().await;
        let apart = [("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), follower.endpoint().to_owned())];
        options.function_environment.insert("note-wallets".into(), apart.into());
        let product = Product::start_without_prices(options).await;
        meter.measure(product.local.dynamodb_endpoint());
        follower.measure(product.local.dynamodb_endpoint());
        product.local.tick("refresh-rates").await.unwrap();
        Bench { product, meter, follower }
    }

    /// What a call costs.
    async fn cost(&self, call: impl Future<Output = Answer>) -> Cost {
        self.meter.take();
        let answer = call.await;
        assert!(answer.status < 300, "{} {}", answer.status, answer.text);
        self.meter.take()
    }
}

#[track_caller]
fn hold(call: &str, cost: Cost, budget: &Budget) {
    println!("{call:<40} {cost}");
    assert!(cost.requests <= budget.requests, "{call}: {cost}");
    assert!(cost.reads <= budget.reads && cost.writes <= budget.writes, "{call}: {cost}");
}

fn order() -> Value {
    json!({
        "title": "Order #1042", "description": "2 × T-shirt", "amount_usd": 49.99,
        "metadata": { "order_id": "1042", "customer": "c_81723" },
    })
}

async fn made(shop: &Shop<'_>) -> (String, String) {
    let payment = shop.test.create(&order()).await.payment();
    (payment["id"].as_str().unwrap().to_owned(), payment["short_code"].as_str().unwrap().to_owned())
}

#[test]
fn every_call_stays_within_its_budget() {
    alone(async {
        let bench = Bench::start().await;
        let shop = bench.product.shop().await;
        merchants_calls(&bench, &shop).await;
        lists(&bench, &shop).await;
        moves(&bench, &shop).await;
        coin_chosen(&bench, &shop).await;
        cache_misses(&bench, &shop).await;
        sweeps(&bench, &shop).await;
        bench.product.local.shutdown().await;
    });
}

async fn merchants_calls(bench: &Bench, shop: &Shop<'_>) {
    // The first call of a process also opens its connection and learns its caller.
    let (id, code) = made(shop).await;
    hold(
        "create",
        bench.cost(shop.test.create(&order())).await,
        &Budget { requests: 1, reads: 0.0, writes: 4.0 },
    );
    let first = bench.cost(shop.test.create_once("k", &order())).await;
    hold("create with an idempotency key", first, &Budget { requests: 1, reads: 0.0, writes: 4.0 });
    let replayed = bench.cost(shop.test.create_once("k", &order())).await;
    hold("create replayed", replayed, &Budget { requests: 1, reads: 0.0, writes: 1.0 });
    shop.test.read(&id).await;
    let one = Budget { requests: 1, reads: 1.0, writes: 0.0 };
    hold("get by id", bench.cost(shop.test.read(&id)).await, &one);
    hold("get by code", bench.cost(shop.test.read(&code)).await, &one);
    // A place of the key and one of the deployment, taken and given back; a read when it begins, and when it is over.
    let waits = bench.cost(shop.test.get(&format!("{PAYMENTS}/{id}?wait=1"))).await;
    hold("get that waits a second for nothing", waits, &Budget { requests: 6, reads: 2.0, writes: 4.0 });
}

async fn lists(bench: &Bench, shop: &Shop<'_>) {
    let expire = json!({ "scenario": "advance", "seconds": 864_000 });
    for _ in 0..MANY {
        let (id, _) = made(shop).await;
        shop.test.cancel(&id).await;
        let (id, _) = made(shop).await;
        shop.test.simulate(&id, &expire).await;
        made(shop).await;
    }
    shop.test.list("").await;
    let page = Budget { requests: 2, reads: 27.0, writes: 0.0 };
    for status in
        ["", "kyc_required", "pending", "partially_paid", "paid", "overpaid", "cancelled", "refunded"]
    {
        let cost = bench.cost(shop.test.list(&format!("status={status}"))).await;
        hold(&format!("list of 50, status={status}"), cost, &page);
    }
    // Bounds in time are bounds of the index: what is outside is not read.
    for bounds in ["created_after=0", "created_before=4000000000&status=cancelled"] {
        hold(&format!("list of 50, {bounds}"), bench.cost(shop.test.list(bounds)).await, &page);
    }
    for bounds in ["created_before=1", "created_after=4000000000"] {
        let nothing = Budget { requests: 1, reads: 0.5, writes: 0.0 };
        hold(&format!("list of none, {bounds}"), bench.cost(shop.test.list(bounds)).await, &nothing);
    }
    // It also looks for what is overdue in the two statuses that time alone ends.
    let cost = bench.cost(shop.test.list("status=expired")).await;
    hold("list of 50, status=expired", cost, &Budget { requests: 4, ..page });
    for status in ["kyc_required", "cancelled", "expired"] {
        let listed = shop.test.list(&format!("status={status}")).await.listed();
        assert_eq!(listed.len(), 50, "a full page was measured");
    }
}

async fn moves(bench: &Bench, shop: &Shop<'_>) {
    let change = Budget { requests: 2, reads: 1.0, writes: 4.0 };
    let (id, _) = made(shop).await;
    hold("cancel", bench.cost(shop.test.cancel(&id)).await, &change);
    hold(
        "cancel again",
        bench.cost(shop.test.cancel(&id)).await,
        &Budget { requests: 1, reads: 1.0, writes: 0.0 },
    );
    accepted_late(bench, shop, &change).await;
    given_back(bench, shop).await;
    let (id, _) = made(shop).await;
    shop.test.simulate(&id, &json!({ "scenario": "reject_identity" })).await;
    let approve = json!({ "scenario": "approve_identity" });
    hold("a change of status", bench.cost(shop.test.simulate(&id, &approve)).await, &change);
    shop.test.simulate(&id, &json!({ "scenario": "choose_coin", "coin": "ETH" })).await;
    shop.test.simulate(&id, &json!({ "scenario": "transfer", "transfer_id": "a", "confirmed": false })).await;
    // Unlike the arrival, it needs no rate, so that what is left is what a watcher does for each payment it tells.
    let reorg = json!({ "scenario": "reorg", "transfer_id": "a" });
    let cost = bench.cost(shop.test.simulate(&id, &reorg)).await;
    hold("a transfer that changes no status", cost, &Budget { requests: 2, reads: 1.0, writes: 1.0 });
    let confirm = json!({ "scenario": "confirm", "transfer_id": "a" });
    bench.product.local.streams_idle().await.unwrap();
    bench.follower.take();
    let cost = bench.cost(shop.test.simulate(&id, &confirm)).await;
    hold("a transfer that makes it paid", cost, &change);
    bench.product.local.streams_idle().await.unwrap();
    // The payment, its address, and the reach of its extended key.
    let noted = bench.follower.take();
    hold("money noted for the list of wallets", noted, &Budget { requests: 4, reads: 2.0, writes: 2.0 });
    shop.test.get("/api/v1/wallets").await;
    let listed = bench.cost(shop.test.get("/api/v1/wallets")).await;
    hold("wallets of a small shop", listed, &Budget { requests: 2, reads: 2.0, writes: 0.0 });
}

async fn accepted_late(bench: &Bench, shop: &Shop<'_>, change: &Budget) {
    let (id, _) = made(shop).await;
    for scenario in ["approve_identity", "choose_coin"] {
        shop.test.simulate(&id, &json!({ "scenario": scenario })).await;
    }
    shop.test.cancel(&id).await;
    shop.test.simulate(&id, &json!({ "scenario": "transfer" })).await;
    // The first call of its function's process.
    shop.test.accept_late("11111111").await;
    shop.test.explain("11111111").await;
    let one = Budget { requests: 1, reads: 1.0, writes: 0.0 };
    hold("explain", bench.cost(shop.test.explain(&id)).await, &one);
    hold("late money accepted", bench.cost(shop.test.accept_late(&id)).await, change);
    hold("late money accepted again", bench.cost(shop.test.accept_late(&id)).await, &one);
}

/// A payment with a transfer and a refund is larger than a KB, and smaller than two.
async fn given_back(bench: &Bench, shop: &Shop<'_>) {
    let (id, _) = made(shop).await;
    for scenario in ["approve_identity", "choose_coin"] {
        shop.test.simulate(&id, &json!({ "scenario": scenario })).await;
    }
    shop.test.simulate(&id, &json!({ "scenario": "transfer", "percent": 50 })).await;
    shop.test.cancel(&id).await;
    let seen = |mut body: Value, refund: &Value| {
        body["refund_id"] = refund["id"].clone();
        body["amount"] = refund["amount"].clone();
        body
    };
    let (address, name) = (
        json!({ "address": "0x52908400098527886E0F7030069857D2E4169EE7" }),
        json!({ "tx_id": format!("0x{}", "a".repeat(64)) }),
    );
    let none = json!({ "id": "11111111-1", "amount": "1" });
    let payer = bench.product.caller_with(None);
    // The first call of each function's process.
    shop.test.refunds("POST", "11111111", "", &json!({})).await;
    shop.test.refunds("POST", "11111111", "/ETH/confirm", &seen(address.clone(), &none)).await;
    shop.test.refunds("POST", "11111111", "/ETH/transaction", &seen(name.clone(), &none)).await;
    shop.test.refunds("GET", "11111111", "", &Value::Null).await;
    payer.get("/refund/11111111/1111111111111111111111").await;
    let (one, change) =
        (Budget { requests: 1, reads: 1.0, writes: 0.0 }, Budget { requests: 2, reads: 1.0, writes: 2.0 });
    bench.meter.take();
    let asked = shop.test.refunds("POST", &id, "", &json!({})).await.refund();
    hold("a refund asked for", bench.meter.take(), &change);
    let (confirmation, naming) = (seen(address.clone(), &asked), seen(name, &asked));
    let link = asked["claim_url"].as_str().unwrap().split_once("/refund/").unwrap().1.to_owned();
    let path = format!("/refund/{link}");
    hold("a claim link opened", bench.cost(payer.get(&path)).await, &one);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let given = format!("address={}&sure=yes", address["address"].as_str().unwrap());
    let claimed = bench.cost(payer.call("POST", &path, &form, given.into())).await;
    // The browser is sent to the page again.
    hold("a refund claimed", claimed, &Budget { requests: 3, reads: 2.0, writes: 2.0 });
    let confirmed = bench.cost(shop.test.refunds("POST", &id, "/ETH/confirm", &confirmation)).await;
    hold("a refund confirmed", confirmed, &change);
    let named = bench.cost(shop.test.refunds("POST", &id, "/ETH/transaction", &naming)).await;
    hold("a refund's transaction named", named, &change);
    hold("refunds listed", bench.cost(shop.test.refunds("GET", &id, "", &Value::Null)).await, &one);
}

async fn coin_chosen(bench: &Bench, shop: &Shop<'_>) {
    let store = bench.product.local.store();
    XPUB.parse::<ExtendedKey>().unwrap();
    store.set_xpub(&shop.account.merchant, "evm", XPUB).await.unwrap();
    let ethereum = ChainId::new("ethereum").unwrap();
    let fresh_at = Clock::default().now();
    let cursor = Cursor { version: 1, height: 20_000_000, fresh_at, ..Cursor::default() };
    assert!(store.move_cursor(&ethereum, 0, &cursor).await.unwrap());
    // A new key makes nobody learn the account anew; the payer's function has not seen it yet.
    let mut costs = Vec::new();
    for _ in 0..2 {
        let made = shop.live.create(&order()).await.payment();
        let code: Code = made["short_code"].as_str().unwrap().parse().unwrap();
        let now = Clock::default().now();
        let approved = |payment: &Payment| {
            let steps = [IdentityStep::Start, IdentityStep::Submit, IdentityStep::Approve];
            let all =
                steps.into_iter().try_fold(payment.clone(), |p, step| p.apply(Event::Identity(step), now));
            Ok::<_, ApiError>(all?)
        };
        store.change_payment(code, approved).await.unwrap();
        let payer = bench.product.caller_with(None);
        let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")];
        let path = format!("/pay/{code}/coin");
        costs.push(bench.cost(payer.call("POST", &path, &headers, b"coin=ETH".to_vec())).await);
    }
    hold("coin chosen, live", costs[1], &Budget { requests: 6, reads: 2.0, writes: 6.0 });
}

async fn cache_misses(bench: &Bench, shop: &Shop<'_>) {
    let (id, _) = made(shop).await;
    let used = bench.product.key(&shop.account.merchant, Mode::Test, &shared::keys::Scope::ALL, None).await;
    let caller = bench.product.caller(&used);
    let first = bench.cost(caller.read(&id)).await;
    hold("get, key used first that day", first, &Budget { requests: 3, reads: 1.5, writes: 2.0 });
    // Another function's process; the day is noted already.
    let miss = bench.cost(caller.cancel(&id)).await;
    hold("cancel, key not in the cache", miss, &Budget { requests: 3, reads: 1.5, writes: 4.0 });
    let other = bench.product.shop().await;
    let (id, _) = made(&other).await;
    other.test.read(&id).await;
    let miss = bench.cost(other.test.cancel(&id)).await;
    hold("cancel, key and account not in the cache", miss, &Budget { requests: 4, reads: 2.0, writes: 4.0 });
}

async fn sweeps(bench: &Bench, shop: &Shop<'_>) {
    let sweep = async || {
        bench.meter.take();
        let swept = bench.product.local.tick("expire-payments").await.unwrap();
        (swept["checked"].as_u64().unwrap(), bench.meter.take())
    };
    sweep().await;
    let (checked, empty) = sweep().await;
    assert_eq!(checked, 0);
    // At most two hours of 4 shards; beside them the stored hour and the cursors of three chains are read.
    hold("empty sweep", empty, &Budget { requests: 12, reads: 8.0 * 0.5 + 4.0, writes: 1.0 });
    insert_overdue(bench, shop).await;
    let (checked, full) = sweep().await;
    assert_eq!(checked, 1);
    let more = Cost {
        requests: full.requests.saturating_sub(empty.requests),
        reads: full.reads - empty.reads,
        writes: full.writes - empty.writes,
    };
    // Its shard is asked again whether that was all.
    hold("expiry of one due payment", more, &Budget { requests: 2, reads: 1.0, writes: 4.0 });
}

/// A payment that was created ten days and a second ago.
async fn insert_overdue(bench: &Bench, shop: &Shop<'_>) {
    let created_at = Clock::default().now().minus(864_001);
    let terms = Terms {
        request: Request::parse(&order().to_string()).unwrap(),
        fee: Fee { usd: Cents(50), free_tier: false },
        tolerance: BasisPoints::ZERO,
        spread: BasisPoints::ZERO,
        created_at,
        idempotency: None,
    };
    let id = PaymentId::new(created_at.0.saturating_mul(1_000), [5; 10], Code::from_random(42));
    let payment = Payment::new(id, shop.account.merchant.clone(), Mode::Test, terms);
    assert!(bench.product.local.store().insert_payment(&payment).await.unwrap().is_none());
}
