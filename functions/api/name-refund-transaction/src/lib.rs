//! `POST /api/v1/payments/{id}/refunds/{coin}/transaction`: says which transaction pays a refund, where the chain alone
//! cannot tell because it spends from none of the payment's addresses.

use shared::app::App;
use shared::http::{self, Call, Caller};
use shared::keys::Scope;
use shared::payment::{Event, Fields, InvalidParameter};
use shared::refunds;

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::PaymentsWrite;

/// Answers the call.
pub async fn name_refund_transaction(app: &App, call: Call<Caller>) -> http::Result {
    let text: Option<String> = Fields::parse(call.json()?)?.get("tx_id", refunds::TX_ID_RULE)?;
    let text = text.ok_or_else(|| InvalidParameter::new("tx_id", "is required"))?;
    refunds::step(app, &call, |coin| {
        let tx_id = refunds::transaction_id(app, coin, &text)?;
        Ok(Event::NameRefundTransaction { coin: coin.clone(), tx_id })
    })
    .await
}
