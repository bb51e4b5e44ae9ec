//! [`Table`] and [`Row`]: the measurements of drupe and its peers, and printing them.

use crate::histogram::Histogram;
use serde_json::{Map, Value, json};
use std::fmt;
use std::time::Duration;

/// Columns of a line.
const WIDTH: usize = 100;
/// Columns of a row's name.
const NAME: usize = 32;

/// The result of a measurement: one number, or several.
#[derive(Clone)]
pub(crate) enum Measured {
    /// Nanoseconds.
    Time(f64),
    Bytes(u64),
    Spread(Spread),
    /// Not measured; the note says why.
    Missing,
}

/// The distribution of a time, and further numbers.
#[derive(Clone)]
pub(crate) struct Spread {
    times: Histogram,
    extras: Vec<(&'static str, f64)>,
}

impl Spread {
    pub(crate) fn new(times: Histogram) -> Spread {
        Spread {
            times,
            extras: Vec::new(),
        }
    }

    /// Adds a number: a column, and a field of the JSON.
    pub(crate) fn with(mut self, name: &'static str, value: f64) -> Spread {
        self.extras.push((name, value));
        self
    }

    /// The times, in nanoseconds.
    fn quantiles(&self) -> [(&'static str, f64); 4] {
        [
            ("p50", self.times.quantile(0.5)),
            ("p99", self.times.quantile(0.99)),
            ("p99.9", self.times.quantile(0.999)),
            ("max", self.times.max()),
        ]
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        let quantiles = self.quantiles().into_iter().map(|(name, _)| name);
        quantiles.chain(self.extras.iter().map(|(name, _)| *name))
    }

    /// Our numbers divided by those of `theirs`.
    fn ratios(&self, theirs: &Spread) -> Vec<(&'static str, f64)> {
        let all = |spread: &Spread| [&spread.quantiles()[..], &spread.extras].concat();
        let pairs = all(self).into_iter().zip(all(theirs));
        // Nothing compares with what has no bound.
        let ratio = |a: f64, b: f64| if b.is_finite() { a / b } else { f64::NAN };
        pairs
            .map(|((name, a), (_, b))| (name, ratio(a, b)))
            .collect()
    }
}

impl From<Duration> for Measured {
    fn from(time: Duration) -> Measured {
        Measured::Time(time.as_nanos() as f64)
    }
}

impl From<f64> for Measured {
    fn from(ns: f64) -> Measured {
        Measured::Time(ns)
    }
}

impl From<Spread> for Measured {
    fn from(spread: Spread) -> Measured {
        Measured::Spread(spread)
    }
}

impl Measured {
    /// Fields of a JSON object.
    fn json(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut add = |name: String, value: Value| fields.insert(name, value);
        match self {
            Measured::Time(ns) => {
                add("ns".into(), json!(tenths(*ns)));
            }
            Measured::Bytes(bytes) => {
                add("bytes".into(), json!(bytes));
            }
            Measured::Spread(spread) => {
                for (name, ns) in spread.quantiles() {
                    add(format!("{}_ns", name.replace('.', "_")), json!(tenths(ns)));
                }
                for (name, value) in &spread.extras {
                    add((*name).into(), json!(value));
                }
                add("samples".into(), json!(spread.times.samples()));
            }
            Measured::Missing => {
                add("missing".into(), json!(true));
            }
        }
        fields
    }

    /// Our number or numbers divided by `theirs`.
    fn ratio(&self, theirs: &Measured) -> Value {
        match (self, theirs) {
            (Measured::Time(ours), Measured::Time(theirs)) => json!(ours / theirs),
            (Measured::Bytes(ours), Measured::Bytes(theirs)) => {
                json!(*ours as f64 / *theirs as f64)
            }
            (Measured::Spread(ours), Measured::Spread(theirs)) => {
                let ratios = ours.ratios(theirs).into_iter();
                ratios
                    .map(|(name, ratio)| (name.replace('.', "_"), json!(ratio)))
                    .collect::<Map<_, _>>()
                    .into()
            }
            _ => Value::Null,
        }
    }

    /// The heading of the columns of such rows.
    fn heading(&self) -> String {
        match self {
            Measured::Spread(spread) => cells(spread.names().map(str::to_owned)),
            _ => format!(" {:>8}  ratio to", "drupe"),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Measured::Time(ns) => f.pad(&time(*ns)),
            Measured::Bytes(bytes) => {
                f.pad(&format!("{:.1} MiB", *bytes as f64 / f64::from(1 << 20)))
            }
            Measured::Spread(spread) => {
                let times = spread.quantiles().map(|(_, ns)| time(ns));
                let extras = spread.extras.iter().map(|(_, value)| count(*value));
                f.pad(&cells(times.into_iter().chain(extras)))
            }
            Measured::Missing => f.pad("-"),
        }
    }
}

/// One measurement and what it is compared with.
pub(crate) struct Row {
    what: String,
    drupe: Measured,
    /// Names and results of the peers.
    peers: Vec<(&'static str, Measured)>,
    /// A note, for example why a peer is missing.
    note: Option<String>,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, drupe: impl Into<Measured>) -> Row {
        Row {
            what: what.into(),
            drupe: drupe.into(),
            peers: Vec::new(),
            note: None,
        }
    }

    /// A row that could not be measured here.
    pub(crate) fn missing(what: impl Into<String>, why: impl Into<String>) -> Row {
        Row::new(what, Measured::Missing).note(why)
    }

    /// Adds the result of a peer.
    pub(crate) fn peer(mut self, name: &'static str, theirs: impl Into<Measured>) -> Row {
        self.peers.push((name, theirs.into()));
        self
    }

    pub(crate) fn host(self, theirs: impl Into<Measured>) -> Row {
        self.peer("host", theirs)
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Row {
        self.note = Some(note.into());
        self
    }
}

/// All rows, in the order they were measured.
pub(crate) struct Table {
    rows: Vec<Row>,
    quiet: bool,
}

impl Table {
    /// `quiet`: prints nothing while rows are measured.
    pub(crate) fn new(quiet: bool) -> Table {
        Table {
            rows: Vec::new(),
            quiet,
        }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: Row) {
        if !self.quiet {
            eprintln!("measured: {}", row.what);
        }
        self.rows.push(row);
    }

    /// The rows for a script; times in nanoseconds.
    pub(crate) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let peers = row.peers.iter().map(|(name, theirs)| {
                let mut peer = theirs.json();
                peer.insert("name".into(), json!(name));
                peer.insert("ratio".into(), row.drupe.ratio(theirs));
                Value::from(peer)
            });
            let mut fields = row.drupe.json();
            fields.insert("what".into(), json!(row.what));
            fields.insert("peers".into(), peers.collect());
            fields.insert("note".into(), json!(row.note));
            Value::from(fields)
        });
        rows.collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut heading = String::new();
        let mut notes: Vec<&str> = Vec::new();
        for row in &self.rows {
            let own = row.drupe.heading();
            if !matches!(row.drupe, Measured::Missing) && own != heading {
                let gap = if heading.is_empty() { "" } else { "\n" };
                writeln!(f, "{gap}{:NAME$}{own}", "")?;
                heading = own;
            }
            let mut what = row.what.clone();
            if let Some(note) = &row.note {
                let known = notes.iter().position(|known| known == note);
                let number = known.unwrap_or_else(|| {
                    notes.push(note);
                    notes.len() - 1
                });
                what += &format!(" [{}]", number + 1);
            }
            line(f, &what, row)?;
        }
        for (index, note) in notes.iter().enumerate() {
            let gap = if index == 0 { "\n" } else { "" };
            let mark = format!("[{}]", index + 1);
            writeln!(f, "{gap}{mark:<5}{}", wrap(note, WIDTH - 5, "\n     "))?;
        }
        Ok(())
    }
}

/// The line of a row; more of them for peers of a spread.
fn line(f: &mut fmt::Formatter<'_>, what: &str, row: &Row) -> fmt::Result {
    if let Measured::Spread(ours) = &row.drupe {
        writeln!(f, "{what:<NAME$}{}", row.drupe)?;
        for (name, theirs) in &row.peers {
            writeln!(f, "{:<NAME$}{theirs}", format!("  {name}"))?;
            if let Measured::Spread(theirs) = theirs {
                let ratios = ours.ratios(theirs).into_iter().map(|(_, r)| ratio(r));
                writeln!(f, "{:<NAME$}{}", "  ratio", cells(ratios))?;
            }
        }
        return Ok(());
    }
    write!(f, "{what:<NAME$} {:>8}", row.drupe)?;
    for (name, theirs) in &row.peers {
        if let Value::Number(number) = row.drupe.ratio(theirs) {
            let number = number.as_f64().unwrap_or(f64::NAN);
            write!(f, "  {} {name} ({theirs})", ratio(number))?;
        }
    }
    writeln!(f)
}

/// Columns of a spread: four times, then wider ones.
fn cells(cells: impl Iterator<Item = String>) -> String {
    let columns = cells.enumerate().map(|(index, cell)| match index {
        0..4 => format!(" {cell:>9}"),
        _ => format!(" {cell:>12}"),
    });
    columns.collect()
}

fn tenths(ns: f64) -> f64 {
    (ns * 10.0).round() / 10.0
}

/// A time in the unit that leaves it at most three digits before the point.
fn time(ns: f64) -> String {
    match ns.abs() {
        least if least < 1e3 => format!("{ns:.1} ns"),
        least if least < 1e6 => format!("{:.1} µs", ns / 1e3),
        least if least < 1e9 => format!("{:.1} ms", ns / 1e6),
        _ => format!("{:.1} s", ns / 1e9),
    }
}

fn count(value: f64) -> String {
    match value {
        _ if value < 1e3 => format!("{value:.2}"),
        _ if value < 1e6 => format!("{:.1} k", value / 1e3),
        _ if value.is_finite() => format!("{:.2} M", value / 1e6),
        _ => "-".into(),
    }
}

/// Less than 1 is faster, for times.
fn ratio(ratio: f64) -> String {
    match ratio {
        _ if ratio < 100.0 => format!("{ratio:.2}"),
        _ if ratio.is_finite() => format!("{ratio:.0}"),
        _ => "-".into(),
    }
}

/// Breaks a text into lines of at most `width` characters, where words are
/// not longer.
fn wrap(text: &str, width: usize, line_break: &str) -> String {
    let (mut wrapped, mut column) = (String::new(), 0);
    for word in text.split_whitespace() {
        let len = word.chars().count();
        if column > 0 && column + 1 + len > width {
            wrapped += line_break;
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped += word;
        column += len;
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(ns: u64) -> Spread {
        let mut times = Histogram::default();
        times.record(ns);
        Spread::new(times).with("calls_per_s", 2e6)
    }

    fn table() -> Table {
        let mut table = Table::new(true);
        table.push(Row::new("one", 50.0).host(100.0).note("said twice"));
        table.push(Row::new("room", Measured::Bytes(3 << 20)).note("said twice"));
        table.push(Row::new("many", spread(8)).host(spread(4)));
        table.push(Row::missing("none", "no tool ".repeat(30)));
        table
    }

    #[test]
    fn rows_are_ratios_and_fit_the_line() {
        let text = table().to_string();
        let line = |start: &str| {
            let line = text.lines().find(|line| line.starts_with(start));
            line.unwrap_or_else(|| panic!("no {start} in:\n{text}"))
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(line("one"), "one [1] 50.0 ns 0.50 host (100.0 ns)");
        assert_eq!(line("room"), "room [1] 3.0 MiB");
        assert_eq!(line("many"), "many 8.0 ns 8.0 ns 8.0 ns 8.0 ns 2.00 M");
        assert_eq!(line("  host"), "host 4.0 ns 4.0 ns 4.0 ns 4.0 ns 2.00 M");
        assert_eq!(line("  ratio"), "ratio 2.00 2.00 2.00 2.00 1.00");
        assert_eq!(line("none"), "none [2] -");
        assert_eq!(line("[1]"), "[1] said twice");
        assert!(
            text.lines().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
    }

    #[test]
    fn a_script_gets_all_numbers() {
        let json = table().json();
        assert_eq!(json[0]["ns"], 50.0);
        assert_eq!(json[0]["peers"][0]["ratio"], 0.5);
        assert_eq!(json[1]["bytes"], 3 << 20);
        assert_eq!(json[2]["p99_9_ns"], 8.0);
        assert_eq!(json[2]["calls_per_s"], 2e6);
        assert_eq!(json[2]["samples"], 1);
        assert_eq!(json[2]["peers"][0]["name"], "host");
        assert_eq!(json[2]["peers"][0]["max_ns"], 4.0);
        assert_eq!(json[2]["peers"][0]["ratio"]["p99_9"], 2.0);
        assert_eq!(json[3]["missing"], true);
    }

    #[test]
    fn units_follow_the_size() {
        assert_eq!(time(43.21), "43.2 ns");
        assert_eq!(time(-2500.0), "-2.5 µs");
        assert_eq!(time(1.5e9), "1.5 s");
        assert_eq!(count(1.034), "1.03");
        assert_eq!(count(21_300_000.0), "21.30 M");
        assert_eq!(count(f64::INFINITY), "-");
        assert_eq!(ratio(1234.5), "1234");
    }

    #[test]
    fn what_has_no_bound_has_no_ratio() {
        let ours = Measured::from(spread(8).with("max_to_min", 2.0));
        let theirs = Measured::from(spread(4).with("max_to_min", f64::INFINITY));
        let ratios = ours.ratio(&theirs);
        assert_eq!(ratios["p50"], 2.0);
        assert_eq!(ratios["max_to_min"], Value::Null);
        assert_eq!(ratio(f64::NAN), "-");
        assert_eq!(theirs.json()["max_to_min"], Value::Null);
    }
}
