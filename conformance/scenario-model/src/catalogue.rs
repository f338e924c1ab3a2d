//! All scenario files, the rules for every scenario, and the requirement set, read together.

use std::collections::BTreeSet;

use crate::diagnostic::FileErrors;
use crate::event::Vocabulary;
use crate::load::{Loaded, ResolvedCheck, load_rules, load_scenario};
use crate::requirements::Requirements;

/// A text and the name that the user knows it by.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Source {
    /// `family/name` for a scenario.
    pub id: String,
    /// The file's name.
    pub file: String,
    /// The whole text.
    pub text: String,
}

/// Everything that a run can be planned from.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// The scenarios, in the order of their ids.
    pub scenarios: Vec<Loaded>,
    /// Checks that every permutation is judged by.
    pub rules: Vec<ResolvedCheck>,
    /// Where the rules were read from.
    pub rules_source: Source,
    /// The sentences.
    pub requirements: Requirements,
}

impl Catalogue {
    /// Reads everything.
    ///
    /// # Errors
    /// The mistakes of every file that has some.
    pub fn load(
        scenarios: &[Source],
        rules: &Source,
        requirements: &Source,
    ) -> Result<Self, Vec<FileErrors>> {
        let words = Vocabulary::new();
        let mut wrong = Vec::new();
        let mut keep = |result| match result {
            Ok(value) => Some(value),
            Err(errors) => {
                wrong.push(errors);
                None
            }
        };
        let mut loaded: Vec<Loaded> =
            scenarios.iter().filter_map(|s| keep(load_scenario(&s.id, &s.file, &s.text, &words))).collect();
        loaded.sort_by(|a, b| a.id.cmp(&b.id));
        let checks = match load_rules(&rules.file, &rules.text, &words) {
            Ok(checks) => checks,
            Err(errors) => {
                wrong.push(errors);
                Vec::new()
            }
        };
        match Requirements::parse(&requirements.file, &requirements.text) {
            Ok(set) => {
                for scenario in &loaded {
                    let unknown = set.unknown_in(scenario);
                    if !unknown.is_empty() {
                        wrong.push(scenario.document.errors(unknown));
                    }
                }
                if wrong.is_empty() {
                    return Ok(Self {
                        scenarios: loaded,
                        rules: checks,
                        rules_source: rules.clone(),
                        requirements: set,
                    });
                }
            }
            Err(errors) => wrong.push(errors),
        }
        Err(wrong)
    }

    /// Ids of all checks, the rules among them.
    pub fn checks(&self) -> BTreeSet<String> {
        let own = self.scenarios.iter().flat_map(|s| &s.combinations).flat_map(|c| c.checks.iter());
        own.chain(&self.rules).map(|c| c.id.clone()).collect()
    }

    /// Ids of the sentences that some check covers.
    pub fn covered(&self) -> BTreeSet<String> {
        let own = self.scenarios.iter().flat_map(|s| &s.combinations).flat_map(|c| c.checks.iter());
        own.chain(&self.rules).flat_map(|c| c.covers.iter().cloned()).collect()
    }
}
