//! Money: whole cents, whole coin units, rates, and the exact dollars between them. No floats, no rounding but where a rule says so.

mod amount;
mod credit;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use num_bigint::BigUint;

pub use amount::{AmountError, MAX_AMOUNT, MIN_AMOUNT};
pub use credit::{Credit, InvalidCredit};

/// Ten thousand basis points are the whole.
const WHOLE_BASIS_POINTS: u64 = 10_000;

/// Decimals of a quoted amount.
const PAYABLE_DECIMALS: u8 = 8;

/// Rates carry eight decimals of a dollar: enough for coins worth a thousandth of a cent.
const RATE_DECIMALS: Decimals = Decimals(8);

/// US dollars in whole cents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cents(pub u64);

impl Cents {
    /// Nothing.
    pub const ZERO: Cents = Cents(0);

    /// The sum, held at the largest value: no payment reaches it (R5 stops at twelve digits).
    #[must_use]
    pub fn plus(self, other: Cents) -> Cents {
        Cents(self.0.saturating_add(other.0))
    }

    /// What is left after `other`, never below nothing.
    #[must_use]
    pub fn minus(self, other: Cents) -> Cents {
        Cents(self.0.saturating_sub(other.0))
    }

    /// So many of so many parts of the amount, rounded half-up to cents.
    #[must_use]
    pub fn times(self, parts: u64, of: u64) -> Cents {
        let of = u128::from(of).max(1);
        let product = u128::from(self.0).saturating_mul(u128::from(parts));
        let rounded = product.saturating_add(of.div_euclid(2)).div_euclid(of);
        Cents(u64::try_from(rounded).unwrap_or(u64::MAX))
    }

    /// The least that covers the amount when a share of it may be missing (R21).
    #[must_use]
    pub fn less(self, tolerance: BasisPoints) -> Cents {
        let whole = u128::from(WHOLE_BASIS_POINTS);
        let enough = u128::from(self.0).saturating_mul(u128::from(tolerance.rest()));
        Cents(u64::try_from(enough.div_ceil(whole)).unwrap_or(u64::MAX))
    }

    /// A share of the amount, rounded half-up to cents (R14).
    pub fn share(self, basis_points: BasisPoints) -> Cents {
        self.times(basis_points.0, WHOLE_BASIS_POINTS)
    }
}

/// Two decimals always: `49.99`, `0.50`, `0.00` (R11).
impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0.div_euclid(100), self.0.rem_euclid(100))
    }
}

/// Hundredths of a percent, up to the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BasisPoints(u64);

impl BasisPoints {
    /// None at all.
    pub const ZERO: BasisPoints = BasisPoints(0);

    /// Everything.
    pub const WHOLE: BasisPoints = BasisPoints(WHOLE_BASIS_POINTS);

    /// `None` above 10,000.
    pub fn new(basis_points: u64) -> Option<BasisPoints> {
        (basis_points <= WHOLE_BASIS_POINTS).then_some(BasisPoints(basis_points))
    }

    /// The number itself.
    pub fn get(self) -> u64 {
        self.0
    }

    /// What remains of the whole.
    fn rest(self) -> u64 {
        WHOLE_BASIS_POINTS.saturating_sub(self.0)
    }
}

/// As a percentage: `0.5 %`.
impl fmt::Display for BasisPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", decimal(u128::from(self.0), Decimals(2), 0))
    }
}

/// A coin's smallest unit: satoshi, wei, a millionth of a USDC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Units(pub u128);

impl Units {
    /// The fewest units worth `usd` at `rate`, rounded up so that paying them settles the dollars (R21).
    pub fn worth(usd: Cents, rate: Rate, decimals: Decimals) -> Result<Units, Overflow> {
        let numerator = BigUint::from(usd.0) * decimals.scale() * RATE_DECIMALS.scale();
        let denominator = BigUint::from(rate.0) * BigUint::from(100_u32);
        let units = (numerator + &denominator - BigUint::from(1_u32)) / denominator;
        u128::try_from(units).map(Units).map_err(|_| Overflow)
    }

    /// Rounded up to what a person can type: exchanges send no more than eight decimals.
    pub fn payable(self, decimals: Decimals) -> Result<Units, Overflow> {
        let surplus = u32::from(decimals.0.saturating_sub(PAYABLE_DECIMALS));
        let step = 10_u128.checked_pow(surplus).ok_or(Overflow)?;
        self.0.checked_next_multiple_of(step).map(Units).ok_or(Overflow)
    }

    /// The units that `usd` takes when these settle `whole`, rounded up.
    pub fn share(self, usd: Cents, whole: Cents) -> Result<Units, Overflow> {
        let denominator = BigUint::from(whole.0.max(1));
        let numerator = BigUint::from(self.0) * BigUint::from(usd.0);
        let units = (numerator + &denominator - BigUint::from(1_u32)) / denominator;
        u128::try_from(units).map(Units).map_err(|_| Overflow)
    }

    /// Both together, held at the largest value.
    #[must_use]
    pub fn plus(self, other: Units) -> Units {
        Units(self.0.saturating_add(other.0))
    }

    /// What is left of these without `other`; nothing if that is more.
    #[must_use]
    pub fn minus(self, other: Units) -> Units {
        Units(self.0.saturating_sub(other.0))
    }

    /// Reads a decimal number of whole coins, exactly: `0.0125`. Neither signs nor exponents, and no more decimals than
    /// the coin has.
    pub fn parse(text: &str, decimals: Decimals) -> Result<Units, InvalidUnits> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let places = usize::from(decimals.0);
        let kept = fraction.trim_end_matches('0');
        if !plain(whole) || !plain(fraction) || kept.len() > places {
            return Err(InvalidUnits);
        }
        let units = format!("{whole}{kept:0<places$}").parse();
        units.ok().filter(|units| *units > 0).map(Units).ok_or(InvalidUnits)
    }

    /// A decimal number of whole coins without trailing zeros: `0.0125`.
    pub fn display(self, decimals: Decimals) -> String {
        decimal(self.0, decimals, 0)
    }
}

/// A text that is no amount of a coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a positive decimal number with the coin's decimals")]
pub struct InvalidUnits;

/// More than any coin has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the amount is larger than the coin can express")]
pub struct Overflow;

/// How many decimals a coin's unit has below the whole coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimals(u8);

impl Decimals {
    /// More than any asset we know of uses, and few enough that a whole coin fits a `u128` many times over.
    pub const MAX: u8 = 30;

    /// `None` above [`Decimals::MAX`].
    pub fn new(decimals: u8) -> Option<Decimals> {
        (decimals <= Decimals::MAX).then_some(Decimals(decimals))
    }

    /// The number itself.
    pub fn get(self) -> u8 {
        self.0
    }

    /// Units in a whole coin.
    fn scale(self) -> BigUint {
        BigUint::from(10_u32).pow(u32::from(self.0))
    }
}

/// US dollars for one whole coin, in hundred-millionths of a dollar; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u64);

impl Rate {
    /// `None` for zero: a coin without a price has no rate.
    pub fn new(hundred_millionths: u64) -> Option<Rate> {
        (hundred_millionths > 0).then_some(Rate(hundred_millionths))
    }

    /// What is left of the rate after a spread, rounded down and never nothing: the payer pays the fraction.
    #[must_use]
    pub fn less(self, spread: BasisPoints) -> Rate {
        let kept = u128::from(self.0).saturating_mul(u128::from(spread.rest()));
        let rest = kept.div_euclid(u128::from(WHOLE_BASIS_POINTS));
        u64::try_from(rest).ok().and_then(Rate::new).unwrap_or(Rate(1))
    }

    /// Hundred-millionths of a dollar for one whole coin.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// At least cents: `2500.00`, `0.99985`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(u128::from(self.0), RATE_DECIMALS, 2))
    }
}

/// A text that is no positive decimal number that a rate can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a positive decimal number of dollars")]
pub struct InvalidRate;

/// Plain or scientific decimal text; digits beyond the eighth decimal are rounded half-up.
impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Rate, InvalidRate> {
        let scaled = amount::scaled(text, i64::from(RATE_DECIMALS.0)).map_err(|_| InvalidRate)?;
        u64::try_from(scaled).ok().and_then(Rate::new).ok_or(InvalidRate)
    }
}

/// `units` with a decimal point, at least `keep` decimals and no zeros after those.
fn decimal(units: u128, decimals: Decimals, keep: usize) -> String {
    let places = usize::from(decimals.0);
    let digits = format!("{units:0>width$}", width = places.saturating_add(1));
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(places));
    let fraction = format!("{:0<keep$}", fraction.trim_end_matches('0'));
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}
