//! A real Ethereum node for tests: anvil on a port of its own, mining only when told, and a payer with money and a token.

use std::fmt::Display;
use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use shared::moment::Timestamp;
use shared::settings::optional;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::tools;

/// The account key (`m/44'/60'/0'`) of the mnemonic with which anvil starts: its address 0 is
/// `0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266`. A merchant with this key is paid at anvil's own first accounts.
pub const ANVIL_XPUB: &str = "xpub6Ce9NcJvTk36xtLSrJLZqE7wtgA5deCeYs7rSQtreh4cj6ByPtrg9sD7V2FNFLPnf8heNP3FGkeV9qwfzvZNSd54JoNXVsXFYSYwHsnJxqP";

/// The network that anvil says it is.
pub const ANVIL_CHAIN_ID: u64 = 31337;

/// Who pays: the last of anvil's ten rich accounts, so that it is none of the first that [`ANVIL_XPUB`] gives out.
pub const PAYER: &str = "0xa0ee7a142d267c1f36714e4a8f75612f20a79720";

/// A machine that needs longer to start a node than this has another problem.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// More than any of our calls uses, so that nothing is estimated and even a call that fails is mined.
const GAS: &str = "0x1e8480";

/// A running node, killed when dropped.
pub struct Anvil {
    url: String,
    http: reqwest::Client,
    _process: Child,
}

/// Something that the payer does.
pub struct Call {
    to: Option<String>,
    wei: u128,
    data: String,
}

impl Call {
    /// Sends native money.
    pub fn eth(to: impl Display, wei: u128) -> Call {
        Call { to: Some(to.to_string()), wei, data: "0x".to_owned() }
    }

    /// Sends tokens.
    pub fn token(token: &str, to: impl Display, units: u128) -> Call {
        Call::contract(token, "a9059cbb", &[address(to), number(units)])
    }

    /// Sends tokens twice in one transaction.
    pub fn two_tokens(token: &str, one: (impl Display, u128), other: (impl Display, u128)) -> Call {
        let words = [address(one.0), number(one.1), address(other.0), number(other.1)];
        Call::contract(token, "16d101be", &words)
    }

    /// Makes the token say that it moved `high` times 2^128 and `low` units, and moves nothing.
    pub fn announce(token: &str, to: impl Display, high: u128, low: u128) -> Call {
        Call::contract(token, "854e1b2f", &[address(to), format!("{high:032x}{low:032x}")])
    }

    /// Allows another to spend tokens, which moves none.
    pub fn approve(token: &str, spender: impl Display, units: u128) -> Call {
        Call::contract(token, "095ea7b3", &[address(spender), number(units)])
    }

    /// Calls a contract of few bytes, which reads no function's name: an address, then a number, and native money along.
    pub fn bare(contract: impl Display, wei: u128, to: impl Display, units: u128) -> Call {
        let data = format!("0x{}{}", address(to), number(units));
        Call { to: Some(contract.to_string()), wei, data }
    }

    fn contract(contract: &str, function: &str, words: &[String]) -> Call {
        Call { to: Some(contract.to_owned()), wei: 0, data: format!("0x{function}{}", words.concat()) }
    }
}

/// An address as an argument of a contract's function.
fn address(address: impl Display) -> String {
    format!("{:0>64}", address.to_string().trim_start_matches("0x").to_lowercase())
}

/// A number as one.
fn number(number: u128) -> String {
    format!("{number:064x}")
}

impl Anvil {
    /// Starts the node that `ANVIL` names (the native binary, which a kill reaches), or `anvil` on the path.
    ///
    /// Without one, says that the test was not run, and `None`; in CI that is a failure.
    pub async fn start() -> Option<Anvil> {
        Anvil::start_with(&[]).await
    }

    /// Starts it with further arguments.
    pub async fn start_with(arguments: &[&str]) -> Option<Anvil> {
        let program = optional("ANVIL").unwrap_or_else(|| "anvil".to_owned());
        let process = Command::new(program)
            .args(["--port", "0", "--no-mining"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut process = match process {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                tools::not_run("anvil");
                return None;
            }
            Err(error) => panic!("anvil does not start: {error}"),
        };
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let listening = tokio::time::timeout(START_TIMEOUT, listening(&mut lines));
        let url = format!("http://{}", listening.await.expect("anvil is ready in time"));
        // Nobody reads on, and a full pipe would stop the node.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Some(Anvil { url, http: reqwest::Client::new(), _process: process })
    }

    /// Where it answers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Mines one block with native money in it, and tells the transaction.
    pub async fn send_eth(&self, to: impl Display, wei: u128) -> String {
        self.send([Call::eth(to, wei)]).await.remove(0)
    }

    /// Mines one block with tokens in it, and tells the transaction.
    pub async fn send_token(&self, token: &str, to: impl Display, units: u128) -> String {
        self.send([Call::token(token, to, units)]).await.remove(0)
    }

    /// Mines one block that creates a token with six decimals (`contracts/Token.sol`), all of it the payer's, and tells
    /// its address.
    pub async fn deploy_token(&self) -> String {
        let data = format!("0x{}", include_str!("../contracts/Token.bin").trim_end());
        let tx = self.send([Call { to: None, wei: 0, data }]).await.remove(0);
        let receipt = self.call("eth_getTransactionReceipt", json!([tx])).await;
        assert_eq!(receipt["status"], "0x1");
        receipt["contractAddress"].as_str().unwrap().to_owned()
    }

    /// Mines one block with all of these, in this order, and tells their transactions.
    pub async fn send(&self, calls: impl IntoIterator<Item = Call>) -> Vec<String> {
        let mut transactions = Vec::new();
        for call in calls {
            let value = format!("{:#x}", call.wei);
            let mut tx = json!({ "from": PAYER, "value": value, "data": call.data, "gas": GAS });
            if let Some(to) = call.to {
                tx["to"] = json!(to);
            }
            transactions.push(text(self.call("eth_sendTransaction", json!([tx])).await));
        }
        self.mine(1).await;
        transactions
    }

    /// Mines blocks, the first with what is waiting.
    pub async fn mine(&self, blocks: u64) {
        self.call("anvil_mine", json!([format!("{blocks:#x}")])).await;
    }

    /// The height of the newest block.
    pub async fn height(&self) -> u64 {
        let height = text(self.call("eth_blockNumber", json!([])).await);
        u64::from_str_radix(height.trim_start_matches("0x"), 16).unwrap()
    }

    /// The signed transaction, to be sent again with [`Anvil::resend`] after a re-organisation took it away.
    pub async fn signed(&self, tx: &str) -> String {
        text(self.call("eth_getRawTransactionByHash", json!([tx])).await)
    }

    /// Puts a signed transaction back among those waiting for a block.
    pub async fn resend(&self, signed: &str) {
        self.call("eth_sendRawTransaction", json!([signed])).await;
    }

    /// Replaces the last `depth` blocks by as many empty ones.
    pub async fn reorg(&self, depth: u64) {
        self.call("anvil_reorg", json!([depth, []])).await;
    }

    /// The chain's time goes on from here with the next block; never back.
    pub async fn set_next_block_time(&self, time: Timestamp) {
        self.call("evm_setNextBlockTimestamp", json!([time.0])).await;
    }

    /// Turns the address into a contract that fails whenever it is paid.
    pub async fn refuse_money(&self, address: impl Display) {
        self.set_code(address, "60006000fd").await;
    }

    /// Turns the address into a contract with that code.
    pub async fn set_code(&self, address: impl Display, code: &str) {
        self.call("anvil_setCode", json!([address.to_string(), format!("0x{code}")])).await;
    }

    /// Any call of the node's.
    pub async fn call(&self, method: &str, params: Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let response = self.http.post(&self.url).json(&request).send().await.expect("anvil answers");
        let mut reply: Value = response.json().await.expect("anvil answers in JSON");
        assert!(reply.get("error").is_none(), "{method}: {reply}");
        reply["result"].take()
    }
}

/// Reads on until the node says where it listens.
async fn listening(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    while let Some(line) = lines.next_line().await.expect("anvil writes text") {
        if let Some(address) = line.strip_prefix("Listening on ") {
            return address.trim().to_owned();
        }
    }
    panic!("anvil ended before it listened");
}

fn text(value: Value) -> String {
    serde_json::from_value(value).expect("a text")
}
