//! Payments that the sweep could not look at, put off so that their hour holds up no later one; in the table of chains,
//! beside the hour at which the sweep starts.

use super::attribute::{Item, n, number, s, text};
use super::{Store, StoreError, failed, is_done};
use crate::moment::Timestamp;
use crate::payment::Code;

/// Payments put off at a time. More than these fail for a reason that is none of theirs, and their hour waits for it.
pub const PUT_OFF: usize = 100;

const SWEEP: &str = "sweep";

const HOUR: &str = "hour";

/// Before the code of a payment that is put off.
const RETRY: &str = "retry#";

/// Where a sweep takes up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepStart {
    /// The hour at which it starts; `None` before the first sweep of all.
    pub hour: Option<Timestamp>,
    /// What is tried again.
    pub put_off: Vec<PutOff>,
}

/// A payment that could not be looked at when its time had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutOff {
    /// Which.
    pub code: Code,
    /// The hour in which it was due.
    pub hour: Timestamp,
}

impl Store {
    /// Where the sweep starts and what it tries again: one request, whose one page holds far more than [`PUT_OFF`].
    pub async fn sweep_start(&self) -> Result<SweepStart, StoreError> {
        let found = self
            .client
            .query()
            .table_name(&self.tables.chains)
            .key_condition_expression("chain = :sweep")
            .expression_attribute_values(":sweep", s(SWEEP))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed)?;
        let mut start = SweepStart::default();
        for item in found.items.unwrap_or_default() {
            let entry = text(&item, "entry")?;
            match entry.strip_prefix(RETRY) {
                Some(code) => {
                    let read = read_put_off(code, &item);
                    start.put_off.extend(self.readable("payments put off", entry, read)?);
                }
                None => start.hour = Some(Timestamp(number(&item, HOUR)?)),
            }
        }
        Ok(start)
    }

    /// Remembers a payment, which may be remembered already.
    pub async fn put_off(&self, put_off: PutOff) -> Result<(), StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.chains)
            .item("chain", s(SWEEP))
            .item("entry", s(format!("{RETRY}{}", put_off.code)))
            .item(HOUR, n(put_off.hour.0))
            .condition_expression("attribute_not_exists(entry)");
        is_done(put.send().await).map(|_| ())
    }

    /// Forgets a payment that was looked at in the end.
    pub async fn put_off_no_more(&self, code: Code) -> Result<(), StoreError> {
        let delete = self.client.delete_item().table_name(&self.tables.chains);
        let delete = delete.key("chain", s(SWEEP)).key("entry", s(format!("{RETRY}{code}")));
        delete.send().await.map(|_| ()).map_err(failed)
    }
}

fn read_put_off(code: &str, item: &Item) -> Result<PutOff, StoreError> {
    let code = code.parse().map_err(|_| StoreError::Malformed("`entry` of the sweep".into()))?;
    Ok(PutOff { code, hour: Timestamp(number(item, HOUR)?) })
}
