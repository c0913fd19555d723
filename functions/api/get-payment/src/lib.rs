//! `GET /api/v1/payments/{id}`: one payment, by UUID or short code; with `?wait=`, when there is something new about it.
//!
//! Without `If-None-Match` new is what differs from the first read; with it, what the caller does not have yet.

use shared::app::App;
use shared::http::wait::{self, Wait};
use shared::http::{self, Call, Caller, OnePayment, Reply};
use shared::keys::Scope;

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::PaymentsRead;

/// Answers the call.
pub async fn get_payment(app: &App, call: Call<Caller>) -> http::Result {
    let seconds = call.wait_seconds()?;
    let first = read(app, &call).await?;
    let known = call.header("if-none-match");
    let is_known = |reply: &Reply| known.is_some_and(|known| reply.tag().is_named_by(known));
    let reply =
        if known.is_none() || is_known(&first) { news(app, &call, first, seconds).await? } else { first };
    let reply = reply.tagged()?;
    Ok(if is_known(&reply) { reply.not_modified() } else { reply })
}

/// The answer that differs from `first`, or `first` when the wait is over or there is no place for one.
async fn news(app: &App, call: &Call<Caller>, first: Reply, seconds: u64) -> http::Result {
    let waiting = match call.begin_wait(app, seconds).await {
        Wait::Unwanted => return Ok(first),
        // Who comes back as late as the wait would have ended asks no more often than if it had been waited for.
        Wait::Refused => return Ok(first.refused_wait(seconds)),
        Wait::Begun(waiting) => waiting,
    };
    let last = wait::changed(first, || waiting.pause(), || read(app, call)).await;
    call.end_wait(app, waiting).await;
    // A key that was revoked or an account that was disabled meanwhile is told nothing any more (R26).
    call.caller(app, SCOPE, app.clock.now()).await?;
    last
}

/// The payment as it is now.
async fn read(app: &App, call: &Call<Caller>) -> http::Result {
    let payment = call.payment(app).await?;
    Reply::ok(&OnePayment::new(&payment, &call.base_url(app), app.clock.now())?)
}
