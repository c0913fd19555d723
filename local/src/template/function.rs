//! A function resource: its program, environment and everything that triggers it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::intrinsics::plain;
use super::{Function, Pattern, Resource, Route, Schedule, Stream, TemplateError};

/// What Lambda takes where a template says nothing.
const DEFAULT_TIMEOUT_SECONDS: u64 = 3;
const DEFAULT_MEMORY_MB: u64 = 128;
/// Records in a batch where the template says nothing.
const DEFAULT_BATCH: u64 = 100;

/// Where a function names its program.
const BINARY: &str = "Metadata.BuildProperties.Binary";

/// The program that a resource names, if it is one that has one.
pub(super) fn program(resource: &Resource) -> Result<Option<String>, TemplateError> {
    match resource.get(BINARY)? {
        None => Ok(None),
        Some(Value::String(binary)) => Ok(Some(binary)),
        Some(_) => Err(resource.wrong(BINARY, "must be a text")),
    }
}

pub(super) fn read(resource: &Resource) -> Result<Function, TemplateError> {
    let binary = program(resource)?.ok_or_else(|| resource.wrong(BINARY, "is missing"))?;
    let mut function = Function {
        name: resource.id.to_owned(),
        binary,
        environment: environment(resource)?,
        routes: Vec::new(),
        schedules: Vec::new(),
        streams: Vec::new(),
        timeout: Duration::from_secs(setting(resource, "Timeout")?.unwrap_or(DEFAULT_TIMEOUT_SECONDS)),
        memory_mb: setting(resource, "MemorySize")?.unwrap_or(DEFAULT_MEMORY_MB),
        concurrency: setting(resource, "ReservedConcurrentExecutions")?,
    };
    for trigger in triggers(resource)? {
        trigger.add_to(&mut function)?;
    }
    Ok(function)
}

/// The variables of `Globals`, overridden by the function's own.
fn environment(resource: &Resource) -> Result<BTreeMap<String, String>, TemplateError> {
    let path = "Properties.Environment.Variables";
    let shared = globals(resource, "Environment")?.and_then(|shared| shared.get("Variables").cloned());
    let mut variables = BTreeMap::new();
    for set in [shared, resource.get(path)?].into_iter().flatten() {
        for (name, value) in set.as_object().into_iter().flatten() {
            let text = plain(value).map_err(|problem| resource.wrong(&format!("{path}.{name}"), problem))?;
            variables.insert(name.clone(), text);
        }
    }
    Ok(variables)
}

/// A whole number of the function, or of `Globals`.
fn setting(resource: &Resource, name: &str) -> Result<Option<u64>, TemplateError> {
    let path = format!("Properties.{name}");
    let own = resource.get(&path)?;
    let value = if own.is_some() { own } else { globals(resource, name)? };
    value
        .map(|value| number(&value).ok_or_else(|| resource.wrong(&path, "must be a whole number")))
        .transpose()
}

fn globals(resource: &Resource, name: &str) -> Result<Option<Value>, TemplateError> {
    let shared = resource.scope.global_function_property(name);
    let resolved = shared.map(|value| resource.scope.resolve(value)).transpose();
    let resolved =
        resolved.map_err(|problem| resource.wrong(&format!("Globals.Function.{name}"), problem))?;
    Ok(resolved.filter(|value| !value.is_null()))
}

/// A parameter's default may be a number in quotes.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// One entry of a function's `Events`.
struct Trigger<'a> {
    resource: &'a Resource<'a>,
    path: String,
    kind: String,
    properties: Value,
}

fn triggers<'a>(resource: &'a Resource<'a>) -> Result<Vec<Trigger<'a>>, TemplateError> {
    let path = "Properties.Events";
    let Some(events) = resource.get(path)? else { return Ok(Vec::new()) };
    let events = events.as_object().ok_or_else(|| resource.wrong(path, "must be a mapping"))?;
    let trigger = |(name, event): (&String, &Value)| {
        let path = format!("{path}.{name}");
        let kind = event.get("Type").and_then(Value::as_str);
        let kind = kind.ok_or_else(|| resource.wrong(&path, "Type is missing"))?.to_owned();
        let properties = event.get("Properties").cloned().unwrap_or(Value::Null);
        Ok(Trigger { resource, path, kind, properties })
    };
    events.iter().map(trigger).collect()
}

impl Trigger<'_> {
    fn add_to(&self, function: &mut Function) -> Result<(), TemplateError> {
        match self.kind.as_str() {
            "HttpApi" => function.routes.push(self.route()?),
            "Schedule" => function.schedules.extend(self.schedule("Schedule")?),
            "ScheduleV2" => function.schedules.extend(self.schedule("ScheduleExpression")?),
            "DynamoDB" => function.streams.push(self.stream()?),
            other => return Err(self.wrong("Type", format!("`{other}` does not run locally"))),
        }
        Ok(())
    }

    fn route(&self) -> Result<Route, TemplateError> {
        match (self.text("Path"), self.text("Method")) {
            (None | Some("$default"), _) => Ok(Route::Default),
            (Some(path), method) => {
                let method = method.ok_or_else(|| self.wrong("Method", "is missing"))?.to_uppercase();
                let method = if method == "*" || method == "X-AMAZON-APIGATEWAY-ANY-METHOD" {
                    "ANY".to_owned()
                } else {
                    method
                };
                if !path.starts_with('/') {
                    return Err(self.wrong("Path", "must start with a slash"));
                }
                Ok(Route::Call { method, path: path.to_owned() })
            }
        }
    }

    /// The schedule, unless it is switched off.
    fn schedule(&self, property: &str) -> Result<Option<Schedule>, TemplateError> {
        let off = self.properties.get("Enabled") == Some(&Value::Bool(false))
            || self.text("State") == Some("DISABLED");
        if off {
            return Ok(None);
        }
        let rate = self.text(property).ok_or_else(|| self.wrong(property, "is missing"))?;
        let every = rate_seconds(rate).ok_or_else(|| {
            self.wrong(property, format!("`{rate}` is not understood; `rate(1 minute)` and its like are"))
        })?;
        let input = self.text("Input").map(serde_json::from_str).transpose();
        let input = input.map_err(|error| self.wrong("Input", error.to_string()))?;
        Ok(Some(Schedule { every: Duration::from_secs(every), input }))
    }

    fn stream(&self) -> Result<Stream, TemplateError> {
        let arn = self.text("Stream").ok_or_else(|| self.wrong("Stream", "is missing"))?;
        let table = arn.split('/').nth(1).ok_or_else(|| self.wrong("Stream", "is not a table's stream"))?;
        let batch = self.properties.get("BatchSize").and_then(number).unwrap_or(DEFAULT_BATCH);
        let retries = self.properties.get("MaximumRetryAttempts").and_then(number);
        let reports = self.properties.get("FunctionResponseTypes").and_then(Value::as_array);
        Ok(Stream {
            table: table.to_owned(),
            batch: usize::try_from(batch).map_err(|_| self.wrong("BatchSize", "is too large"))?,
            filters: self.filters()?,
            retries: retries.and_then(|retries| u32::try_from(retries).ok()),
            reports_failures: reports
                .is_some_and(|types| types.contains(&Value::String("ReportBatchItemFailures".into()))),
        })
    }

    fn filters(&self) -> Result<Vec<Pattern>, TemplateError> {
        let filters = self.properties.pointer("/FilterCriteria/Filters").and_then(Value::as_array);
        let wrong = |problem: String| self.wrong("FilterCriteria", problem);
        let read = |filter: &Value| {
            let pattern = filter.get("Pattern").and_then(Value::as_str);
            let pattern = pattern.ok_or_else(|| wrong("a filter has no Pattern".into()))?;
            let pattern: Value = serde_json::from_str(pattern).map_err(|error| wrong(error.to_string()))?;
            Pattern::read(&pattern).map_err(wrong)
        };
        filters.into_iter().flatten().map(read).collect()
    }

    fn text(&self, property: &str) -> Option<&str> {
        self.properties.get(property).and_then(Value::as_str)
    }

    fn wrong(&self, property: &str, problem: impl Into<String>) -> TemplateError {
        self.resource.wrong(&format!("{}.{property}", self.path), problem)
    }
}

/// Seconds of `rate(5 minutes)`.
fn rate_seconds(expression: &str) -> Option<u64> {
    let inner = expression.trim().strip_prefix("rate(")?.strip_suffix(')')?;
    let (count, unit) = inner.trim().split_once(' ')?;
    let unit = match unit.trim() {
        "minute" | "minutes" => 60,
        "hour" | "hours" => 3_600,
        "day" | "days" => 86_400,
        _ => return None,
    };
    count.parse::<u64>().ok().filter(|count| *count > 0)?.checked_mul(unit)
}
