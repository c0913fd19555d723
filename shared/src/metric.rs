//! Metrics in CloudWatch's embedded format: a line in the log that CloudWatch reads as a number, without a call.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::clock::Clock;

/// Where the gateway's metrics are found.
const NAMESPACE: &str = "CryptoGap";

/// A dimension's name and value.
pub type Dimension<'a> = (&'a str, &'a str);

/// Adds one to the metric `name` of `dimension`. Such a line must stand alone, so that the logger cannot write it.
pub fn count(name: &str, dimension: Dimension<'_>, clock: Clock) {
    let line = embedded(name, dimension, clock.now_milliseconds());
    if let Err(error) = writeln!(io::stdout().lock(), "{line}") {
        tracing::error!(%error, name, "a metric could not be written");
    }
}

/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
fn embedded(name: &str, (dimension, value): Dimension<'_>, milliseconds: u64) -> Value {
    json!({
        "_aws": {
            "Timestamp": milliseconds,
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [[dimension]],
                "Metrics": [{ "Name": name, "Unit": "Count" }],
            }],
        },
        dimension: value,
        name: 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_one_line_in_the_embedded_format() {
        let line = embedded("RatesMissing", ("Symbol", "ETH"), 1_700_000_000_123).to_string();
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
