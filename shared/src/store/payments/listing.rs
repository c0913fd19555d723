//! Lists of payments, newest first: keys from an index, then the payments themselves in one batch (R8).

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};

use super::row;
use crate::moment::Timestamp;
use crate::payment::{Code, LIFETIME_SECONDS, MerchantId, Mode, Payment, PaymentId, Status};
use crate::store::attribute::{Item, s, text};
use crate::store::{Store, StoreError, failed};

/// Keys that one batch can read.
const BATCH: usize = 100;

/// How often a batch is asked again for what the table left out.
const BATCH_ATTEMPTS: usize = 5;

/// Pages of keys read for one list. Payments that expired but are not swept yet are left out of the open statuses, so
/// a page may come out short and want another; the sweep keeps those few.
const ROUNDS: usize = 10;

/// What is listed.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Whose payments.
    pub merchant: MerchantId,
    /// In which mode.
    pub mode: Mode,
    /// In these statuses; none means all.
    pub statuses: Vec<Status>,
    /// Created in this time.
    pub created: Created,
}

/// A span of time, in milliseconds since the epoch; the start is part of it, the end is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Created {
    /// Where it starts, if it does.
    pub from: Option<u64>,
    /// Where it ends, if it does.
    pub before: Option<u64>,
}

/// Which part of the list.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest {
    /// At most this many.
    pub limit: usize,
    /// Leaving out the first so many.
    pub offset: usize,
    /// Only those before this one in time.
    pub before: Option<PaymentId>,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// Newest first.
    pub payments: Vec<Payment>,
    /// Where the next page begins, if there is more.
    pub next: Option<PaymentId>,
}

/// One partition of an index, or a part of it.
struct Range {
    index: &'static str,
    attribute: &'static str,
    partition: String,
    /// Ids from here on.
    from: PaymentId,
    /// Ids before this.
    to: Option<PaymentId>,
}

impl Store {
    /// A page of a list.
    ///
    /// What `expired` means is decided for each payment at `now`, whether or not the sweep has run (R15).
    pub async fn list_payments(
        &self,
        listing: &Listing,
        page: PageRequest,
        now: Timestamp,
    ) -> Result<Page, StoreError> {
        let (mut payments, mut before, mut skip) = (Vec::new(), page.before, page.offset);
        for _ in 0..ROUNDS {
            let missing = page.limit.saturating_sub(payments.len());
            let last = skip.saturating_add(missing);
            // One key more than is read tells whether there is more.
            let ids = self.newest_ids(listing, before, last.saturating_add(1), now).await?;
            let more = ids.len() > last;
            let shown: Vec<_> = ids.into_iter().skip(skip).take(missing).collect();
            before = shown.last().copied().or(before);
            skip = 0;
            let found = self.payments_in_order(&shown).await?;
            let listed = |payment: &Payment| {
                listing.statuses.is_empty() || listing.statuses.contains(&payment.status(now))
            };
            payments.extend(found.into_iter().filter(listed));
            if !more || payments.len() >= page.limit {
                return Ok(Page { payments, next: before.filter(|_| more) });
            }
        }
        Ok(Page { payments, next: before })
    }

    async fn newest_ids(
        &self,
        listing: &Listing,
        before: Option<PaymentId>,
        wanted: usize,
        now: Timestamp,
    ) -> Result<Vec<PaymentId>, StoreError> {
        let mut ids = Vec::new();
        for range in listing.ranges(before, now) {
            ids.extend(self.ids_in(&range, wanted).await?);
        }
        ids.sort_unstable_by(|one, other| other.cmp(one));
        ids.dedup();
        ids.truncate(wanted);
        Ok(ids)
    }

    /// The newest ids of a range, at most `wanted`; a page of an index holds some ten thousand.
    async fn ids_in(&self, range: &Range, wanted: usize) -> Result<Vec<PaymentId>, StoreError> {
        if range.to.is_some_and(|to| to <= range.from) {
            return Ok(Vec::new());
        }
        let mut ids: Vec<PaymentId> = Vec::new();
        let mut to = range.to.map_or_else(|| "~".to_owned(), |id| id.to_string());
        for _ in 0..ROUNDS {
            let page = self.ids_page(range, &to, wanted.saturating_sub(ids.len())).await?;
            // By the text, so that a page of entries that cannot be read is not the end of the list.
            let Some((last, _)) = page.last() else { break };
            to.clone_from(last);
            for (text, code) in page {
                let id =
                    text.parse::<PaymentId>().map_err(|_| StoreError::Malformed("`id` of an index".into()));
                ids.extend(self.readable("an index of payments", &code, id)?);
            }
            if ids.len() >= wanted {
                break;
            }
        }
        Ok(ids)
    }

    /// Ids of an index before `to`, as texts, each with the key of its payment's item.
    async fn ids_page(
        &self,
        range: &Range,
        to: &str,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let found = self
            .client
            .query()
            .table_name(&self.tables.payments)
            .index_name(range.index)
            .key_condition_expression("#partition = :partition AND id BETWEEN :from AND :to")
            .expression_attribute_names("#partition", range.attribute)
            .expression_attribute_values(":partition", s(&range.partition))
            .expression_attribute_values(":from", s(range.from.to_string()))
            .expression_attribute_values(":to", s(to))
            .scan_index_forward(false)
            // One more, because the upper end itself comes too.
            .limit(i32::try_from(limit.saturating_add(1)).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(failed)?;
        let entry = |item: &Item| Ok((text(item, "id")?.to_owned(), text(item, "code")?.to_owned()));
        let entries = found.items.unwrap_or_default().iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        Ok(entries.into_iter().filter(|(id, _)| id != to).take(limit).collect())
    }

    async fn payments_in_order(&self, ids: &[PaymentId]) -> Result<Vec<Payment>, StoreError> {
        let mut found = HashMap::new();
        for batch in ids.chunks(BATCH) {
            for item in self.batch(batch).await? {
                let code = row::code(&item).map(|code| code.to_string()).unwrap_or_default();
                if let Some((payment, _)) = self.readable("payments", &code, row::Row::read(item))? {
                    found.insert(payment.id(), payment);
                }
            }
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    async fn batch(&self, ids: &[PaymentId]) -> Result<Vec<Item>, StoreError> {
        let table = &self.tables.payments;
        let key = |code: Code| HashMap::from([("code".to_owned(), s(code.to_string()))]);
        let mut keys: Vec<HashMap<String, AttributeValue>> = ids.iter().map(|id| key(id.code())).collect();
        let mut items = Vec::new();
        for _ in 0..BATCH_ATTEMPTS {
            if keys.is_empty() {
                return Ok(items);
            }
            let wanted = KeysAndAttributes::builder().set_keys(Some(std::mem::take(&mut keys))).build();
            let wanted = wanted.map_err(|error| StoreError::Malformed(error.to_string()))?;
            let found =
                self.client.batch_get_item().request_items(table, wanted).send().await.map_err(failed)?;
            items.extend(found.responses.unwrap_or_default().remove(table).unwrap_or_default());
            let left = found.unprocessed_keys.unwrap_or_default().remove(table);
            keys = left.map(|left| left.keys).unwrap_or_default();
        }
        if keys.is_empty() { Ok(items) } else { Err(StoreError::Throttled) }
    }
}

impl Listing {
    /// The parts of indexes that hold everything listed, and perhaps a little more.
    fn ranges(&self, before: Option<PaymentId>, now: Timestamp) -> Vec<Range> {
        // Ids sort by time, so that a span of time is a part of each index.
        let everything = PaymentId::earliest(self.created.from.unwrap_or(0));
        let end = self.created.before.map(PaymentId::earliest);
        let before = before.into_iter().chain(end).min();
        if self.statuses.is_empty() {
            let partition = row::owner(&self.merchant, self.mode);
            let range =
                Range { index: "by_merchant", attribute: "owner", partition, from: everything, to: before };
            return vec![range];
        }
        let overdue = PaymentId::earliest(now.minus(LIFETIME_SECONDS).plus(1).0.saturating_mul(1_000));
        let of_status = |status, from, to| Range {
            index: "by_status",
            attribute: "owner_status",
            partition: row::owner_status(&self.merchant, self.mode, status),
            from,
            to,
        };
        let listed = |status: &Status| self.statuses.contains(status);
        let recorded = Status::ALL.into_iter().filter(listed).map(|status| match status {
            // Without an address time alone expires it, so the older ones cannot be listed here.
            Status::KycRequired => of_status(status, overdue.max(everything), before),
            Status::Pending
            | Status::PartiallyPaid
            | Status::Paid
            | Status::Overpaid
            | Status::Expired
            | Status::Cancelled
            | Status::Refunded => of_status(status, everything, before),
        });
        let unswept = Status::ALL.into_iter().filter(|status| time_ends(*status) && listed(&Status::Expired));
        let to = before.map_or(overdue, |before| before.min(overdue));
        recorded.chain(unswept.map(|status| of_status(status, everything, Some(to)))).collect()
    }
}

/// Whether time alone can have ended a payment of that status: it has no address, so that no money has come.
fn time_ends(status: Status) -> bool {
    match status {
        Status::KycRequired | Status::Pending => true,
        Status::PartiallyPaid
        | Status::Paid
        | Status::Overpaid
        | Status::Expired
        | Status::Cancelled
        | Status::Refunded => false,
    }
}
