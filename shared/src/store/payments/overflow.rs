//! Payments with more transfers than one item holds: the rest lies in items `code#1`, `code#2`, …
//!
//! Anybody can send a payment dust as often as they like, and each transfer counts (R22). A transfer stays in the item in
//! which it lies, so that a write carries only what changed, and the payment's own item, which is part of every write,
//! names the last write of each of the others, so that a reader notices when they are not of one piece.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::Found;
use super::row::{self, Row, TransferRow};
use crate::payment::{Code, Payment, TransferId};
use crate::store::attribute::{Item, n, number, optional_number, s};
use crate::store::transaction::Transacted;
use crate::store::{ATTEMPTS, Store, StoreError, failed};

/// Transfers in the payment's own item: some 80 KB, so that ordinary reads stay cheap.
const IN_ITEM: usize = 200;

/// Transfers in each further item: half of what an item may weigh.
const IN_CHUNK: usize = 400;

/// Further items: four hundred thousand transfers, each of which cost somebody a fee.
const CHUNKS: usize = 1_000;

/// Further items in one write. With the payment's own they are nine of 400 KB at most, where a transaction takes 4 MB and
/// a hundred items.
const CHUNKS_AT_ONCE: usize = 8;

/// Lots of transfers in one write that is not the last: those of a further item, or as many new ones, which may begin in
/// one such item and end in the next.
const LOTS_AT_ONCE: usize = 7;

/// Further items read at the same time.
const READ_AT_ONCE: usize = 16;

/// Transfers by key.
type Transfers = BTreeMap<String, TransferRow>;

/// A further item.
#[derive(Deserialize, Serialize)]
struct Chunk {
    code: String,
    version: u64,
    transfers: Transfers,
}

/// Which transfers lie in each of a payment's further items; the others are in its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout(Vec<Kept>);

/// What a further item holds since the write of that number.
#[derive(Clone, Debug)]
struct Kept {
    version: u64,
    ids: BTreeSet<TransferId>,
}

impl Layout {
    /// Where the transfers of `to` lie after the write of that number over `from`. What the payment's own item has no
    /// room for goes to the last of the others, and then to new ones.
    fn after(&self, from: &Payment, to: &Payment, version: u64) -> Layout {
        let mut own: BTreeSet<&TransferId> = to.progress().transfers.keys().collect();
        let mut chunks = self.0.clone();
        for chunk in &mut chunks {
            if chunk.ids.iter().any(|id| differs(from, to, id)) {
                chunk.version = version;
            }
            chunk.ids.retain(|id| own.remove(id));
        }
        for id in own.into_iter().skip(IN_ITEM) {
            if chunks.last().is_none_or(|last| last.ids.len() >= IN_CHUNK) {
                chunks.push(Kept { version, ids: BTreeSet::new() });
            }
            if let Some(last) = chunks.last_mut() {
                last.version = version;
                last.ids.insert(id.clone());
            }
        }
        Layout(chunks)
    }

    /// How many further items the write of that number carries.
    fn written(&self, version: u64) -> usize {
        self.0.iter().filter(|chunk| chunk.version == version).count()
    }

    /// `from` with as much of what is new in `to` as one write carries: as if those transfers alone had been told of.
    fn on_the_way(&self, from: &Payment, to: &Payment) -> Payment {
        let ids = from.progress().transfers.keys().chain(to.progress().transfers.keys());
        let mut elsewhere: BTreeSet<&TransferId> = ids.filter(|id| differs(from, to, id)).collect();
        let mut lots: Vec<Vec<&TransferId>> = Vec::new();
        for chunk in &self.0 {
            lots.push(chunk.ids.iter().filter(|id| elsewhere.remove(id)).collect());
        }
        let elsewhere: Vec<&TransferId> = elsewhere.into_iter().collect();
        lots.extend(elsewhere.chunks(IN_CHUNK).map(<[_]>::to_vec));
        lots.retain(|lot| !lot.is_empty());
        let mut progress = from.progress().clone();
        progress.updated_at = to.updated_at();
        for id in lots.into_iter().take(LOTS_AT_ONCE).flatten() {
            match to.progress().transfers.get(id) {
                Some(transfer) => progress.transfers.insert(id.clone(), transfer.clone()),
                None => progress.transfers.remove(id),
            };
        }
        let (merchant, terms) = (from.merchant().clone(), from.terms().clone());
        Payment::restore(from.id(), merchant, from.mode(), terms, progress)
    }

    /// The payment's own item, and those of the others that the write of that number carries.
    fn items(&self, payment: &Payment, version: u64) -> Result<(Item, Vec<Item>), StoreError> {
        let mut row = Row::new(payment, version);
        let code = payment.id().code();
        let mut written = Vec::new();
        for (place, kept) in (1_u32..).zip(&self.0) {
            let transfers = row.take_transfers(&kept.ids);
            if kept.version == version {
                let chunk = Chunk { code: chunk_code(code, place), version, transfers };
                let item = serde_dynamo::to_item(chunk);
                written.push(item.map_err(|error| StoreError::Malformed(error.to_string()))?);
            }
        }
        row.set_chunks(self.0.iter().map(|kept| kept.version).collect());
        Ok((row.into_item()?, written))
    }
}

fn differs(from: &Payment, to: &Payment, id: &TransferId) -> bool {
    from.progress().transfers.get(id) != to.progress().transfers.get(id)
}

fn chunk_code(code: Code, place: u32) -> String {
    format!("{code}#{place}")
}

/// The last write of each further item that belongs to a payment's own. Items of old name only how many there are: each
/// write carried them all.
fn versions(item: &Item) -> Result<Vec<u64>, StoreError> {
    let chunks: usize = optional_number(item, "chunks")?.unwrap_or(0);
    match item.get("chunk_versions") {
        Some(versions) => serde_dynamo::from_attribute_value(versions.clone())
            .map_err(|error| StoreError::Malformed(error.to_string())),
        None if chunks > CHUNKS => Err(StoreError::Malformed("`chunks` of a payment".into())),
        None => Ok(vec![number(item, "version")?; chunks]),
    }
}

impl Store {
    /// The payment whose own item was read. One that has further items is read again, whole.
    pub(in crate::store) async fn whole(&self, item: Item) -> Result<Found, StoreError> {
        if versions(&item)?.is_empty() {
            let (payment, version) = Row::read(item, Transfers::new())?;
            return Ok(Found { payment, version, layout: Layout::default() });
        }
        // Few payments come here, and the others should not carry what this needs.
        Box::pin(self.pieces(row::code(&item)?)).await
    }

    async fn pieces(&self, code: Code) -> Result<Found, StoreError> {
        for _ in 0..ATTEMPTS {
            let item = self
                .payment_item(code)
                .await?
                .ok_or_else(|| StoreError::Malformed("a payment is gone".into()))?;
            if let Some((transfers, layout)) = self.chunks(code, &versions(&item)?).await? {
                let (payment, version) = Row::read(item, transfers)?;
                return Ok(Found { payment, version, layout });
            }
        }
        Err(StoreError::Contended)
    }

    /// What lies in further items; `None` when one of them is not of the write that it should be of.
    async fn chunks(&self, code: Code, versions: &[u64]) -> Result<Option<(Transfers, Layout)>, StoreError> {
        let (mut transfers, mut layout) = (Transfers::new(), Layout::default());
        let places: Vec<(u32, u64)> = (1..).zip(versions.iter().copied()).collect();
        for some in places.chunks(READ_AT_ONCE) {
            let read = join_all(some.iter().map(|(place, _)| self.chunk(code, *place))).await;
            for ((_, version), chunk) in some.iter().zip(read) {
                let chunk = chunk?;
                if chunk.version != *version {
                    return Ok(None);
                }
                let ids = chunk.transfers.keys().map(TransferId::new).collect();
                layout.0.push(Kept { version: *version, ids });
                transfers.extend(chunk.transfers);
            }
        }
        Ok(Some((transfers, layout)))
    }

    async fn chunk(&self, code: Code, place: u32) -> Result<Chunk, StoreError> {
        let found = self.item(&chunk_code(code, place)).await?;
        let found = found.ok_or_else(|| StoreError::Malformed("a part of a payment is gone".into()))?;
        serde_dynamo::from_item(found).map_err(|error| StoreError::Malformed(error.to_string()))
    }

    /// Writes a payment over what was read; `false` when somebody else's write came first.
    ///
    /// What one write does not carry goes before it in others, each of which leaves a payment that knows a part of the
    /// new transfers, as if it had been told of those first: who comes after one that died tells of the rest again.
    pub(super) async fn replace_payment(&self, read: &Found, next: &Payment) -> Result<bool, StoreError> {
        if read.layout.0.is_empty() && next.progress().transfers.len() <= IN_ITEM {
            let item = Row::new(next, read.version.saturating_add(1)).into_item()?;
            return self.put_over(item, read.version).await;
        }
        Box::pin(self.replace_pieces(read, next)).await
    }

    async fn replace_pieces(&self, read: &Found, next: &Payment) -> Result<bool, StoreError> {
        let mut passed: Option<Found> = None;
        for _ in 0..=CHUNKS {
            let from = passed.as_ref().unwrap_or(read);
            let version = from.version.saturating_add(1);
            let whole = from.layout.after(&from.payment, next, version);
            if whole.0.len() > CHUNKS {
                return Err(StoreError::Malformed("a payment has more transfers than its items hold".into()));
            }
            if whole.written(version) <= CHUNKS_AT_ONCE {
                return self.write(whole.items(next, version)?, from.version).await;
            }
            let payment = from.layout.on_the_way(&from.payment, next);
            let layout = from.layout.after(&from.payment, &payment, version);
            if !self.write(layout.items(&payment, version)?, from.version).await? {
                return Ok(false);
            }
            passed = Some(Found { payment, version, layout });
        }
        Err(StoreError::Malformed("a payment's transfers take too many writes".into()))
    }

    async fn write(&self, (own, rest): (Item, Vec<Item>), read: u64) -> Result<bool, StoreError> {
        if rest.is_empty() {
            self.put_over(own, read).await
        } else {
            self.put_together(own, rest, read).await
        }
    }

    /// Writes the payment's own item, which guards the others, and some of those.
    async fn put_together(&self, own: Item, rest: Vec<Item>, read: u64) -> Result<bool, StoreError> {
        let table = &self.tables.payments;
        let malformed = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Malformed(error.to_string());
        let own =
            Put::builder().table_name(table).set_item(Some(own)).condition_expression("version = :read");
        let own = own.expression_attribute_values(":read", n(read)).build().map_err(malformed)?;
        let rest = rest.into_iter().map(|item| Put::builder().table_name(table).set_item(Some(item)).build());
        let rest = rest.collect::<Result<Vec<_>, _>>().map_err(malformed)?;
        let puts = std::iter::once(own).chain(rest).map(|put| TransactWriteItem::builder().put(put).build());
        match self.transact(puts.collect()).await? {
            Transacted::Done => Ok(true),
            // Somebody else's write came first.
            Transacted::Refused(_) => Ok(false),
        }
    }

    pub(in crate::store) async fn item(&self, key: &str) -> Result<Option<Item>, StoreError> {
        let get = self.client.get_item().table_name(&self.tables.payments).key("code", s(key));
        Ok(get.consistent_read(true).send().await.map_err(failed)?.item)
    }
}
