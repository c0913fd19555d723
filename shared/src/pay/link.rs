//! Payment links: what a wallet opens, or reads from the QR code, with address and amount filled in.

use crate::chain::{Asset, Chain, Chains, Coin, Family};
use crate::money::Units;
use crate::payment::{Mode, Payment, Quote};

/// The link (EIP-681, BIP21) that pays `quote`; `None` when its coin is configured no more.
///
/// A test payment's link names the test chain, so that no live wallet pays it (contract, section 4).
pub fn payment_link(payment: &Payment, chains: &Chains, quote: &Quote) -> Option<String> {
    let (chain, coin) = chains.coin(&quote.coin)?;
    Some(link_to(&payment.selection()?.address, quote.units, chain, coin, payment.mode()))
}

/// The link (EIP-681, BIP21) that pays `units` of `coin` to an address.
pub fn link_to(to: &str, units: Units, chain: &Chain, coin: &Coin, mode: Mode) -> String {
    match chain.family {
        Family::Evm { chain_id, test_chain_id } => {
            let chain_id = if mode == Mode::Live { chain_id } else { test_chain_id };
            let units = units.0;
            match &coin.asset {
                Asset::Native => format!("ethereum:{to}@{chain_id}?value={units}"),
                Asset::Token(contract) => {
                    format!("ethereum:{contract}@{chain_id}/transfer?address={to}&uint256={units}")
                }
            }
        }
        // The address itself is of the test network, which live wallets refuse.
        Family::Bitcoin { network, .. } => {
            format!("{}:{to}?amount={}", network.currency(), units.display(coin.decimals))
        }
    }
}
