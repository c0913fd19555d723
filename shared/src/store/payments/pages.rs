//! The transfers that lie beside a payment's own item, in items `code#0`, `code#1`, … of fifty each, and where each lies.
//!
//! Anybody can send a payment dust as often as they like, and each transfer counts (R22). The payment's own item holds the
//! newest and what all others come to, so that it is read and written as fast as any; an item `code#id#…` for each of the
//! others says on which page it lies, so that a chain's word of an old transfer finds it.

#[cfg(test)]
#[expect(clippy::as_conversions, reason = "a test's numbers are small")]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;

use super::Found;
use super::row::{Row, TransferRow};
use crate::payment::{Code, Payment, Transfer, TransferId};
use crate::store::attribute::{Item, n, number, optional_number, s};
use crate::store::{ATTEMPTS, Store, StoreError, failed};

/// Transfers of one page: some 20 KB, of which one costs little to write again.
pub(super) const ON_PAGE: usize = 50;

/// Items read at the same time.
const READ_AT_ONCE: usize = 20;

/// Pages that are read where all transfers are wanted: two thousand transfers. Who wants more than that does without.
const WHOLE_PAGES: u32 = 40;

/// The attribute with a page's transfers.
const TRANSFERS: &str = "transfers";

/// A page as it was read.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// All of the item, with what this version does not know.
    pub(super) item: Item,
    version: u64,
}

/// What was read beside a payment's own item.
#[derive(Clone, Debug, Default)]
pub(super) struct Beside {
    /// How many pages there are.
    pub(super) count: u32,
    /// Those that were read.
    pub(super) pages: BTreeMap<u32, Page>,
    /// On which page transfers lie that were taken in hand.
    pub(super) homes: BTreeMap<TransferId, u32>,
}

/// The key of a page.
pub(super) fn page_key(code: Code, number: u32) -> String {
    format!("{code}#{number}")
}

/// The key of the item that says where a transfer lies.
fn home_key(code: Code, id: &TransferId) -> String {
    format!("{code}#id#{id}")
}

/// The item that says on which page a transfer lies.
pub(super) fn home_item(code: Code, id: &TransferId, page: u32) -> Item {
    Item::from([("code".to_owned(), s(home_key(code, id))), ("page".to_owned(), n(page.into()))])
}

/// A page that is written for the first time.
pub(super) fn new_page(code: Code, number: u32) -> Item {
    let transfers = AttributeValue::M(Item::new());
    Item::from([("code".to_owned(), s(page_key(code, number))), (TRANSFERS.to_owned(), transfers)])
}

/// How many pages belong to a payment's own item.
pub(super) fn pages(item: &Item) -> Result<u32, StoreError> {
    Ok(optional_number(item, "pages")?.unwrap_or(0))
}

impl Page {
    fn read(item: Item) -> Result<Page, StoreError> {
        let version = number(&item, "version")?;
        Ok(Page { item, version })
    }

    /// A transfer that lies on it.
    pub(super) fn transfer(&self, id: &TransferId) -> Result<Transfer, StoreError> {
        let found = self.item.get(TRANSFERS).and_then(|all| all.as_m().ok()?.get(id.as_str()));
        let found = found.ok_or_else(|| StoreError::Malformed("a transfer is not on its page".into()))?;
        read_transfer(id.as_str(), found.clone())
    }

    /// All that lie on it, the newest first.
    fn transfers(&self) -> Result<Vec<Transfer>, StoreError> {
        let all = self.item.get(TRANSFERS).and_then(|all| all.as_m().ok());
        let all = all.into_iter().flatten().map(|(id, row)| read_transfer(id, row.clone()));
        let mut all: Vec<Transfer> = all.collect::<Result<_, _>>()?;
        all.sort_unstable_by(|one, other| other.age().cmp(&one.age()));
        Ok(all)
    }
}

fn read_transfer(id: &str, value: AttributeValue) -> Result<Transfer, StoreError> {
    Ok(TransferRow::read(value)?.transfer(id.to_owned())?.1)
}

impl Store {
    /// The payment under `code`, with these of its transfers in hand, ready to be changed without reading it again.
    ///
    /// The cost is the payment's own item's and that of the transfers named, however many others there are.
    pub async fn find_payment_with(
        &self,
        code: Code,
        ids: &[TransferId],
    ) -> Result<Option<Found>, StoreError> {
        for _ in 0..ATTEMPTS {
            let Some(item) = self.item(&code.to_string()).await? else { return Ok(None) };
            let found = Found::of(item)?;
            let in_hand = |id: &&TransferId| found.payment.transfer(id).is_some();
            if !found.payment.has_folded() || ids.iter().all(|id| in_hand(&id)) {
                return Ok(Some(Found { asked: ids.to_vec(), ..found }));
            }
            let wanted: BTreeSet<&TransferId> = ids.iter().filter(|id| !in_hand(id)).collect();
            // Few payments come here, and the others should not carry what this needs.
            if let Some(found) = Box::pin(self.with_folded(found, &wanted)).await? {
                return Ok(Some(Found { asked: ids.to_vec(), ..found }));
            }
        }
        Err(StoreError::Contended)
    }

    /// `None` when somebody wrote the payment since its own item was read.
    async fn with_folded(
        &self,
        mut found: Found,
        wanted: &BTreeSet<&TransferId>,
    ) -> Result<Option<Found>, StoreError> {
        let code = found.payment.id().code();
        let wanted: Vec<&TransferId> = wanted.iter().copied().collect();
        for some in wanted.chunks(READ_AT_ONCE) {
            let homes = some.iter().map(|id| async move { self.item(&home_key(code, id)).await });
            for (id, home) in some.iter().zip(try_join_all(homes).await?) {
                let Some(home) = home else { continue };
                found.beside.homes.insert((*id).clone(), number(&home, "page")?);
            }
        }
        let numbers: BTreeSet<u32> = found.beside.homes.values().copied().collect();
        if !self.read_pages(&mut found, numbers).await? {
            return Ok(None);
        }
        let transfers = found.beside.homes.iter().map(|(id, number)| {
            let page = found.beside.pages.get(number);
            page.ok_or_else(|| StoreError::Malformed("a page of a payment is gone".into()))?.transfer(id)
        });
        let transfers: Vec<Transfer> = transfers.collect::<Result<_, _>>()?;
        found.payment.unfold(transfers);
        Ok(Some(found))
    }

    /// Whether the pages are of one piece with the own item that was read: none was written after it.
    async fn read_pages(&self, found: &mut Found, numbers: BTreeSet<u32>) -> Result<bool, StoreError> {
        let code = found.payment.id().code();
        let numbers: Vec<u32> = numbers.into_iter().collect();
        for some in numbers.chunks(READ_AT_ONCE) {
            if some.iter().any(|number| *number >= found.beside.count) {
                return Ok(false);
            }
            let read = some.iter().map(|number| async move { self.page(code, *number).await });
            for (number, page) in some.iter().zip(try_join_all(read).await?) {
                if page.version > found.version {
                    return Ok(false);
                }
                found.beside.pages.insert(*number, page);
            }
        }
        Ok(true)
    }

    async fn page(&self, code: Code, number: u32) -> Result<Page, StoreError> {
        let found = self.item(&page_key(code, number)).await?;
        Page::read(found.ok_or_else(|| StoreError::Malformed("a page of a payment is gone".into()))?)
    }

    /// The payment under `code` with all of its transfers in hand, to be looked at and not to be changed. Of one with very
    /// many transfers the others stay folded, which the payment says.
    pub async fn whole_payment(&self, code: Code) -> Result<Option<Payment>, StoreError> {
        for _ in 0..ATTEMPTS {
            let Some(item) = self.item(&code.to_string()).await? else { return Ok(None) };
            let mut found = Found::of(item)?;
            if found.beside.count == 0 || found.beside.count > WHOLE_PAGES {
                return Ok(Some(found.payment));
            }
            let numbers = (0..found.beside.count).collect();
            if Box::pin(self.read_pages(&mut found, numbers)).await? {
                for page in found.beside.pages.values() {
                    found.payment.unfold(page.transfers()?);
                }
                return Ok(Some(found.payment));
            }
        }
        Err(StoreError::Contended)
    }

    /// Transfers of one page, the newest first; none where there is no such page.
    pub async fn transfers_on_page(&self, found: &Found, number: u32) -> Result<Vec<Transfer>, StoreError> {
        if number >= found.beside.count {
            return Ok(Vec::new());
        }
        self.page(found.payment.id().code(), number).await?.transfers()
    }

    pub(in crate::store) async fn item(&self, key: &str) -> Result<Option<Item>, StoreError> {
        let get = self.client.get_item().table_name(&self.tables.payments).key("code", s(key));
        Ok(get.consistent_read(true).send().await.map_err(failed)?.item)
    }
}

impl Found {
    /// The payment of its own item.
    pub(in crate::store) fn of(item: Item) -> Result<Found, StoreError> {
        let beside = Beside { count: pages(&item)?, ..Beside::default() };
        let (payment, version) = Row::read(item.clone())?;
        let base = None;
        Ok(Found { payment, version, own: item, base, beside, asked: Vec::new() })
    }

    /// How many pages of transfers lie beside the payment's own item.
    pub fn pages(&self) -> u32 {
        self.beside.count
    }
}
