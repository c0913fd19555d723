//! The `CHAINS` setting, read once and checked whole: a deployment with a wrong one does not start.

use serde::Deserialize;

use super::address::{AddressError, AddressKey, EvmAddress, ExtendedKey};
use super::bitcoin::{Network, bitcoin_script};
use super::{ChainId, CoinId};
use crate::money::{Cents, Decimals, Units};
use crate::payment::Mode;

/// Intervals between blocks are distributed exponentially; one of this many times the mean comes once in 20 years.
const LONGEST_PAUSE_BLOCKS: u64 = 14;

/// Every chain of the deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chains(Vec<Chain>);

/// One network, and the coins accepted on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub id: ChainId,
    /// What its addresses and blocks look like.
    pub family: Family,
    /// What is accepted there, in the order in which it is offered.
    pub coins: Vec<Coin>,
    /// How native money that a contract sends is found.
    pub internal: Internal,
    depths: Vec<(Option<Cents>, Depth)>,
}

/// Chains of one family share addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Ethereum and its like, with the chain ids (EIP-155) of the live network and of the one that test pages name.
    Evm {
        /// Where live money moves.
        chain_id: u64,
        /// What links on test pages carry, so that no live wallet pays them.
        test_chain_id: u64,
    },
    /// Bitcoin and its like.
    Bitcoin {
        /// Where live money moves.
        network: Network,
        /// Whose addresses test pages show, so that no live wallet pays them.
        test_network: Network,
    },
}

/// How native money that a contract sends is found on an EVM chain: it leaves no log. Never in two ways at once, because
/// what both find has two names and would count twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Internal {
    /// Not at all.
    #[default]
    #[serde(rename = "none")]
    Unseen,
    /// By the node's traces of each block, which name every call.
    Traces,
    /// By comparing the balances of the newest addresses before and after each block.
    Balances,
}

impl Family {
    /// The family's name in keys: one address serves all chains of a family.
    pub fn name(self) -> &'static str {
        match self {
            Family::Evm { .. } => "evm",
            Family::Bitcoin { network, .. } => network.currency(),
        }
    }

    /// Whether money is shown before a block holds it.
    pub fn shows_unconfirmed(self) -> bool {
        match self {
            // Blocks come faster than anybody could look, and a transaction says little of what it will move.
            Family::Evm { .. } => false,
            Family::Bitcoin { .. } => true,
        }
    }

    /// How long such a chain may go without a block before its node is taken for one that stands still: rarer than once
    /// in some years by chance.
    pub fn longest_pause_seconds(self) -> u64 {
        match self {
            Family::Evm { .. } => 0,
            Family::Bitcoin { network, .. } => network.block_seconds().saturating_mul(LONGEST_PAUSE_BLOCKS),
        }
    }

    /// The least that can be sent to an address of ours: nodes pass no output on that costs more to spend than it holds.
    pub fn least(self) -> Units {
        match self {
            Family::Evm { .. } => Units(1),
            Family::Bitcoin { network, .. } => network.dust(),
        }
    }

    /// An address given out on chains of the family, as a watch list knows it.
    pub fn address_key(self, address: &str) -> Result<AddressKey, AddressError> {
        match self {
            Family::Evm { .. } => address.parse::<EvmAddress>().map(|address| AddressKey(address.0)),
            Family::Bitcoin { network, .. } => network.witness_key(address),
        }
    }

    /// Any address that money can go to on chains of the family, as blocks have it: an account, or the script that pays.
    pub fn destination(self, address: &str) -> Result<Vec<u8>, AddressError> {
        match self {
            Family::Evm { .. } => address.parse::<EvmAddress>().map(|address| address.0.to_vec()),
            Family::Bitcoin { network, .. } => bitcoin_script(address, network),
        }
    }

    /// The address of child `0/index` of an extended key, in the form of the network of `mode`.
    pub fn address(self, key: &ExtendedKey, index: u32, mode: Mode) -> Result<String, AddressError> {
        match self {
            Family::Evm { .. } => key.evm_address(index).map(|address| address.to_string()),
            Family::Bitcoin { network, test_network } => {
                key.witness_address(index, if mode == Mode::Live { network } else { test_network })
            }
        }
    }
}

/// One asset on one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Its name.
    pub id: CoinId,
    /// What moves on the chain.
    pub asset: Asset,
    /// Decimals of its smallest unit.
    pub decimals: Decimals,
    /// The symbol under which price sources know it; two coins may share one.
    pub rate_symbol: String,
    /// Below this much due, the coin is not offered for a first payment: an operator's own wish, none by default.
    pub minimum: Cents,
}

/// What a coin is on its chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asset {
    /// The chain's own money.
    Native,
    /// A token contract, by its address in lower-case hex with `0x`.
    Token(String),
}

impl Asset {
    /// The asset's part of a transfer's key.
    pub fn key(&self) -> &str {
        match self {
            Asset::Native => "native",
            Asset::Token(contract) => contract,
        }
    }
}

/// How deep a transfer must lie before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// This many blocks, its own included.
    Blocks(u32),
    /// The chain itself says that the block is final; the number is what is shown to people.
    Finalized(u32),
}

impl Depth {
    /// The confirmations that are asked for, as a number for people and for the record.
    pub fn confirmations(self) -> u32 {
        match self {
            Depth::Blocks(blocks) | Depth::Finalized(blocks) => blocks,
        }
    }

    fn is_final(self) -> bool {
        match self {
            Depth::Blocks(_) => false,
            Depth::Finalized(_) => true,
        }
    }
}

impl Depth {
    /// The same, and not less than `blocks`.
    pub fn at_least(self, blocks: u32) -> Depth {
        match self {
            Depth::Blocks(own) => Depth::Blocks(own.max(blocks)),
            Depth::Finalized(own) => Depth::Finalized(own.max(blocks)),
        }
    }
}

/// How deep a transfer must lie, and for which amounts that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthRule {
    /// From this amount on; `None` from nothing on.
    pub from: Option<Cents>,
    /// Below this amount; `None` without an upper end.
    pub below: Option<Cents>,
    /// How deep.
    pub depth: Depth,
}

/// What is wrong with the setting.
#[derive(Debug, thiserror::Error)]
#[error("CHAINS is wrong: {0}")]
pub struct InvalidChains(String);

impl Chains {
    /// Reads the setting's JSON.
    pub fn parse(json: &str) -> Result<Chains, InvalidChains> {
        let raw: Vec<RawChain> =
            serde_json::from_str(json).map_err(|error| InvalidChains(error.to_string()))?;
        let chains: Vec<Chain> = raw.into_iter().map(RawChain::check).collect::<Result<_, _>>()?;
        let mut coins: Vec<&CoinId> =
            chains.iter().flat_map(|chain| &chain.coins).map(|coin| &coin.id).collect();
        coins.sort_unstable();
        match coins.array_windows().find(|[one, other]| one == other) {
            Some([twice, _]) => Err(InvalidChains(format!("coin {twice} is there twice"))),
            None => Ok(Chains(chains)),
        }
    }

    /// All of them, in the setting's order.
    pub fn iter(&self) -> impl Iterator<Item = &Chain> {
        self.0.iter()
    }

    /// The chain of that name.
    pub fn named(&self, name: &str) -> Option<&Chain> {
        self.0.iter().find(|chain| chain.id.as_str() == name)
    }

    /// The chains on which one address of `family` exists.
    pub fn of_family(&self, family: Family) -> impl Iterator<Item = &Chain> {
        self.0.iter().filter(move |chain| chain.family.name() == family.name())
    }

    /// The coin of that name and its chain.
    pub fn coin(&self, id: &CoinId) -> Option<(&Chain, &Coin)> {
        self.coins().find(|(_, coin)| coin.id == *id)
    }

    /// Every coin with its chain, in the order in which they are offered.
    pub fn coins(&self) -> impl Iterator<Item = (&Chain, &Coin)> {
        self.0.iter().flat_map(|chain| chain.coins.iter().map(move |coin| (chain, coin)))
    }
}

impl Chain {
    /// The coin of that name.
    pub fn coin(&self, id: &CoinId) -> Option<&Coin> {
        self.coins.iter().find(|coin| coin.id == *id)
    }

    /// How deep money must lie where `due` is due and `worth` came, by the larger of the two (R22); of what has no price yet
    /// as deep as of anything.
    pub fn depth_of(&self, due: Cents, worth: Option<Cents>) -> Depth {
        worth.map_or_else(|| self.deepest_rule(), |worth| self.depth(due.max(worth)))
    }

    /// The depth that asks for so many confirmations.
    pub fn depth_asking(&self, confirmations: u32) -> Depth {
        let asks = |(_, depth): &&(Option<Cents>, Depth)| depth.confirmations() == confirmations;
        let mut asking = self.depths.iter().filter(asks).map(|(_, depth)| *depth);
        let first = asking.next();
        asking.chain(first).find(|depth| depth.is_final()).or(first).unwrap_or(Depth::Blocks(confirmations))
    }

    fn deepest_rule(&self) -> Depth {
        let all = self.depths.iter().map(|(_, depth)| *depth);
        all.max_by_key(|depth| (depth.confirmations(), depth.is_final())).unwrap_or(Depth::Blocks(u32::MAX))
    }

    /// How deep a transfer must lie that is one of `amount`, or pays as much.
    pub fn depth(&self, amount: Cents) -> Depth {
        self.depth_rule(amount).depth
    }

    /// The rule by which that is decided.
    pub fn depth_rule(&self, amount: Cents) -> DepthRule {
        let mut from = None;
        for (below, depth) in &self.depths {
            if below.is_none_or(|below| amount < below) {
                return DepthRule { from, below: *below, depth: *depth };
            }
            from = *below;
        }
        DepthRule { from, below: None, depth: Depth::Blocks(u32::MAX) }
    }

    /// Blocks under which nothing of any amount is expected to be taken back.
    pub fn deepest(&self) -> u32 {
        self.deepest_rule().confirmations()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChain {
    chain: String,
    family: RawFamily,
    chain_id: Option<u64>,
    test_chain_id: Option<u64>,
    hrp: Option<String>,
    test_hrp: Option<String>,
    #[serde(default)]
    internal: Internal,
    coins: Vec<RawCoin>,
    confirmations: Vec<RawDepth>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawFamily {
    Evm,
    Bitcoin,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCoin {
    coin: String,
    asset: String,
    decimals: u8,
    rate: String,
    minimum_usd: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDepth {
    below_usd: Option<String>,
    blocks: Option<u32>,
    finalized: Option<u32>,
}

impl RawChain {
    fn check(self) -> Result<Chain, InvalidChains> {
        let wrong = |what: &str| InvalidChains(format!("{what} of chain {:?}", self.chain));
        let id = ChainId::new(&self.chain).ok_or_else(|| wrong("the name"))?;
        let coins = self.coins.iter().map(RawCoin::check).collect::<Result<_, _>>()?;
        let depths: Vec<_> = self.confirmations.iter().map(RawDepth::check).collect::<Result<_, _>>()?;
        let ordered = depths
            .is_sorted_by(|(one, _), (next, _)| one.is_some() && next.is_none_or(|next| *one < Some(next)));
        if !ordered || depths.last().is_none_or(|(below, _)| below.is_some()) {
            return Err(wrong("the confirmations (rising limits, the last without one)"));
        }
        let family = self.family().ok_or_else(|| wrong("the network"))?;
        if matches!(family, Family::Bitcoin { .. }) && self.internal != Internal::Unseen {
            return Err(wrong("internal (no contract sends money there)"));
        }
        Ok(Chain { id, family, coins, internal: self.internal, depths })
    }
}

impl RawChain {
    /// Two ids (EIP-155), or two prefixes of addresses (BIP173); never a mixture.
    fn family(&self) -> Option<Family> {
        match (&self.family, self.chain_id, self.test_chain_id, &self.hrp, &self.test_hrp) {
            (RawFamily::Evm, Some(chain_id), Some(test_chain_id), None, None) => {
                Some(Family::Evm { chain_id, test_chain_id })
            }
            (RawFamily::Bitcoin, None, None, Some(hrp), Some(test_hrp)) => {
                let (network, test_network) = (Network::with_hrp(hrp)?, Network::with_hrp(test_hrp)?);
                let related = network.currency() == test_network.currency();
                related.then_some(Family::Bitcoin { network, test_network })
            }
            (RawFamily::Evm | RawFamily::Bitcoin, ..) => None,
        }
    }
}

impl RawCoin {
    fn check(&self) -> Result<Coin, InvalidChains> {
        let wrong = |what: &str| InvalidChains(format!("{what} of coin {:?}", self.coin));
        Ok(Coin {
            id: CoinId::new(&self.coin).ok_or_else(|| wrong("the name"))?,
            asset: self.asset().ok_or_else(|| wrong("the asset"))?,
            decimals: Decimals::new(self.decimals).ok_or_else(|| wrong("the decimals"))?,
            rate_symbol: CoinId::new(&self.rate).ok_or_else(|| wrong("the rate"))?.to_string(),
            minimum: self.minimum().ok_or_else(|| wrong("minimum_usd"))?,
        })
    }

    fn minimum(&self) -> Option<Cents> {
        self.minimum_usd.as_deref().map_or(Some(Cents::ZERO), |text| Cents::parse_amount(text).ok())
    }

    fn asset(&self) -> Option<Asset> {
        if self.asset == "native" {
            return Some(Asset::Native);
        }
        let hex = self.asset.strip_prefix("0x")?;
        let address = hex.len() == 40 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        address.then(|| Asset::Token(self.asset.to_ascii_lowercase()))
    }
}

impl RawDepth {
    fn check(&self) -> Result<(Option<Cents>, Depth), InvalidChains> {
        let wrong =
            || InvalidChains("a confirmation rule needs `blocks` or `finalized`, at least 1".to_owned());
        let depth = match (self.blocks, self.finalized) {
            (Some(blocks), None) if blocks > 0 => Depth::Blocks(blocks),
            (None, Some(blocks)) if blocks > 0 => Depth::Finalized(blocks),
            (Some(_) | None, Some(_) | None) => return Err(wrong()),
        };
        let below = self.below_usd.as_deref().map(Cents::parse_amount).transpose();
        Ok((below.map_err(|_| wrong())?, depth))
    }
}
