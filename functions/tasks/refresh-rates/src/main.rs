//! Every minute: asks the price sources for each coin's rate and keeps what they agree on (R20).

use std::collections::BTreeSet;

use serde_json::json;
use shared::app::App;
use shared::rates::refresh;
use shared::rates::sources::Sources;
use shared::{metric, task};

fn main() -> task::Outcome {
    // Read before the first event, so that a deployment with wrong sources does not start.
    let sources = Sources::from_env()?;
    task::serve(|app, _event| refresh_rates(app, &sources))
}

async fn refresh_rates(app: &App, sources: &Sources) -> task::Result {
    let coins = app.settings.chains.coins();
    let symbols: BTreeSet<String> = coins.map(|(_, coin)| coin.rate_symbol.clone()).collect();
    let refreshed = refresh(&app.store, sources, &symbols, app.clock).await?;
    for symbol in refreshed.missing.keys() {
        metric::count("RatesMissing", Some(("Symbol", symbol)), app.clock);
    }
    if !refreshed.missing.is_empty() {
        // The alarm listens to all symbols together.
        metric::count("RatesMissing", None, app.clock);
    }
    let missing: Vec<_> = refreshed.missing.keys().collect();
    Ok(json!({ "accepted": refreshed.accepted, "missing": missing }))
}
