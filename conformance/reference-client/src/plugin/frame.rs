//! A result as Grafana wants it: an Arrow IPC file.

use arrow::array::RecordBatch;
use arrow::ipc::writer::FileWriter;

use crate::failure::{Class, Failure};

/// All batches in one frame; no frame for a result without a schema.
pub(crate) fn frames(batches: &[RecordBatch]) -> Result<Vec<Vec<u8>>, Failure> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let write = || {
        let mut writer = FileWriter::try_new(Vec::new(), &first.schema())?;
        batches.iter().try_for_each(|batch| writer.write(batch))?;
        writer.into_inner()
    };
    let frame = write().map_err(|error: arrow::error::ArrowError| {
        Failure::new(Class::Protocol, format!("the result is no frame: {error}"))
    })?;
    Ok(vec![frame])
}
