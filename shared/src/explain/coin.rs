//! Which coins an open payment can be paid in, and why not in the others.

use serde::Serialize;

use super::{Conclusion, conclude};
use crate::pay::{NotOffered, Offers};

/// A coin as data.
#[derive(Debug, Serialize)]
pub(super) struct CoinLine {
    coin: String,
    offered: bool,
    code: Option<&'static str>,
    pub(super) because: Option<Conclusion>,
}

/// What can be chosen first, then the rest.
pub(super) fn lines(offers: &Offers) -> Vec<CoinLine> {
    let offered = offers.coins.iter().map(|offer| CoinLine {
        coin: offer.coin.to_string(),
        offered: true,
        code: None,
        because: None,
    });
    let refused = offers.refused.iter().map(|(coin, why)| CoinLine {
        coin: coin.to_string(),
        offered: false,
        code: Some(why.code()),
        because: Some(conclude(rulings(why), format!("{}.", why.about(Some(coin))))),
    });
    offered.chain(refused).collect()
}

fn rulings(why: &NotOffered) -> &'static [&'static str] {
    match why {
        NotOffered::BelowMinimum { .. } => &["R5"],
        NotOffered::NoExtendedKey | NotOffered::NotWatched | NotOffered::NotCurrent => &["R24"],
        NotOffered::NoRate(_) => &["R20"],
    }
}
