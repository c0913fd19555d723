//! `POST /api/v1/payments/{id}/refunds`: gives money back, to an address that the payer names on a claim link (R16, R23).
//!
//! The link is told here and never again. Whoever loses the answer withdraws the refund and asks for another.

use shared::app::App;
use shared::chain::CoinId;
use shared::http::{self, Asked, Call, Caller, OneRefund, Reply};
use shared::keys::Scope;
use shared::moment::Timestamp;
use shared::money::Units;
use shared::payment::{
    ClaimHash, ClaimSecret, Event, Fields, InvalidParameter, Payment, Refundable, Refusal,
};
use shared::refunds;

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::Refunds;

/// Answers the call.
pub async fn request_refund(app: &App, call: Call<Caller>) -> http::Result {
    let wish = Wish::parse(call.json()?)?;
    let found = call.find(app).await?;
    let secret = ClaimSecret::new(app.random()?);
    let decide = |payment: &Payment| wish.ask(app, payment, secret.hash(), call.at);
    let payment = refunds::change(app, found, call.at, decide).await?;
    let refund = payment.refund_of_secret(secret.hash()).ok_or(Refusal::NoRefund)?;
    let path = refunds::claim_path(payment.id().code(), &secret);
    let claim_url = format!("{}{path}", call.base_url(app));
    Reply::created(&OneRefund::new(&payment, refund, Asked { claim_url }, call.at))
}

/// What the merchant wants to give back.
struct Wish {
    coin: Option<CoinId>,
    amount: Option<String>,
}

impl Wish {
    /// Everything has a default, so that no body at all is a request too.
    fn parse(body: &str) -> Result<Wish, InvalidParameter> {
        let fields = Fields::parse(if body.is_empty() { "{}" } else { body })?;
        let rule = "must be the name of a coin";
        let coin: Option<String> = fields.get("coin", rule)?;
        let named = |name: String| CoinId::new(&name).ok_or_else(|| InvalidParameter::new("coin", rule));
        let amount = fields.get("amount", "must be a string with a decimal number")?;
        Ok(Wish { coin: coin.map(named).transpose()?, amount })
    }

    fn ask(&self, app: &App, payment: &Payment, secret: ClaimHash, now: Timestamp) -> http::Result<Payment> {
        if payment.refund_of_secret(secret).is_some() {
            // Our own write, retried: what can still go back is less by it.
            return Ok(payment.clone());
        }
        let refundable = self.choose(payment.refundable(now)?)?;
        let units = self.units(&refundable, refunds::least(app, &refundable.coin))?;
        Ok(payment.apply(Event::RequestRefund { coin: refundable.coin, units: Some(units), secret }, now)?)
    }

    /// The coin that was named, or the only one.
    fn choose(&self, all: Vec<Refundable>) -> Result<Refundable, InvalidParameter> {
        let names: Vec<_> = all.iter().map(|refundable| refundable.coin.as_str()).collect();
        let rule = format!("must be one that can go back: {}", names.join(", "));
        let is_only = all.len() == 1;
        let wanted = |refundable: &Refundable| match &self.coin {
            Some(coin) => refundable.coin == *coin,
            None => is_only,
        };
        all.into_iter().find(wanted).ok_or_else(|| InvalidParameter::new("coin", rule))
    }

    fn units(&self, refundable: &Refundable, least: Units) -> Result<Units, InvalidParameter> {
        let Refundable { decimals, most, usual, .. } = *refundable;
        let invalid = |rule: String| InvalidParameter::new("amount", rule);
        let rule = || format!("must be a positive number with at most {} decimals", decimals.get());
        let parse = |amount| Units::parse(amount, decimals).map_err(|_| invalid(rule()));
        if self.amount.is_none() && usual == Units(0) {
            return Err(invalid("is required, because the excess went back already".to_owned()));
        }
        let units = self.amount.as_deref().map_or(Ok(usual), parse)?;
        if units < least {
            return Err(invalid(format!("must be at least {}", least.display(decimals))));
        }
        if units > most {
            return Err(invalid(format!("must be at most {}", most.display(decimals))));
        }
        Ok(units)
    }
}
