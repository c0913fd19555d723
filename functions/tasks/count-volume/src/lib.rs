//! Follows the Payments table: counts live payments that were paid for the first time for their account's free volume (R14).
//!
//! Each payment leaves a mark beside its account, so that a delivery repeated, or a payment paid again after a
//! re-organisation, counts once.

use serde::Deserialize;
use serde_json::{Value, json};
use shared::app::App;
use shared::moment::Timestamp;
use shared::money::Cents;
use shared::payment::{Code, MerchantId};
use shared::task::{self, Batch, Number, Text};

#[derive(Deserialize)]
struct Change {
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

/// Takes in a batch of the stream.
pub async fn count_volume(app: &App, event: Value) -> task::Result {
    let batch: Batch<Change> = serde_json::from_value(event)?;
    let mut counted = 0_u32;
    for image in batch.records.into_iter().filter_map(|record| record.dynamodb.new_image) {
        let (Some(paid_at), Some(merchant)) = (&image.paid_at, image.owner.text.strip_suffix("#live")) else {
            continue;
        };
        let code: Code = image.code.text.parse()?;
        let (amount, paid_at) = (Cents(image.amount.digits.parse()?), Timestamp(paid_at.digits.parse()?));
        app.store.count_volume(&MerchantId::new(merchant), code, amount, paid_at).await?;
        counted = counted.saturating_add(1);
    }
    Ok(json!({ "counted": counted }))
}
