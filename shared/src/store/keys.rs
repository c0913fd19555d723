//! The Keys table: one item per API key, under the key's hash.

use super::attribute::{Item, n, number, optional_number, s, text, texts};
use super::{Store, StoreError, failed, is_done};
use crate::keys::{KeyHash, KeyRecord, Scope};
use crate::moment::Timestamp;
use crate::payment::{MerchantId, Mode};

/// Keys of one account that are listed; more than anybody can keep apart.
const LISTED: i32 = 200;

impl Store {
    /// The key's record; a revocation shows within the second (R26).
    pub async fn key(&self, hash: &KeyHash) -> Result<Option<KeyRecord>, StoreError> {
        let found = self
            .client
            .get_item()
            .table_name(&self.tables.keys)
            .key("key_hash", s(hash.as_str()))
            .send()
            .await
            .map_err(failed)?;
        found.item.as_ref().map(read).transpose()
    }

    /// Writes a new key.
    pub async fn insert_key(&self, key: &KeyRecord) -> Result<(), StoreError> {
        let put = self.client.put_item().table_name(&self.tables.keys).set_item(Some(write(key)));
        // The same key's own write, retried, is no other key's: nobody draws the same 256 bits.
        let put = put
            .condition_expression("attribute_not_exists(key_hash) OR merchant = :merchant")
            .expression_attribute_values(":merchant", s(key.merchant.as_str()));
        put.send().await.map(|_| ()).map_err(failed)
    }

    /// An account's keys, newest first; at most a page.
    pub async fn keys_of(&self, merchant: &MerchantId) -> Result<Vec<KeyRecord>, StoreError> {
        let found = self
            .client
            .query()
            .table_name(&self.tables.keys)
            .index_name("by_merchant")
            .key_condition_expression("merchant = :merchant")
            .expression_attribute_values(":merchant", s(merchant.as_str()))
            .scan_index_forward(false)
            .limit(LISTED)
            .send()
            .await
            .map_err(failed)?;
        let mut keys = Vec::new();
        for item in found.items.unwrap_or_default() {
            let shown = text(&item, "shown").unwrap_or_default();
            keys.extend(self.readable("keys of an account", shown, read(&item))?);
        }
        Ok(keys)
    }

    /// Takes a key back; the first time stands. Whether there was such a key.
    pub async fn revoke_key(&self, hash: &KeyHash, at: Timestamp) -> Result<bool, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.keys)
            .key("key_hash", s(hash.as_str()))
            .update_expression("SET revoked_at = if_not_exists(revoked_at, :at)")
            .condition_expression("attribute_exists(key_hash)")
            .expression_attribute_values(":at", n(at.0));
        is_done(update.send().await)
    }

    /// Notes the day of a key's last use; once a day is enough.
    pub async fn touch_key(&self, hash: &KeyHash, day: u64) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.keys)
            .key("key_hash", s(hash.as_str()))
            .update_expression("SET last_used_day = :day")
            .condition_expression(
                "attribute_exists(key_hash) AND (attribute_not_exists(last_used_day) OR last_used_day < :day)",
            )
            .expression_attribute_values(":day", n(day));
        is_done(update.send().await).map(|_| ())
    }
}

fn write(key: &KeyRecord) -> Item {
    let mut item = Item::from([
        ("key_hash".to_owned(), s(key.hash.as_str())),
        ("merchant".to_owned(), s(key.merchant.as_str())),
        ("mode".to_owned(), s(key.mode.as_str())),
        ("scopes".to_owned(), texts(key.scopes.iter().map(|scope| scope.as_str()))),
        ("name".to_owned(), s(&key.name)),
        ("shown".to_owned(), s(&key.shown)),
        ("created_at".to_owned(), n(key.created_at.0)),
    ]);
    let times =
        [("expires_at", key.expires_at.map(|at| at.0)), ("revoked_at", key.revoked_at.map(|at| at.0))];
    for (name, value) in times.into_iter().chain([("last_used_day", key.last_used_day)]) {
        item.extend(value.map(|value| (name.to_owned(), n(value))));
    }
    item
}

fn read(item: &Item) -> Result<KeyRecord, StoreError> {
    let malformed = |name: &str| StoreError::Malformed(format!("`{name}` of a key"));
    let scopes =
        item.get("scopes").and_then(|scopes| scopes.as_l().ok()).ok_or_else(|| malformed("scopes"))?;
    let names = scopes.iter().map(|name| name.as_s().map_err(|_| malformed("scopes")));
    let names: Vec<&String> = names.collect::<Result<_, _>>()?;
    Ok(KeyRecord {
        hash: KeyHash::from_hex(text(item, "key_hash")?).ok_or_else(|| malformed("key_hash"))?,
        merchant: MerchantId::new(text(item, "merchant")?),
        mode: Mode::from_name(text(item, "mode")?).ok_or_else(|| malformed("mode"))?,
        // A scope that a later version gave opens nothing here, and the others open what they did (R25).
        scopes: names.into_iter().filter_map(|name| Scope::from_name(name)).collect(),
        name: text(item, "name")?.to_owned(),
        shown: text(item, "shown")?.to_owned(),
        created_at: Timestamp(number(item, "created_at")?),
        expires_at: optional_number(item, "expires_at")?.map(Timestamp),
        revoked_at: optional_number(item, "revoked_at")?.map(Timestamp),
        last_used_day: optional_number(item, "last_used_day")?,
    })
}
