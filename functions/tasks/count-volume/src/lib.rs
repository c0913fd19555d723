//! Follows the Payments table: counts live payments that were paid for the first time for their account's free volume (R14).
//!
//! Each payment leaves a mark beside its account, so that a delivery repeated, or a payment paid again after a
//! re-organisation, counts once.

use serde::Deserialize;
use serde_json::{Value, json};
use shared::app::App;
use shared::moment::Timestamp;
use shared::money::Cents;
use shared::payment::MerchantId;
use shared::store::StoreError;
use shared::task::{self, Change, Number, Taken, Text, changes};

#[derive(Deserialize)]
struct Write {
    #[serde(rename = "NewImage")]
    new_image: Option<Image>,
}

/// What of a payment's item is needed, as the stream writes attribute values.
#[derive(Deserialize)]
struct Image {
    owner: Text,
    code: Text,
    amount: Number,
    paid_at: Option<Number>,
}

/// Takes in a batch of the stream. A payment that cannot be counted holds up no other.
pub async fn count_volume(app: &App, event: Value) -> task::Result {
    let (mut counted, mut taken) = (0_u32, Taken::default());
    for Change { sequence, change } in changes::<Write>(&app.store, event)? {
        let Some(image) = change.new_image else { continue };
        if let Some(is_live) = taken.note(&app.store, &sequence, count(app, &image).await) {
            counted = counted.saturating_add(u32::from(is_live));
        }
    }
    Ok(taken.reply(json!({ "counted": counted })))
}

/// Counts a payment that was paid, if it is a live one; whether it is.
async fn count(app: &App, image: &Image) -> Result<bool, StoreError> {
    let (Some(paid_at), Some(merchant)) = (&image.paid_at, image.owner.text.strip_suffix("#live")) else {
        return Ok(false);
    };
    let malformed = |name: &str| StoreError::Malformed(format!("`{name}` of a payment"));
    let code = image.code.text.parse().map_err(|_| malformed("code"))?;
    let amount = Cents(image.amount.digits.parse().map_err(|_| malformed("amount"))?);
    let paid_at = Timestamp(paid_at.digits.parse().map_err(|_| malformed("paid_at"))?);
    app.store.count_volume(&MerchantId::new(merchant), code, amount, paid_at).await?;
    Ok(true)
}
