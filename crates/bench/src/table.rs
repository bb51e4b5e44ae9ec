//! Rows of measurements: what, how long here, how long for each peer.

use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// One measurement and what it is compared with.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) drupe: Duration,
    /// Name and time of who did the same job.
    pub(crate) peers: Vec<(&'static str, Duration)>,
    /// Why a peer is missing, or what else must be said.
    pub(crate) note: Option<String>,
}

/// All rows, in the order they were measured.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds a row.
    pub(crate) fn push(&mut self, row: Row) {
        eprintln!("measured: {}", row.what);
        self.rows.push(row);
    }

    /// The rows for a script; times in nanoseconds.
    pub(crate) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let peers = row.peers.iter().map(|(name, time)| {
                json!({ "name": name, "ns": time.as_nanos() as u64, "ratio": ratio(row, *time) })
            });
            json!({
                "what": row.what,
                "ns": row.drupe.as_nanos() as u64,
                "peers": peers.collect::<Vec<_>>(),
                "note": row.note,
            })
        });
        rows.collect()
    }
}

/// Our time divided by theirs: less than 1 is faster.
fn ratio(row: &Row, theirs: Duration) -> f64 {
    row.drupe.as_secs_f64() / theirs.as_secs_f64()
}

/// A time in the unit that shows three digits of it.
fn show(time: Duration) -> String {
    let ns = time.as_nanos() as f64;
    match ns {
        _ if ns < 1e3 => format!("{ns:.1} ns"),
        _ if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        _ => format!("{:.1} ms", ns / 1e6),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<42} {:>10}  ratio to", "", "drupe")?;
        for row in &self.rows {
            write!(f, "{:<42} {:>10}", row.what, show(row.drupe))?;
            for (name, time) in &row.peers {
                write!(f, "  {:.2} {name} ({})", ratio(row, *time), show(*time))?;
            }
            if let Some(note) = &row.note {
                write!(f, "  [{note}]")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
