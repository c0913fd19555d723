//! Decimal text to whole minor units, exactly, however many digits are sent (R5).

use super::Cents;

/// The least that can be asked for.
pub const MIN_AMOUNT: Cents = Cents(1);

/// The most that can be asked for: 999,999,999.99 USD.
pub const MAX_AMOUNT: Cents = Cents(99_999_999_999);

/// Exponents past this are beyond any amount, and clipping them keeps the arithmetic in range.
const EXPONENT_BOUND: i64 = 1_000_000;

/// Digits that a `u128` holds for certain.
const MAX_DIGITS: usize = 38;

/// Why a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a number in JSON's grammar.
    #[error("must be a number")]
    NotANumber,
    /// Below a cent after rounding, or negative.
    #[error("must be at least 0.01")]
    TooSmall,
    /// Above [`MAX_AMOUNT`].
    #[error("must be at most 999999999.99")]
    TooLarge,
}

impl Cents {
    /// Reads a JSON number's text, rounds it half-up to cents, then checks its range (R5).
    pub fn parse_amount(json_number: &str) -> Result<Cents, AmountError> {
        let cents = scaled(json_number, 2)?;
        match u64::try_from(cents).map(Cents) {
            Ok(amount) if amount < MIN_AMOUNT => Err(AmountError::TooSmall),
            Ok(amount) if amount <= MAX_AMOUNT => Ok(amount),
            Ok(_) | Err(_) => Err(AmountError::TooLarge),
        }
    }
}

/// The number in `text` times ten to the `places`, rounded half-up to a whole number.
pub(super) fn scaled(text: &str, places: i64) -> Result<u128, AmountError> {
    let number = Number::parse(text).ok_or(AmountError::NotANumber)?;
    let digits = [number.whole, number.fraction].concat();
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    if number.negative {
        return Err(AmountError::TooSmall);
    }
    let length = |text: &str| i64::try_from(text.len()).map_err(|_| AmountError::TooLarge);
    let point = length(significant)?.saturating_sub(length(number.fraction)?);
    let keep = point.saturating_add(number.exponent).saturating_add(places);
    if keep < 0 {
        return Ok(0);
    }
    let keep = usize::try_from(keep).map_err(|_| AmountError::TooLarge)?;
    if keep > MAX_DIGITS {
        return Err(AmountError::TooLarge);
    }
    let (kept, dropped) = significant.split_at(keep.min(significant.len()));
    let padded = format!("0{kept:0<keep$}");
    let floor: u128 = padded.parse().map_err(|_| AmountError::TooLarge)?;
    let round_up = dropped.starts_with(|digit: char| digit >= '5');
    Ok(floor.saturating_add(u128::from(round_up)))
}

/// A number in the grammar of RFC 8259, §6, taken apart.
struct Number<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Number<'a> {
    fn parse(text: &'a str) -> Option<Number<'a>> {
        let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        let well_formed = !whole.is_empty() && !leading_zero && plain(whole) && plain(fraction);
        well_formed.then_some(Number { negative, whole, fraction, exponent })
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse::<i64>().unwrap_or(EXPONENT_BOUND).min(EXPONENT_BOUND);
    Some(if negative { size.saturating_neg() } else { size })
}
