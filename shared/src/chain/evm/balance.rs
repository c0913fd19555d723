//! Native money that is there without a transaction that brought it, where a chain's nodes offer no traces: found by
//! comparing balances before and after a block.

use std::collections::BTreeMap;
use std::time::Duration;

use bitcoin::hex::{DisplayHex, FromHex};
use serde_json::json;

use super::block::{Amount, Block, Receipt, Tx};
use super::rpc::{Rpc, RpcError};
use crate::chain::address::EvmAddress;
use crate::chain::block::Hash256;
use crate::chain::rpc::{Limit, limit};
use crate::chain::{Asset, Chain, CoinId};
use crate::money::Units;

/// Addresses in one question: each costs the node some 9,000 gas, of the tens of millions that it lends a caller, and
/// the answer must not be larger than a contract may be (EIP-170).
const ASKED_AT_ONCE: usize = 500;

/// No block has this name.
const NO_BLOCK: Hash256 = Hash256(*b"there is no block of this name..");

/// How long a node may take for them: it needs milliseconds, and one that hangs must leave time for the money that it does
/// tell of.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A program that nodes run without a contract: it answers with the balance of each address that follows it, a word each.
///
/// ```text
/// PUSH1 31 CODESIZE SUB          ; the size of what follows the program
/// DUP1 PUSH1 31 PUSH1 0 CODECOPY ; which goes to memory
/// DUP1                           ; from its end
/// back: JUMPDEST DUP1 ISZERO PUSH1 done JUMPI
/// PUSH1 32 SWAP1 SUB             ; word by word
/// DUP1 MLOAD BALANCE DUP2 MSTORE ; the balance takes the place of the address
/// PUSH1 back JUMP
/// done: JUMPDEST RETURN
/// ```
const BALANCES: &str = "601f380380601f600039805b8015601d57602090038051318152600b565bf3";

/// Another: the first word after it is a token, which it asks (`balanceOf`, ERC-20) for the balance of each address that
/// follows. A token that does not answer with a word makes the whole call fail.
///
/// ```text
/// PUSH1 78 CODESIZE SUB DUP1 PUSH1 78 PUSH1 0 CODECOPY  ; what follows the program goes to memory
/// PUSH4 balanceOf PUSH1 224 SHL DUP2 MSTORE             ; and behind it the question
/// DUP1
/// back: JUMPDEST DUP1 PUSH1 32 EQ PUSH1 done JUMPI      ; word by word, from the end to the token
/// PUSH1 32 SWAP1 SUB
/// DUP1 MLOAD DUP3 PUSH1 4 ADD MSTORE                    ; the address is what is asked about
/// PUSH1 32 DUP2 PUSH1 36 DUP5 PUSH1 0 MLOAD GAS STATICCALL ; and its balance takes its place
/// ISZERO PUSH1 fail JUMPI
/// PUSH1 32 RETURNDATASIZE LT PUSH1 fail JUMPI
/// PUSH1 back JUMP
/// done: JUMPDEST SWAP1 PUSH1 32 SWAP1 SUB SWAP1 RETURN
/// fail: JUMPDEST PUSH1 0 DUP1 REVERT
/// ```
const TOKEN_BALANCES: &str = concat!(
    "604e380380604e600039",
    "6370a0823160e01b8152",
    "805b80602014604157",
    "60209003",
    "80518260040152",
    "6020816024846000515afa",
    "15604957",
    "60203d10604957",
    "601556",
    "5b9060209003",
    "90f3",
    "5b600080fd",
);

/// What each address holds of each coin of the chain after the block of that hash; a coin whose contract does not tell is
/// left out, and so is more than we can count.
pub(super) async fn coin_balances(
    rpc: &Rpc,
    chain: &Chain,
    block_hash: Hash256,
    addresses: &[EvmAddress],
) -> Result<Vec<BTreeMap<CoinId, Units>>, RpcError> {
    let mut all = vec![BTreeMap::new(); addresses.len()];
    for coin in &chain.coins {
        let balances = match &coin.asset {
            Asset::Native => rpc.balances(block_hash, addresses).await?,
            Asset::Token(contract) => {
                let Ok(contract) = contract.parse() else { continue };
                match rpc.token_balances(block_hash, contract, addresses).await {
                    Err(error @ RpcError::Node { .. }) => {
                        tracing::warn!(chain = %chain.id, coin = %coin.id, %error, "a token does not tell of balances");
                        continue;
                    }
                    balances => balances?,
                }
            }
        };
        for (of_address, balance) in all.iter_mut().zip(balances) {
            if let Amount::Exact(units) = balance {
                of_address.insert(coin.id.clone(), units);
            }
        }
    }
    Ok(all)
}

impl Rpc {
    /// What each address holds of a token after the block of that hash.
    pub async fn token_balances(
        &self,
        block_hash: Hash256,
        token: EvmAddress,
        addresses: &[EvmAddress],
    ) -> Result<Vec<Amount>, RpcError> {
        let mut balances = Vec::new();
        for some in addresses.chunks(ASKED_AT_ONCE) {
            let words = std::iter::once(&token).chain(some);
            balances.extend(self.run(block_hash, TOKEN_BALANCES, words, some.len()).await?);
        }
        Ok(balances)
    }

    /// What each address holds after the block of that hash.
    pub async fn balances(
        &self,
        block_hash: Hash256,
        addresses: &[EvmAddress],
    ) -> Result<Vec<Amount>, RpcError> {
        let mut balances = Vec::new();
        for some in addresses.chunks(ASKED_AT_ONCE) {
            balances.extend(self.run(block_hash, BALANCES, some.iter(), some.len()).await?);
        }
        Ok(balances)
    }

    /// Whether the node answers about the block that it is asked about, and not about its newest one whatever it is asked:
    /// asked once for a block that there is not, to which the only honest answer is none.
    pub(super) async fn knows_its_blocks(&self) -> Result<bool, RpcError> {
        let asked = async || {
            let somebody = EvmAddress([0; 20]);
            match self.run(NO_BLOCK, BALANCES, std::iter::once(&somebody), 1).await {
                Ok(_) => Ok(false),
                // Who is asked too much says nothing of its blocks.
                Err(error) if limit(&error) == Some(Limit::Pace) => Err(error),
                Err(RpcError::Node { .. } | RpcError::Shape(_)) => Ok(true),
                Err(error) => Err(error),
            }
        };
        self.1.knows_its_blocks.get_or_try_init(asked).await.copied()
    }

    /// Lets a node run a program on addresses; the answer is that many words.
    async fn run(
        &self,
        block_hash: Hash256,
        program: &str,
        addresses: impl Iterator<Item = &EvmAddress>,
        answers: usize,
    ) -> Result<Vec<Amount>, RpcError> {
        const METHOD: &str = "eth_call";
        let words = addresses.map(|address| format!("{:0>64}", address.0.to_lower_hex_string()));
        let call = json!({ "data": format!("0x{program}{}", words.collect::<String>()) });
        let at = json!({ "blockHash": block_hash.to_string() });
        let answer: String = self.0.call(METHOD, json!([call, at])).await?;
        let balances = read(&answer).filter(|balances| balances.len() == answers);
        balances.ok_or(RpcError::Shape(METHOD))
    }
}

fn read(answer: &str) -> Option<Vec<Amount>> {
    let bytes = Vec::from_hex(answer.strip_prefix("0x")?).ok()?;
    let (words, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| words.iter().map(Amount::of_word).collect())
}

/// What a block did to an address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) address: EvmAddress,
    pub(super) before: Units,
    pub(super) after: Units,
}

/// The addresses that hold something else after the block than before it.
pub(super) async fn changes(
    rpc: &Rpc,
    block: &Block,
    addresses: &[EvmAddress],
) -> Result<Vec<Change>, RpcError> {
    let rpc = rpc.once_within(PATIENCE);
    let before = rpc.balances(block.header.parent_hash, addresses).await?;
    let after = rpc.balances(block.header.hash, addresses).await?;
    let balances = addresses.iter().zip(before.into_iter().zip(after));
    let change = |(address, balances): (&EvmAddress, (Amount, Amount))| match balances {
        (before, after) if before == after => None,
        (Amount::Exact(before), Amount::Exact(after)) => Some(Change { address: *address, before, after }),
        (Amount::Exact(_) | Amount::TooLarge, Amount::Exact(_) | Amount::TooLarge) => None,
    };
    Ok(balances.filter_map(change).collect())
}

impl Change {
    /// Whether the transaction is one by which native money comes to the address or leaves it.
    pub(super) fn is_touched_by(&self, tx: &Tx) -> bool {
        tx.from == self.address || tx.to == Some(self.address)
    }

    /// How much of it came without any of the block's `transactions`; zero when the address paid more than that.
    ///
    /// `None` where that cannot be told: it is not known who paid for a transaction of the address, or numbers are beyond
    /// counting, which no honest ones are.
    pub(super) fn unexplained(&self, transactions: &[(&Tx, Receipt)]) -> Option<Units> {
        let (mut holds, mut explained) = (self.after.0, self.before.0);
        for (tx, receipt) in transactions {
            let Amount::Exact(Units(value)) = tx.value else { return None };
            let value = if receipt.succeeded { value } else { 0 };
            if tx.from == self.address {
                holds = holds.checked_add(value)?.checked_add(receipt.fee?.0)?;
            }
            if tx.to == Some(self.address) {
                explained = explained.checked_add(value)?;
            }
        }
        Some(Units(holds.saturating_sub(explained)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: EvmAddress = EvmAddress([0x11; 20]);
    const STRANGER: EvmAddress = EvmAddress([0x99; 20]);

    fn tx(from: EvmAddress, to: EvmAddress, units: u128) -> Tx {
        Tx {
            hash: Hash256([1; 32]),
            from,
            to: Some(to),
            value: Amount::Exact(Units(units)),
            input: Vec::new(),
        }
    }

    fn receipt(succeeded: bool, fee: u128) -> Receipt {
        let hash = Hash256([1; 32]);
        Receipt { tx: hash, block_hash: hash, succeeded, fee: Some(Units(fee)) }
    }

    fn unexplained(before: u128, after: u128, transactions: &[(Tx, Receipt)]) -> u128 {
        let transactions: Vec<_> = transactions.iter().map(|(tx, receipt)| (tx, *receipt)).collect();
        let change = Change { address: OURS, before: Units(before), after: Units(after) };
        change.unexplained(&transactions).unwrap().0
    }

    #[test]
    fn r22_only_what_no_transaction_explains_is_money_of_a_contract() {
        let paid = (tx(STRANGER, OURS, 5), receipt(true, 1));
        let failed = (tx(STRANGER, OURS, 5), receipt(false, 1));
        assert_eq!(unexplained(10, 17, &[]), 7);
        assert_eq!(unexplained(10, 17, std::slice::from_ref(&paid)), 2);
        assert_eq!(unexplained(10, 15, &[paid]), 0);
        assert_eq!(unexplained(10, 17, &[failed]), 7);
    }

    #[test]
    fn r22_money_that_left_in_the_same_block_does_not_hide_what_came() {
        let swept = (tx(OURS, STRANGER, 8), receipt(true, 2));
        assert_eq!(unexplained(10, 7, std::slice::from_ref(&swept)), 7);
        assert_eq!(unexplained(10, 0, &[swept]), 0);
        let in_vain = (tx(OURS, STRANGER, 8), receipt(false, 2));
        assert_eq!(unexplained(10, 15, &[in_vain]), 7);
        let to_itself = (tx(OURS, OURS, 8), receipt(true, 2));
        assert_eq!(unexplained(10, 8, &[to_itself]), 0);
    }

    #[test]
    fn what_left_by_other_ways_is_no_money_that_came() {
        assert_eq!(unexplained(10, 4, &[]), 0);
    }
}
