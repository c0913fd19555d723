//! The few calls to a node of Bitcoin or Litecoin that watching needs.

#[cfg(test)]
mod tests;

use std::fmt;

use bitcoin::Txid;
use bitcoin::hex::{DisplayHex, FromHex};
use serde::de::{DeserializeOwned, Error, IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::block::RawHeader;
use super::tx::Tx;
use crate::chain::block::{Hash256, Header, Mempool, OutPoint};
use crate::chain::rpc::{JsonRpc, RpcError};

/// Transactions asked for in one request: a node answers so many in a blink, and the answer stays small.
pub const BATCH: usize = 500;

/// A node's code for a height that it does not have.
const NO_SUCH_HEIGHT: i64 = -8;

/// A node's code for a block or transaction that it does not know.
const UNKNOWN: i64 = -5;

const BLOCKCHAIN_INFO: &str = "getblockchaininfo";
const BLOCK_HASH: &str = "getblockhash";
const BLOCK_HEADER: &str = "getblockheader";
const BLOCK: &str = "getblock";
const MEMPOOL: &str = "getrawmempool";
const TRANSACTION: &str = "getrawtransaction";
const OUTPUT: &str = "gettxout";

/// A way to one node.
#[derive(Clone, Debug)]
pub struct BitcoinRpc(JsonRpc);

#[derive(Deserialize)]
struct ChainTip {
    blocks: u64,
    bestblockhash: String,
}

/// Of a transaction, where it is.
#[derive(Deserialize)]
struct Place {
    blockhash: Option<String>,
}

/// Of a block, where it is.
#[derive(Deserialize)]
struct Height {
    height: u64,
}

impl BitcoinRpc {
    /// Checks the URL, in which name and password of the node's user may be; nothing is connected yet.
    pub fn new(url: &str) -> Result<BitcoinRpc, RpcError> {
        JsonRpc::new(url).map(BitcoinRpc)
    }

    /// The same node, for tests that should not take seconds.
    #[cfg(test)]
    pub(super) fn in_haste(self) -> BitcoinRpc {
        BitcoinRpc(self.0.in_haste())
    }

    /// How many questions this node should be asked at once.
    pub fn at_once(&self) -> usize {
        self.0.at_once()
    }

    /// The hash of block 0, by which networks are told apart, as people write it.
    pub async fn genesis(&self) -> Result<String, RpcError> {
        self.0.call(BLOCK_HASH, json!([0])).await
    }

    /// The newest block of the chain with the most work.
    pub async fn tip(&self) -> Result<Header, RpcError> {
        let tip: ChainTip = self.0.call(BLOCKCHAIN_INFO, json!([])).await?;
        let hash = from_reversed_hex(&tip.bestblockhash).ok_or(RpcError::Shape(BLOCKCHAIN_INFO))?;
        self.header_of(Hash256(hash), tip.blocks).await
    }

    /// The block of that height on that chain; `None` when it is not as high.
    pub async fn header(&self, number: u64) -> Result<Option<Header>, RpcError> {
        match self.hash_at(number).await? {
            Some(hash) => self.header_of(hash, number).await.map(Some),
            None => Ok(None),
        }
    }

    /// The hash of the block of that height; `None` when the node's chain is not as high.
    pub async fn hash_at(&self, number: u64) -> Result<Option<Hash256>, RpcError> {
        let hash: String = match self.0.call(BLOCK_HASH, json!([number])).await {
            Err(RpcError::Node { code: NO_SUCH_HEIGHT, .. }) => return Ok(None),
            answer => answer?,
        };
        from_reversed_hex(&hash).map(Hash256).map(Some).ok_or(RpcError::Shape(BLOCK_HASH))
    }

    /// The bytes of the block of that hash, which are still to be read and checked.
    pub async fn block(&self, hash: Hash256) -> Result<Vec<u8>, RpcError> {
        let hex: String = self.0.call(BLOCK, json!([reversed_hex(hash.0), 0])).await?;
        Vec::from_hex(&hex).map_err(|_| RpcError::Shape(BLOCK))
    }

    /// The names of all transactions that wait for a block.
    pub async fn mempool(&self) -> Result<Mempool, RpcError> {
        let names: Vec<Name> = self.0.call(MEMPOOL, json!([false])).await?;
        Ok(names.into_iter().map(|name| name.0).collect())
    }

    /// The bytes of transactions that wait for a block, in the order of their names; `None` for one that does no more.
    pub async fn transactions(&self, names: &[Txid]) -> Result<Vec<Option<Vec<u8>>>, RpcError> {
        let mut all = Vec::new();
        for names in names.chunks(BATCH) {
            let params: Vec<Value> = names.iter().map(|txid| json!([txid.to_string(), false])).collect();
            let answers = self.each::<String>(TRANSACTION, &params).await?;
            for (txid, answer) in names.iter().zip(answers) {
                all.push(waiting(*txid, answer)?);
            }
        }
        Ok(all)
    }

    /// Whether outputs can still be spent, by what is in blocks and what waits for one; nodes that forget old blocks know
    /// it too.
    pub async fn unspent(&self, outputs: &[OutPoint]) -> Result<Vec<bool>, RpcError> {
        let mut all = Vec::new();
        for outputs in outputs.chunks(BATCH) {
            let params: Vec<Value> =
                outputs.iter().map(|output| json!([output.txid.to_string(), output.vout, true])).collect();
            for answer in self.each::<Option<IgnoredAny>>(OUTPUT, &params).await? {
                all.push(answer?.is_some());
            }
        }
        Ok(all)
    }

    /// The height of the block that holds a transaction; `None` while none does, and for one that a node without an index
    /// of transactions (`txindex`) does not know.
    pub async fn height_of(&self, tx_id: &str) -> Result<Option<u64>, RpcError> {
        let place: Place = match self.0.call(TRANSACTION, json!([tx_id, true])).await {
            Err(RpcError::Node { code: UNKNOWN, .. }) => return Ok(None),
            answer => answer?,
        };
        let Some(block) = place.blockhash else { return Ok(None) };
        let block: Height = self.0.call(BLOCK_HEADER, json!([block, true])).await?;
        Ok(Some(block.height))
    }

    /// What the node answers to each question. One alone needs no batch, which not every node takes.
    async fn each<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &[Value],
    ) -> Result<Vec<Result<T, RpcError>>, RpcError> {
        match params {
            [one] => Ok(vec![self.0.call(method, one.clone()).await]),
            params => self.0.batch(method, params).await,
        }
    }

    async fn header_of(&self, hash: Hash256, number: u64) -> Result<Header, RpcError> {
        let hex: String = self.0.call(BLOCK_HEADER, json!([reversed_hex(hash.0), false])).await?;
        let header = Vec::from_hex(&hex).ok().and_then(|bytes| RawHeader::parse(&bytes));
        let header = header.filter(|header| header.hash() == hash).ok_or(RpcError::Shape(BLOCK_HEADER))?;
        Ok(header.at(number))
    }
}

/// The name of a transaction, read without a copy of its text: some hundred thousand may wait for a block.
struct Name(Txid);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        struct Hex;
        impl Visitor<'_> for Hex {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 hex digits")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
                text.parse().map(Name).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Hex)
    }
}

/// A block's hash as nodes write it: last byte first.
fn reversed_hex(mut hash: [u8; 32]) -> String {
    hash.reverse();
    hash.to_lower_hex_string()
}

fn from_reversed_hex(text: &str) -> Option<[u8; 32]> {
    let mut hash = <[u8; 32]>::from_hex(text).ok()?;
    hash.reverse();
    Some(hash)
}

/// The bytes, if they are of the transaction that was asked for. Those that live in Litecoin's extension block alone
/// have names of another kind, and pay nobody that we know.
fn waiting(txid: Txid, answer: Result<String, RpcError>) -> Result<Option<Vec<u8>>, RpcError> {
    let hex = match answer {
        Err(RpcError::Node { code: UNKNOWN, .. }) => return Ok(None),
        answer => answer?,
    };
    let bytes = Vec::from_hex(&hex).map_err(|_| RpcError::Shape(TRANSACTION))?;
    let tx = Tx::parse(&bytes).ok_or(RpcError::Shape(TRANSACTION))?;
    let right = tx.txid() == txid || tx.outputs().next().is_none();
    if right { Ok(Some(bytes)) } else { Err(RpcError::Shape(TRANSACTION)) }
}
