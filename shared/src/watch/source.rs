//! What a watcher asks a node, of whichever family of chains.

use std::collections::BTreeMap;
use std::future::Future;

use super::WatchList;
use crate::chain::CoinId;
use crate::chain::address::AddressKey;
use crate::chain::block::{Found, Header, Mempool, OutPoint, ScannedBlock};
use crate::chain::rpc::RpcError;
use crate::money::Units;
use crate::payment::Code;

/// What a watcher asks a node. Answers may be late, wrong or missing; the watcher believes only what fits together.
pub trait Source {
    /// The highest block.
    fn tip(&self) -> impl Future<Output = Result<Header, RpcError>>;
    /// The block at a height, if the node has it.
    fn header(&self, height: u64) -> impl Future<Output = Result<Option<Header>, RpcError>>;
    /// The highest block that is final, where the chain knows such a thing: with its hash, for another node behind the same
    /// address may mean a block of another branch.
    fn finalized(&self) -> impl Future<Output = Result<Option<Header>, RpcError>>;
    /// What a block holds for the addresses of the list.
    fn scan(
        &self,
        height: u64,
        list: &WatchList,
    ) -> impl Future<Output = Result<ScannedBlock<Code>, RpcError>>;
    /// The height of the block that holds a transaction; `None` while none does, or when the node cannot say.
    fn height_of(&self, _tx_id: &str) -> impl Future<Output = Result<Option<u64>, RpcError>> {
        async { Ok(None) }
    }
    /// What addresses hold after a block, by coin; `None` on a chain that knows no balances.
    fn balances(
        &self,
        _block: &Header,
        _addresses: &[AddressKey],
    ) -> impl Future<Output = Result<Option<Vec<BTreeMap<CoinId, Units>>>, RpcError>> {
        async { Ok(None) }
    }
    /// How many transactions addresses have sent up to a block; `None` on a chain where addresses send none.
    fn nonces(
        &self,
        _block: &Header,
        _addresses: &[AddressKey],
    ) -> impl Future<Output = Result<Option<Vec<u64>>, RpcError>> {
        async { Ok(None) }
    }
    /// Whether outputs can still be spent, by what is in blocks and what waits for one; `None` on a chain without outputs.
    fn unspent(&self, _outputs: &[OutPoint]) -> impl Future<Output = Result<Option<Vec<bool>>, RpcError>> {
        async { Ok(None) }
    }
    /// How many questions the node should be asked at once, by what it said lately.
    fn at_once(&self) -> usize {
        usize::MAX
    }
    /// How many blocks were scanned, since this was last asked, in which some money could not be looked for.
    fn take_unchecked(&self) -> u64 {
        0
    }
    /// What waits for a block; `None` where the chain shows no such thing.
    fn mempool(&self) -> impl Future<Output = Result<Option<Mempool>, RpcError>> {
        async { Ok(None) }
    }
    /// What of it pays addresses of the list: all of that, each time.
    fn unconfirmed(
        &self,
        _mempool: &Mempool,
        _list: &WatchList,
    ) -> impl Future<Output = Result<Vec<Found<Code>>, RpcError>> {
        async { Ok(Vec::new()) }
    }
}
