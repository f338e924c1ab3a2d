//! Numbered sentences with keyword and source: what a pass certifies.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::diagnostic::{Diagnostic, FileErrors, word_help};
use crate::document::Document;
use crate::load::{Loaded, ResolvedCheck};
use crate::scenario::Level;

/// The form of `requirements/<set>.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirements {
    /// Name of the set.
    pub set: String,
    /// The sentences.
    pub requirement: Vec<Requirement>,
}

/// One sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// `FC-CACHE-1`.
    pub id: String,
    /// Keyword of RFC 2119.
    pub keyword: Level,
    /// The sentence.
    pub text: String,
    /// An RFC and section, the OAuth plan, or `this suite`.
    pub source: String,
    /// Why no scenario tests it.
    pub excluded: Option<String>,
}

impl Requirements {
    /// Reads a set.
    ///
    /// # Errors
    /// Every mistake of the file, with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, FileErrors> {
        let document = Document::parse(file, text)?;
        let set: Self = document.read_all()?;
        let mut seen = BTreeSet::new();
        let doubles: Vec<Diagnostic> = set
            .requirement
            .iter()
            .enumerate()
            .filter(|(_, r)| !seen.insert(&r.id))
            .map(|(nth, r)| {
                Diagnostic::new(
                    document.span(&format!("/requirement/{nth}/id")),
                    format!("two sentences are `{}`", r.id),
                )
            })
            .collect();
        if doubles.is_empty() { Ok(set) } else { Err(document.errors(doubles)) }
    }

    /// SHA-256 of the sentences, as hexadecimal: it stands in every result.
    pub fn hash(&self) -> String {
        let text = serde_json::to_string(self).expect("plain data");
        Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The sentence with this id.
    pub fn get(&self, id: &str) -> Option<&Requirement> {
        self.requirement.iter().find(|r| r.id == id)
    }

    /// Sentences that no check covers and no reason excludes.
    pub fn uncovered(&self, covered: &BTreeSet<String>) -> Vec<&Requirement> {
        self.requirement.iter().filter(|r| r.excluded.is_none() && !covered.contains(&r.id)).collect()
    }

    /// Checks of a scenario that name a sentence which is not there.
    pub fn unknown_in(&self, loaded: &Loaded) -> Vec<Diagnostic> {
        let ids: Vec<&str> = self.requirement.iter().map(|r| r.id.as_str()).collect();
        let mut found = BTreeMap::new();
        for check in loaded.combinations.iter().flat_map(|c| c.checks.iter()) {
            for id in check.covers.iter().filter(|id| !ids.contains(&id.as_str())) {
                found.insert((check.id.clone(), id.clone()), check);
            }
        }
        found.into_iter().map(|((_, id), check)| unknown_requirement(check, &id, &ids)).collect()
    }
}

fn unknown_requirement(check: &ResolvedCheck, id: &str, known: &[&str]) -> Diagnostic {
    let place = check.places.first().cloned().unwrap_or(0..0);
    Diagnostic::new(place, format!("check `{}` covers `{id}`, which no requirement is", check.id))
        .with_help(word_help(id, known.iter().copied()))
}
