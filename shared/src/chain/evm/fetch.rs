//! One block, fetched and scanned: three kinds of questions to the node, all answered for the same block or not at all.

#[cfg(test)]
mod tests;

use super::block::{Hash256, Header};
use super::rpc::{Rpc, RpcError};
use super::scan::{Found, Movement, contracts, scan};
use crate::chain::Chain;
use crate::chain::address::EvmAddress;

/// What a block holds for watched addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedBlock<T> {
    /// The block that was scanned.
    pub header: Header,
    /// Money that came; what needed a receipt had a good one.
    pub found: Vec<Found<T>>,
    /// Movements of more than we can count: not money, but a reason for an alarm.
    pub unreadable: Vec<Movement<T>>,
}

/// Fetches the block of that height and finds what moved to the addresses that `lookup` knows.
///
/// With `expected`, only the block of that hash will do; another one is [`RpcError::Moved`]. Receipts are asked for only
/// where money was found, so that the calls for a block are two and one for each native transfer to us.
pub async fn scan_block<T>(
    rpc: &Rpc,
    chain: &Chain,
    number: u64,
    expected: Option<Hash256>,
    lookup: impl Fn(&EvmAddress) -> Option<T>,
) -> Result<ScannedBlock<T>, RpcError> {
    let block = rpc.block(number).await?.ok_or(RpcError::Missing(number))?;
    let header = block.header;
    if expected.is_some_and(|expected| expected != header.hash) {
        return Err(RpcError::Moved(number));
    }
    let logs = rpc.transfer_logs(header.hash, &contracts(chain)).await?;
    let scanned = scan(chain, &block, &logs, lookup);
    let mut found = Vec::new();
    for candidate in scanned.found {
        if !candidate.needs_receipt || succeeded(rpc, header, candidate.movement.tx).await? {
            found.push(candidate);
        }
    }
    Ok(ScannedBlock { header, found, unreadable: scanned.unreadable })
}

/// Whether the transaction succeeded in this very block.
async fn succeeded(rpc: &Rpc, header: Header, tx: Hash256) -> Result<bool, RpcError> {
    match rpc.receipt(tx).await? {
        Some(receipt) if receipt.block_hash == header.hash => Ok(receipt.succeeded),
        Some(_) | None => Err(RpcError::Moved(header.number)),
    }
}
