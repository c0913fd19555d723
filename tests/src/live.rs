//! A gateway that takes real money: the whole product, a node of its own, and a merchant set up by the operator.

use std::collections::BTreeMap;

use local::{Data, Local, Options};
use serde_json::{Map, Value, json};
use shared::clock::Clock;
use tempfile::TempDir;

use crate::anvil::{ANVIL_CHAIN_ID, ANVIL_XPUB, Anvil, Call};
use crate::program::{operator, until};
use crate::proxy::Proxy;
use crate::shop::{Shop, text, units};

/// How deep a transfer must lie for a small payment; larger ones wait until the chain calls the block final.
pub const CONFIRMATIONS: u64 = 3;

/// Ether and the token that stands for USDC, whose decimals differ.
pub const COINS: [Coin; 2] = [Coin { name: "ETH", decimals: 18 }, Coin { name: "USDC", decimals: 6 }];

/// Something to pay with.
#[derive(Clone, Copy, Debug)]
pub struct Coin {
    /// Its name.
    pub name: &'static str,
    /// Decimals of its unit.
    pub decimals: usize,
}

/// Ether.
pub const ETH: Coin = COINS[0];

/// The token.
pub const USDC: Coin = COINS[1];

/// The second network's id (EIP-155).
pub const BASE_CHAIN_ID: u64 = 8453;

/// What is taken on the second network.
pub const BASE_COINS: [Coin; 2] =
    [Coin { name: "ETH-base", decimals: 18 }, Coin { name: "USDC-base", decimals: 6 }];

/// What the page tells the payer to send.
#[derive(Clone, Debug)]
pub struct Quoted {
    /// In which coin.
    pub coin: Coin,
    /// Where to.
    pub address: String,
    /// How much, in the coin's unit.
    pub units: u128,
}

/// The running gateway. Nothing happens by itself: tests say when a schedule's minute has come.
pub struct Live {
    /// The node.
    pub anvil: Anvil,
    /// What stands between the gateway and that node; passes everything until it is told otherwise.
    pub proxy: Proxy,
    /// The token that the gateway accepts as USDC.
    pub token: String,
    /// The merchant, with a live key.
    pub shop: Shop,
    local: Local,
    key: String,
    folder: TempDir,
    setup: Setup,
}

/// What a gateway of tests takes money in, and the nodes of its further chains.
#[derive(Clone, Debug)]
struct Setup {
    chains: Value,
    /// Where the first network is asked.
    node: String,
    /// Whether the first network has a watcher of its own.
    own_watcher: bool,
    nodes: BTreeMap<String, String>,
}

impl Live {
    /// Starts node and gateway; `None` where there is no node.
    pub async fn start() -> Option<Live> {
        Some(Live::start_on(Anvil::start().await?).await)
    }

    /// Starts the gateway on a node.
    pub async fn start_on(anvil: Anvil) -> Live {
        Live::start_looking_by("traces", anvil).await
    }

    /// Starts it with money of contracts looked for in this way.
    pub async fn start_looking_by(internal: &str, anvil: Anvil) -> Live {
        let token = anvil.deploy_token().await;
        let proxy = Proxy::start(anvil.url()).await;
        let mut chain = chain("ethereum", ANVIL_CHAIN_ID, &token, COINS);
        chain["internal"] = json!(internal);
        let node = proxy.url().to_owned();
        let setup = Setup { chains: json!([chain]), node, own_watcher: true, nodes: BTreeMap::new() };
        Live::start_as(anvil, proxy, token, setup).await
    }

    /// Starts the gateway on the nodes of two networks, by configuration alone: one watcher follows both.
    pub async fn start_on_two(anvil: Anvil, other: &Anvil) -> Live {
        let token = anvil.deploy_token().await;
        let other_token = other.deploy_token().await;
        let first = chain("ethereum", ANVIL_CHAIN_ID, &token, COINS);
        let second = chain("base", BASE_CHAIN_ID, &other_token, BASE_COINS);
        let proxy = Proxy::start(anvil.url()).await;
        let nodes = [("ethereum", proxy.url()), ("base", other.url())];
        let nodes = nodes.map(|(chain, url)| (chain.to_owned(), url.to_owned())).into();
        let node = proxy.url().to_owned();
        let setup = Setup { chains: json!([first, second]), node, own_watcher: false, nodes };
        Live::start_as(anvil, proxy, token, setup).await
    }

    async fn start_as(anvil: Anvil, proxy: Proxy, token: String, setup: Setup) -> Live {
        let folder = tempfile::tempdir().unwrap();
        let local = Local::start(options(&setup, &folder, 0)).await.unwrap();
        let key = open_shop(local.dynamodb_endpoint()).await;
        let shop = Shop::new(local.base_url(), &key);
        let live = Live { anvil, proxy, token, shop, local, key, folder, setup };
        live.begin().await;
        live
    }

    /// Stops the gateway and starts it on the same data, with its clock ahead; the chain's time follows.
    pub async fn later(self, seconds: u64) -> Live {
        let Live { anvil, proxy, token, local, key, folder, setup, .. } = self;
        local.shutdown().await;
        let local = Local::start(options(&setup, &folder, seconds)).await.unwrap();
        anvil.set_next_block_time(Clock::default().now().plus(seconds)).await;
        anvil.mine(1).await;
        let shop = Shop::new(local.base_url(), &key);
        let live = Live { anvil, proxy, token, shop, local, key, folder, setup };
        live.begin().await;
        live
    }

    /// The first minutes: there are prices, and the chain is scanned. The very first look only notes where to begin.
    async fn begin(&self) {
        self.tick("refresh-rates").await;
        self.look().await;
        self.watch().await;
    }

    /// What the functions have printed.
    pub fn log(&self) -> String {
        self.local.log().join("\n")
    }

    /// The operator's command on a chain of this gateway, with that chain's settings and the first network's node.
    pub async fn recover(&self, command: &[&str]) -> String {
        let file = self.folder.path().join("chains.json");
        std::fs::write(&file, self.setup.chains.to_string()).unwrap();
        let at = ["--chain", "ethereum", "--rpc-url", &self.setup.node, "--chains", file.to_str().unwrap()];
        operator(self.local.dynamodb_endpoint(), &[command, at.as_slice()].concat()).await
    }

    /// One run of a scheduled function that is to fail; tells its error.
    pub async fn failing_tick(&self, function: &str) -> String {
        self.local.tick(function).await.expect_err("it fails").to_string()
    }

    /// One run of a scheduled function.
    pub async fn tick(&self, function: &str) -> Value {
        let ran = self.local.tick(function).await;
        ran.unwrap_or_else(|error| panic!("{function}: {error}\n{}", self.local.log().join("\n")))
    }

    /// The watcher's minute has come: it scans to the tip.
    pub async fn watch(&self) {
        for (chain, ran) in self.look().await {
            assert_eq!(ran["caught_up"], true, "{chain}: {ran}");
        }
    }

    /// One run of every watcher; tells what each chain's came to.
    pub async fn look(&self) -> Map<String, Value> {
        let mut all = Map::new();
        for watcher in
            self.local.product().functions.iter().filter(|function| function.binary == "watch-chain")
        {
            let Value::Object(ran) = self.tick(&watcher.name).await else {
                panic!("a watcher tells of each chain")
            };
            all.extend(ran);
        }
        all
    }

    /// Mines until everything that is in a block counts, and lets the watcher look.
    pub async fn confirm(&self) {
        self.anvil.mine(CONFIRMATIONS).await;
        self.watch().await;
    }

    /// Lets the minutes pass until the payment's transfers have the rates that they wait for.
    pub async fn priced(&self, code: &str) {
        until("every transfer counts", async || {
            self.tick("refresh-rates").await;
            self.confirm().await;
            let payment = self.shop.get(code).await;
            payment["transfers"].as_array().unwrap().iter().all(|transfer| transfer["state"] == "counted")
        })
        .await;
    }

    /// What the payer's page shows: which step is to be done.
    pub async fn page_step(&self, code: &str) -> String {
        text(&self.shop.page_state(code).await["step"])
    }

    /// A payment whose payer the operator has approved; tells its code.
    pub async fn approved(&self, amount_usd: &str) -> String {
        let payment = self.shop.create(amount_usd).await;
        assert_eq!((&payment["status"], &payment["livemode"]), (&json!("kyc_required"), &json!(true)));
        let code = text(&payment["short_code"]);
        let said = operator(self.local.dynamodb_endpoint(), &["identity", "approve", &code]).await;
        assert!(said.starts_with(&format!("{code}  pending  identity approved")), "{said}");
        code
    }

    /// The payer chooses a coin and is told what to send.
    pub async fn choose(&self, code: &str, coin: Coin) -> Quoted {
        let answer = self.shop.choose(code, coin.name).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let state = answer.json();
        let (address, units) = (text(&state["wallet_address"]), units(&state["coin_amount"], coin.decimals));
        Quoted { coin, address, units }
    }

    /// The payer sends money, which is mined; tells the transaction.
    pub async fn send(&self, quoted: &Quoted, units: u128) -> String {
        self.anvil.send([self.call(quoted, units)]).await.remove(0)
    }

    /// The transaction that sends money.
    pub fn call(&self, quoted: &Quoted, units: u128) -> Call {
        match quoted.coin.name {
            "ETH" | "ETH-base" => Call::eth(&quoted.address, units),
            _ => Call::token(&self.token, &quoted.address, units),
        }
    }

    /// Ends everything.
    pub async fn end(self) {
        self.local.shutdown().await;
    }
}

fn options(setup: &Setup, folder: &TempDir, clock_offset_seconds: u64) -> Options {
    let mut options = Options {
        data: Data::Folder(folder.path().to_owned()),
        rpc_url: setup.own_watcher.then(|| setup.node.clone()),
        nodes: setup.nodes.clone(),
        clock_offset_seconds,
        ..Options::default()
    };
    options.environment.insert("CHAINS".to_owned(), setup.chains.to_string());
    options
}

/// The chain on which the node mines, and what is accepted there.
pub fn chains(token: &str) -> String {
    json!([chain("ethereum", ANVIL_CHAIN_ID, token, COINS)]).to_string()
}

fn chain(name: &str, chain_id: u64, token: &str, [native, stable]: [Coin; 2]) -> Value {
    json!({
        "chain": name, "family": "evm", "chain_id": chain_id, "test_chain_id": 11_155_111, "internal": "traces",
        "coins": [
            { "coin": native.name, "asset": "native", "decimals": native.decimals, "rate": "ETH", "minimum_usd": "1.00" },
            { "coin": stable.name, "asset": token, "decimals": stable.decimals, "rate": "USDC", "minimum_usd": "1.00" },
        ],
        "confirmations": [{ "below_usd": "10000.00", "blocks": CONFIRMATIONS }, { "finalized": 64 }],
    })
}

/// What an operator does for a new merchant: account, extended key, API key.
async fn open_shop(endpoint: &str) -> String {
    let line = operator(endpoint, &["account", "create", "The shop"]).await;
    let account = line.split_whitespace().next().expect("the account's id").to_owned();
    let said = operator(endpoint, &["xpub", "set", &account, "evm", ANVIL_XPUB]).await;
    assert!(said.contains("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"), "{said}");
    operator(endpoint, &["key", "create", &account, "--mode", "live"]).await
}
