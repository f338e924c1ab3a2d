//! Is every clause needed? Dropped, it must change some verdict of some defect or variant.

use std::collections::{BTreeMap, BTreeSet};

use scenario_model::bundle::Ran;
use scenario_model::judge::{Context, judge};
use scenario_model::load::ResolvedCheck;
use scenario_model::plan::Permutation;
use scenario_model::report::Judge;
use scenario_model::trace::Trace;

/// What one behaviour of the reference client did in all permutations.
pub struct Recording {
    /// Its name.
    pub who: String,
    /// What it calls things.
    pub words: BTreeMap<String, Vec<String>>,
    /// The traces.
    pub traces: Vec<(Permutation, Ran, Trace)>,
}

/// Clauses whose loss no verdict would show, as `<scenario>#<check> expect 1`.
pub fn unnecessary(recordings: &[Recording], judged_by: &Judge) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for loaded in judged_by.scenarios() {
        let Some(first) = loaded.combinations.first() else { continue };
        for (nth, check) in first.checks.iter().enumerate() {
            for clause in 0..check.requires.len() + check.expect.len() {
                let noticed = recordings.iter().flat_map(|r| r.traces.iter().map(move |t| (r, t))).any(
                    |(r, (p, _, trace))| {
                        p.scenario_id == loaded.id && changes(&p.combination.checks[nth], clause, p, trace, r)
                    },
                );
                if !noticed {
                    let (kind, at) = place(check, clause);
                    found.insert(format!("{} {kind} {at}", check.id));
                }
            }
        }
    }
    found
}

fn place(check: &ResolvedCheck, clause: usize) -> (&'static str, usize) {
    match clause.checked_sub(check.requires.len()) {
        Some(at) => ("expect", at + 1),
        None => ("requires", clause + 1),
    }
}

fn changes(
    check: &ResolvedCheck,
    clause: usize,
    permutation: &Permutation,
    trace: &Trace,
    recording: &Recording,
) -> bool {
    let mut weaker = check.clone();
    match clause.checked_sub(check.requires.len()) {
        Some(at) => drop(weaker.expect.remove(at)),
        None => drop(weaker.requires.remove(clause)),
    }
    let context =
        Context { scenario: permutation.scenario(), surface: permutation.surface, words: &recording.words };
    judge(check, trace, context).outcome != judge(&weaker, trace, context).outcome
}
