//! Giving money back: what the functions of refunds share.

use crate::app::App;
use crate::chain::psbt::DUST;
use crate::chain::{Chain, Coin, CoinId, Family};
use crate::http::{ApiError, Call, Caller, OneRefund, Plain, Reply, Result};
use crate::moment::Timestamp;
use crate::money::Units;
use crate::payment::{
    ClaimSecret, Code, Event, Fields, InvalidParameter, MeantRefund, Payment, Refund, Refusal,
};
use crate::store::{AwaitedPayout, Found};

/// What a transaction's id must look like.
pub const TX_ID_RULE: &str = "must be the id of a transaction on the coin's chain";

/// The path of a claim link.
pub fn claim_path(code: Code, secret: &ClaimSecret) -> String {
    format!("/refund/{code}/{}", secret.reveal())
}

/// The coin that the path of a call names.
pub fn coin<Who>(call: &Call<Who>) -> Result<CoinId> {
    call.parameter("coin").and_then(CoinId::new).ok_or_else(|| Refusal::NoRefund.into())
}

/// The least that can be sent of a coin: nodes of Bitcoin's kind pass nothing on that costs more to spend than it holds.
pub fn least(app: &App, coin: &CoinId) -> Units {
    match app.settings.chains.coin(coin).map(|(chain, _)| chain.family) {
        Some(Family::Bitcoin { .. }) => DUST,
        Some(Family::Evm { .. }) | None => Units(1),
    }
}

/// The refund of a coin.
pub fn refund<'a>(payment: &'a Payment, coin: &CoinId) -> Result<&'a Refund> {
    payment.refund(coin).ok_or_else(|| Refusal::NoRefund.into())
}

/// A refund's chain and coin, as long as they are configured.
pub fn place<'a>(app: &'a App, coin: &CoinId) -> Result<(&'a Chain, &'a Coin)> {
    app.settings.chains.coin(coin).ok_or(ApiError::NotWatched)
}

/// A transaction's id on the coin's chain.
pub fn transaction_id(app: &App, coin: &CoinId, text: &str) -> Result<String> {
    let (chain, _) = place(app, coin)?;
    chain.transaction_id(text).ok_or_else(|| InvalidParameter::new("tx_id", TX_ID_RULE).into())
}

/// Which refund a call means, as its merchant saw it: `refund_id` and `amount`.
pub struct Meant {
    id: String,
    amount: String,
}

impl Meant {
    /// By the fields of the body.
    pub fn in_body(fields: &Fields) -> std::result::Result<Meant, InvalidParameter> {
        let field = |name| fields.get(name, "must be a string");
        Meant::new(field("refund_id")?, field("amount")?)
    }

    /// By the query, of a call that has no body.
    pub fn in_query(call: &Call<Caller>) -> std::result::Result<Meant, InvalidParameter> {
        Meant::new(call.query("refund_id"), call.query("amount"))
    }

    fn new(id: Option<String>, amount: Option<String>) -> std::result::Result<Meant, InvalidParameter> {
        let required = |field| move || InvalidParameter::new(field, "is required, as the refund shows it");
        let id = id.ok_or_else(required("refund_id"))?;
        Ok(Meant { id, amount: amount.ok_or_else(required("amount"))? })
    }

    /// The payment's refund of that coin, if it is the one.
    pub fn of(&self, payment: &Payment, coin: &CoinId) -> Result<MeantRefund> {
        let refund = refund(payment, coin)?;
        let rule = "must be the refund's amount, as a string with a decimal number";
        let units = Units::parse(&self.amount, refund.decimals());
        let units = units.map_err(|_| InvalidParameter::new("amount", rule))?;
        let id = self.id.parse().map_err(|_| Refusal::OtherRefund)?;
        let meant = MeantRefund { coin: coin.clone(), id, units };
        payment.refund_meant(&meant)?;
        Ok(meant)
    }
}

/// What one event does to the refund that a call means, and the answer to it.
pub async fn step(
    app: &App,
    call: &Call<Caller>,
    meant: &Meant,
    event: impl Fn(MeantRefund) -> Event,
) -> Result {
    let found = call.find(app).await?;
    let coin = coin(call)?;
    let event = event(meant.of(&found.payment, &coin)?);
    let payment = change(app, found, call.at, |payment| Ok(payment.apply(event.clone(), call.at)?)).await?;
    Reply::ok(&OneRefund::new(&payment, refund(&payment, &coin)?, Plain {}, call.at))
}

/// Changes a payment whose money goes back.
///
/// What it changes is decided first, because what must be written before needs a change to be written for; it is
/// decided again by each write.
pub async fn change(
    app: &App,
    found: Found,
    now: Timestamp,
    decide: impl Fn(&Payment) -> Result<Payment>,
) -> Result<Payment> {
    let next = decide(&found.payment)?;
    if next != found.payment {
        // Its thirty days begin anew (R23).
        app.store.keep_watching(&found.payment, now).await?;
    }
    app.store.change_found(found, decide).await
}

/// Has the coin's watcher look for a refund: before the payment says `confirmed`, so that no crash between the two
/// leaves one that nobody looks for; and again whenever the merchant confirms again, because watchers forget after months.
pub async fn await_payout(app: &App, payment: &Payment, refund: &Refund, now: Timestamp) -> Result<()> {
    if !payment.is_live() || refund.completed_at().is_some() {
        return Ok(());
    }
    Ok(app.store.await_payout(refund.chain(), &awaited(payment, refund), now).await?)
}

fn awaited(payment: &Payment, refund: &Refund) -> AwaitedPayout {
    AwaitedPayout {
        code: payment.id().code().to_string(),
        coin: refund.coin().to_string(),
        address: refund.address().unwrap_or_default().to_owned(),
        units: refund.units().0.to_string(),
        requested_at: refund.requested_at().0,
    }
}

/// A transaction that the merchant names, and what was seen of it when it was made this refund's.
///
/// One that no block was seen to hold is made the refund's by whoever sees it.
pub struct Named<'a> {
    meant: &'a MeantRefund,
    tx_id: &'a str,
    outputs: Option<u32>,
}

impl<'a> Named<'a> {
    /// Makes a transaction that was seen the refund's, unless it is another's.
    pub async fn claim(
        app: &App,
        payment: &Payment,
        meant: &'a MeantRefund,
        tx_id: &'a str,
        now: Timestamp,
    ) -> Result<Named<'a>> {
        let refund = payment.refund_meant(meant)?;
        let outputs = refund.outputs(tx_id);
        if let Some(outputs) = outputs {
            // Nothing is taken for what is refused anyway.
            let naming = Event::NameRefundTransaction { meant: meant.clone(), tx_id: tx_id.to_owned() };
            payment.apply(naming, now)?;
            let payout = awaited(payment, refund);
            if !app.store.claim_transaction(refund.chain(), tx_id, &payout, outputs).await? {
                return Err(Refusal::PaysAnother.into());
            }
        }
        Ok(Named { meant, tx_id, outputs })
    }

    /// What naming it does to the payment; not if it was seen meanwhile, because then it must be made the refund's first.
    pub fn apply(&self, payment: &Payment, now: Timestamp) -> Result<Payment> {
        if payment.refund_meant(self.meant)?.outputs(self.tx_id) != self.outputs {
            return Err(ApiError::Busy);
        }
        let (meant, tx_id) = (self.meant.clone(), self.tx_id.to_owned());
        Ok(payment.apply(Event::NameRefundTransaction { meant, tx_id }, now)?)
    }

    /// Gives back the transaction that was named `before`, if this is another.
    pub async fn release(&self, app: &App, before: &Payment) -> Result<()> {
        let refund = before.refund_meant(self.meant)?;
        let former = refund.named_tx().filter(|former| *former != self.tx_id);
        if let Some((former, outputs)) = former.and_then(|tx| Some((tx, refund.outputs(tx)?))) {
            let payout = awaited(before, refund);
            app.store.release_transaction(refund.chain(), former, &payout, outputs).await?;
        }
        Ok(())
    }
}
