//! A refund's name, by which a merchant's command says which one it means.

use std::fmt;
use std::str::FromStr;

use crate::chain::CoinId;
use crate::money::Units;
use crate::payment::Code;

/// The name of a refund: `{short_code}-{number}`, where its payment's refunds are numbered as they were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefundId {
    pub(super) code: Code,
    pub(super) number: u64,
}

/// A text that is no refund's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a refund")]
pub struct NotARefund;

impl fmt::Display for RefundId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.code, self.number)
    }
}

impl FromStr for RefundId {
    type Err = NotARefund;

    fn from_str(text: &str) -> Result<RefundId, NotARefund> {
        let (code, number) = text.split_once('-').ok_or(NotARefund)?;
        let id = RefundId {
            code: code.parse().map_err(|_| NotARefund)?,
            number: number.parse().map_err(|_| NotARefund)?,
        };
        // Only as it was shown: neither a sign nor leading zeros.
        if id.to_string() == text { Ok(id) } else { Err(NotARefund) }
    }
}

/// A refund as its merchant saw it. Between the look and the command somebody may have withdrawn it and asked for
/// another of the same coin, which may go to the same address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeantRefund {
    /// Of which coin.
    pub coin: CoinId,
    /// Its name.
    pub id: RefundId,
    /// How much it gives back.
    pub units: Units,
}
