//! `POST /api/v1/payments`: opens a payment.
//!
//! With an `Idempotency-Key` its code is derived from the key, so that asking again finds the first answer (R9).

use shared::app::App;
use shared::http::{self, ApiError, Call, Caller, OnePayment, Reply};
use shared::keys::Scope;
use shared::payment::{Code, Idempotency, Meeting, Payment, PaymentId, Request, Terms};

/// Codes tried before giving up: one in seven million is taken when ten million payments exist.
const ATTEMPTS: u32 = 8;

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::PaymentsWrite;

/// Answers the call.
pub async fn create_payment(app: &App, call: Call<Caller>) -> http::Result {
    let request = Request::parse(call.json()?)?;
    let Caller { account, mode, .. } = &call.who;
    let key = call.idempotency_key()?;
    let terms = Terms {
        fee: account.fee_terms(app.settings.fees).fee(request.amount, account.volume_used),
        tolerance: app.settings.tolerance,
        spread: account.spread,
        created_at: call.at,
        idempotency: key.as_ref().map(|key| Idempotency {
            key_hash: key.hash(*mode, &account.merchant),
            request_hash: request.hash(),
        }),
        request,
    };
    for attempt in 0..ATTEMPTS {
        let code = match &key {
            Some(key) => Code::idempotent(&account.secret, *mode, key, attempt),
            None => Code::from_random(u64::from_be_bytes(app.random()?)),
        };
        // In the very second of `created_at`, so that bounds in time mean what is shown.
        let second = call.at.0.saturating_mul(1_000);
        let milliseconds = app.clock.now_milliseconds().clamp(second, second.saturating_add(999));
        let id = PaymentId::new(milliseconds, app.random()?, code);
        let payment = Payment::new(id, account.merchant.clone(), *mode, terms.clone());
        let view = |payment: &Payment| OnePayment::new(payment, &call.base_url(app), call.at);
        let Some(there) = app.store.insert_payment(&payment).await? else {
            return Reply::created(&view(&payment)?);
        };
        match payment.meets(&there) {
            Meeting::Itself => return Reply::created(&view(&there)?),
            Meeting::SameRequest => return Ok(Reply::created(&view(&there)?)?.replayed()),
            Meeting::OtherRequest => return Err(ApiError::IdempotencyKeyReused),
            Meeting::Collision => {}
        }
    }
    Err(ApiError::Busy)
}
