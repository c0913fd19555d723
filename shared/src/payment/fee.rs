//! The gateway's fee (R14).

use crate::money::{BasisPoints, Cents};

/// What an account pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeTerms {
    /// The share of the amount.
    pub rate: BasisPoints,
    /// Not less than this.
    pub minimum: Cents,
    /// Free up to this much paid in a month; zero is off.
    pub free_volume: Cents,
}

/// The fee of one payment, decided at creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fee {
    /// How much.
    pub usd: Cents,
    /// Whether it fitted the month's free volume.
    pub free_tier: bool,
}

impl FeeTerms {
    /// The fee for `amount`, when `used` of the month's free volume is gone.
    pub fn fee(self, amount: Cents, used: Cents) -> Fee {
        if self.free_volume > Cents::ZERO && used.plus(amount) <= self.free_volume {
            return Fee { usd: Cents::ZERO, free_tier: true };
        }
        Fee { usd: amount.share(self.rate).max(self.minimum), free_tier: false }
    }
}
