//! What a quote promised, whether it holds, and what relies on it.

use serde::Serialize;

use super::{Conclusion, conclude};
use crate::json::{Time, Usd};
use crate::moment::Timestamp;
use crate::payment::{Payment, Price, QUOTE_SECONDS, Quote, TRANSFERS_SHOWN, Transfer};

/// A quote as data.
#[derive(Debug, Serialize)]
pub(super) struct QuoteLine {
    coin: String,
    usd: Usd,
    coin_amount: String,
    rate_usd: String,
    issued_at: Time,
    until: Time,
    state: &'static str,
    prices: Vec<String>,
    pub(super) because: Conclusion,
}

impl QuoteLine {
    pub(super) fn new(payment: &Payment, quote: &Quote, now: Timestamp) -> QuoteLine {
        let relies = payment.shown_transfers().filter(|one| !payment.is_own(one));
        let relies = relies.filter(|one| is_priced_by(payment, one, quote));
        let prices: Vec<_> = relies.map(|transfer| transfer.movement().id.to_string()).collect();
        let is_part = usize::try_from(payment.transfers_total()).is_ok_and(|total| total > TRANSFERS_SHOWN);
        let (state, words) = state(quote, payment.local(now));
        let coin_amount = quote.units.display(quote.decimals);
        let Quote { coin, usd, rate, issued_at, .. } = quote;
        let count = match prices.len() {
            among if is_part => {
                format!("{among} of the newest {TRANSFERS_SHOWN} transfers have its rate")
            }
            0 => "nothing was sent at it".to_owned(),
            1 => "1 transfer has its rate".to_owned(),
            more => format!("{more} transfers have its rate"),
        };
        let sentence = format!(
            "The quote of {issued_at} asked for {coin_amount} {coin} to settle {usd} USD at {rate} USD; {words}, and {count}."
        );
        QuoteLine {
            coin: coin.to_string(),
            usd: Usd(*usd),
            coin_amount,
            rate_usd: rate.to_string(),
            issued_at: Time(*issued_at),
            until: Time(quote.until),
            state,
            prices,
            because: conclude(&["R20", "R21"], sentence),
        }
    }
}

fn is_priced_by(payment: &Payment, transfer: &Transfer, quote: &Quote) -> bool {
    match transfer.price(payment.quotes()) {
        Price::Quote(by) => by.is(quote),
        Price::Market(_) | Price::Awaited(_) => false,
    }
}

/// Whether it holds, and how it ended: a quote that ended early was replaced by the next one of its coin.
fn state(quote: &Quote, now: Timestamp) -> (&'static str, String) {
    let until = quote.until;
    if quote.until < quote.issued_at.plus(QUOTE_SECONDS) {
        ("replaced", format!("a newer one ended it on {until}"))
    } else if now < until {
        ("holding", format!("it holds until {until}"))
    } else {
        ("lapsed", format!("it held until {until}"))
    }
}
