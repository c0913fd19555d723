//! One start of a contender, from its process's birth to its last call; and what many of them come to.

use std::time::Duration;

use serde_json::Value;
use shared::app::Error;
use tokio::time::{Instant, timeout};

use crate::contenders::Launch;
use crate::engine::Engine;
use crate::process::Process;
use crate::runtime_api::{RuntimeApi, Step};
use crate::throttle::Throttle;

/// A contender that does nothing for so long is broken.
const PATIENCE: Duration = Duration::from_mins(1);

/// How a start is measured.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Calls after the first.
    pub calls: usize,
    /// Whether calls get only Lambda's share of a processor at 128 MB; starting is never throttled there.
    pub throttled: bool,
}

/// What one start came to.
pub struct Run {
    init: Duration,
    init_cpu: Duration,
    /// `None` when it should have been throttled and could not be.
    first: Option<Duration>,
    warm: Vec<Duration>,
    warm_cpu: Duration,
    peak_kib: u64,
    connections_by_call: usize,
    /// The first call's answer.
    pub answer: Value,
}

/// What all starts of one contender came to.
pub struct Measured {
    /// The contender.
    pub name: String,
    /// From the process's start to its first question for a call.
    pub init: Vec<Duration>,
    /// Processor time of that.
    pub init_cpu: Vec<Duration>,
    /// The first call.
    pub first: Vec<Duration>,
    /// The first call with the share of a processor that 128 MB get.
    pub throttled: Vec<Duration>,
    /// Later calls.
    pub warm: Vec<Duration>,
    /// Processor time of one later call.
    pub warm_cpu: Vec<Duration>,
    /// The most memory of any start, in KiB.
    pub peak_kib: u64,
    /// TLS connections that first calls opened.
    pub connections_by_call: usize,
}

impl Measured {
    /// Nothing yet.
    pub fn of(name: &str) -> Measured {
        Measured {
            name: name.to_owned(),
            init: Vec::new(),
            init_cpu: Vec::new(),
            first: Vec::new(),
            throttled: Vec::new(),
            warm: Vec::new(),
            warm_cpu: Vec::new(),
            peak_kib: 0,
            connections_by_call: 0,
        }
    }

    /// Adds a start, and one whose first call was throttled.
    pub fn add(&mut self, free: Run, throttled: &Run) {
        self.init.push(free.init);
        self.init_cpu.push(free.init_cpu);
        self.first.extend(free.first);
        self.throttled.extend(throttled.first);
        self.warm.extend(free.warm);
        self.warm_cpu.push(free.warm_cpu);
        self.peak_kib = self.peak_kib.max(free.peak_kib);
        self.connections_by_call = self.connections_by_call.saturating_add(free.connections_by_call);
    }
}

/// Starts a process and calls it as planned.
pub async fn measure(launch: &Launch, engine: &Engine, plan: Plan) -> Result<Run, Error> {
    let throttle = if plan.throttled { Throttle::new() } else { None };
    let mut api = RuntimeApi::start().await?;
    let started = Instant::now();
    let process = Process::start(launch, &api.address.to_string())?;
    let init = asked(&mut api).await?.duration_since(started);
    let init_cpu = process.cpu()?;
    if let Some(throttle) = &throttle {
        throttle.hold(process.id)?;
    }
    let connections = engine.connections();
    let (first, answer) = call(&mut api, &launch.event).await?;
    let connections_by_call = engine.connections().saturating_sub(connections);
    check(launch, &answer)?;
    asked(&mut api).await?;
    let cpu = process.cpu()?;
    let mut warm = Vec::with_capacity(plan.calls);
    for _ in 0..plan.calls {
        let (took, answer) = call(&mut api, &launch.event).await?;
        check(launch, &answer)?;
        warm.push(took);
        asked(&mut api).await?;
    }
    let calls = u32::try_from(plan.calls)?;
    let warm_cpu = process.cpu()?.saturating_sub(cpu).checked_div(calls).unwrap_or_default();
    let peak_kib = process.peak_memory()?;
    process.end().await?;
    let first = (throttle.is_some() || !plan.throttled).then_some(first);
    Ok(Run { init, init_cpu, first, warm, warm_cpu, peak_kib, connections_by_call, answer })
}

/// Waits until the process asks for a call.
async fn asked(api: &mut RuntimeApi) -> Result<Instant, Error> {
    match timeout(PATIENCE, api.step()).await?? {
        Step::Asked(at) => Ok(at),
        Step::Answered(..) => Err("a process answered without a call".into()),
        Step::Failed(why) => Err(why.into()),
    }
}

/// Calls the process that has asked for it.
async fn call(api: &mut RuntimeApi, event: &str) -> Result<(Duration, Value), Error> {
    let called = api.call(event)?;
    match timeout(PATIENCE, api.step()).await?? {
        Step::Answered(at, body) => Ok((at.duration_since(called), serde_json::from_slice(&body)?)),
        Step::Asked(_) => Err("a process asked for a call and did not answer the last".into()),
        Step::Failed(why) => Err(why.into()),
    }
}

/// Fast failures are not to win.
fn check(launch: &Launch, answer: &Value) -> Result<(), Error> {
    if answer.get("statusCode").and_then(Value::as_u64) == Some(launch.status) {
        return Ok(());
    }
    Err(format!("{:?} answered {answer}", launch.command).into())
}
