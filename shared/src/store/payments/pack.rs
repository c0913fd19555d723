//! Writing a payment: its own item, and of what lies beside it only what changed.
//!
//! What one write does not carry goes before it in others, each of which leaves a payment that knows a part of the new
//! transfers, as if it had been told of those first: who comes after one that died tells of the rest again, and nothing is
//! written twice.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};

use super::Found;
use super::pages::{ON_PAGE, home_item, new_page};
use super::row::{Row, TransferRow};
use crate::payment::{Payment, Transfer, TransferId};
use crate::store::attribute::{Item, n};
use crate::store::transaction::Transacted;
use crate::store::{Store, StoreError};

/// Transfers in the payment's own item: the hundred that are shown, and a page's worth on their way out.
const IN_ITEM: usize = 150;

/// Pages that change in one write. With the own item, a new page and an item for each transfer on that they are 62 items of
/// some 300 KB, where a transaction takes a hundred items and 4 MB.
const PAGES_AT_ONCE: usize = 10;

/// Writes for one change: as many new transfers as a block of any chain can hold, and more.
const WRITES: usize = 2_000;

/// What one write carries.
struct Packed {
    /// The payment as its own item holds it.
    payment: Payment,
    own: Item,
    beside: Vec<Item>,
    found: Found,
}

impl Store {
    /// Writes a payment over what was read; `false` when somebody else's write came first.
    pub(super) async fn replace_payment(&self, read: &Found, next: &Payment) -> Result<bool, StoreError> {
        let is_small = next.progress().transfers.len() <= IN_ITEM;
        if is_small && read.beside.homes.is_empty() {
            let version = read.version.saturating_add(1);
            let mut item = Row::new(next, version, read.beside.count).into_item()?;
            Row::keep_unknown(&read.own, &mut item)?;
            return self.put_over(item, read.version).await;
        }
        Box::pin(self.replace_in_parts(read, next)).await
    }

    async fn replace_in_parts(&self, read: &Found, next: &Payment) -> Result<bool, StoreError> {
        let mut from = read.clone();
        for _ in 0..WRITES {
            let (some, is_all) = some_of(&from, next);
            let packed = pack(&from, next, &some, is_all)?;
            if !self.put_together(packed.own, packed.beside, from.version).await? {
                return Ok(false);
            }
            if is_all {
                return Ok(true);
            }
            from = packed.found;
            from.base = Some(Box::new(packed.payment));
        }
        Err(StoreError::Malformed("a change of a payment takes too many writes".into()))
    }

    /// Writes the payment's own item, which guards the others, and some of those.
    async fn put_together(&self, own: Item, beside: Vec<Item>, read: u64) -> Result<bool, StoreError> {
        if beside.is_empty() {
            return self.put_over(own, read).await;
        }
        let table = &self.tables.payments;
        let malformed = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Malformed(error.to_string());
        let own =
            Put::builder().table_name(table).set_item(Some(own)).condition_expression("version = :read");
        let own = own.expression_attribute_values(":read", n(read)).build().map_err(malformed)?;
        let beside =
            beside.into_iter().map(|item| Put::builder().table_name(table).set_item(Some(item)).build());
        let beside = beside.collect::<Result<Vec<_>, _>>().map_err(malformed)?;
        let puts =
            std::iter::once(own).chain(beside).map(|put| TransactWriteItem::builder().put(put).build());
        match self.transact(puts.collect()).await? {
            Transacted::Done => Ok(true),
            // Somebody else's write came first.
            Transacted::Refused(_) => Ok(false),
        }
    }
}

/// The changed transfers that the next write carries, and whether those are all: first what is new, so that a flood which
/// never stops to be told of again is taken in all the same.
fn some_of(from: &Found, next: &Payment) -> (BTreeSet<TransferId>, bool) {
    let before = &from.payment.progress().transfers;
    let changed =
        next.progress().transfers.iter().filter(|(id, transfer)| before.get(*id) != Some(*transfer));
    let (mut some, mut is_all) = (BTreeSet::new(), true);
    let (mut new, mut pages) = (0_usize, BTreeSet::new());
    let changed: Vec<&TransferId> = changed.map(|(id, _)| id).collect();
    for id in &changed {
        if before.contains_key(*id) {
            continue;
        }
        new = new.saturating_add(1);
        if new > ON_PAGE {
            is_all = false;
            break;
        }
        some.insert((*id).clone());
    }
    for id in changed {
        let Some(page) = from.beside.homes.get(id) else {
            if before.contains_key(id) {
                some.insert(id.clone());
            }
            continue;
        };
        if pages.contains(page) || pages.len() < PAGES_AT_ONCE {
            pages.insert(*page);
            some.insert(id.clone());
        } else {
            is_all = false;
        }
    }
    (some, is_all)
}

/// The items after some transfers have changed to what they are in `next`, and all else has too if that is all.
fn pack(
    from: &Found,
    next: &Payment,
    some: &BTreeSet<TransferId>,
    is_all: bool,
) -> Result<Packed, StoreError> {
    let (code, version) = (next.id().code(), from.version.saturating_add(1));
    let mut payment = match &from.base {
        Some(base) => Payment::clone(base),
        None => Row::read(from.own.clone())?.0,
    };
    let homes = |id: &TransferId| from.beside.homes.get(id).copied();
    let unfolded =
        some.iter().filter_map(|id| from.beside.pages.get(&homes(id)?).map(|page| page.transfer(id)));
    payment.unfold(unfolded.collect::<Result<Vec<_>, _>>()?);
    let changed = some.iter().filter_map(|id| Some((id, next.progress().transfers.get(id)?)));
    let mut now_in_hand = payment.progress().transfers.clone();
    now_in_hand.extend(changed.map(|(id, transfer)| (id.clone(), transfer.clone())));
    let mut progress = if is_all { next.progress().clone() } else { payment.progress().clone() };
    progress.folded = payment.progress().folded.clone();
    progress.transfers = now_in_hand;
    // Which of the transfers are the merchant's own is told with them.
    progress.top_ups.clone_from(&next.progress().top_ups);
    progress.updated_at = next.updated_at();
    let (merchant, terms) = (next.merchant().clone(), next.terms().clone());
    let mut payment = Payment::restore(next.id(), merchant, next.mode(), terms, progress);

    let mut beside = from.beside.clone();
    let mut written = Vec::new();
    let mut by_page: BTreeMap<u32, Vec<TransferId>> = BTreeMap::new();
    for id in some {
        if let Some(page) = homes(id) {
            by_page.entry(page).or_default().push(id.clone());
        }
    }
    for (number, ids) in by_page {
        let folded = payment.fold(&ids);
        let Some(page) = beside.pages.get_mut(&number) else { continue };
        put_transfers(&mut page.item, folded)?;
        page.item.insert("version".to_owned(), n(version));
        written.push(page.item.clone());
    }
    while payment.progress().transfers.len() > IN_ITEM {
        let ids: Vec<TransferId> =
            payment.foldable().take(ON_PAGE).map(|transfer| transfer.movement().id.clone()).collect();
        let (number, folded) = (beside.count, payment.fold(&ids));
        if folded.is_empty() {
            break;
        }
        let mut page = new_page(code, number);
        written.extend(folded.iter().map(|transfer| home_item(code, &transfer.movement().id, number)));
        keep_moved(&from.own, &mut page, folded)?;
        page.insert("version".to_owned(), n(version));
        written.push(page);
        beside.count = number.saturating_add(1);
    }
    let mut own = Row::new(&payment, version, beside.count).into_item()?;
    Row::keep_unknown(&from.own, &mut own)?;
    let seen = with_changes(&from.payment, next, some, is_all);
    let found =
        Found { payment: seen, version, own: own.clone(), base: None, beside, asked: from.asked.clone() };
    Ok(Packed { payment, own, beside: written, found })
}

/// What the writer knows the payment to be after a write: every transfer that it had in hand, some of them changed.
fn with_changes(from: &Payment, next: &Payment, some: &BTreeSet<TransferId>, is_all: bool) -> Payment {
    if is_all {
        return next.clone();
    }
    let mut progress = from.progress().clone();
    let changed = some.iter().filter_map(|id| Some((id.clone(), next.progress().transfers.get(id)?.clone())));
    progress.transfers.extend(changed);
    // Which of the transfers are the merchant's own is told with them.
    progress.top_ups.clone_from(&next.progress().top_ups);
    progress.updated_at = next.updated_at();
    let (merchant, terms) = (from.merchant().clone(), from.terms().clone());
    Payment::restore(from.id(), merchant, from.mode(), terms, progress)
}

/// Writes transfers over those on their page.
fn put_transfers(page: &mut Item, transfers: Vec<Transfer>) -> Result<(), StoreError> {
    let Some(AttributeValue::M(there)) = page.get_mut("transfers") else { return Ok(()) };
    for transfer in transfers {
        let id = transfer.movement().id.to_string();
        let mut row = TransferRow::value(&transfer)?;
        if let Some(was) = there.get(&id) {
            TransferRow::keep_unknown(was, &mut row)?;
        }
        there.insert(id, row);
    }
    Ok(())
}

/// Writes transfers on a page that leave the payment's own item, with what is not known of them.
fn keep_moved(own: &Item, page: &mut Item, transfers: Vec<Transfer>) -> Result<(), StoreError> {
    let was = own.get("transfers").and_then(|all| all.as_m().ok());
    if let (Some(was), Some(AttributeValue::M(there))) = (was, page.get_mut("transfers")) {
        for transfer in &transfers {
            let id = transfer.movement().id.as_str();
            there.extend(was.get_key_value(id).map(|(id, was)| (id.clone(), was.clone())));
        }
    }
    put_transfers(page, transfers)
}
