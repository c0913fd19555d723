//! `GET /api/v1/payments/{id}/transfers`: all transfers of a payment, the newest first, a page at a time.

use shared::app::App;
use shared::http::{self, Call, Caller, Reply, TransfersPage, TransfersQuery};
use shared::keys::Scope;

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::PaymentsRead;

/// Answers the call.
pub async fn list_transfers(app: &App, call: Call<Caller>) -> http::Result {
    let code = call.name("id")?.code();
    let query = TransfersQuery::parse(&call, code)?;
    let found = call.find(app).await?;
    let (transfers, next) = query.read(&app.store, &found).await?;
    let next_cursor = next.map(|position| position.cursor(&call.who.account.secret, code));
    Reply::ok(&TransfersPage::new(&found.payment, &transfers, query.limit, next_cursor))
}
