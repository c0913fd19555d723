//! What coins are worth in dollars, exactly: a fraction of a cent is kept until a rule rounds it (R21).

use std::iter::Sum;
use std::str::FromStr;

use num_bigint::BigUint;
use num_rational::Ratio;

use super::{BasisPoints, Cents, Decimals, RATE_DECIMALS, Rate, Units, WHOLE_BASIS_POINTS};

/// Bits of a denominator that is kept exactly: those of four quotes of 18 decimals whose units have nothing in common.
const EXACT_BITS: u64 = 256;

/// Dollars credited for coins, as an exact fraction of cents.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Credit(Ratio<BigUint>);

impl Credit {
    /// Nothing.
    pub fn zero() -> Credit {
        Credit::cents(Cents::ZERO)
    }

    fn cents(cents: Cents) -> Credit {
        Credit(Ratio::from_integer(BigUint::from(cents.0)))
    }

    /// `units` at a quote's ratio: `usd` for `quoted` units. A quote of no units is worth nothing.
    pub fn quoted(units: Units, usd: Cents, quoted: Units) -> Credit {
        if quoted == Units(0) {
            return Credit::zero();
        }
        Credit(Ratio::new(BigUint::from(units.0) * BigUint::from(usd.0), BigUint::from(quoted.0)))
    }

    /// `units` at a market rate.
    pub fn market(units: Units, rate: Rate, decimals: Decimals) -> Credit {
        let numerator = BigUint::from(units.0) * BigUint::from(rate.get()) * BigUint::from(100_u32);
        Credit(Ratio::new(numerator, decimals.scale() * RATE_DECIMALS.scale()))
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Credit) -> Credit {
        Credit(&self.0 + &other.0).shortened()
    }

    /// What is left without `other`; nothing if that is more.
    #[must_use]
    pub fn less(&self, other: &Credit) -> Credit {
        if *other >= *self { Credit::zero() } else { Credit(&self.0 - &other.0).shortened() }
    }

    /// Sums of many quotes' parts have denominators as long as all of theirs together. One beyond any that a few quotes
    /// make is rounded up at a place where no amount of money shows it: up, so that what paid in full stays so.
    fn shortened(self) -> Credit {
        if self.0.denom().bits() <= EXACT_BITS {
            return self;
        }
        let scale = BigUint::from(1_u32) << EXACT_BITS;
        let numerator = (self.0 * &scale).ceil().to_integer();
        Credit(Ratio::new(numerator, scale))
    }

    /// The exact cents, as they are kept: `9998/2`, in lowest terms.
    pub(crate) fn to_text(&self) -> String {
        format!("{}/{}", self.0.numer(), self.0.denom())
    }

    /// What was kept; `None` for anything else.
    pub(crate) fn from_text(text: &str) -> Option<Credit> {
        let (numerator, denominator) = text.split_once('/')?;
        let (numerator, denominator): (BigUint, BigUint) =
            (numerator.parse().ok()?, denominator.parse().ok()?);
        (denominator > BigUint::ZERO).then(|| Credit(Ratio::new(numerator, denominator)))
    }

    /// Whole cents, rounded down (R21).
    pub fn floor(&self) -> Cents {
        Cents(u64::try_from(self.0.to_integer()).unwrap_or(u64::MAX))
    }

    /// Whole cents, rounded up.
    pub fn ceil(&self) -> Cents {
        Cents(u64::try_from(self.0.ceil().to_integer()).unwrap_or(u64::MAX))
    }

    /// What `part` of the `whole` units that this was credited for is worth. Of no units nothing is.
    pub fn portion(&self, part: Units, whole: Units) -> Credit {
        if whole == Units(0) {
            return Credit::zero();
        }
        Credit(&self.0 * Ratio::new(BigUint::from(part.0), BigUint::from(whole.0)))
    }

    /// How many of the `whole` units that this was credited for are worth `usd`: rounded down, and not more than all.
    pub fn units_worth(&self, usd: Cents, whole: Units) -> Units {
        if self.is_zero() {
            return Units(0);
        }
        let share = Credit::cents(usd).0 / &self.0 * BigUint::from(whole.0);
        Units(u128::try_from(share.to_integer()).unwrap_or(u128::MAX)).min(whole)
    }

    /// What is left of it without `other`; nothing if that is more.
    #[must_use]
    pub fn minus(&self, other: &Credit) -> Credit {
        if *self <= *other { Credit::zero() } else { Credit(&self.0 - &other.0) }
    }

    /// The exact dollars as a fraction in lowest terms: `4999/100`.
    pub fn fraction(&self) -> String {
        let dollars = &self.0 / BigUint::from(100_u32);
        format!("{}/{}", dollars.numer(), dollars.denom())
    }

    /// Whether it is whole cents.
    pub fn is_whole(&self) -> bool {
        self.0.is_integer()
    }

    /// What of `due` is not covered, rounded up to cents.
    pub fn missing(&self, due: Cents) -> Cents {
        due.minus(self.floor())
    }

    /// Whether this is at least `due` less the tolerated share (R21).
    pub fn covers(&self, due: Cents, tolerance: BasisPoints) -> bool {
        let rest = Ratio::new(BigUint::from(tolerance.rest()), BigUint::from(WHOLE_BASIS_POINTS));
        self.0 >= Credit::cents(due).0 * rest
    }

    /// Whether there is nothing at all.
    pub fn is_zero(&self) -> bool {
        *self == Credit::zero()
    }
}

/// A text that is no fraction of dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a fraction of dollars")]
pub struct InvalidCredit;

/// What [`Credit::fraction`] writes.
impl FromStr for Credit {
    type Err = InvalidCredit;

    fn from_str(text: &str) -> Result<Credit, InvalidCredit> {
        let (dollars, of) = text.split_once('/').ok_or(InvalidCredit)?;
        let number = |text: &str| text.parse::<BigUint>().map_err(|_| InvalidCredit);
        let (dollars, of) = (number(dollars)?, number(of)?);
        if of == BigUint::ZERO {
            return Err(InvalidCredit);
        }
        Ok(Credit(Ratio::new(dollars * BigUint::from(100_u32), of)))
    }
}

impl Sum for Credit {
    fn sum<I: Iterator<Item = Credit>>(credits: I) -> Credit {
        Credit(credits.fold(Credit::zero().0, |sum, credit| sum + credit.0))
    }
}
