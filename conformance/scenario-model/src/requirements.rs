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
    /// SHA-256 of the sentences once the set is published: from then on a changed sentence needs a new set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
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
        let mut wrong: Vec<Diagnostic> = set
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
        if let Some(frozen) = set.frozen.as_ref().filter(|frozen| **frozen != set.hash()) {
            wrong.push(
                Diagnostic::new(
                    document.span("/frozen"),
                    format!("set {} was changed after it was frozen", set.set),
                )
                .with_help(format!("the sentences hash to {}, not to {frozen}: start a new set", set.hash())),
            );
        }
        if wrong.is_empty() { Ok(set) } else { Err(document.errors(wrong)) }
    }

    /// SHA-256 of the sentences, as hexadecimal: it stands in every result.
    pub fn hash(&self) -> String {
        let sentences = Self { frozen: None, ..self.clone() };
        let text = serde_json::to_string(&sentences).expect("plain data");
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

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str = "set = \"2026.9\"\n[[requirement]]\nid = \"FC-X-1\"\nkeyword = \"MUST\"\ntext = \"It works.\"\nsource = \"this suite\"\n";

    #[test]
    fn a_frozen_set_does_not_change() {
        let hash = Requirements::parse("r.toml", OPEN).expect("a good set").hash();
        let frozen = OPEN.replace("\n[[", &format!("\nfrozen = \"{hash}\"\n[["));
        assert_eq!(Requirements::parse("r.toml", &frozen).expect("unchanged").hash(), hash);
        let changed = frozen.replace("It works.", "It works well.");
        let errors = Requirements::parse("r.toml", &changed).expect_err("changed").to_string();
        assert!(
            errors.contains("r.toml:2:") && errors.contains("was changed after it was frozen"),
            "{errors}"
        );
    }
}
