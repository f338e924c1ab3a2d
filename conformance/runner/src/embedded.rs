//! Scenarios, rules and requirements that ship in the binary, and a user's own beside them.

use std::path::Path;

use include_dir::{Dir, include_dir};
use scenario_model::catalogue::{Catalogue, Source};

use crate::operator::OperatorError;

static SCENARIOS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../scenarios");
const REQUIREMENTS: &str = "requirements/2026.1";
const RULES: &str = "rules";

/// The catalogue that ships, with the scenarios of a folder beside it.
///
/// # Errors
/// An unreadable folder, or the mistakes of every file.
pub fn catalogue(own: Option<&Path>) -> Result<Catalogue, OperatorError> {
    let mut all = Vec::new();
    shipped(&SCENARIOS, &mut all);
    let mut take = |id: &str| {
        let at = all.iter().position(|s| s.id == id).expect("rules and requirements are embedded");
        all.remove(at)
    };
    let (rules, requirements) = (take(RULES), take(REQUIREMENTS));
    if let Some(folder) = own {
        let before = all.len();
        from_folder(folder, folder, &mut all)?;
        if all.len() == before {
            return Err(OperatorError::NoScenarios { folder: folder.to_owned() });
        }
        let mut ids: Vec<&str> = all.iter().map(|s| s.id.as_str()).collect();
        ids.sort_unstable();
        if let Some(double) = ids.windows(2).find(|w| w[0] == w[1]) {
            return Err(OperatorError::DoubleScenario { id: double[0].to_owned() });
        }
    }
    Catalogue::load(&all, &rules, &requirements).map_err(OperatorError::Files)
}

fn shipped(folder: &Dir<'_>, found: &mut Vec<Source>) {
    for file in folder.files() {
        let path = file.path();
        if let (Some(text), Some(id)) = (file.contents_utf8(), id_of(path)) {
            found.push(Source { file: format!("scenarios/{id}.toml"), id, text: text.to_owned() });
        }
    }
    folder.dirs().for_each(|inner| shipped(inner, found));
}

fn from_folder(folder: &Path, root: &Path, found: &mut Vec<Source>) -> Result<(), OperatorError> {
    let unreadable = |source| OperatorError::Read { path: folder.to_owned(), source };
    let mut entries = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>())
        .map_err(unreadable)?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            from_folder(&path, root, found)?;
        } else if let Some(id) = path.strip_prefix(root).ok().and_then(id_of) {
            let text = std::fs::read_to_string(&path)
                .map_err(|source| OperatorError::Read { path: path.clone(), source })?;
            found.push(Source { id, file: path.display().to_string(), text });
        }
    }
    Ok(())
}

fn id_of(path: &Path) -> Option<String> {
    path.extension().is_some_and(|e| e == "toml").then(|| path.with_extension("").display().to_string())
}
