//! Follows the Payments table: notes at which addresses money lies, and how far a wallet must look for them.
//!
//! A record only says which payment changed. What is noted comes from the payment as it is now, so that a record delivered
//! twice, late or out of order notes nothing old.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use shared::app::App;
use shared::payment::Code;
use shared::store::StoreError;
use shared::task::{self, Change, Taken, Text, changes};

#[derive(Deserialize)]
struct Write {
    #[serde(rename = "Keys")]
    keys: Keys,
}

#[derive(Deserialize)]
struct Keys {
    code: Text,
}

/// Takes in a batch of the stream. A payment that cannot be noted holds up no other.
pub async fn note_wallets(app: &App, event: Value) -> task::Result {
    // Of several changes of a payment the first stands for all.
    let mut changed: BTreeMap<Code, String> = BTreeMap::new();
    for Change { sequence, change } in changes::<Write>(&app.store, event)? {
        // The items beside a payment that hold its further transfers have longer names.
        if let Ok(code) = change.keys.code.text.parse() {
            changed.entry(code).or_insert(sequence);
        }
    }
    let (mut noted, mut taken) = (0_usize, Taken::default());
    for (code, sequence) in changed {
        let wallets = taken.note(&app.store, &sequence, Box::pin(note(app, code)).await);
        noted = noted.saturating_add(wallets.unwrap_or_default());
    }
    Ok(taken.reply(json!({ "noted": noted })))
}

/// Notes what lies at the addresses of one payment; how many there are.
async fn note(app: &App, code: Code) -> Result<usize, StoreError> {
    let Some(found) = app.store.find_payment(code).await? else { return Ok(0) };
    let (owner, wallets) = (found.payment.owner(), found.payment.wallets());
    for wallet in &wallets {
        app.store.note_wallet(&owner, code, wallet, found.version()).await?;
        if wallet.has_money() {
            app.store.note_used(&wallet.given.xpub, wallet.given.index).await?;
        }
    }
    Ok(wallets.len())
}
