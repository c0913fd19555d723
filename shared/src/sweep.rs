//! Ending overdue payments: finds those whose time has come, hour by hour, and lets each decide (R15).

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use crate::chain::{Chain, Chains};
use crate::clock::Clock;
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::payment::{Code, Event, LIFETIME_SECONDS, Payment, Refusal, Window};
use crate::store::{Cursor, DUE_PAGE, DUE_SHARDS, PUT_OFF, PutOff, Store, StoreError};

const HOUR_SECONDS: u64 = 60 * 60;

/// An hour is left behind when nothing of it was due this long after its end: no write to it is still under way then.
const SETTLED_SECONDS: u64 = 10 * 60;

/// A run stops before its function's time is over; the next goes on from the stored hour.
const RUN_SECONDS: u64 = 45;

/// Hours visited in one run at most: more than a month away.
const HOURS: usize = 1_000;

/// Pages of one shard in one run at most.
const PAGES: usize = 10_000;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A table.
    #[error("the sweep's table")]
    Store(#[from] StoreError),
    /// A payment refused to be looked at, which none ever does.
    #[error("a payment refused to be looked at")]
    Refused(#[from] Refusal),
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Overdue payments looked at.
    pub checked: usize,
    /// Whether nothing due is left.
    pub finished: bool,
    /// How long the oldest hour that is not finished has been over, in seconds.
    pub lag_seconds: u64,
}

/// Looks at every payment that is due, from the stored hour up to now.
pub async fn sweep(store: &Store, chains: &Chains, clock: Clock) -> Result<Swept, SweepError> {
    let started_at = clock.now();
    let start = store.sweep_start().await?;
    let first = match start.hour {
        Some(hour) => hour,
        None => first_hour(store, started_at).await?,
    };
    let windows = Windows::read(store, chains).await?;
    let (mut swept, mut put_off) = retry(store, &windows, started_at, &start.put_off).await?;
    let (mut oldest, mut unfinished) = (first, first);
    for _ in 0..HOURS {
        let now = clock.now();
        let out_of_time = now.since(started_at) >= RUN_SECONDS;
        if oldest > now || out_of_time {
            swept.finished = !out_of_time;
            break;
        }
        let shards =
            (0..DUE_SHARDS).map(|shard| sweep_shard(store, &windows, clock, started_at, oldest, shard));
        let shards: Vec<Shard> = join_all(shards).await.into_iter().collect::<Result<_, SweepError>>()?;
        let shard = shards.into_iter().fold(Shard::default(), Shard::and);
        swept.checked = swept.checked.saturating_add(shard.checked);
        if !shard.failed.is_empty() {
            swept.lag_seconds = swept.lag_seconds.max(now.since(oldest));
        }
        let is_over = now >= oldest.plus(HOUR_SECONDS).plus(SETTLED_SECONDS);
        // Only without a gap: an hour before this one that had work is looked at again first.
        if is_over && oldest == unfinished && shard.is_settled(store, oldest, &mut put_off).await? {
            unfinished = unfinished.plus(HOUR_SECONDS);
        }
        oldest = oldest.plus(HOUR_SECONDS);
    }
    if unfinished > first {
        store.sweep_hour_done(unfinished.minus(HOUR_SECONDS)).await?;
    }
    if !swept.finished {
        swept.lag_seconds = swept.lag_seconds.max(clock.now().since(oldest));
    }
    Ok(swept)
}

/// Where the first run of all begins: now, unless payments are waiting already; none can have waited for longer than
/// its life.
async fn first_hour(store: &Store, now: Timestamp) -> Result<Timestamp, StoreError> {
    let back = if store.any_open_payment().await? {
        LIFETIME_SECONDS.saturating_add(DAY_SECONDS)
    } else {
        HOUR_SECONDS
    };
    Ok(hour_of(now.minus(back)))
}

/// Tries again what was put off, and returns what still is.
async fn retry(
    store: &Store,
    windows: &Windows<'_>,
    now: Timestamp,
    put_off: &[PutOff],
) -> Result<(Swept, BTreeSet<Code>), SweepError> {
    let mut swept = Swept::default();
    let mut left = BTreeSet::new();
    let tried = put_off.iter().map(|PutOff { code, .. }| check(store, windows, *code, now));
    for (PutOff { code, hour }, is_checked) in put_off.iter().zip(join_all(tried).await) {
        if is_checked {
            store.put_off_no_more(*code).await?;
            swept.checked = swept.checked.saturating_add(1);
        } else {
            left.insert(*code);
            swept.lag_seconds = swept.lag_seconds.max(now.since(*hour));
        }
    }
    Ok((swept, left))
}

/// Whether a payment could be looked at.
async fn check(store: &Store, windows: &Windows<'_>, code: Code, now: Timestamp) -> bool {
    let checked = store.change_payment(code, |payment| expire(payment, windows, now)).await;
    checked
        .inspect_err(|error| tracing::error!(%code, %error, "an overdue payment could not be looked at"))
        .is_ok()
}

/// What a shard came to.
#[derive(Default)]
struct Shard {
    checked: usize,
    failed: Vec<Code>,
    /// More is due than was looked at.
    has_more: bool,
}

impl Shard {
    fn and(mut self, other: Shard) -> Shard {
        self.failed.extend(other.failed);
        let checked = self.checked.saturating_add(other.checked);
        Shard { checked, failed: self.failed, has_more: self.has_more || other.has_more }
    }

    /// Whether an hour that is over needs no other look: nothing of it is due, or only what cannot be looked at, which
    /// is put off. Otherwise one broken payment would keep its hour for ever the first, and in the end nothing would
    /// expire any more.
    async fn is_settled(
        &self,
        store: &Store,
        hour: Timestamp,
        put_off: &mut BTreeSet<Code>,
    ) -> Result<bool, StoreError> {
        let new: Vec<Code> = self.failed.iter().filter(|code| !put_off.contains(code)).copied().collect();
        let is_room = put_off.len().saturating_add(new.len()) <= PUT_OFF;
        if self.has_more || self.checked > self.failed.len() || !is_room {
            return Ok(false);
        }
        for code in new {
            store.put_off(PutOff { code, hour }).await?;
            put_off.insert(code);
        }
        Ok(true)
    }
}

/// Looks at what is due of one shard of an hour, page by page. A payment that cannot be looked at holds up no other.
async fn sweep_shard(
    store: &Store,
    windows: &Windows<'_>,
    clock: Clock,
    started_at: Timestamp,
    hour: Timestamp,
    shard: u64,
) -> Result<Shard, SweepError> {
    let mut seen = BTreeSet::new();
    let mut failed = Vec::new();
    let mut has_more = true;
    for _ in 0..PAGES {
        let now = clock.now();
        let due = store.due_codes(hour, shard, now).await?;
        has_more = due.len() >= DUE_PAGE;
        let new: Vec<Code> = due.into_iter().filter(|code| seen.insert(*code)).collect();
        if new.is_empty() || now.since(started_at) >= RUN_SECONDS {
            break;
        }
        for code in new {
            if !check(store, windows, code, now).await {
                failed.push(code);
            }
        }
        if !has_more {
            break;
        }
    }
    Ok(Shard { checked: seen.len(), failed, has_more })
}

fn expire(payment: &Payment, windows: &Windows<'_>, now: Timestamp) -> Result<Payment, SweepError> {
    let (windows, complete) = windows.of(payment);
    Ok(payment.apply(Event::Expire { windows, complete }, now)?)
}

fn hour_of(at: Timestamp) -> Timestamp {
    Timestamp(at.0.saturating_sub(at.0.rem_euclid(HOUR_SECONDS)))
}

/// How far each chain is known, for all payments of one run.
struct Windows<'a> {
    chains: Vec<(&'a Chain, Option<Cursor>)>,
}

impl<'a> Windows<'a> {
    async fn read(store: &Store, chains: &'a Chains) -> Result<Windows<'a>, StoreError> {
        let read = chains.iter().map(|chain| async move { Ok((chain, store.cursor(&chain.id).await?)) });
        Ok(Windows { chains: join_all(read).await.into_iter().collect::<Result<_, StoreError>>()? })
    }

    /// Which chains have closed a payment's window, and whether those are all on which it has an address. A chain that
    /// was never watched, beside one that is, has no word in this: no coin was ever offered on it.
    ///
    /// No chain is watched for a test payment: its money is simulated, and its time too.
    fn of(&self, payment: &Payment) -> (Vec<Window>, bool) {
        if !payment.is_live() {
            return (Vec::new(), true);
        }
        let expires_at = payment.terms().expires_at();
        let of_payment: Vec<_> = self
            .chains
            .iter()
            .filter(|(chain, _)| payment.address_of(chain.family.name()).is_some())
            .collect();
        let watched = |family: &str| {
            of_payment.iter().any(|(chain, cursor)| chain.family.name() == family && cursor.is_some())
        };
        let closed: BTreeMap<_, _> = of_payment
            .iter()
            .filter(|(chain, cursor)| cursor.is_some() || !watched(chain.family.name()))
            .map(|(chain, cursor)| {
                (&chain.id, cursor.as_ref().and_then(|cursor| cursor.closed_at(expires_at)))
            })
            .collect();
        let complete = closed.values().all(Option::is_some);
        let window = |(chain, height): (&crate::chain::ChainId, Option<u64>)| {
            Some(Window { chain: chain.clone(), height: height? })
        };
        (closed.into_iter().filter_map(window).collect(), complete)
    }
}
