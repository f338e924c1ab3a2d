//! The matrix: who does not pass which check.

use std::collections::BTreeMap;

use scenario_model::report::Judge;
use scenario_model::verdict::Outcome;
use serde::{Deserialize, Serialize};

use super::record::Part;
use super::who::Who;
use crate::necessity::Recording;
use crate::operator::OperatorError;

/// The matrix that is checked in.
pub const MATRIX: &str = include_str!("../../../../fixtures/selftest/matrix.json");

/// Who to which check to the outcomes that are not a pass, with how many permutations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Matrix(pub BTreeMap<String, BTreeMap<String, BTreeMap<Outcome, u32>>>);

impl Matrix {
    /// What was found replaces what stood there for the same behaviours and scenarios.
    pub fn with(mut self, found: &Self, chosen: &[Who], part: &Part) -> Self {
        for who in chosen.iter().map(|who| who.name()) {
            let row = self.0.entry(who.clone()).or_default();
            row.retain(|check, _| !part.holds(check));
            let new = found.0.get(&who).into_iter().flatten().filter(|(check, _)| part.holds(check));
            row.extend(new.map(|(check, outcomes)| (check.clone(), outcomes.clone())));
        }
        self
    }
}

/// The matrix that is checked in.
///
/// # Errors
/// If it cannot be read.
pub fn checked_in() -> Result<Matrix, OperatorError> {
    serde_json::from_str(MATRIX)
        .map_err(|e| OperatorError::Ours(format!("the matrix that is checked in cannot be read: {e}")))
}

/// Outcomes that are not a pass, with how many permutations.
pub type Outcomes = BTreeMap<Outcome, u32>;

/// What everybody did not pass, and what did not run.
pub fn matrix_of(recordings: &[Recording], judge: &Judge) -> (Matrix, Vec<String>) {
    let mut matrix = Matrix::default();
    let mut problems = Vec::new();
    for recording in recordings {
        let row = matrix.0.entry(recording.who.clone()).or_default();
        for (permutation, ran, trace) in &recording.traces {
            if let Some(error) = &ran.error {
                problems.push(format!("{}: {} did not run: {error}", recording.who, permutation.id));
                continue;
            }
            let verdicts =
                judge.verdicts(&permutation.combination, permutation.surface, &recording.words, trace);
            for verdict in verdicts.iter().filter(|v| v.outcome != Outcome::Pass) {
                *row.entry(verdict.check.clone()).or_default().entry(verdict.outcome).or_insert(0) += 1;
            }
        }
    }
    (matrix, problems)
}

/// A matrix with open verdicts is none: who has them is to be run again.
pub fn left_open(matrix: &Matrix) -> Vec<String> {
    let open = |(who, checks): (&String, &BTreeMap<String, Outcomes>)| {
        checks.values().any(|o| o.contains_key(&Outcome::Inconclusive)).then(|| who.clone())
    };
    let again = |who| format!("{who}: the machine stalled; write its rows again with `--only {who}`");
    matrix.0.iter().filter_map(open).map(again).collect()
}
