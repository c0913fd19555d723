//! `POST /api/v1/payments/{id}/refunds/{coin}/transaction`: says which transaction pays a refund, where the chain alone
//! cannot tell because it spends from none of the payment's addresses.

use shared::app::App;
use shared::http::{self, Call, Caller, OneRefund, Plain, Reply};
use shared::keys::Scope;
use shared::payment::{Fields, InvalidParameter};
use shared::refunds::{self, Meant, Named};

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::Refunds;

/// Answers the call.
pub async fn name_refund_transaction(app: &App, call: Call<Caller>) -> http::Result {
    let fields = Fields::parse(call.json()?)?;
    let word = Meant::in_body(&fields)?;
    let text: Option<String> = fields.get("tx_id", refunds::TX_ID_RULE)?;
    let text = text.ok_or_else(|| InvalidParameter::new("tx_id", "is required"))?;
    let found = call.find(app).await?;
    let coin = refunds::coin(&call)?;
    let meant = word.of(&found.payment, &coin)?;
    let tx_id = refunds::transaction_id(app, &coin, &text)?;
    let before = found.payment.clone();
    let named = Named::claim(app, &before, &meant, &tx_id, call.at).await?;
    let payment = refunds::change(app, found, call.at, |payment| named.apply(payment, call.at)).await?;
    named.release(app, &before).await?;
    Reply::ok(&OneRefund::new(&payment, refunds::refund(&payment, &coin)?, Plain {}, call.at))
}
