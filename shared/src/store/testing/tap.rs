//! What a store asks its tables for: counted, priced, and cut off after so many writes as if the process had died.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use serde_json::Value;

/// A tap on a store's calls; clones share their counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tap(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    reads: AtomicU64,
    writes: AtomicU64,
    writes_left: AtomicU64,
    last_wrote: AtomicBool,
    half_read_units: AtomicU64,
    half_write_units: AtomicU64,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts {
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            writes_left: AtomicU64::new(u64::MAX),
            last_wrote: AtomicBool::new(false),
            half_read_units: AtomicU64::new(0),
            half_write_units: AtomicU64::new(0),
        }
    }
}

/// What was asked for since the last look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Used {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    /// Half units, because an eventually consistent read costs half a one.
    pub(crate) half_read_units: u64,
    pub(crate) half_write_units: u64,
}

impl Tap {
    /// After this many more writes nothing is answered any more.
    pub(crate) fn cut_after(&self, writes: u64) {
        self.0.writes_left.store(writes, Ordering::SeqCst);
    }

    pub(crate) fn restore(&self) {
        self.cut_after(u64::MAX);
    }

    pub(crate) fn take(&self) -> Used {
        let take = |count: &AtomicU64| count.swap(0, Ordering::SeqCst);
        Used {
            reads: take(&self.0.reads),
            writes: take(&self.0.writes),
            half_read_units: take(&self.0.half_read_units),
            half_write_units: take(&self.0.half_write_units),
        }
    }
}

impl Intercept for Tap {
    fn name(&self) -> &'static str {
        "tap"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let writes = is_write(&target);
        if target.ends_with("CreateTable") {
            return Ok(());
        }
        if writes {
            let left = self.0.writes_left.load(Ordering::SeqCst);
            self.0.writes_left.store(left.checked_sub(1).ok_or("the process died")?, Ordering::SeqCst);
        } else if self.0.writes_left.load(Ordering::SeqCst) == 0 {
            return Err("the process died".into());
        }
        self.0.last_wrote.store(writes, Ordering::SeqCst);
        let count = if writes { &self.0.writes } else { &self.0.reads };
        count.fetch_add(1, Ordering::SeqCst);
        let mut asked: Value = serde_json::from_slice(request.body().bytes().ok_or("a body")?)?;
        asked["ReturnConsumedCapacity"] = "TOTAL".into();
        let body = serde_json::to_vec(&asked)?;
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = body.into();
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(body) = context.response().body().bytes() else { return Ok(()) };
        let Ok(answer) = serde_json::from_slice::<Value>(body) else { return Ok(()) };
        let consumed = &answer["ConsumedCapacity"];
        let all = consumed.as_array().cloned().unwrap_or_else(|| vec![consumed.clone()]);
        let of = |name: &str| all.iter().filter_map(|one| one[name].as_f64()).map(half_units).sum::<u64>();
        // The store's callers here ask one thing at a time.
        let last_wrote = self.0.last_wrote.load(Ordering::SeqCst);
        let units = if last_wrote { &self.0.half_write_units } else { &self.0.half_read_units };
        units.fetch_add(of("CapacityUnits"), Ordering::SeqCst);
        Ok(())
    }
}

fn is_write(target: &str) -> bool {
    ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"].iter().any(|call| target.ends_with(call))
}

/// Half units from a number that has no finer fraction.
fn half_units(units: f64) -> u64 {
    format!("{units:.1}").replace('.', "").parse::<u64>().unwrap_or(0) / 5
}
