//! Payment links: what a wallet opens, or reads from the QR code, with address and amount filled in.

use crate::chain::{Asset, Chains, Family};
use crate::payment::{Payment, Quote};

/// The link (EIP-681, BIP21) that pays `quote`; `None` when its coin is configured no more.
///
/// A test payment's link names the test chain, so that no live wallet pays it (contract, section 4).
pub fn payment_link(payment: &Payment, chains: &Chains, quote: &Quote) -> Option<String> {
    let (chain, coin) = chains.coin(&quote.coin)?;
    let to = &payment.selection()?.address;
    let units = quote.units.0;
    match chain.family {
        Family::Evm { chain_id, test_chain_id } => {
            let chain_id = if payment.is_live() { chain_id } else { test_chain_id };
            Some(match &coin.asset {
                Asset::Native => format!("ethereum:{to}@{chain_id}?value={units}"),
                Asset::Token(contract) => {
                    format!("ethereum:{contract}@{chain_id}/transfer?address={to}&uint256={units}")
                }
            })
        }
        // The address itself is of the test network, which live wallets refuse.
        Family::Bitcoin { network, .. } => {
            let amount = quote.units.display(quote.decimals);
            Some(format!("{}:{to}?amount={amount}", network.currency()))
        }
    }
}
