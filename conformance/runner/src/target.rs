//! From what the user typed to a subject: its manifest, its folder.

use std::path::{Path, PathBuf};

use scenario_model::manifest::Manifest;

use crate::operator::OperatorError;

const REFERENCE: &str = include_str!("../../reference-client/subject.toml");

/// A subject that can be started.
#[derive(Debug, Clone)]
pub struct Target {
    /// What the user typed.
    pub typed: String,
    /// Its manifest.
    pub manifest: Manifest,
    /// The manifest's folder.
    pub folder: PathBuf,
}

impl Target {
    /// Finds and reads the manifest.
    ///
    /// # Errors
    /// No such subject, or the mistakes of its manifest.
    pub fn find(name: &str) -> Result<Self, OperatorError> {
        if name == "reference" {
            let manifest = Manifest::parse("conformance/reference-client/subject.toml", REFERENCE)
                .map_err(|e| OperatorError::Files(vec![e]))?;
            return Ok(Self { typed: name.to_owned(), manifest, folder: PathBuf::from(".") });
        }
        let path = Path::new(name);
        let file = if path.is_dir() { path.join("subject.toml") } else { path.to_owned() };
        if !file.exists() {
            return Err(OperatorError::NoSubject { name: name.to_owned() });
        }
        let text = std::fs::read_to_string(&file)
            .map_err(|source| OperatorError::Read { path: file.clone(), source })?;
        let manifest =
            Manifest::parse(&file.display().to_string(), &text).map_err(|e| OperatorError::Files(vec![e]))?;
        let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        Ok(Self { typed: name.to_owned(), manifest, folder })
    }
}
