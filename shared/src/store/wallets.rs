//! Addresses with money, in the table of addresses: by owner, in the order of keys and their indexes.
//!
//! They follow the payments at a distance, through their stream. A payment is the record; what is here can be lost.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;

use super::attribute::{Item, n, number, optional_number, s, text};
use super::{ATTEMPTS, Store, StoreError, failed, is_done};
use crate::chain::{ChainId, CoinId};
use crate::moment::Timestamp;
use crate::money::Units;
use crate::payment::{Code, GivenAddress};
use crate::wallet::{Balance, Owner, Received, Wallet};

/// Before a coin's name: what was received of it.
const RECEIVED: &str = "received_";

/// Before a coin's name: what a chain was last seen to hold of it.
const BALANCE: &str = "balance_";

/// A wallet as it was noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedWallet {
    /// The address and what came to it.
    pub wallet: Wallet,
    /// Whose address it is.
    pub code: Code,
    /// What the chain was last seen to hold, by coin.
    pub balances: BTreeMap<CoinId, Balance>,
}

/// How far the addresses of an extended key reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Addresses given out: the next one has this index.
    pub given_out: u32,
    /// The highest index that ever had money.
    pub highest_used: Option<u32>,
    /// The most that a wallet had to look ahead from one address with money to the next.
    pub gap: u32,
}

impl NotedWallet {
    /// Where it stands in its owner's list.
    pub fn position(&self) -> String {
        position(&self.wallet.given)
    }

    /// Whether anything is known of a coin there: that some came, or that the chain held some.
    pub fn knows(&self, coin: &CoinId) -> bool {
        self.wallet.received.contains_key(coin) || self.balances.contains_key(coin)
    }
}

impl Store {
    /// Notes what came to an address, by the payment's version `version`, unless a later one was noted already.
    pub async fn note_wallet(
        &self,
        owner: &Owner,
        code: Code,
        wallet: &Wallet,
        version: u64,
    ) -> Result<(), StoreError> {
        let mut sets: Vec<String> =
            ["address", "code", "version"].iter().map(|name| format!("#{name} = :{name}")).collect();
        let mut update = self
            .client
            .update_item()
            .table_name(&self.tables.addresses)
            .key("bucket", s(bucket(owner)))
            .key("stamp", s(position(&wallet.given)))
            .expression_attribute_values(":address", s(&wallet.given.address))
            .expression_attribute_values(":code", s(code.to_string()))
            .expression_attribute_values(":version", n(version));
        for name in ["address", "code", "version"] {
            update = update.expression_attribute_names(format!("#{name}"), name);
        }
        for (place, (coin, received)) in wallet.received.iter().enumerate() {
            sets.push(format!("#r{place} = :r{place}"));
            let units = ("units".to_owned(), s(received.units.0.to_string()));
            let value = [units, ("chain".to_owned(), s(received.chain.to_string()))].into();
            update = update
                .expression_attribute_names(format!("#r{place}"), format!("{RECEIVED}{coin}"))
                .expression_attribute_values(format!(":r{place}"), AttributeValue::M(value));
        }
        let update = update
            .update_expression(format!("SET {}", sets.join(", ")))
            .condition_expression("attribute_not_exists(#version) OR #version <= :version");
        is_done(update.send().await).map(|_| ())
    }

    /// Notes what a chain holds of a coin at an address; an older look never overwrites a newer one. `false` when it did
    /// not, and when nothing that came there was noted yet.
    pub async fn note_balance(
        &self,
        owner: &Owner,
        given: &GivenAddress,
        coin: &CoinId,
        balance: &Balance,
    ) -> Result<bool, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.addresses)
            .key("bucket", s(bucket(owner)))
            .key("stamp", s(position(given)))
            .update_expression("SET #balance = :balance")
            .condition_expression(
                "attribute_exists(stamp) AND (attribute_not_exists(#balance) OR #balance.#at <= :at)",
            )
            .expression_attribute_names("#balance", format!("{BALANCE}{coin}"))
            .expression_attribute_names("#at", "at")
            .expression_attribute_values(":balance", AttributeValue::M(balance_item(balance)))
            .expression_attribute_values(":at", n(balance.at.0));
        is_done(update.send().await)
    }

    /// An owner's wallets after a position, in the order of keys and indexes; at most `limit`. With the position after
    /// which there may be more.
    pub async fn wallets(
        &self,
        owner: &Owner,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<NotedWallet>, Option<String>), StoreError> {
        let found = self
            .client
            .query()
            .table_name(&self.tables.addresses)
            .key_condition_expression("#bucket = :bucket AND stamp > :after")
            .expression_attribute_names("#bucket", "bucket")
            .expression_attribute_values(":bucket", s(bucket(owner)))
            // No position begins with a control character.
            .expression_attribute_values(":after", s(after.unwrap_or("\u{1}")))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(failed)?;
        let more = found.last_evaluated_key.as_ref().map(|key| text(key, "stamp").map(str::to_owned));
        let mut wallets = Vec::new();
        for item in found.items.unwrap_or_default() {
            let stamp = text(&item, "stamp")?;
            wallets.extend(self.readable("wallets", stamp, read(&item))?);
        }
        Ok((wallets, more.transpose()?))
    }

    /// Notes that money came to an index of an extended key, so that it is known how far a wallet must look.
    ///
    /// Only a new highest index counts: an address below it that is used later makes the gaps smaller, never larger.
    pub async fn note_used(&self, xpub: &str, index: u32) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            let reach = self.reach(xpub).await?;
            if reach.highest_used.is_some_and(|highest| highest >= index) {
                return Ok(());
            }
            let ahead = index
                .saturating_add(1)
                .saturating_sub(reach.highest_used.map_or(0, |highest| highest.saturating_add(1)));
            if self.put_used(xpub, reach.highest_used, index, reach.gap.max(ahead)).await? {
                return Ok(());
            }
        }
        Err(StoreError::Contended)
    }

    async fn put_used(
        &self,
        xpub: &str,
        read: Option<u32>,
        index: u32,
        gap: u32,
    ) -> Result<bool, StoreError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.tables.accounts)
            .key("account", s(format!("xpub#{xpub}")))
            .update_expression("SET highest_used = :index, used_gap = :gap")
            .expression_attribute_values(":index", n(index.into()))
            .expression_attribute_values(":gap", n(gap.into()));
        update = match read {
            None => update.condition_expression("attribute_not_exists(highest_used)"),
            Some(read) => update
                .condition_expression("highest_used = :read")
                .expression_attribute_values(":read", n(read.into())),
        };
        is_done(update.send().await)
    }

    /// How far the addresses of an extended key reach.
    pub async fn reach(&self, xpub: &str) -> Result<Reach, StoreError> {
        let found = self
            .client
            .get_item()
            .table_name(&self.tables.accounts)
            .key("account", s(format!("xpub#{xpub}")))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed)?;
        let item = found.item.unwrap_or_default();
        Ok(Reach {
            given_out: optional_number(&item, "next_index")?.unwrap_or(0),
            highest_used: optional_number(&item, "highest_used")?,
            gap: optional_number(&item, "used_gap")?.unwrap_or(0),
        })
    }
}

fn bucket(owner: &Owner) -> String {
    format!("wallet#{}#{}", owner.merchant.as_str(), owner.mode.as_str())
}

/// Padded to the digits of the largest index, so that the order of texts is the order of indexes.
fn position(given: &GivenAddress) -> String {
    format!("{}#{}#{:010}", given.family, given.xpub, given.index)
}

fn malformed(name: &str) -> StoreError {
    StoreError::Malformed(format!("`{name}` of a wallet"))
}

fn read(item: &Item) -> Result<NotedWallet, StoreError> {
    let mut parts = text(item, "stamp")?.splitn(3, '#');
    let (family, xpub, index) = (parts.next(), parts.next(), parts.next());
    let part = |part: Option<&str>| part.map(str::to_owned).ok_or_else(|| malformed("stamp"));
    let given = GivenAddress {
        family: part(family)?,
        address: text(item, "address")?.to_owned(),
        xpub: part(xpub)?,
        index: part(index)?.parse().map_err(|_| malformed("stamp"))?,
    };
    let (mut received, mut balances) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in item {
        let sum = || value.as_m().map_err(|_| malformed(name));
        if let Some(coin) = name.strip_prefix(RECEIVED) {
            let chain = ChainId::new(text(sum()?, "chain")?).ok_or_else(|| malformed(name))?;
            received.insert(coin_id(coin)?, Received { chain, units: units(sum()?)? });
        } else if let Some(coin) = name.strip_prefix(BALANCE) {
            balances.insert(coin_id(coin)?, balance(sum()?)?);
        }
    }
    let code = text(item, "code")?.parse().map_err(|_| malformed("code"))?;
    Ok(NotedWallet { wallet: Wallet { given, received }, code, balances })
}

fn balance_item(balance: &Balance) -> Item {
    let mut item = Item::from([
        ("units".to_owned(), s(balance.units.0.to_string())),
        ("height".to_owned(), n(balance.height)),
        ("at".to_owned(), n(balance.at.0)),
    ]);
    // The table has no empty sets.
    if !balance.unspent.is_empty() {
        let outputs = balance.unspent.iter().map(ToString::to_string).collect();
        item.insert("unspent".to_owned(), AttributeValue::Ss(outputs));
    }
    item
}

fn balance(item: &Item) -> Result<Balance, StoreError> {
    let outputs = item.get("unspent").map(|outputs| outputs.as_ss().map_err(|_| malformed("unspent")));
    let outputs = outputs.transpose()?.into_iter().flatten();
    let unspent = outputs.map(|output| output.parse().map_err(|_| malformed("unspent")));
    Ok(Balance {
        units: units(item)?,
        height: number(item, "height")?,
        at: Timestamp(number(item, "at")?),
        unspent: unspent.collect::<Result<BTreeSet<_>, _>>()?,
    })
}

fn coin_id(name: &str) -> Result<CoinId, StoreError> {
    CoinId::new(name).ok_or_else(|| malformed("coin"))
}

fn units(item: &Item) -> Result<Units, StoreError> {
    text(item, "units")?.parse().map(Units).map_err(|_| malformed("units"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::{MerchantId, Mode};
    use crate::store::testing;

    fn owner() -> Owner {
        Owner { merchant: MerchantId::new("mer_1"), mode: Mode::Test }
    }

    fn wallet(index: u32, units: u128) -> Wallet {
        let given =
            GivenAddress { family: "evm".into(), address: format!("0x{index}"), xpub: "00ff".into(), index };
        let received = Received { chain: ChainId::new("ethereum").unwrap(), units: Units(units) };
        Wallet { given, received: [(CoinId::new("ETH").unwrap(), received)].into() }
    }

    #[tokio::test]
    async fn wallets_come_in_the_order_of_their_indexes_page_by_page() {
        let store = testing::store().await;
        let code = Code::from_random(7);
        for index in [11, 2, 900_000_000] {
            store.note_wallet(&owner(), code, &wallet(index, u128::MAX), 1).await.unwrap();
        }
        let (first, more) = store.wallets(&owner(), None, 2).await.unwrap();
        let (rest, _) = store.wallets(&owner(), more.as_deref(), 2).await.unwrap();
        let listed: Vec<_> = first.into_iter().chain(rest).map(|noted| noted.wallet).collect();
        assert_eq!(listed, [2, 11, 900_000_000].map(|index| wallet(index, u128::MAX)));
        let live = Owner { mode: Mode::Live, ..owner() };
        assert_eq!(store.wallets(&live, None, 2).await.unwrap(), (vec![], None));
    }

    #[tokio::test]
    async fn an_older_note_changes_nothing_and_a_newer_one_leaves_the_balance() {
        let store = testing::store().await;
        let (code, eth) = (Code::from_random(7), CoinId::new("ETH").unwrap());
        let balance = |units, at| {
            let output = format!("{}:{units}", "ab".repeat(32)).parse().unwrap();
            Balance { units: Units(units), height: 7, at: Timestamp(at), unspent: BTreeSet::from([output]) }
        };
        let given = wallet(3, 5).given;
        assert!(!store.note_balance(&owner(), &given, &eth, &balance(1, 1)).await.unwrap());
        assert_eq!(store.wallets(&owner(), None, 9).await.unwrap().0, [], "a balance alone makes no wallet");
        store.note_wallet(&owner(), code, &wallet(3, 5), 2).await.unwrap();
        for (units, at, is_newer) in [(4, 20, true), (9, 10, false)] {
            let noted = store.note_balance(&owner(), &given, &eth, &balance(units, at)).await.unwrap();
            assert_eq!(noted, is_newer);
        }
        store.note_wallet(&owner(), code, &wallet(3, 7), 1).await.unwrap();
        store.note_wallet(&owner(), code, &wallet(3, 6), 3).await.unwrap();
        let expected = NotedWallet { wallet: wallet(3, 6), code, balances: [(eth, balance(4, 20))].into() };
        assert_eq!(store.wallets(&owner(), None, 9).await.unwrap().0, [expected]);
    }

    #[tokio::test]
    async fn the_gap_is_the_longest_way_from_one_address_with_money_to_the_next() {
        let store = testing::store().await;
        let reach = async || {
            let reach = store.reach("key").await.unwrap();
            (reach.given_out, reach.highest_used, reach.gap)
        };
        assert_eq!(reach().await, (0, None, 0));
        for taker in 0..30 {
            store.next_index("key", &taker.to_string()).await.unwrap();
        }
        for (index, gap) in [(2, 3), (3, 3), (3, 3), (24, 21), (10, 21), (25, 21)] {
            store.note_used("key", index).await.unwrap();
            assert_eq!(reach().await.2, gap, "{index}");
        }
        assert_eq!(reach().await, (30, Some(25), 21));
        assert_eq!(store.next_index("key", "next").await.unwrap(), 30, "the counter is the counter");
    }
}
