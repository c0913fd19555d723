//! Every minute: ends the payments whose time has run out (R15).

use serde_json::{Value, json};
use shared::app::App;
use shared::sweep::sweep;
use shared::{metric, task};

fn main() -> task::Outcome {
    task::serve(expire_payments)
}

async fn expire_payments(app: &App, _event: Value) -> task::Result {
    let swept = sweep(&app.store, &app.settings.chains, app.clock).await?;
    metric::seconds("SweepLagSeconds", swept.lag_seconds, None, app.clock);
    Ok(json!({ "checked": swept.checked, "finished": swept.finished }))
}
