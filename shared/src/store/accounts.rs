//! The Accounts table: one item per account, and one per extended key with the next index to give out.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::attribute::{Item, n, number, optional_number, s, text};
use super::transaction::{CONDITION, Transacted};
use super::{Store, StoreError, failed, is_done};
use crate::account::{Account, AccountState};
use crate::moment::Timestamp;
use crate::money::{BasisPoints, Cents};
use crate::payment::{Code, MerchantId, Secret};

/// Last takers of indexes that a counter remembers.
const TAKERS: u32 = 16;

/// Pages of a megabyte that a list reads at most.
const PAGES: usize = 1_000;

impl Store {
    /// The account, with its volume in the UTC month of `now`.
    pub async fn account(
        &self,
        merchant: &MerchantId,
        now: Timestamp,
    ) -> Result<Option<Account>, StoreError> {
        let found = self
            .client
            .get_item()
            .table_name(&self.tables.accounts)
            .key("account", s(merchant.as_str()))
            .send()
            .await
            .map_err(failed)?;
        found.item.as_ref().map(|item| read(item, now)).transpose()
    }

    /// All accounts, in no order. The table also holds marks and counters, so that this may take many pages.
    pub async fn accounts(&self, now: Timestamp) -> Result<Vec<Account>, StoreError> {
        let (mut accounts, mut start) = (Vec::new(), None);
        for _ in 0..PAGES {
            let scan = self.client.scan().table_name(&self.tables.accounts).set_exclusive_start_key(start);
            let page = scan.filter_expression("attribute_exists(secret)").send().await.map_err(failed)?;
            for item in page.items.unwrap_or_default() {
                let key = text(&item, "account")?;
                accounts.extend(self.readable("accounts", key, read(&item, now))?);
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(accounts)
    }

    /// Writes a new account; `false` when there is one of that id.
    pub async fn insert_account(&self, account: &Account) -> Result<bool, StoreError> {
        let put = self.client.put_item().table_name(&self.tables.accounts).set_item(Some(write(account)));
        // Its own write, retried, is no other account's.
        let put = put
            .condition_expression("attribute_not_exists(account) OR secret = :secret")
            .expression_attribute_values(":secret", s(URL_SAFE_NO_PAD.encode(account.secret.expose())));
        is_done(put.send().await)
    }

    /// Disables or enables an account; whether there is one.
    pub async fn set_account_state(
        &self,
        merchant: &MerchantId,
        state: AccountState,
    ) -> Result<bool, StoreError> {
        self.set_on_account(merchant, "state", s(state.as_str())).await
    }

    /// Sets what an account's new payments keep of the market's rate; whether there is such an account.
    pub async fn set_spread(&self, merchant: &MerchantId, spread: BasisPoints) -> Result<bool, StoreError> {
        self.set_on_account(merchant, "spread_basis_points", n(spread.get())).await
    }

    /// Gives an account its extended key for a family of chains; whether there is such an account.
    pub async fn set_xpub(
        &self,
        merchant: &MerchantId,
        family: &str,
        xpub: &str,
    ) -> Result<bool, StoreError> {
        self.set_on_account(merchant, &format!("xpub_{family}"), s(xpub)).await
    }

    async fn set_on_account(
        &self,
        merchant: &MerchantId,
        attribute: &str,
        value: AttributeValue,
    ) -> Result<bool, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.accounts)
            .key("account", s(merchant.as_str()))
            .update_expression("SET #attribute = :value")
            .condition_expression("attribute_exists(account)")
            .expression_attribute_names("#attribute", attribute)
            .expression_attribute_values(":value", value);
        is_done(update.send().await)
    }

    /// Takes the next index of an extended key; never the same for two takers.
    ///
    /// The same taker again has the index that it took, because a write that was retried, and whoever goes on after a crash,
    /// must leave no gap. The counter remembers the last taker of each of [`TAKERS`] kinds, told apart by a hash: enough for
    /// what comes back at once, small enough for one unit. Who comes back later than another of its kind leaves a gap.
    pub async fn next_index(&self, xpub: &str, taker: &str) -> Result<u32, StoreError> {
        let kind = crc32fast::hash(taker.as_bytes()).checked_rem(TAKERS).unwrap_or_default();
        let (took, by) = (format!("took_{kind}"), format!("by_{kind}"));
        let updated = self
            .client
            .update_item()
            .table_name(&self.tables.accounts)
            .key("account", s(format!("xpub#{xpub}")))
            .update_expression(
                "SET #took = if_not_exists(next_index, :first), #by = :taker ADD next_index :one",
            )
            .condition_expression("attribute_not_exists(#by) OR #by <> :taker")
            .expression_attribute_names("#took", &took)
            .expression_attribute_names("#by", by)
            .expression_attribute_values(":taker", s(taker))
            .expression_attribute_values(":first", n(0))
            .expression_attribute_values(":one", n(1))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let counter = match updated {
            Ok(updated) => updated.attributes,
            Err(SdkError::ServiceError(refused)) if refused.err().is_conditional_check_failed_exception() => {
                let UpdateItemError::ConditionalCheckFailedException(there) = refused.into_err() else {
                    return Err(StoreError::Contended);
                };
                there.item
            }
            Err(error) => return Err(failed(error)),
        };
        number(&counter.unwrap_or_default(), &took)
    }

    /// Counts a payment that was paid for the first time at `paid_at` for its month's volume; a second time does nothing.
    pub async fn count_volume(
        &self,
        merchant: &MerchantId,
        code: Code,
        amount: Cents,
        paid_at: Timestamp,
    ) -> Result<(), StoreError> {
        let table = &self.tables.accounts;
        let malformed = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Malformed(error.to_string());
        let marker = Put::builder()
            .table_name(table)
            .item("account", s(format!("paid#{code}")))
            .condition_expression("attribute_not_exists(account)")
            .build()
            .map_err(malformed)?;
        let sum = Update::builder()
            .table_name(table)
            .key("account", s(merchant.as_str()))
            .update_expression("ADD #volume :amount")
            .condition_expression("attribute_exists(account)")
            .expression_attribute_names("#volume", volume_attribute(paid_at))
            .expression_attribute_values(":amount", n(amount.0))
            .build()
            .map_err(malformed)?;
        let both = [
            TransactWriteItem::builder().put(marker).build(),
            TransactWriteItem::builder().update(sum).build(),
        ];
        match self.transact(both.into()).await? {
            Transacted::Done => Ok(()),
            // The marker is there already.
            Transacted::Refused(why) if why.first().and_then(Option::as_deref) == Some(CONDITION) => Ok(()),
            Transacted::Refused(_) => Err(StoreError::Malformed("a payment's account is gone".to_owned())),
        }
    }
}

fn volume_attribute(at: Timestamp) -> String {
    let (year, month, _, _) = at.utc();
    format!("volume_{year:04}{month:02}")
}

fn write(account: &Account) -> Item {
    let mut item = Item::from([
        ("account".to_owned(), s(account.merchant.as_str())),
        ("name".to_owned(), s(&account.name)),
        ("state".to_owned(), s(account.state.as_str())),
        ("secret".to_owned(), s(URL_SAFE_NO_PAD.encode(account.secret.expose()))),
    ]);
    let terms = [
        ("fee_basis_points", account.fee_rate.map(BasisPoints::get)),
        ("fee_minimum_cents", account.fee_minimum.map(|cents| cents.0)),
        ("free_volume_cents", account.free_volume.map(|cents| cents.0)),
        ("spread_basis_points", Some(account.spread.get()).filter(|spread| *spread > 0)),
    ];
    for (name, value) in terms {
        item.extend(value.map(|value| (name.to_owned(), n(value))));
    }
    item.extend(account.xpubs.iter().map(|(family, xpub)| (format!("xpub_{family}"), s(xpub))));
    item
}

fn read(item: &Item, now: Timestamp) -> Result<Account, StoreError> {
    let malformed = |name: &str| StoreError::Malformed(format!("`{name}` of an account"));
    let secret = URL_SAFE_NO_PAD.decode(text(item, "secret")?).map_err(|_| malformed("secret"))?;
    let share = |name: &str| {
        let number = optional_number(item, name)?;
        number.map(|number| BasisPoints::new(number).ok_or_else(|| malformed(name))).transpose()
    };
    let xpubs = item.iter().filter_map(|(name, xpub)| {
        Some((name.strip_prefix("xpub_")?.to_owned(), xpub.as_s().ok()?.to_owned()))
    });
    Ok(Account {
        merchant: MerchantId::new(text(item, "account")?),
        name: text(item, "name")?.to_owned(),
        state: AccountState::from_name(text(item, "state")?).ok_or_else(|| malformed("state"))?,
        secret: Secret::new(secret.try_into().map_err(|_| malformed("secret"))?),
        fee_rate: share("fee_basis_points")?,
        fee_minimum: optional_number(item, "fee_minimum_cents")?.map(Cents),
        free_volume: optional_number(item, "free_volume_cents")?.map(Cents),
        spread: share("spread_basis_points")?.unwrap_or_default(),
        xpubs: xpubs.collect::<BTreeMap<_, _>>(),
        volume_used: optional_number(item, &volume_attribute(now))?.map(Cents).unwrap_or_default(),
    })
}
