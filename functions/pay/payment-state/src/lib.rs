//! `GET /pay/{code}/state`: what an open pay page asks for again and again.

use shared::app::App;
use shared::http::{self, Call};
use shared::payer;

/// Answers the call.
pub async fn payment_state(app: &App, call: Call<()>) -> http::Result {
    call.check_query()?;
    let payment = payer::payment(app, &call).await?;
    payer::state(&payer::view(app, &payment, call.at).await?)
}
