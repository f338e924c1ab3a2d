//! How a matrix differs from the one that is checked in.

use std::collections::{BTreeMap, BTreeSet};

use scenario_model::report::Judge;
use scenario_model::verdict::Outcome;

use super::matrix::{Matrix, Outcomes, checked_in};
use super::record::Part;
use super::sample::Sample;
use super::who::Who;
use crate::necessity::Recording;
use crate::operator::OperatorError;

/// A cell that is not as it is checked in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Different {
    /// The behaviour.
    pub who: String,
    /// The check.
    pub check: String,
    /// A machine that stalled leaves it open whether it differs.
    pub open: bool,
    /// Both outcomes, and where.
    pub text: String,
}

/// Behaviours to the scenarios that are to be run again: those of these cells. A rule judges every scenario, so its cells cannot
/// be run again by themselves.
pub fn to_run_again(cells: &[Different]) -> BTreeMap<String, BTreeSet<String>> {
    let mut again: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| !cell.check.starts_with("rules#")) {
        again.entry(cell.who.clone()).or_default().insert(scenario_of(&cell.check).to_owned());
    }
    again
}

/// Cells that differed at first, and no more when they were run again. Those that were open at first say nothing.
pub fn unsteady(first: Vec<Different>, later: &[Different]) -> Vec<Different> {
    let differs = |cell: &Different| later.iter().any(|d| d.who == cell.who && d.check == cell.check);
    first.into_iter().filter(|cell| !cell.open && !differs(cell)).collect()
}

/// How the matrix differs from the one that is checked in, for those that were run.
///
/// # Errors
/// If the one that is checked in cannot be read.
pub fn differences(
    found: &Matrix,
    chosen: &[Who],
    part: &Part,
    recordings: &[Recording],
    sample: Option<&Sample>,
    judge: &Judge,
) -> Result<Vec<Different>, OperatorError> {
    let wanted = checked_in()?;
    let mut cells = Vec::new();
    for who in chosen {
        let name = who.name();
        let (here, there) = (found.0.get(&name), wanted.0.get(&name));
        let checks: BTreeSet<&String> = here.into_iter().chain(there).flat_map(|c| c.keys()).collect();
        let steady = |check: &&String| !by_luck(&name, check);
        for check in checks.into_iter().filter(|check| part.holds(check)).filter(steady) {
            let nothing = Outcomes::new();
            let (here, there) = (
                here.and_then(|c| c.get(check)).unwrap_or(&nothing),
                there.and_then(|c| c.get(check)).unwrap_or(&nothing),
            );
            let difference = match sample.filter(|_| !who.is_run_whole()) {
                None => compare(here, there),
                Some(_) if check.starts_with("rules#") => known_kinds(here, there),
                Some(sample) if sample.has(*who, scenario_of(check)) => compare(here, there),
                Some(_) => Difference::None,
            };
            if difference != Difference::None {
                let places = places(recordings, &name, check, judge);
                let (there, here) = (in_words(there), in_words(here));
                let text = format!("{name}: {check}: checked in is {there}, found {here}{places}");
                let open = difference == Difference::Undecided;
                cells.push(Different { who: name.clone(), check: check.clone(), open, text });
            }
        }
    }
    Ok(cells)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Difference {
    None,
    /// What is missing may be behind verdicts that the machine left open.
    Undecided,
    Real,
}

fn compare(here: &Outcomes, there: &Outcomes) -> Difference {
    let open = here.get(&Outcome::Inconclusive).copied().unwrap_or(0);
    let of = |outcomes: &Outcomes, outcome| outcomes.get(&outcome).copied().unwrap_or(0);
    let kinds: BTreeSet<Outcome> =
        here.keys().chain(there.keys()).copied().filter(|o| *o != Outcome::Inconclusive).collect();
    let too_many = kinds.iter().any(|o| of(here, *o) > of(there, *o));
    let missing: u32 = kinds.iter().map(|o| of(there, *o).saturating_sub(of(here, *o))).sum();
    match (too_many || missing > open, open) {
        (true, _) => Difference::Real,
        (false, 0) => Difference::None,
        (false, _) => Difference::Undecided,
    }
}

/// Of rules a sample has fewer permutations than the whole: only what is not known at all is different.
fn known_kinds(here: &Outcomes, there: &Outcomes) -> Difference {
    let known = here.keys().all(|o| *o == Outcome::Inconclusive || there.contains_key(o));
    if known { Difference::None } else { Difference::Real }
}

fn in_words(outcomes: &Outcomes) -> String {
    match outcomes.is_empty() {
        true => "pass".to_owned(),
        false => outcomes.iter().map(|(o, n)| format!("{n} {o}")).collect::<Vec<_>>().join(", "),
    }
}

/// The first permutations in which a check was not passed, and why.
fn places(recordings: &[Recording], who: &str, check: &str, judge: &Judge) -> String {
    let mut found = String::new();
    for recording in recordings.iter().filter(|r| r.who == who) {
        for (permutation, _, trace) in &recording.traces {
            let verdicts =
                judge.verdicts(&permutation.combination, permutation.surface, &recording.words, trace);
            let broken = verdicts.iter().find(|v| v.check == check && v.outcome != Outcome::Pass);
            if let Some(verdict) = broken.filter(|_| found.len() < 600) {
                let why = verdict.findings.first().map(|f| format!(": {}, but {}", f.expected, f.observed));
                let why = why.unwrap_or_default();
                found.push_str(&format!("\n    {} {}{why}", verdict.outcome, permutation.id));
            }
        }
    }
    found
}

/// The scenario of a check.
pub fn scenario_of(check: &str) -> &str {
    check.split('#').next().unwrap_or_default()
}

/// Luck decides this cell of the matrix: moments of the defect lie too close to those of the check. It is not compared. What
/// renews in the background does so in every scenario, so only the check that is made for it counts.
fn by_luck(who: &str, check: &str) -> bool {
    match who {
        "renews-in-background" => check != "token-caching/idle-client-is-silent#silent",
        "wrong-style-twice" => check == "discovery/slow-answer-is-waited-for#waits",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(list: &[(Outcome, u32)]) -> Outcomes {
        list.iter().copied().collect()
    }

    #[track_caller]
    fn check(here: &[(Outcome, u32)], there: &[(Outcome, u32)], expected: Difference) {
        assert_eq!(compare(&outcomes(here), &outcomes(there)), expected);
    }

    #[test]
    fn an_open_verdict_excuses_what_it_may_hide_and_nothing_else() {
        use Outcome::{Fail, Inconclusive, NotTestable};
        check(&[], &[], Difference::None);
        check(&[(Fail, 2)], &[(Fail, 2)], Difference::None);
        check(&[(Fail, 1)], &[(Fail, 2)], Difference::Real);
        check(&[(Fail, 1), (Inconclusive, 1)], &[(Fail, 2)], Difference::Undecided);
        check(&[(Inconclusive, 1)], &[], Difference::Undecided);
        check(&[(Inconclusive, 1)], &[(Fail, 2)], Difference::Real);
        check(&[(NotTestable, 1), (Inconclusive, 5)], &[(Fail, 2)], Difference::Real);
    }

    fn cell(who: &str, check: &str) -> Different {
        Different { who: who.to_owned(), check: check.to_owned(), open: false, text: String::new() }
    }

    #[test]
    fn unsteady_is_what_differed_once_and_not_each_time() {
        let first =
            vec![cell("a", "x/y#1"), cell("a", "x/y#2"), Different { open: true, ..cell("b", "x/y#1") }];
        assert_eq!(unsteady(first.clone(), &[]), [cell("a", "x/y#1"), cell("a", "x/y#2")]);
        assert_eq!(unsteady(first.clone(), &[cell("a", "x/y#2"), cell("b", "x/y#2")]), [cell("a", "x/y#1")]);
        assert_eq!(unsteady(first.clone(), &first), []);
    }

    #[test]
    fn what_differs_is_run_again_but_a_rule_is_not() {
        let cells = [cell("a", "x/y#1"), cell("a", "x/y#2"), cell("a", "rules#1"), cell("b", "x/z#1")];
        let again = to_run_again(&cells);
        assert_eq!(again.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(again["a"].iter().collect::<Vec<_>>(), ["x/y"]);
    }
}
