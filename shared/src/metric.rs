//! Metrics in CloudWatch's embedded format: a line in the log that CloudWatch reads as a number, without a call.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::clock::Clock;
use crate::store::Store;

/// Where the gateway's metrics are found.
const NAMESPACE: &str = "CryptoGap";

/// A dimension's name and value.
pub type Dimension<'a> = (&'a str, &'a str);

/// Counts what the store left out of lists because it cannot be read (R8), if anything was: for an alarm.
pub fn left_out(store: &Store, clock: Clock) {
    let items = store.take_left_out();
    if items > 0 {
        counted("UnreadableItems", items, None, clock);
    }
}

/// Adds one to a metric.
pub fn count(name: &str, dimension: Option<Dimension<'_>>, clock: Clock) {
    counted(name, 1, dimension, clock);
}

/// Adds one to a metric that is looked at by several dimensions together.
pub fn count_by(name: &str, dimensions: &[Dimension<'_>], clock: Clock) {
    write(&embedded(name, "Count", 1, dimensions, clock.now_milliseconds()));
}

/// Adds a number to a metric, zero too: that it was looked at is worth knowing.
pub fn counted(name: &str, number: u64, dimension: Option<Dimension<'_>>, clock: Clock) {
    write(&embedded(name, "Count", number, dimension.as_slice(), clock.now_milliseconds()));
}

/// Records a duration.
pub fn seconds(name: &str, seconds: u64, dimension: Option<Dimension<'_>>, clock: Clock) {
    write(&embedded(name, "Seconds", seconds, dimension.as_slice(), clock.now_milliseconds()));
}

/// Such a line must stand alone, so that the logger cannot write it.
fn write(line: &Value) {
    if let Err(error) = writeln!(io::stdout().lock(), "{line}") {
        tracing::error!(%error, "a metric could not be written");
    }
}

/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
fn embedded(name: &str, unit: &str, value: u64, dimensions: &[Dimension<'_>], milliseconds: u64) -> Value {
    let names: Vec<_> = dimensions.iter().map(|(name, _)| name).collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": milliseconds,
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [names],
                "Metrics": [{ "Name": name, "Unit": unit }],
            }],
        },
    });
    if let Some(fields) = line.as_object_mut() {
        fields.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        fields.insert(name.to_owned(), json!(value));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_one_line_in_the_embedded_format() {
        let line = embedded("RatesMissing", "Count", 1, &[("Symbol", "ETH")], 1_700_000_000_123).to_string();
        assert_eq!(
            line,
            concat!(
                r#"{"_aws":{"Timestamp":1700000000123,"CloudWatchMetrics":[{"Namespace":"CryptoGap","#,
                r#""Dimensions":[["Symbol"]],"Metrics":[{"Name":"RatesMissing","Unit":"Count"}]}]},"#,
                r#""Symbol":"ETH","RatesMissing":1}"#
            )
        );
    }
}
