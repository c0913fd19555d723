//! Real nodes of Bitcoin and Litecoin for tests: each on a port and a folder of its own, mining only when told, with a
//! wallet that has money.

use std::fmt::Display;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use shared::moment::Timestamp;
use shared::settings::optional;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::tools;

/// A machine that needs longer to start a node than this has another problem.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Between two looks at a node that is starting.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Ports tried: between finding a free one and listening on it, somebody else may take it.
const PORTS: usize = 5;

/// Blocks after which the wallet has money to spend from more than one of them.
const FIRST_BLOCKS: u64 = 110;

/// Where Litecoin's extension block begins on a regression test.
const EXTENSION_HEIGHT: u64 = 432;

/// Units of a coin.
const UNITS_PER_COIN: u128 = 100_000_000;

/// More than any transaction of ours pays unasked.
const HIGH_FEE: u128 = 100_000;

/// Who may ask the node; a secret that must not show up in logs.
const USER: &str = "tester";
const PASSWORD: &str = "not-to-be-shown";

/// Whose node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Currency {
    /// Bitcoin Core or one of its kind.
    Bitcoin,
    /// Litecoin Core.
    Litecoin,
}

impl Currency {
    /// What its regression test's addresses begin with.
    pub fn hrp(self) -> &'static str {
        match self {
            Currency::Bitcoin => "bcrt",
            Currency::Litecoin => "rltc",
        }
    }

    /// The variable that may name the node's program, the program's usual name, and what must be said to it: nodes of
    /// Litecoin replace transactions only on demand.
    fn program(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Currency::Bitcoin => ("BITCOIND", "bitcoind", &[]),
            Currency::Litecoin => ("LITECOIND", "litecoind", &["-mempoolreplacement=1"]),
        }
    }
}

/// A running node, killed when dropped.
pub struct Bitcoind {
    currency: Currency,
    port: u16,
    http: reqwest::Client,
    process: Child,
    _folder: TempDir,
}

impl Bitcoind {
    /// Starts the node that `BITCOIND` or `LITECOIND` names, or the one on the path, and mines until its wallet has money.
    ///
    /// Without one, says that the test was not run, and `None`; in CI that is a failure.
    pub async fn start(currency: Currency) -> Option<Bitcoind> {
        for _ in 0..PORTS {
            let (variable, name, arguments) = currency.program();
            let program = optional(variable).unwrap_or_else(|| name.to_owned());
            let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
            let process = match command(&program, &folder, port).args(arguments).spawn() {
                Ok(process) => process,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    tools::not_run(name);
                    return None;
                }
                Err(error) => panic!("{name} does not start: {error}"),
            };
            let http = reqwest::Client::new();
            let mut node = Bitcoind { currency, port, http, process, _folder: folder };
            if node.is_ready().await {
                node.call("createwallet", json!(["payer"])).await;
                node.mine(FIRST_BLOCKS).await;
                return Some(node);
            }
        }
        panic!("no port for {currency:?}'s node");
    }

    /// Whether it answers at last; it does not when it ended because its port was taken.
    async fn is_ready(&mut self) -> bool {
        let ready = async {
            while self.try_call("getblockchaininfo", json!([])).await.is_none() {
                if self.process.try_wait().unwrap().is_some() {
                    return false;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            true
        };
        tokio::time::timeout(START_TIMEOUT, ready).await.expect("the node is ready in time")
    }

    /// Where it answers, with name and password.
    pub fn url(&self) -> String {
        format!("http://{USER}:{PASSWORD}@127.0.0.1:{}/", self.port)
    }

    /// Whose node it is.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// Sends units from its wallet, which wait for a block; tells the transaction.
    pub async fn send(&self, to: impl Display, units: u128) -> String {
        self.send_many(&[(to.to_string(), units)]).await
    }

    /// Sends to several addresses by one transaction, which waits for a block; also several times to the same.
    pub async fn send_many(&self, outputs: &[(String, u128)]) -> String {
        // Nodes make no outputs to the same address twice, though every block may hold some: others stand in for them.
        let mut places = Vec::new();
        for (to, units) in outputs {
            places.push((self.own_address().await, to, units));
        }
        let stand_ins: Vec<Value> =
            places.iter().map(|(stand_in, _, units)| json!({ stand_in: coins(**units) })).collect();
        let mut raw = text(self.call("createrawtransaction", json!([[], stand_ins])).await);
        for (stand_in, to, _) in places {
            raw = raw.replace(&self.script(&stand_in).await, &self.script(to).await);
        }
        // Replaceable, and with the change at the end.
        let options = json!({ "replaceable": true, "changePosition": outputs.len() });
        let funded = self.call("fundrawtransaction", json!([raw, options])).await;
        let signed = self.sign(funded["hex"].as_str().unwrap()).await;
        self.resend(&signed).await
    }

    /// The script that pays to an address as outputs hold it: its length comes first.
    async fn script(&self, address: &str) -> String {
        let script = text(self.call("validateaddress", json!([address])).await["scriptPubKey"].take());
        format!("{:02x}{script}", script.len().div_euclid(2))
    }

    /// A transaction that spends what `tx` spends, all of it to the wallet itself, at a fee that nodes prefer; signed, and
    /// told to nobody.
    pub async fn rival(&self, tx: &str) -> String {
        let known = self.call("getrawtransaction", json!([tx, true])).await;
        let mut spent_units = Vec::new();
        let mut inputs = Vec::new();
        for input in known["vin"].as_array().unwrap() {
            let spent = self.call("getrawtransaction", json!([input["txid"], true])).await;
            let output = &spent["vout"][usize::try_from(input["vout"].as_u64().unwrap()).unwrap()];
            spent_units.push(in_units(&output["value"]));
            inputs.push(json!({ "txid": input["txid"], "vout": input["vout"], "sequence": 0xffff_fffd_u32 }));
        }
        let units = spent_units.into_iter().sum::<u128>().saturating_sub(HIGH_FEE);
        let outputs = json!([{ self.own_address().await: coins(units) }]);
        let raw = text(self.call("createrawtransaction", json!([inputs, outputs])).await);
        self.sign(&raw).await
    }

    /// Pays a higher fee for a transaction that waits: replaces it, and tells the one that takes its place.
    pub async fn bump_fee(&self, tx: &str) -> String {
        text(self.call("bumpfee", json!([tx])).await["txid"].take())
    }

    /// The signed transaction, to be sent again with [`Bitcoind::resend`].
    pub async fn signed(&self, tx: &str) -> String {
        text(self.call("getrawtransaction", json!([tx])).await)
    }

    /// Puts a signed transaction among those that wait, driving out its rivals; tells its name.
    pub async fn resend(&self, signed: &str) -> String {
        text(self.call("sendrawtransaction", json!([signed])).await)
    }

    async fn sign(&self, raw: &str) -> String {
        let signed = self.call("signrawtransactionwithwallet", json!([raw])).await;
        assert_eq!(signed["complete"], true, "{signed}");
        text(signed["hex"].clone())
    }

    /// Mines blocks, the first with what waits.
    pub async fn mine(&self, blocks: u64) {
        let own = self.own_address().await;
        self.mine_to(&own, blocks).await;
    }

    /// The same, with the new money for an address.
    pub async fn mine_to(&self, address: &str, blocks: u64) {
        self.call("generatetoaddress", json!([blocks, address])).await;
    }

    /// Mines one block of exactly these transactions, each the name of one that waits or a signed one; tells its hash.
    pub async fn mine_only(&self, transactions: &[&str]) -> String {
        let own = self.own_address().await;
        text(self.call("generateblock", json!([own, transactions])).await["hash"].take())
    }

    /// Replaces the last `depth` blocks by one more, all empty. What they held waits again.
    pub async fn reorg(&self, depth: u64) {
        let first = self.height().await.saturating_add(1).saturating_sub(depth);
        let hash = self.call("getblockhash", json!([first])).await;
        self.call("invalidateblock", json!([hash])).await;
        for _ in 0..=depth {
            self.mine_only(&[]).await;
        }
    }

    /// The height of the newest block.
    pub async fn height(&self) -> u64 {
        self.call("getblockcount", json!([])).await.as_u64().unwrap()
    }

    /// Mines until Litecoin's extension block (MWEB) begins, with so many units of the wallet in it.
    pub async fn begin_extension_block(&self, units: u128) {
        let before = EXTENSION_HEIGHT.saturating_sub(1);
        self.mine(before.saturating_sub(self.height().await)).await;
        let inside = text(self.call("getnewaddress", json!(["", "mweb"])).await);
        self.call("sendtoaddress", json!([inside, coins(units)])).await;
        self.mine(1).await;
    }

    /// Sends units that lie in the extension block to an address outside, which the next block pays; tells the name of what
    /// waits until then, which is none of a payment's.
    pub async fn send_out_of_extension_block(&self, to: &str, units: u128) -> String {
        let outside = self.call("listunspent", json!([])).await;
        let outside = outside.as_array().unwrap().iter().filter(|output| !output["vout"].is_null());
        let outside: Vec<Value> =
            outside.map(|output| json!({ "txid": output["txid"], "vout": output["vout"] })).collect();
        self.call("lockunspent", json!([false, outside])).await;
        let tx = text(self.call("sendtoaddress", json!([to, coins(units)])).await);
        self.call("lockunspent", json!([true, outside])).await;
        tx
    }

    /// The node's time stands still from here on at `time`, which the next blocks carry.
    pub async fn set_time(&self, time: Timestamp) {
        self.call("setmocktime", json!([time.0])).await;
    }

    /// A new address of its wallet, in the form of ours.
    pub async fn own_address(&self) -> String {
        text(self.call("getnewaddress", json!(["", "bech32"])).await)
    }

    /// Any call of the node's.
    pub async fn call(&self, method: &str, params: Value) -> Value {
        let mut reply = self.ask(method, &params).await.expect("the node answers");
        assert!(reply["error"].is_null(), "{method} {params}: {reply}");
        reply["result"].take()
    }

    /// The same, while it may not answer yet.
    async fn try_call(&self, method: &str, params: Value) -> Option<Value> {
        let reply = self.ask(method, &params).await?;
        reply["error"].is_null().then_some(reply)
    }

    async fn ask(&self, method: &str, params: &Value) -> Option<Value> {
        let request = json!({ "jsonrpc": "1.0", "id": 1, "method": method, "params": params });
        let response = self.http.post(self.url()).json(&request).send().await.ok()?;
        response.json().await.ok()
    }
}

fn command(program: &str, folder: &TempDir, port: u16) -> Command {
    let mut command = Command::new(program);
    command
        .args(["-regtest", "-server=1", "-listen=0", "-dnsseed=0", "-txindex=1", "-fallbackfee=0.0001"])
        .args(["-printtoconsole=0", "-rpcbind=127.0.0.1", "-rpcallowip=127.0.0.1"])
        .arg(format!("-datadir={}", folder.path().display()))
        .arg(format!("-rpcport={port}"))
        .arg(format!("-rpcuser={USER}"))
        .arg(format!("-rpcpassword={PASSWORD}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Units as nodes read them: coins with eight decimals.
fn coins(units: u128) -> String {
    format!("{}.{:08}", units.div_euclid(UNITS_PER_COIN), units.rem_euclid(UNITS_PER_COIN))
}

/// Units of an amount as nodes write it: a number with eight decimals, which a floating point number holds exactly.
pub fn in_units(coins: &Value) -> u128 {
    let coins = format!("{:.8}", coins.as_f64().expect("a number of coins"));
    coins.replace('.', "").parse().expect("a number of units")
}

fn text(value: Value) -> String {
    serde_json::from_value(value).expect("a text")
}
