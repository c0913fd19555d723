//! The Addresses table once more: the items of single addresses, which are never forgotten, and what was last seen of them.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;

use super::attribute::{Item, n, number, s, text};
use super::{Store, StoreError, failed, is_done};
use crate::chain::{ChainId, CoinId};
use crate::money::Units;
use crate::payment::Code;

/// Items read at once.
const PAGE: i32 = 1_000;

/// Pages read at most where all of them are wanted: ten million items.
const PAGES: usize = 10_000;

/// Where in its partition the item of a single address is.
const SINGLE: &str = "-";

/// Before a chain's name: what was last seen of the address there.
const LOOK: &str = "look_";

/// An address that was given out, to one payment, ever (R24).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The address.
    pub address: String,
    /// Whose it is.
    pub code: Code,
    /// The family of chains on which it exists.
    pub family: String,
    /// What was last seen of it, by chain.
    pub looks: BTreeMap<ChainId, Look>,
}

/// What was seen of an address on a chain, once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// After the block of this height.
    pub height: u64,
    /// What it held.
    pub balances: BTreeMap<CoinId, Units>,
    /// Whether it had sent anything itself by then, which it never takes back.
    pub has_sent: bool,
}

/// A place between two items of the table, in its own order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanPlace {
    /// The item's partition.
    pub bucket: String,
    /// The item within it.
    pub stamp: String,
}

impl Given {
    /// Its place in the table.
    pub fn place(&self) -> ScanPlace {
        ScanPlace { bucket: bucket(&self.address), stamp: SINGLE.to_owned() }
    }
}

impl Store {
    /// The payment to which an address was given out; `None` for an address that never was.
    pub async fn given(&self, address: &str) -> Result<Option<Given>, StoreError> {
        let found = self
            .client
            .get_item()
            .table_name(&self.tables.addresses)
            .key("bucket", s(bucket(address)))
            .key("stamp", s(SINGLE))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed)?;
        found.item.as_ref().map(read).transpose()
    }

    /// Hands over every address of a family that was ever given out: a scan of the table, for the operator's rare needs.
    pub async fn each_given(&self, family: &str, mut each: impl FnMut(Given)) -> Result<(), StoreError> {
        let mut after = None;
        for _ in 0..PAGES {
            let (given, next) = self.given_after(after).await?;
            given.into_iter().filter(|given| given.family == family).for_each(&mut each);
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
        Err(StoreError::Malformed("there are more addresses than one command reads".into()))
    }

    /// Some of the addresses that were ever given out, after a place in the table, and the place to go on from.
    pub async fn given_after(
        &self,
        after: Option<ScanPlace>,
    ) -> Result<(Vec<Given>, Option<ScanPlace>), StoreError> {
        let start = after.map(|ScanPlace { bucket, stamp }| {
            HashMap::from([("bucket".to_owned(), s(bucket)), ("stamp".to_owned(), s(stamp))])
        });
        let page = self
            .client
            .scan()
            .table_name(&self.tables.addresses)
            .filter_expression("begins_with(#bucket, :single)")
            .expression_attribute_names("#bucket", "bucket")
            .expression_attribute_values(":single", s(bucket("")))
            .consistent_read(true)
            .limit(PAGE)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(failed)?;
        let place = |key: &Item| -> Result<ScanPlace, StoreError> {
            Ok(ScanPlace { bucket: text(key, "bucket")?.to_owned(), stamp: text(key, "stamp")?.to_owned() })
        };
        let next = page.last_evaluated_key.as_ref().map(place).transpose()?;
        let mut given = Vec::new();
        for item in page.items.unwrap_or_default() {
            let bucket = text(&item, "bucket")?;
            given.extend(self.readable("addresses given out", bucket, read(&item))?);
        }
        Ok((given, next))
    }

    /// Notes what was seen of an address on a chain, as the attribute `look_CHAIN`, unless somebody looked at a later block.
    pub async fn note_look(&self, address: &str, chain: &ChainId, look: &Look) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.addresses)
            .key("bucket", s(bucket(address)))
            .key("stamp", s(SINGLE))
            .update_expression("SET #look = :look")
            .condition_expression(
                "attribute_exists(#bucket) AND (attribute_not_exists(#look) OR #look.#height <= :height)",
            )
            .expression_attribute_names("#bucket", "bucket")
            .expression_attribute_names("#look", format!("{LOOK}{chain}"))
            .expression_attribute_names("#height", "height")
            .expression_attribute_values(":look", AttributeValue::M(look_item(look)))
            .expression_attribute_values(":height", n(look.height));
        is_done(update.send().await).map(|_| ())
    }
}

fn bucket(address: &str) -> String {
    format!("address#{address}")
}

fn malformed(name: &str) -> StoreError {
    StoreError::Malformed(format!("`{name}` of an address"))
}

fn read(item: &Item) -> Result<Given, StoreError> {
    let address = text(item, "bucket")?.strip_prefix("address#").ok_or_else(|| malformed("bucket"))?;
    let mut looks = BTreeMap::new();
    for (name, value) in item {
        let Some(chain) = name.strip_prefix(LOOK).and_then(ChainId::new) else { continue };
        looks.insert(chain, look(value.as_m().map_err(|_| malformed(name))?)?);
    }
    Ok(Given {
        address: address.to_owned(),
        code: text(item, "code")?.parse().map_err(|_| malformed("code"))?,
        family: text(item, "family")?.to_owned(),
        looks,
    })
}

fn look_item(look: &Look) -> Item {
    let balances = look.balances.iter().map(|(coin, units)| (coin.to_string(), s(units.0.to_string())));
    Item::from([
        ("height".to_owned(), n(look.height)),
        ("balances".to_owned(), AttributeValue::M(balances.collect())),
        ("has_sent".to_owned(), AttributeValue::Bool(look.has_sent)),
    ])
}

fn look(item: &Item) -> Result<Look, StoreError> {
    let balances = item.get("balances").and_then(|all| all.as_m().ok());
    let mut look = Look { height: number(item, "height")?, ..Look::default() };
    look.has_sent = item.get("has_sent").and_then(|sent| sent.as_bool().ok()).copied().unwrap_or(false);
    for (name, units) in balances.ok_or_else(|| malformed("balances"))? {
        let coin = CoinId::new(name).ok_or_else(|| malformed("balances"))?;
        let units = units.as_s().ok().and_then(|units| units.parse().ok());
        look.balances.insert(coin, Units(units.ok_or_else(|| malformed("balances"))?));
    }
    Ok(look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::GivenAddress;
    use crate::store::testing;

    #[tokio::test]
    async fn what_was_seen_is_kept_by_chain_and_the_table_is_read_on_from_any_address() {
        let store = testing::store().await;
        for index in 0..5 {
            let (family, xpub) = ("evm".to_owned(), "f".to_owned());
            let given = GivenAddress { family, address: format!("0x{index}"), xpub, index };
            assert!(store.claim_address(&given, Code::from_random(index.into())).await.unwrap());
        }
        let (all, next) = store.given_after(None).await.unwrap();
        assert_eq!((all.len(), next), (5, None));
        let (rest, _) = store.given_after(Some(all[1].place())).await.unwrap();
        assert_eq!(rest, all[2..]);

        let look = |height, units| Look {
            height,
            balances: BTreeMap::from([(CoinId::new("ETH").unwrap(), Units(units))]),
            has_sent: units == 0,
        };
        let [one, other] = ["ethereum", "base"].map(|name| ChainId::new(name).unwrap());
        for (chain, look) in [(&one, look(7, u128::MAX)), (&other, look(3, 0)), (&one, look(6, 1))] {
            store.note_look("0x1", chain, &look).await.unwrap();
        }
        let looks = store.given("0x1").await.unwrap().unwrap().looks;
        assert_eq!(looks, BTreeMap::from([(one, look(7, u128::MAX)), (other, look(3, 0))]));
    }
}
