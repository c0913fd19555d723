//! Money that goes back, on real nodes: out of the payment's own address, as a named transaction, and by a transaction that
//! the merchant's wallet signs (R16).

use reqwest::{Client, Method};
use serde_json::{Value, json};
use shared::money::{Decimals, Units};
use tests::answer::Answer;
use tests::bitcoind::Currency;
use tests::live::{ETH, Live, Quoted, USDC};
use tests::live_bitcoin::LiveBitcoin;
use tests::shop::{Shop, text};

/// Where the payer wants the money on an EVM chain.
const BACK: &str = "0x52908400098527886E0F7030069857D2E4169EE7";

/// A payer's view of a payment that is given back.
struct Refund<'a> {
    shop: &'a Shop,
    code: &'a str,
    coin: &'a str,
}

/// Says in a command's body which refund it is about.
fn means(refund: &Value, body: &mut Value) {
    body["refund_id"] = refund["id"].clone();
    body["amount"] = refund["amount"].clone();
}

impl Refund<'_> {
    /// The merchant asks, the payer names an address, the merchant confirms it; tells what the wallet needs to pay.
    async fn agreed(&self, address: &str, how: Value) -> Value {
        self.agreed_on(json!({ "coin": self.coin }), address, how).await
    }

    /// The same for what is asked for with this body.
    async fn agreed_on(&self, ask: Value, address: &str, how: Value) -> Value {
        let asked = self.call(Method::POST, "", &ask).await;
        assert_eq!(
            (asked.status, &asked.json()["refund"]["status"]),
            (201, &json!("requested")),
            "{}",
            asked.text
        );
        let link = text(&asked.json()["refund"]["claim_url"]);
        let form = [("address", address), ("sure", "yes")];
        let given = Answer::of(Client::new().post(link).form(&form)).await;
        assert!(given.status == 200 && given.text.contains(address), "{}", given.text);
        let mut body = how;
        body["address"] = json!(address);
        means(&asked.json()["refund"], &mut body);
        let confirmed = self.call(Method::POST, &format!("/{}/confirm", self.coin), &body).await;
        assert_eq!(confirmed.json()["refund"]["status"], "confirmed", "{}", confirmed.text);
        confirmed.json()["refund"].clone()
    }

    async fn name(&self, tx: &str) {
        let path = format!("/{}/transaction", self.coin);
        let mut body = json!({ "tx_id": tx });
        means(&self.newest().await, &mut body);
        let named = self.call(Method::POST, &path, &body).await;
        assert_eq!(named.status, 200, "{}", named.text);
    }

    async fn newest(&self) -> Value {
        let listed =
            Answer::of(self.shop.api(Method::GET, &format!("/payments/{}/refunds", self.code))).await;
        listed.json()["refunds"][0].clone()
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        let path = format!("/payments/{}/refunds{path}", self.code);
        Answer::of(self.shop.api(method, &path).json(body)).await
    }

    /// The payment's status and the refund's.
    async fn status(&self) -> (String, String) {
        let refund = self.newest().await;
        let payment = self.shop.get(self.code).await;
        (text(&payment["status"]), text(&refund["status"]))
    }
}

fn both(payment: &str, refund: &str) -> (String, String) {
    (payment.to_owned(), refund.to_owned())
}

/// A payment to which so many percent came and count.
async fn paid(live: &Live, coin: tests::live::Coin, percent: u128) -> (String, Quoted) {
    let code = live.approved("100").await;
    let quoted = live.choose(&code, coin).await;
    live.send(&quoted, quoted.units * percent / 100).await;
    live.confirm().await;
    (code, quoted)
}

#[tokio::test]
async fn r16_ether_of_a_cancelled_payment_goes_back_out_of_its_own_address() {
    let Some(live) = Live::start().await else { return };
    let (code, quoted) = paid(&live, ETH, 50).await;
    assert_eq!(live.shop.cancel(&code).await.status, 200);
    let refund = Refund { shop: &live.shop, code: &code, coin: "ETH" };
    let payable = refund.agreed(BACK, json!({})).await;
    let units = quoted.units / 2;
    assert_eq!(payable["payment_link"], format!("ethereum:{BACK}@31337?value={units}"));
    // A wei less is not it.
    for wei in [units - 1, units] {
        assert_eq!(refund.status().await, both("cancelled", "confirmed"));
        let send = json!([{ "from": quoted.address, "to": BACK, "value": format!("{wei:#x}") }]);
        live.anvil.call("eth_sendTransaction", send).await;
        live.anvil.mine(1).await;
        live.watch().await;
    }
    assert_eq!(refund.status().await, both("cancelled", "sent"));
    live.confirm().await;
    assert_eq!(refund.status().await, both("refunded", "completed"));
    let payment = live.shop.get(&code).await;
    assert_eq!(payment["amount_received_usd"], 50.0);
    assert!(payment["refunded_at"].is_string());
    live.end().await;
}

#[tokio::test]
async fn r16_ether_of_a_paid_payment_goes_back_in_two_parts_and_it_stays_paid() {
    let Some(live) = Live::start().await else { return };
    let (code, quoted) = paid(&live, ETH, 100).await;
    let before = live.shop.get(&code).await;
    let refund = Refund { shop: &live.shop, code: &code, coin: "ETH" };
    let half = Units(quoted.units / 2).display(Decimals::new(18).unwrap());
    for (ask, given_back) in [(json!({ "amount": half }), 50.0), (json!({}), 100.0)] {
        let payable = refund.agreed_on(ask, BACK, json!({})).await;
        let wei = tests::shop::units(&payable["amount"], ETH.decimals);
        let send = json!([{ "from": quoted.address, "to": BACK, "value": format!("{wei:#x}") }]);
        live.anvil.call("eth_sendTransaction", send).await;
        live.anvil.mine(1).await;
        live.watch().await;
        assert_eq!(refund.status().await, both("paid", "sent"));
        live.confirm().await;
        assert_eq!(refund.status().await, both("paid", "completed"));
        let payment = live.shop.get(&code).await;
        assert_eq!(payment["refunded_usd"], given_back);
        for field in ["paid_at", "amount_received_usd", "overpaid_usd", "refunded_at", "fee_usd"] {
            assert_eq!(payment[field], before[field], "{field}");
        }
    }
    live.end().await;
}

#[tokio::test]
async fn r16_tokens_of_an_expired_payment_go_back_in_a_transaction_that_the_merchant_names() {
    let Some(live) = Live::start().await else { return };
    let (code, quoted) = paid(&live, USDC, 50).await;
    let live = live.later(11 * 24 * 60 * 60).await;
    live.watch().await;
    live.tick("expire-payments").await;
    let refund = Refund { shop: &live.shop, code: &code, coin: "USDC" };
    refund.agreed(BACK, json!({})).await;
    // Out of other pockets: nothing tells it from a stranger's gift until it is named.
    let tx = live.anvil.send_token(&live.token, BACK, quoted.units / 2).await;
    live.anvil.mine(1).await;
    live.confirm().await;
    assert_eq!(refund.status().await, both("expired", "confirmed"));
    refund.name(&tx).await;
    live.watch().await;
    assert_eq!(refund.status().await, both("refunded", "completed"));
    live.end().await;
}

#[tokio::test]
async fn r16_the_excess_of_an_overpaid_payment_goes_back_and_it_stays_overpaid_though_a_reorganisation_comes_between()
 {
    let Some(live) = Live::start().await else { return };
    let (code, quoted) = paid(&live, ETH, 150).await;
    assert_eq!(live.shop.get(&code).await["status"], "overpaid");
    let refund = Refund { shop: &live.shop, code: &code, coin: "ETH" };
    let payable = refund.agreed(BACK, json!({})).await;
    let wei = tests::shop::units(&payable["amount"], ETH.decimals);
    assert_eq!(wei, quoted.units / 2);
    let send = json!([{ "from": quoted.address, "to": BACK, "value": format!("{wei:#x}") }]);
    let tx = text(&live.anvil.call("eth_sendTransaction", send).await);
    live.anvil.mine(1).await;
    live.watch().await;
    assert_eq!(refund.status().await, both("overpaid", "sent"));
    let signed = live.anvil.signed(&tx).await;
    live.anvil.reorg(1).await;
    live.anvil.mine(1).await;
    live.watch().await;
    assert_eq!(refund.status().await, both("overpaid", "confirmed"));
    live.anvil.resend(&signed).await;
    live.anvil.mine(1).await;
    live.confirm().await;
    assert_eq!(refund.status().await, both("overpaid", "completed"));
    live.end().await;
}

#[tokio::test]
async fn r16_bitcoins_go_back_by_the_transaction_that_the_merchants_wallet_signs() {
    let Some(live) = LiveBitcoin::start(Currency::Bitcoin).await else { return };
    let (code, quoted) = live.quoted("60").await;
    live.node.send(&quoted.address, quoted.units * 3 / 2).await;
    live.mine(1).await;
    assert_eq!(live.shop.get(&code).await["status"], "overpaid");
    let refund = Refund { shop: &live.shop, code: &code, coin: "BTC" };
    let (back, change) = (live.node.own_address().await, live.node.own_address().await);
    let payable = refund.agreed(&back, json!({ "fee_rate_sat_vb": 5, "change_address": change })).await;
    let signed = live.sign(&text(&payable["psbt"])).await;
    live.node.resend(&signed).await;
    assert_eq!(refund.status().await, both("overpaid", "confirmed"));
    live.mine(1).await;
    assert_eq!(refund.status().await, both("overpaid", "completed"));
    live.end().await;
}

#[tokio::test]
async fn r16_coins_of_a_cancelled_payment_go_back_in_a_transaction_that_is_named() {
    for (currency, coin, blocks) in [(Currency::Bitcoin, "BTC", 1), (Currency::Litecoin, "LTC", 6)] {
        let Some(live) = LiveBitcoin::start(currency).await else { return };
        let (code, quoted) = live.quoted("60").await;
        live.node.send(&quoted.address, quoted.units / 2).await;
        live.mine(blocks).await;
        assert_eq!(live.shop.cancel(&code).await.status, 200);
        let refund = Refund { shop: &live.shop, code: &code, coin };
        let back = live.node.own_address().await;
        refund.agreed(&back, json!({})).await;
        let tx = live.node.send(&back, quoted.units / 2).await;
        refund.name(&tx).await;
        live.mine(blocks).await;
        assert_eq!(refund.status().await, both("refunded", "completed"), "{coin}");
        live.end().await;
    }
}
