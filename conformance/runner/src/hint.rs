//! Which defect a subject's failures look like: its verdicts compared with the self-test's matrix.

use std::collections::BTreeSet;

use reference_client::Defect;
use scenario_model::report::Report;
use scenario_model::verdict::{CheckVerdict, Outcome};

use crate::selftest::Matrix;

/// A defect that fails what the subject fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// Its name.
    pub defect: Defect,
    /// Failures of the subject that it explains and no hint before it does.
    pub explains: Vec<String>,
    /// Of so many checks that it fails, the subject fails `shared`.
    pub fails: usize,
    /// See `fails`.
    pub shared: usize,
}

/// No more hints than this: a list of everything is no hint.
const MOST: usize = 5;

/// The likeliest defects, the one that explains most first.
///
/// A defect counts when the subject fails most of the checks that the defect fails, of those that were judged.
pub fn hints(report: &Report, matrix: &Matrix) -> Vec<Hint> {
    let checks = || report.rows.iter().flat_map(|row| &row.checks);
    let judged: BTreeSet<&str> = checks().filter(|c| was_judged(c)).map(|c| c.check.as_str()).collect();
    // Of a client that is never served nothing can be said.
    if !checks().any(|c| c.outcome == Outcome::Pass) {
        return Vec::new();
    }
    let failed: BTreeSet<&str> = checks().filter(|c| broken(c)).map(|c| c.check.as_str()).collect();
    likeliest(&failed, &judged, matrix)
}

fn likeliest(failed: &BTreeSet<&str>, judged: &BTreeSet<&str>, matrix: &Matrix) -> Vec<Hint> {
    let patterns: Vec<(Defect, BTreeSet<&str>)> = Defect::ALL
        .iter()
        .filter_map(|defect| {
            let checks = matrix.0.get(defect.name())?;
            let broken = checks.iter().filter(|(_, outcomes)| outcomes.keys().any(|o| is_broken(*o)));
            let pattern = broken.map(|(check, _)| check.as_str()).filter(|c| judged.contains(c)).collect();
            Some((*defect, pattern))
        })
        .collect();
    let mut left = failed.clone();
    let mut found = Vec::new();
    while found.len() < MOST {
        let likeness = |pattern: &BTreeSet<&str>| {
            let (shared, new) = (pattern.intersection(failed).count(), pattern.intersection(&left).count());
            // Most of its pattern must be there; what it explains newly decides, then what it would fail in vain.
            (new > 0 && shared * 3 >= pattern.len() * 2).then(|| (new, usize::MAX - (pattern.len() - shared)))
        };
        let best = patterns.iter().filter_map(|(d, p)| Some((likeness(p)?, d, p))).max_by_key(|(l, _, _)| *l);
        let Some((_, defect, pattern)) = best else { break };
        found.push(Hint {
            defect: *defect,
            explains: pattern.intersection(&left).map(|c| (*c).to_owned()).collect(),
            fails: pattern.len(),
            shared: pattern.intersection(failed).count(),
        });
        left.retain(|check| !pattern.contains(check));
    }
    found
}

fn before_list(verdict: &CheckVerdict) -> Outcome {
    verdict.before_list.unwrap_or(verdict.outcome)
}

fn was_judged(verdict: &CheckVerdict) -> bool {
    let outcome = before_list(verdict);
    is_broken(outcome) || matches!(outcome, Outcome::Pass | Outcome::NotTestable)
}

fn broken(verdict: &CheckVerdict) -> bool {
    is_broken(before_list(verdict))
}

fn is_broken(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Fail | Outcome::Warn | Outcome::Info)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selftest;

    fn pattern(matrix: &Matrix, defect: Defect) -> BTreeSet<&str> {
        let checks = matrix.0.get(defect.name()).into_iter().flatten();
        checks.filter(|(_, o)| o.keys().any(|o| is_broken(*o))).map(|(c, _)| c.as_str()).collect()
    }

    #[test]
    fn the_pattern_of_a_defect_names_it_or_one_that_looks_the_same() {
        let matrix = selftest::checked_in().expect("it can be read");
        let judged: BTreeSet<&str> = matrix.0.values().flat_map(|c| c.keys().map(String::as_str)).collect();
        for defect in Defect::ALL {
            let failed = pattern(&matrix, *defect);
            let Some(first) = likeliest(&failed, &judged, &matrix).first().cloned() else {
                assert!(failed.is_empty(), "{defect} has a pattern and no hint");
                continue;
            };
            assert!(pattern(&matrix, first.defect) == failed, "{defect}: the hint is {}", first.defect);
        }
    }

    #[test]
    fn two_defects_at_once_are_both_named() {
        let matrix = selftest::checked_in().expect("it can be read");
        let judged: BTreeSet<&str> = matrix.0.values().flat_map(|c| c.keys().map(String::as_str)).collect();
        let both = &pattern(&matrix, Defect::NeverRenews) | &pattern(&matrix, Defect::DropsScope);
        let named: Vec<Defect> = likeliest(&both, &judged, &matrix).iter().map(|h| h.defect).collect();
        assert!(named.contains(&Defect::NeverRenews) && named.contains(&Defect::DropsScope), "{named:?}");
    }
}
