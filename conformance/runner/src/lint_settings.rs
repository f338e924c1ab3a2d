//! `lint-settings`: reads exported data sources or Grafana's provisioning files and names what will break.

use std::path::Path;

use serde_json::Value;

use crate::cli::LintSettingsArgs;
use crate::operator::OperatorError;
use crate::output::data;
use crate::settings_lint::{Saved, lint};

/// Prints every problem of every file; 1 if there is one.
///
/// # Errors
/// A file that cannot be read, or without a Flight SQL data source.
pub fn lint_settings(args: &LintSettingsArgs) -> Result<u8, OperatorError> {
    let mut problems = 0;
    let mut sources = 0;
    for path in &args.files {
        let all = Saved::all_of(&document(path)?);
        if all.is_empty() {
            let text = format!("`{}` holds no Flight SQL data source", path.display());
            return Err(OperatorError::Nothing(text));
        }
        sources += all.len();
        for saved in all {
            for problem in lint(&saved) {
                problems += 1;
                data(&format!("{}: {}: {}: {}\n", path.display(), saved.name, problem.code, problem.text));
            }
        }
    }
    data(&format!("{sources} data sources, {problems} problems\n"));
    Ok(u8::from(problems > 0))
}

/// YAML holds JSON, too; but JSON's own reader has the better messages.
fn document(path: &Path) -> Result<Value, OperatorError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| OperatorError::Read { path: path.to_owned(), source })?;
    let problem = |problem: String| OperatorError::Unreadable { path: path.to_owned(), problem };
    if path.extension().is_some_and(|e| e == "json") {
        return serde_json::from_str(&text).map_err(|e| problem(e.to_string()));
    }
    serde_saphyr::from_str(&text).map_err(|e| problem(e.to_string()))
}
