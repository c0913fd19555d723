//! What is to be swept, to where, and what the network may cost.

use shared::app::App;
use shared::chain::{Chain, Coin, CoinId};
use shared::http::wallets::open_cursor;
use shared::http::{self, Call, Caller};
use shared::payment::{Fields, InvalidParameter};

/// Paid for a virtual byte unless the merchant says otherwise: enough for an hour without a rush.
const DEFAULT_FEE_RATE: u64 = 10;

/// Tenfold what was ever needed; more is a slip of the hand.
const MAX_FEE_RATE: u64 = 1_000;

/// A ten-millionth of an ether for a unit of gas.
const MAX_FEE_PER_GAS: u64 = 100_000_000_000_000;

/// A checked request.
pub struct Order<'a> {
    pub chain: &'a Chain,
    pub coin: &'a Coin,
    pub to: String,
    pub fee_rate: u64,
    pub max_fee_per_gas: Option<u64>,
    pub after: Option<String>,
}

impl Order<'_> {
    /// Reads a call's body.
    pub fn parse<'a>(app: &'a App, call: &Call<Caller>) -> http::Result<Order<'a>> {
        let fields = Fields::parse(call.json()?)?;
        let unknown = || InvalidParameter::new("coin", "must be the name of a coin");
        let name: String = fields.get("coin", "must be the name of a coin")?.ok_or_else(unknown)?;
        let coin = CoinId::new(&name).ok_or_else(unknown)?;
        let (chain, coin) = app.settings.chains.coin(&coin).ok_or_else(unknown)?;
        let no_address = || InvalidParameter::new("to", "is required");
        let to: String = fields.get("to", "must be an address")?.ok_or_else(no_address)?;
        let wrong = |error: &dyn std::error::Error| InvalidParameter::new("to", format!("is {error}"));
        let to = chain.destination(&to, call.who.mode).map_err(|error| wrong(&error))?;
        let cursor: Option<String> = fields.get("cursor", "must be a string")?;
        let open = |text: String| {
            open_cursor(&text, &call.who)
                .ok_or_else(|| InvalidParameter::new("cursor", "is not one for this list"))
        };
        Ok(Order {
            chain,
            coin,
            to,
            fee_rate: within(&fields, "fee_rate_sat_vb", MAX_FEE_RATE)?.unwrap_or(DEFAULT_FEE_RATE),
            max_fee_per_gas: within(&fields, "max_fee_per_gas", MAX_FEE_PER_GAS)?,
            after: cursor.map(open).transpose()?,
        })
    }
}

fn within(fields: &Fields, name: &'static str, most: u64) -> Result<Option<u64>, InvalidParameter> {
    let rule = format!("must be a whole number from 1 to {most}");
    let number: Option<u64> = fields.get(name, &rule)?;
    match number {
        Some(number) if !(1..=most).contains(&number) => Err(InvalidParameter::new(name, &rule)),
        number => Ok(number),
    }
}
