//! The clock: functions that run by themselves, once at start and then at their rate, never beside themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::MissedTickBehavior;

use crate::clock::{Clock, iso};
use crate::lambda::{InvokeError, Lambda, request_id};
use crate::stop::Stop;
use crate::template::{Product, Schedule};

/// All scheduled functions.
#[derive(Clone)]
pub(crate) struct Schedules {
    running: Arc<BTreeMap<String, Mutex<()>>>,
    lambda: Lambda,
    clock: Clock,
}

impl Schedules {
    pub(crate) fn new(product: &Product, lambda: Lambda, clock: Clock) -> Schedules {
        let running = product.functions.iter().map(|function| (function.name.clone(), Mutex::new(())));
        Schedules { running: Arc::new(running.collect()), lambda, clock }
    }

    /// Starts all schedules.
    pub(crate) fn start(&self, product: &Product, stop: &Stop) {
        for function in &product.functions {
            for schedule in &function.schedules {
                stop.spawn(self.clone().repeat(function.name.clone(), schedule.clone()));
            }
        }
    }

    /// Runs a function once, now, after the run that may be going on.
    pub(crate) async fn tick(
        &self,
        function: &str,
        schedule: Option<&Schedule>,
    ) -> Result<Value, InvokeError> {
        let running = self.running.get(function).ok_or_else(|| InvokeError::Unknown(function.to_owned()))?;
        let _alone = running.lock().await;
        let input = schedule.and_then(|schedule| schedule.input.clone());
        self.lambda.invoke(function, &input.unwrap_or_else(|| self.event(function))).await
    }

    async fn repeat(self, function: String, schedule: Schedule) {
        let mut ticks = tokio::time::interval(schedule.every);
        // A run that takes longer than the rate delays the next one instead of making it hurry.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.tick(&function, Some(&schedule)).await {
                Ok(_) | Err(InvokeError::Stopped) => {}
                Err(error) => tracing::error!(function, %error, "a scheduled run failed"),
            }
        }
    }

    /// What a schedule on AWS sends.
    fn event(&self, function: &str) -> Value {
        json!({
            "version": "0",
            "id": request_id(),
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": "000000000000",
            "time": iso(self.clock.now()),
            "region": "eu-north-1",
            "resources": [format!("arn:aws:scheduler:eu-north-1:000000000000:schedule/default/{function}")],
            "detail": "{}"
        })
    }
}
