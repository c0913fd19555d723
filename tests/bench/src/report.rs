//! What was measured, as Markdown.

use std::fmt::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use shared::app::Error;
use shared::clock::Clock;

use crate::measure::Measured;
use crate::programs::{BARE, Programs};

/// Under which conditions.
pub fn conditions(programs: &Programs, starts: usize, calls: usize) -> String {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processor = text("/proc/cpuinfo");
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name"));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = text("/proc/loadavg");
    let busy: Vec<_> = load.split(' ').take(1).collect();
    format!(
        "{} · {cores} cores ({}) · Linux {} · load {} before · profile `{}` · \
         {starts} starts of each in turn, {calls} calls after each first one · medians\n",
        Clock::default().now(),
        processor.unwrap_or_default().trim_start_matches([' ', '\t', ':']).trim(),
        text("/proc/sys/kernel/osrelease").trim(),
        busy.concat(),
        programs.profile,
    )
}

/// A row per contender, and then the ratios.
pub fn table(title: &str, measured: &[Measured]) -> String {
    let mut text = format!(
        "### {title}\n\n\
         | | start to first poll | first call | first call at 128 MB | warm p50 | warm p99 | CPU of start | CPU per call | peak memory |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|\n"
    );
    for one in measured {
        let [init, first, throttled, p50, p99, init_cpu, cpu] = figures(one).map(milliseconds);
        let memory = decimal(u128::from(one.peak_kib).saturating_mul(1_000), 1_024_000, 10);
        line(
            &mut text,
            &format!(
                "| {} | {init} | {first} | {throttled} | {p50} | {p99} | {init_cpu} | {cpu} | {memory} MB |",
                one.name
            ),
        );
    }
    text + "\n" + &ratios(measured) + &connections(measured)
}

/// Who left it to the first call to open its connection, which is throttled then.
fn connections(measured: &[Measured]) -> String {
    let late = measured.iter().filter(|one| one.connections_by_call > 0);
    let late: Vec<_> = late.map(|one| format!("{} ({})", one.name, one.connections_by_call)).collect();
    if late.is_empty() {
        return String::new();
    }
    format!("\nTLS connections that first calls had to open: {}.\n", late.join(", "))
}

/// Each of the product's functions over the bare one, and FastAPI over the product's.
fn ratios(measured: &[Measured]) -> String {
    let mut text = String::from(
        "| ratio | start to first poll | first call | first call at 128 MB | warm p50 | warm p99 | CPU of start | CPU per call | peak memory |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    // The first half writes and the second half reads, the product's own first in each.
    for group in measured.chunks(measured.len().div_ceil(2).max(1)) {
        let Some((own, others)) = group.split_first() else { continue };
        for other in others {
            let (over, under) = if other.name.starts_with(BARE) { (own, other) } else { (other, own) };
            let pairs = figures(over).into_iter().zip(figures(under));
            let mut cells: Vec<_> = pairs.map(|(over, under)| ratio(over, under)).collect();
            cells.push(format!("{} ×", decimal(over.peak_kib.into(), under.peak_kib.into(), 100)));
            line(&mut text, &format!("| {} : {} | {} |", over.name, under.name, cells.join(" | ")));
        }
    }
    text
}

/// The figures of a row, in its order; `None` was not measured.
fn figures(one: &Measured) -> [Option<Duration>; 7] {
    [
        quantile(&one.init, 50),
        quantile(&one.first, 50),
        quantile(&one.throttled, 50),
        quantile(&one.warm, 50),
        quantile(&one.warm, 99),
        quantile(&one.init_cpu, 50),
        quantile(&one.warm_cpu, 50),
    ]
}

/// How large the programs are.
pub fn sizes(programs: &Programs) -> Result<String, Error> {
    let mut text = String::from("| program | size | zipped |\n|---|--:|--:|\n");
    for name in programs.functions.iter().map(String::as_str).chain([BARE]) {
        let program = std::fs::read(programs.folder.join(name))?;
        let zipped = zipped(&program)?;
        let megabytes = |bytes: usize| Some(decimal(u128::try_from(bytes).ok()?, 1_000_000, 100));
        let (size, zipped) = (megabytes(program.len()), megabytes(zipped));
        let [size, zipped] = [size, zipped].map(Option::unwrap_or_default);
        line(&mut text, &format!("| {name} | {size} MB | {zipped} MB |"));
    }
    Ok(text)
}

fn zipped(program: &[u8]) -> Result<usize, Error> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    std::io::Write::write_all(&mut encoder, program)?;
    Ok(encoder.finish()?.len())
}

/// The value below which so many percent lie.
fn quantile(values: &[Duration], percent: usize) -> Option<Duration> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let place = sorted.len().saturating_mul(percent).checked_div(100)?;
    sorted.get(place.min(sorted.len().checked_sub(1)?)).copied()
}

fn milliseconds(value: Option<Duration>) -> String {
    value.map_or_else(
        || "not measured".into(),
        |value| format!("{} ms", decimal(value.as_nanos(), 1_000_000, 100)),
    )
}

fn ratio(over: Option<Duration>, under: Option<Duration>) -> String {
    let both = over.zip(under);
    both.map_or_else(
        || "–".into(),
        |(over, under)| format!("{} ×", decimal(over.as_nanos(), under.as_nanos(), 100)),
    )
}

/// `over / under` rounded to tenths or hundredths.
fn decimal(over: u128, under: u128, steps: u128) -> String {
    let half = under.checked_div(2).unwrap_or_default();
    let scaled = over.saturating_mul(steps).saturating_add(half).checked_div(under).unwrap_or_default();
    let whole = scaled.checked_div(steps).unwrap_or_default();
    let rest = scaled.checked_rem(steps).unwrap_or_default();
    let digits = if steps == 10 { 1 } else { 2 };
    format!("{whole}.{rest:0digits$}")
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _written = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(quantile(&values, 50), Some(Duration::from_millis(51)));
        assert_eq!(quantile(&values, 99), Some(Duration::from_millis(100)));
        assert_eq!(quantile(&[], 50), None);
    }

    #[test]
    fn ratios_are_rounded() {
        assert_eq!(decimal(13, 10, 100), "1.30");
        assert_eq!(decimal(1_999, 1_000, 100), "2.00");
        assert_eq!(decimal(5, 0, 100), "0.00");
        assert_eq!(decimal(66, 100, 10), "0.7");
    }
}
