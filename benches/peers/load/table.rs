//! What was measured, as text.

use std::io;
use std::time::Duration;

use cabildo::load::LoadError;
use hdrhistogram::Histogram;

use crate::measure::{Case, Row};

/// What is measured and under which conditions.
pub(crate) fn conditions(duration: Duration) -> io::Result<String> {
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "Each server in turn on loopback, {} s each, on {cores} cores that the server shares with its clients.\n\
         CPU: all of the server's process (/proc/PID/stat) by packets that reached subscribers.\n\
         Memory: what the process has more with everybody in it, by participants.\n\
         Join: from opening the connection for signalling to the first complete key frame; Cabildo\n\
         authenticates participants, the forwarder does not.\n\
         AES-128-GCM everywhere; load average at the start: {}\n",
        duration.as_secs(),
        load_average()?,
    ))
}

/// The load average of the machine.
pub(crate) fn load_average() -> io::Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

/// The rows of one case.
pub(crate) fn case(case: &Case, rows: &[(String, Result<Row, LoadError>)]) -> String {
    let title = case.to_string();
    let mut text = format!(
        "{title:<44}{:>10}{:>12}{:>9}{:>16}{:>14}{:>16}\n",
        "µs/packet", "packets/s", "loss %", "delay p50/p99", "KiB/person", "join p50/p95"
    );
    for (name, row) in rows {
        let line = match row {
            Ok(row) => line(row),
            Err(error) => format!("  not measured: {error}"),
        };
        text.push_str(&format!("  {name:<42}{line}\n"));
    }
    text
}

fn line(row: &Row) -> String {
    let mut line = format!(
        "{:>10.2}{:>12.0}{:>9.3}{:>16}{:>14.0}{:>16}",
        row.cpu_us_per_packet,
        row.packets_per_s,
        row.loss_ratio * 100.0,
        two(&row.delays_us, 0.5, 0.99, 2),
        row.memory_kib_per_participant,
        two(&row.joins_us, 0.5, 0.95, 0),
    );
    if row.joined.0 < row.joined.1 {
        let (seen, all) = row.joined;
        line.push_str(&format!("\n    only {seen} of {all} subscribers saw a picture"));
    }
    for (error, count) in &row.errors {
        line.push_str(&format!("\n    error × {count}: {error}"));
    }
    line
}

/// Two quantiles of microseconds, in milliseconds.
fn two(histogram: &Histogram<u64>, first: f64, second: f64, digits: usize) -> String {
    if histogram.is_empty() {
        return "unknown".to_owned();
    }
    let ms = |quantile: f64| Duration::from_micros(histogram.value_at_quantile(quantile));
    let [first, second] = [first, second].map(|quantile| ms(quantile).as_secs_f64() * 1e3);
    format!("{first:.digits$} / {second:.digits$} ms")
}
