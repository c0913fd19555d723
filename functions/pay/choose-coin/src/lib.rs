//! `POST /pay/{code}/coin`: the payer chooses a coin, or renews its rate (R19, R20). `GET` leads back to the page, for who
//! stands there after a refusal and loads it again.
//!
//! Another site's form may post here too, and gains nothing: there is no session to abuse, whoever can post knows the
//! code and could open the page, and a choice moves no money.

use shared::app::App;
use shared::chain::CoinId;
use shared::checkout::{self, Chosen};
use shared::http::{self, Call};
use shared::payer;
use shared::payment::InvalidParameter;

/// Answers the call.
pub async fn choose_coin(app: &App, call: Call<()>) -> http::Result {
    if call.target().0 == "GET" {
        return back(&call);
    }
    let chosen = choose(app, &call).await;
    if call.wants_json() {
        return payer::state(&payer::view_after(app, &chosen?, call.at).await?);
    }
    Ok(match chosen {
        Ok(chosen) => payer::back_to(chosen.payment.id().code())?,
        Err(error) => payer::refusal(error, &call),
    })
}

async fn choose(app: &App, call: &Call<()>) -> http::Result<Chosen> {
    let code = call.code()?;
    let unknown = || InvalidParameter::new("coin", "must be one of the offered coins");
    let name = call.field("coin")?.unwrap_or_default();
    let coin = CoinId::new(&name).ok_or_else(unknown)?;
    checkout::choose(app, code, &coin, call.at).await
}

fn back(call: &Call<()>) -> http::Result {
    match call.code() {
        Ok(code) => payer::back_to(code),
        Err(error) => Ok(payer::refusal(error, call)),
    }
}
