//! The demo tables whose rows never change: what scenarios query.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};

const LOG_ENTRIES: &str = include_str!("../../../fixtures/tables/log_entries.csv");
const METRICS: &str = include_str!("../../../fixtures/tables/metrics.csv");

/// Names and rows of all demo tables.
pub(crate) fn tables() -> [(&'static str, RecordBatch); 3] {
    [("log_entries", log_entries()), ("metrics", metrics()), ("wide", wide())]
}

/// Cells of a fixture: no quotes, no commas in cells.
fn cells(csv: &str) -> Vec<Vec<&str>> {
    csv.lines().skip(1).map(|line| line.split(',').collect()).collect()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn text(rows: &[Vec<&str>], at: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r[at])))
}

fn times(rows: &[Vec<&str>], at: usize) -> ArrayRef {
    let text = text(rows, at);
    let wanted =
        arrow::datatypes::DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, Some("UTC".into()));
    arrow::compute::cast(&text, &wanted).expect("times in the fixture are RFC 3339")
}

fn log_entries() -> RecordBatch {
    let rows = cells(LOG_ENTRIES);
    batch(vec![
        ("time", times(&rows, 0)),
        ("level", text(&rows, 1)),
        ("target", text(&rows, 2)),
        ("msg", text(&rows, 3)),
        ("process_id", text(&rows, 4)),
    ])
}

fn metrics() -> RecordBatch {
    let rows = cells(METRICS);
    let values = rows.iter().map(|r| r[2].parse::<f64>().expect("values in the fixture are numbers"));
    batch(vec![
        ("time", times(&rows, 0)),
        ("name", text(&rows, 1)),
        ("value", Arc::new(Float64Array::from_iter_values(values))),
        ("unit", text(&rows, 3)),
    ])
}

/// Forty columns of five types, one hundred rows, a null in every seventh cell.
fn wide() -> RecordBatch {
    let rows = 0..100_i64;
    let cell = |row: i64, column: i64| ((row + column) % 7 != 0).then_some(row * 40 + column);
    let columns: Vec<(String, ArrayRef)> = (0..40)
        .map(|column| {
            let cells = rows.clone().map(|row| cell(row, column));
            let array: ArrayRef = match column % 5 {
                0 => Arc::new(Int64Array::from_iter(cells)),
                1 => Arc::new(Float64Array::from_iter(cells.map(|c| c.map(|n| n as f64 / 4.0)))),
                2 => Arc::new(StringArray::from_iter(cells.map(|c| c.map(|n| format!("text {n}"))))),
                3 => Arc::new(BooleanArray::from_iter(cells.map(|c| c.map(|n| n % 2 == 0)))),
                _ => Arc::new(TimestampMillisecondArray::from_iter(cells.map(|c| c.map(|n| n * 1000)))),
            };
            (format!("c{column:02}"), array)
        })
        .collect();
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
        .expect("one length")
}
