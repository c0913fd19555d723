//! One block, fetched and scanned: three kinds of questions to the node, all answered for the same block or not at all.

#[cfg(test)]
mod tests;

use super::rpc::{Rpc, RpcError};
use super::scan::{self, contracts, scan};
use crate::chain::Chain;
use crate::chain::address::EvmAddress;
use crate::chain::block::{Found, Hash256, Header, Movement, ScannedBlock};

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
            found.push(Found { movement: told(candidate.movement), units: candidate.units });
        }
    }
    let unreadable = scanned.unreadable.into_iter().map(told).collect();
    Ok(ScannedBlock { header, found, unreadable })
}

/// A movement in the words of every chain.
fn told<T>(movement: scan::Movement<T>) -> Movement<T> {
    let scan::Movement { key, coin, decimals, tx, address, watched } = movement;
    Movement { key, coin, decimals, tx_id: tx.to_string(), address: address.to_string(), watched }
}

/// Whether the transaction succeeded in this very block.
async fn succeeded(rpc: &Rpc, header: Header, tx: Hash256) -> Result<bool, RpcError> {
    match rpc.receipt(tx).await? {
        Some(receipt) if receipt.block_hash == header.hash => Ok(receipt.succeeded),
        Some(_) | None => Err(RpcError::Moved(header.number)),
    }
}
