//! `GET /pay/{code}`: the page on which a payment is paid (R27).

use shared::app::App;
use shared::http::{self, Call};
use shared::payer;

/// Answers the call.
pub async fn pay_page(app: &App, call: Call<()>) -> http::Result {
    Ok(page(app, &call).await.unwrap_or_else(|error| payer::refusal(error, &call)))
}

async fn page(app: &App, call: &Call<()>) -> http::Result {
    let payment = payer::payment(app, call).await?;
    payer::page(app, &payer::view(app, &payment, call.at).await?)
}
