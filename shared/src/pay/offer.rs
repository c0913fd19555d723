//! Which coins a payment can be paid in now, and why not in the others.

use crate::chain::{ChainId, CoinId};
use crate::money::Rate;
use crate::rates::NoRate;

/// A coin that can be chosen now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedCoin {
    /// The coin.
    pub coin: CoinId,
    /// Its chain.
    pub chain: ChainId,
    /// The accepted rate now, less the payment's spread.
    pub rate: Rate,
}

/// Why a coin is not offered; every place that says so says the same.
///
/// In the order of hope: what passes by itself comes last, so that the greatest reason of several coins is the one to tell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotOffered {
    /// There is nowhere to pay to: the account has no extended public key for the chain's family.
    NoExtendedKey,
    /// The amount is less than can be sent of the coin (R5).
    BelowMinimum {
        /// The least, with its currency.
        least: String,
    },
    /// Nobody looks for money on the chain (R24).
    NotWatched,
    /// The chain was not read to a fresh tip lately (R24).
    NotCurrent,
    /// There is no accepted rate (R20).
    NoRate(NoRate),
}

/// Every configured coin, in the order of the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// What can be chosen.
    pub coins: Vec<OfferedCoin>,
    /// What cannot, and why.
    pub refused: Vec<(CoinId, NotOffered)>,
}

impl NotOffered {
    /// The word that never changes: the API's error code, and what the page's state says.
    pub fn code(&self) -> &'static str {
        match self {
            NotOffered::NoExtendedKey => "no_extended_key",
            NotOffered::BelowMinimum { .. } => "below_minimum",
            NotOffered::NotWatched => "chain_not_watched",
            NotOffered::NotCurrent => "chain_not_current",
            NotOffered::NoRate(_) => "rate_unavailable",
        }
    }

    /// Whether it passes by itself, so that asking again later makes sense.
    pub fn passes(&self) -> bool {
        match self {
            NotOffered::NoExtendedKey | NotOffered::BelowMinimum { .. } => false,
            NotOffered::NotWatched | NotOffered::NotCurrent | NotOffered::NoRate(_) => true,
        }
    }

    /// A sentence, without its full stop, about a coin; about every coin if there is none.
    pub fn about(&self, coin: Option<&CoinId>) -> String {
        match (self, coin) {
            (NotOffered::NoExtendedKey, Some(coin)) => {
                format!("{coin} cannot be paid to this account, which has no extended public key for it")
            }
            (NotOffered::NoExtendedKey, None) => {
                "No coin can be paid to this account, which has no extended public key".to_owned()
            }
            (NotOffered::BelowMinimum { least }, Some(coin)) => {
                format!("The amount is too small for {coin}, of which at least {least} can be sent")
            }
            (NotOffered::BelowMinimum { .. }, None) => "The amount is too small for every coin".to_owned(),
            (NotOffered::NotWatched, Some(_)) => {
                "This coin cannot be paid at the moment, because its chain is not watched".to_owned()
            }
            (NotOffered::NotWatched, None) => {
                "No coin can be paid at the moment, because no chain is watched".to_owned()
            }
            (NotOffered::NotCurrent, Some(coin)) => format!(
                "{coin} cannot be paid at the moment, because its chain was not read to its tip lately. Try again in a minute"
            ),
            (NotOffered::NotCurrent, None) => {
                "No coin can be paid at the moment, because no chain was read to its tip lately. Try again in a minute"
                    .to_owned()
            }
            (NotOffered::NoRate(why), Some(coin)) => {
                format!("{coin} cannot be quoted at the moment: {why}. Try again in a minute")
            }
            (NotOffered::NoRate(_), None) => {
                "No coin can be quoted at the moment. Try again in a minute".to_owned()
            }
        }
    }
}

impl Offers {
    /// Why nothing at all is offered; `None` where something is, or nothing is configured.
    pub fn why_none(&self) -> Option<&NotOffered> {
        self.refused.iter().map(|(_, why)| why).max().filter(|_| self.coins.is_empty())
    }

    /// Why `coin` is not.
    pub fn why_not(&self, coin: &CoinId) -> Option<&NotOffered> {
        self.refused.iter().find(|(refused, _)| refused == coin).map(|(_, why)| why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c3_of_several_reasons_the_one_that_passes_is_told() {
        let coin = |name| CoinId::new(name).unwrap();
        let small = NotOffered::BelowMinimum { least: "0.00000294 BTC".to_owned() };
        let refused = |whys: &[NotOffered]| Offers {
            coins: Vec::new(),
            refused: whys.iter().map(|why| (coin("X"), why.clone())).collect(),
        };
        let (key, rate) = (NotOffered::NoExtendedKey, NotOffered::NoRate(NoRate::Stale));
        assert_eq!(refused(&[key.clone(), small.clone()]).why_none(), Some(&small));
        assert_eq!(refused(&[rate.clone(), key.clone(), small]).why_none(), Some(&rate));
        assert_eq!(refused(&[NotOffered::NotWatched, key.clone()]).why_none(), Some(&NotOffered::NotWatched));
        assert_eq!(Offers::default().why_none(), None);
        let offered =
            OfferedCoin { coin: coin("Y"), chain: ChainId::new("y").unwrap(), rate: Rate::new(1).unwrap() };
        let some = Offers { coins: vec![offered], ..refused(&[key]) };
        assert_eq!((some.why_none(), some.why_not(&coin("Y"))), (None, None));
        assert_eq!(some.why_not(&coin("X")), Some(&NotOffered::NoExtendedKey));
    }
}
