//! Unspent outputs of a chain like Bitcoin, as one transaction to sign (BIP174).

use serde::Serialize;
use shared::app::App;
use shared::chain::CoinId;
use shared::chain::address::ExtendedKey;
use shared::chain::bitcoin::{Network, bitcoin_script};
use shared::chain::psbt::{MAX_INPUTS, Spendable, sweep};
use shared::http::{self, ApiError, Call, Caller};
use shared::payment::{Mode, Transfer};

use crate::Full;
use crate::order::Order;

/// The transaction, and what it moves.
#[derive(Debug, Serialize)]
pub struct Outputs {
    psbt: Option<String>,
    inputs: usize,
    amount: Option<String>,
    fee_rate_sat_vb: u64,
}

/// The transaction that moves what lies at these wallets; with the position after which the next one goes on, if not all of
/// them fit into this one.
pub fn unsigned(
    app: &App,
    call: &Call<Caller>,
    wallets: &[Full],
    order: &Order<'_>,
    network: Network,
) -> http::Result<(Outputs, Option<String>)> {
    let keys = keys(app, &call.who);
    let mut spendable: Vec<Spendable> = Vec::new();
    let mut last: Option<String> = None;
    let mut cut = None;
    for full in wallets {
        let outputs = outputs(full, &order.coin.id, &keys, network);
        let together = spendable.len().saturating_add(outputs.len());
        if together > MAX_INPUTS && last.is_some() {
            cut = last;
            break;
        }
        spendable.extend(outputs);
        last = Some(full.noted.position());
    }
    let script = bitcoin_script(&order.to, network).map_err(ApiError::internal)?;
    // Too little to pay for its own way is left where it is.
    let swept = sweep(spendable, script, order.fee_rate).ok();
    let outputs = Outputs {
        inputs: swept.as_ref().map_or(0, |swept| swept.inputs),
        amount: swept.as_ref().map(|swept| swept.units.display(order.coin.decimals)),
        psbt: swept.map(|swept| swept.psbt),
        fee_rate_sat_vb: order.fee_rate,
    };
    Ok((outputs, cut))
}

/// The extended keys that addresses come from now.
fn keys(app: &App, who: &Caller) -> Vec<ExtendedKey> {
    let current: Vec<&String> = match who.mode {
        Mode::Live => who.account.xpubs.values().collect(),
        Mode::Test => app.settings.test_xpub.iter().collect(),
    };
    current.into_iter().filter_map(|xpub| xpub.parse().ok()).collect()
}

/// What can be moved from an address: an output that is known to be spent would make the whole transaction void.
fn outputs(
    Full { noted, payment }: &Full,
    coin: &CoinId,
    keys: &[ExtendedKey],
    network: Network,
) -> Vec<Spendable> {
    let given = &noted.wallet.given;
    let Ok(script) = bitcoin_script(&given.address, network) else { return Vec::new() };
    let key = keys.iter().find(|key| key.fingerprint() == given.xpub);
    let key = key.and_then(|key| key.origin(given.index).ok());
    let spendable = |(outpoint, transfer): (_, &Transfer)| Spendable {
        outpoint,
        units: transfer.movement().units,
        script: script.clone(),
        key: key.clone(),
    };
    payment.unspent(&given.address, coin, noted.balances.get(coin)).map(spendable).collect()
}
