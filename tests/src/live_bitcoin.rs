//! A gateway that takes bitcoins or litecoins: the whole product, a node of its own, and a merchant set up by the operator.

use std::collections::BTreeMap;

use local::{Data, Local, Options};
use serde_json::{Value, json};
use shared::clock::Clock;
use tempfile::TempDir;

use crate::bitcoind::{Bitcoind, Currency};
use crate::program::{operator, until};
use crate::proxy::Proxy;
use crate::shop::{Shop, text, units};

/// The account of BIP84's vectors: `m/84'/0'/0'` of "abandon … about".
const ZPUB: &str = "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs";

/// The private key of the same account, as regression tests write it: what a merchant's wallet has and we never see.
const WALLET: &str = "wpkh(tprv8gGUtTW1HhuYrycHNfewtKXPYsB3CgE8uK733ntLBPGfyDhse352wryMJXvQr4zkNDL3ZBDZvJh5NpkuqyEZtLvNLLNmjJD4UV6dsRECvrC/0/*)";

/// What is charged for a coin at first, as the deployment's fixed prices.
const RATES: &str = r#"{"BTC":"60000.00","LTC":"80.00"}"#;

/// Decimals of either coin.
const DECIMALS: usize = 8;

/// What the page tells the payer to send.
#[derive(Clone, Debug)]
pub struct Quoted {
    /// Where to.
    pub address: String,
    /// How much, in the coin's unit.
    pub units: u128,
}

/// The running gateway. Nothing happens by itself: tests say when a schedule's minute has come.
pub struct LiveBitcoin {
    /// The node.
    pub node: Bitcoind,
    /// What stands between the gateway and that node; passes everything until it is told otherwise.
    pub proxy: Proxy,
    /// The merchant, with a live key.
    pub shop: Shop,
    local: Local,
    key: String,
    folder: TempDir,
}

impl LiveBitcoin {
    /// Starts node and gateway; `None` where there is no node.
    pub async fn start(currency: Currency) -> Option<LiveBitcoin> {
        let node = Bitcoind::start(currency).await?;
        let proxy = Proxy::start(&node.url()).await;
        let folder = tempfile::tempdir().unwrap();
        let local = Local::start(options(&node, &proxy, &folder, 0, RATES)).await.unwrap();
        let key = open_shop(local.dynamodb_endpoint(), currency).await;
        let shop = Shop::new(local.base_url(), &key);
        let live = LiveBitcoin { node, proxy, shop, local, key, folder };
        live.begin().await;
        Some(live)
    }

    /// Stops the gateway and starts it on the same data, with its clock ahead and other prices; the chain's time follows.
    pub async fn later(self, seconds: u64, rates: &str) -> LiveBitcoin {
        let LiveBitcoin { node, proxy, local, key, folder, .. } = self;
        local.shutdown().await;
        let local = Local::start(options(&node, &proxy, &folder, seconds, rates)).await.unwrap();
        node.set_time(Clock::default().now().plus(seconds)).await;
        let shop = Shop::new(local.base_url(), &key);
        let live = LiveBitcoin { node, proxy, shop, local, key, folder };
        live.tick("refresh-rates").await;
        live
    }

    /// The first minutes: there are prices, and the chain is scanned. The very first look only notes where to begin.
    async fn begin(&self) {
        self.tick("refresh-rates").await;
        self.tick("WatchChains").await;
        self.watch().await;
    }

    /// One run of a scheduled function.
    pub async fn tick(&self, function: &str) -> Value {
        let ran = self.local.tick(function).await;
        ran.unwrap_or_else(|error| panic!("{function}: {error}\n{}", self.local.log().join("\n")))
    }

    /// The watcher's minute has come: it scans to the tip, and looks at what waits.
    pub async fn watch(&self) {
        let ran = self.tick("WatchChains").await;
        assert_eq!(ran[name(self.node.currency())]["caught_up"], true, "{ran}");
    }

    /// Mines, and lets the watcher look.
    pub async fn mine(&self, blocks: u64) {
        self.node.mine(blocks).await;
        self.watch().await;
    }

    /// Lets the minutes pass until the payment's transfers have the rates that they wait for.
    pub async fn priced(&self, code: &str) {
        until("every transfer counts", async || {
            self.tick("refresh-rates").await;
            self.watch().await;
            let payment = self.shop.get(code).await;
            payment["transfers"].as_array().unwrap().iter().all(|transfer| transfer["state"] == "counted")
        })
        .await;
    }

    /// A payment whose payer was approved and chose the coin; tells its code and what to send.
    pub async fn quoted(&self, amount_usd: &str) -> (String, Quoted) {
        let code = text(&self.shop.create(amount_usd).await["short_code"]);
        operator(self.local.dynamodb_endpoint(), &["identity", "approve", &code]).await;
        let quoted = self.choose(&code).await;
        (code, quoted)
    }

    /// The payer chooses the coin, or asks for a new amount.
    pub async fn choose(&self, code: &str) -> Quoted {
        let answer = self.shop.choose(code, coin(self.node.currency())).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let state = answer.json();
        let (address, units) = (text(&state["wallet_address"]), units(&state["coin_amount"], DECIMALS));
        let link = text(&state["payment_link"]);
        let amount = text(&state["coin_amount"]);
        assert_eq!(link, format!("{}:{address}?amount={amount}", name(self.node.currency())), "BIP21");
        Quoted { address, units }
    }

    /// A transaction that we made, signed by the merchant's wallet (BIP174).
    pub async fn sign(&self, psbt: &str) -> String {
        let done =
            self.node.call("descriptorprocesspsbt", json!([psbt, [{ "desc": WALLET, "range": 20 }]])).await;
        assert_eq!(done["complete"], true, "{done}");
        text(&done["hex"])
    }

    /// The operator's command on the chain of this gateway, with that chain's settings and node.
    pub async fn recover(&self, command: &[&str]) -> String {
        let (file, node) = (self.folder.path().join("chains.json"), self.proxy.url());
        let currency = self.node.currency();
        std::fs::write(&file, chains(currency).to_string()).unwrap();
        let at = ["--chain", name(currency), "--rpc-url", node, "--chains", file.to_str().unwrap()];
        operator(self.local.dynamodb_endpoint(), &[command, at.as_slice()].concat()).await
    }

    /// Ends everything.
    pub async fn end(self) {
        self.local.shutdown().await;
    }
}

/// The chain's name, which is also that of its extended keys and links.
fn name(currency: Currency) -> &'static str {
    match currency {
        Currency::Bitcoin => "bitcoin",
        Currency::Litecoin => "litecoin",
    }
}

fn coin(currency: Currency) -> &'static str {
    match currency {
        Currency::Bitcoin => "BTC",
        Currency::Litecoin => "LTC",
    }
}

fn options(node: &Bitcoind, proxy: &Proxy, folder: &TempDir, ahead: u64, rates: &str) -> Options {
    let mut options = Options {
        data: Data::Folder(folder.path().to_owned()),
        nodes: BTreeMap::from([(name(node.currency()).to_owned(), proxy.url().to_owned())]),
        clock_offset_seconds: ahead,
        ..Options::default()
    };
    options.environment.extend([
        ("CHAINS".to_owned(), chains(node.currency()).to_string()),
        ("FIXED_RATES".to_owned(), rates.to_owned()),
    ]);
    options
}

/// The template's own chain, but for what its addresses begin with.
fn chains(currency: Currency) -> Value {
    let (test_hrp, confirmations) = match currency {
        Currency::Bitcoin => (
            "tb",
            json!([{ "below_usd": "1000.00", "blocks": 1 }, { "below_usd": "10000.00", "blocks": 2 }, { "blocks": 6 }]),
        ),
        Currency::Litecoin => ("tltc", json!([{ "blocks": 6 }])),
    };
    let coin = coin(currency);
    json!([{
        "chain": name(currency), "family": "bitcoin", "hrp": currency.hrp(), "test_hrp": test_hrp,
        "coins": [{ "coin": coin, "asset": "native", "decimals": DECIMALS, "rate": coin, "minimum_usd": "1.00" }],
        "confirmations": confirmations,
    }])
}

/// What an operator does for a new merchant: account, extended key, API key.
async fn open_shop(endpoint: &str, currency: Currency) -> String {
    let line = operator(endpoint, &["account", "create", "The shop"]).await;
    let account = line.split_whitespace().next().expect("the account's id").to_owned();
    let said = operator(endpoint, &["xpub", "set", &account, name(currency), ZPUB]).await;
    let first = match currency {
        Currency::Bitcoin => "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu",
        Currency::Litecoin => "ltc1qcr8te4kr609gcawutmrza0j4xv80jy8z4nqduv",
    };
    assert!(said.contains(first), "{said}");
    operator(endpoint, &["key", "create", &account, "--mode", "live"]).await
}
