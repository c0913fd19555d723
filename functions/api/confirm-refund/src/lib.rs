//! `POST /api/v1/payments/{id}/refunds/{coin}/confirm`: the merchant confirms the address that the payer gave, and is told
//! how the wallet pays it.
//!
//! From here on nothing takes the refund back: money may be under way. The same call again gets the same answer.

mod transaction;

use shared::app::App;
use shared::chain::{Chain, CoinId};
use shared::http::{self, ApiError, Call, Caller, OneRefund, Payable, Reply};
use shared::keys::Scope;
use shared::moment::Timestamp;
use shared::pay::link_to;
use shared::payment::{Event, Fields, InvalidParameter, MeantRefund, Payment, Refusal};
use shared::refunds::{self, Meant, Named};

use transaction::Funding;

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::Refunds;

/// Answers the call.
pub async fn confirm_refund(app: &App, call: Call<Caller>) -> http::Result {
    let word = Word::parse(call.json()?)?;
    let found = call.find(app).await?;
    let coin = refunds::coin(&call)?;
    let meant = word.meant.of(&found.payment, &coin)?;
    let (chain, asset) = refunds::place(app, &coin)?;
    let step = word.check(app, chain, &coin, &found.payment)?;
    let scanned = scanned(app, chain, &coin, &found.payment, call.at).await?;
    let before = found.payment.clone();
    let named = match step.tx_id.as_deref() {
        Some(tx_id) => Some(Named::claim(app, &before, &meant, tx_id, call.at).await?),
        None => None,
    };
    let decide = |payment: &Payment| step.take(payment, &meant, scanned, named.as_ref(), call.at);
    let next = decide(&found.payment)?;
    refunds::await_payout(app, &next, refunds::refund(&next, &coin)?, call.at).await?;
    let payment = refunds::change(app, found, call.at, decide).await?;
    if let Some(named) = &named {
        named.release(app, &before).await?;
    }
    let refund = refunds::refund(&payment, &coin)?;
    let is_paid = refund.confirmations() > 0;
    let link = || link_to(&step.address, refund.units(), chain, asset, payment.mode());
    // What it spends from may lie beside the payment's own item.
    let is_beside = !is_paid && payment.has_folded();
    let whole = if is_beside { app.store.whole_payment(payment.id().code()).await? } else { None };
    let spent = whole.as_ref().unwrap_or(&payment);
    let psbt = || transaction::unsigned(app, &call.who.account, spent, refund, chain, &step.funding);
    // Of very many transfers it is not known which are the oldest: two transactions must not be able to pay one refund.
    let is_known = !is_paid && !spent.has_folded();
    let payable = Payable { payment_link: (!is_paid).then(link), psbt: is_known.then(psbt).flatten() };
    Reply::ok(&OneRefund::new(&payment, refund, payable, call.at))
}

/// The merchant's word, as it was sent.
struct Word {
    meant: Meant,
    address: String,
    tx_id: Option<String>,
    fee_rate: Option<u64>,
    change_address: Option<String>,
}

/// The same, checked for the coin's chain.
struct Step {
    address: String,
    tx_id: Option<String>,
    funding: Funding,
}

impl Word {
    fn parse(body: &str) -> Result<Word, InvalidParameter> {
        let fields = Fields::parse(body)?;
        let meant = Meant::in_body(&fields)?;
        let required = || InvalidParameter::new("address", "is required");
        let rule = "must be a whole number from 1 to 1000";
        let fee_rate: Option<u64> = fields.get("fee_rate_sat_vb", rule)?;
        if fee_rate.is_some_and(|rate| !(1..=transaction::MAX_FEE_RATE).contains(&rate)) {
            return Err(InvalidParameter::new("fee_rate_sat_vb", rule));
        }
        Ok(Word {
            meant,
            address: fields.get("address", "must be a string")?.ok_or_else(required)?,
            tx_id: fields.get("tx_id", refunds::TX_ID_RULE)?,
            fee_rate,
            change_address: fields.get("change_address", "must be a string")?,
        })
    }

    fn check(&self, app: &App, chain: &Chain, coin: &CoinId, payment: &Payment) -> http::Result<Step> {
        let mode = payment.mode();
        let change = self.change_address.as_deref().map(|text| chain.destination(text, mode));
        let change = change
            .transpose()
            .map_err(|error| InvalidParameter::new("change_address", format!("cannot be used: {error}")))?;
        let tx_id = self.tx_id.as_deref().map(|text| refunds::transaction_id(app, coin, text));
        Ok(Step {
            address: chain.destination(&self.address, mode).map_err(|_| Refusal::OtherAddress)?,
            tx_id: tx_id.transpose()?,
            funding: Funding { fee_per_byte: self.fee_rate, change },
        })
    }
}

impl Step {
    fn take(
        &self,
        payment: &Payment,
        meant: &MeantRefund,
        scanned: Option<u64>,
        named: Option<&Named<'_>>,
        now: Timestamp,
    ) -> http::Result<Payment> {
        let (meant, address) = (meant.clone(), self.address.clone());
        let confirmed = payment.apply(Event::ConfirmRefund { meant, address, scanned }, now)?;
        match named {
            Some(named) => named.apply(&confirmed, now),
            None => Ok(confirmed),
        }
    }
}

/// How far the chain is scanned. Nothing live is confirmed where nobody would see it paid.
async fn scanned(
    app: &App,
    chain: &Chain,
    coin: &CoinId,
    payment: &Payment,
    now: Timestamp,
) -> http::Result<Option<u64>> {
    let is_confirmed = payment.refund(coin).is_some_and(|refund| refund.confirmed_at().is_some());
    if !payment.is_live() || is_confirmed {
        return Ok(None);
    }
    let market = app.store.market(std::slice::from_ref(&chain.id), now).await?;
    market.heights.get(&chain.id).copied().map(Some).ok_or(ApiError::NotWatched)
}
