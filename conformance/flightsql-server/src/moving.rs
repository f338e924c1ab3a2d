//! Demo tables that always show the last hours: a row is a function of the seed and of its own time, so what was seen
//! once stays as it was while the clock moves on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use tonic::async_trait;

use crate::engine::Clock;

/// A row, or one of each metric, in so many milliseconds.
const STEP_MS: i64 = 15_000;
/// So many steps are shown.
const STEPS: i64 = Duration::from_secs(6 * 3600).as_millis() as i64 / STEP_MS;

#[derive(Debug, Clone, Copy)]
enum Kind {
    LogEntries,
    Metrics,
}

/// One moving table.
pub(crate) struct Moving {
    kind: Kind,
    seed: u64,
    clock: Clock,
    schema: SchemaRef,
    /// The last rows made, and the step that they end at.
    made: Mutex<Option<(i64, RecordBatch)>>,
}

impl std::fmt::Debug for Moving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moving").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Moving {
    /// All of them.
    pub(crate) fn all(seed: u64, clock: &Clock) -> [Self; 2] {
        [Kind::LogEntries, Kind::Metrics].map(|kind| {
            let clock = clock.clone();
            Self { kind, seed, clock, schema: schema(kind), made: Mutex::default() }
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::LogEntries => "log_entries",
            Kind::Metrics => "metrics",
        }
    }

    fn rows(&self) -> RecordBatch {
        let now = (self.clock)().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let last = i64::try_from(now).unwrap_or(i64::MAX) / STEP_MS;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some((at, rows)) if *at == last => rows.clone(),
            _ => {
                let columns = match self.kind {
                    Kind::LogEntries => log_entries(self.seed, last),
                    Kind::Metrics => metrics(self.seed, last),
                };
                let rows = RecordBatch::try_new(self.schema.clone(), columns).expect("columns of the schema");
                *made = Some((last, rows.clone()));
                rows
            }
        }
    }
}

#[async_trait]
impl TableProvider for Moving {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = MemTable::try_new(self.schema.clone(), vec![vec![self.rows()]])?;
        rows.scan(state, projection, filters, limit).await
    }
}

fn schema(kind: Kind) -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let time = Field::new("time", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), false);
    Arc::new(Schema::new(match kind {
        Kind::LogEntries => vec![time, text("level"), text("target"), text("msg"), text("process_id")],
        Kind::Metrics => {
            vec![time, text("name"), Field::new("value", DataType::Float64, false), text("unit")]
        }
    }))
}

/// A number without pattern for a place (splitmix64).
fn noise(seed: u64, step: i64, salt: u64) -> u64 {
    let mut x =
        seed ^ (step as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xd1b5_4a32_d192_ed03);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn times(steps: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(
        TimestampMillisecondArray::from(steps.map(|s| s * STEP_MS).collect::<Vec<_>>()).with_timezone("UTC"),
    )
}

/// Arrow wants to know how many there will be, so they are collected first.
fn texts(values: impl Iterator<Item = impl AsRef<str>>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values.collect::<Vec<_>>()))
}

fn log_entries(seed: u64, last: i64) -> Vec<ArrayRef> {
    const LEVELS: [&str; 8] = ["INFO", "INFO", "INFO", "INFO", "DEBUG", "DEBUG", "WARN", "ERROR"];
    const TARGETS: [&str; 4] = ["svc::http", "svc::auth", "svc::sql", "svc::cache"];
    let steps = || (last - STEPS + 1)..=last;
    let pick = |salt, from: &'static [&'static str]| -> ArrayRef {
        let picked = steps().map(|s| from[(noise(seed, s, salt) % from.len() as u64) as usize]);
        texts(picked)
    };
    let message =
        |s: i64| format!("request {} took {} ms", noise(seed, s, 3) % 100_000, noise(seed, s, 4) % 900);
    vec![
        times(steps()),
        pick(1, &LEVELS),
        pick(2, &TARGETS),
        texts(steps().map(message)),
        pick(5, &["p0", "p1", "p2", "p3"]),
    ]
}

fn metrics(seed: u64, last: i64) -> Vec<ArrayRef> {
    const NAMES: [(&str, f64, f64, &str); 4] = [
        ("cpu", 45.0, 30.0, "percent"),
        ("memory", 60.0, 10.0, "percent"),
        ("requests", 220.0, 150.0, "1/s"),
        ("latency", 40.0, 25.0, "ms"),
    ];
    let cells = || ((last - STEPS + 1)..=last).flat_map(|step| (0..NAMES.len()).map(move |nth| (step, nth)));
    // A wave of an hour, and some noise.
    let value = |(step, nth): (i64, usize)| {
        let (_, middle, swing, _) = NAMES[nth];
        let wave = ((step % 240) as f64 / 240.0 * std::f64::consts::TAU + nth as f64).sin();
        let jitter = (noise(seed, step, nth as u64) % 1000) as f64 / 1000.0 - 0.5;
        ((middle + swing * (0.8 * wave + 0.4 * jitter)) * 1000.0).round() / 1000.0
    };
    vec![
        times(cells().map(|(step, _)| step)),
        texts(cells().map(|(_, nth)| NAMES[nth].0)),
        Arc::new(Float64Array::from(cells().map(value).collect::<Vec<_>>())),
        texts(cells().map(|(_, nth)| NAMES[nth].3)),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn rows_at(kind: usize, seconds: u64) -> RecordBatch {
        let clock: Clock = Arc::new(move || SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        Moving::all(7, &clock)[kind].rows()
    }

    #[test]
    fn rows_move_with_the_clock_and_stay_as_they_were() {
        for (kind, rows_a_step) in [(0, 1), (1, 4)] {
            let before = rows_at(kind, 1_000_000_005);
            let after = rows_at(kind, 1_000_000_005 + 150);
            assert_eq!(before.num_rows(), after.num_rows());
            let moved = 10 * rows_a_step;
            let shared = before.num_rows() - moved;
            assert_eq!(before.slice(moved, shared), after.slice(0, shared));
        }
    }
}
