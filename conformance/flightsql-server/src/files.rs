//! Tables that are read from files: CSV, JSON lines and Parquet, one file or a folder of one kind.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::file_format::options::{CsvReadOptions, JsonReadOptions, ParquetReadOptions};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::prelude::{SessionConfig, SessionContext};

/// Why a file does not become a table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It is not there, or may not be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Neither its name nor that of a file in it says what it holds.
    #[error("cannot tell what `{}` holds; tables end in .csv, .json, .jsonl, .ndjson or .parquet", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// It does not hold what its name says.
    #[error("`{}` is no good {kind} table: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What its name says.
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Two tables of one name.
    #[error("there are two tables `{name}`; name one of them otherwise: OTHER=FILE")]
    Twice {
        /// The name.
        name: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Csv,
    Json,
    Parquet,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Json => "JSON-lines",
            Self::Parquet => "Parquet",
        }
    }

    fn of_extension(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "json" | "jsonl" | "ndjson" => Some(Self::Json),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// The table in a file or folder.
pub(crate) async fn table(
    state: &SessionState,
    name: &str,
    path: &Path,
) -> Result<Arc<dyn TableProvider>, TableError> {
    let unreadable = |source| TableError::Unreadable { path: path.to_owned(), source };
    let whole = path.canonicalize().map_err(unreadable)?;
    let sample = if whole.is_dir() { first_file(&whole).map_err(unreadable)? } else { Some(whole.clone()) };
    let sample = sample.ok_or_else(|| TableError::Kind { path: path.to_owned() })?;
    let kind = Kind::of_extension(&sample).ok_or_else(|| TableError::Kind { path: path.to_owned() })?;
    std::fs::File::open(&sample).map_err(unreadable)?;
    let extension = format!(".{}", sample.extension().unwrap_or_default().to_string_lossy());
    register(state, name, &whole, kind, &extension).await.map_err(|error| TableError::Content {
        path: path.to_owned(),
        kind: kind.name(),
        reason: error.strip_backtrace().lines().next().unwrap_or_default().to_owned(),
    })
}

/// The first file of a folder, by name, that can be a table.
fn first_file(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.sort();
    Ok(files.into_iter().find(|file| Kind::of_extension(file).is_some()))
}

/// Lets DataFusion find the schema, in a context that is thrown away.
async fn register(
    state: &SessionState,
    name: &str,
    path: &Path,
    kind: Kind,
    extension: &str,
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let context = SessionContext::new_with_config_rt(SessionConfig::new(), state.runtime_env().clone());
    let folder = if path.is_dir() { "/" } else { "" };
    let path = format!("{}{folder}", path.to_string_lossy());
    let reference = datafusion::common::TableReference::bare(name);
    match kind {
        Kind::Csv => {
            let options = CsvReadOptions::new().file_extension(extension);
            context.register_csv(reference.clone(), &path, options).await?;
        }
        Kind::Json => {
            let options = JsonReadOptions::default().file_extension(extension);
            context.register_json(reference.clone(), &path, options).await?;
        }
        Kind::Parquet => {
            let options = ParquetReadOptions::default().file_extension(extension);
            context.register_parquet(reference.clone(), &path, options).await?;
        }
    }
    context.table_provider(reference).await
}
