//! Follows the Payments table: notes at which addresses money lies, and how far a wallet must look for them.
//!
//! A record only says which payment changed. What is noted comes from the payment as it is now, so that a record delivered
//! twice, late or out of order notes nothing old.

use serde::Deserialize;
use serde_json::{Value, json};
use shared::app::App;
use shared::payment::Code;
use shared::task::{self, Batch, Text};

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "Keys")]
    keys: Keys,
}

#[derive(Deserialize)]
struct Keys {
    code: Text,
}

/// Takes in a batch of the stream.
pub async fn note_wallets(app: &App, event: Value) -> task::Result {
    let batch: Batch<Change> = serde_json::from_value(event)?;
    let mut codes: Vec<Code> = Vec::new();
    for record in batch.records {
        // The items beside a payment that hold its further transfers have longer names.
        codes.extend(record.dynamodb.keys.code.text.parse::<Code>());
    }
    codes.sort_unstable();
    codes.dedup();
    let mut noted = 0_usize;
    for code in codes {
        noted = noted.saturating_add(note(app, code).await?);
    }
    Ok(json!({ "noted": noted }))
}

/// Notes what lies at the addresses of one payment; how many there are.
async fn note(app: &App, code: Code) -> task::Result<usize> {
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
