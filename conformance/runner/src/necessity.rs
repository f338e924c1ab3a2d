//! Is every clause needed? Dropped, or asking for a little less, it must change some verdict of some defect or variant.

use std::collections::{BTreeMap, BTreeSet};

use scenario_model::bundle::Ran;
use scenario_model::clause::Clause;
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

/// What no verdict would show.
#[derive(Debug, Default)]
pub struct Unnoticed {
    /// Clauses that could be gone, as `<scenario>#<check> without expect 1`.
    pub dropped: BTreeSet<String>,
    /// Clauses that could ask for less, as `<scenario>#<check> with max = 2 in expect 1`.
    pub loosened: BTreeSet<String>,
    /// In so many ways clauses were loosened.
    pub tried: usize,
}

/// Drops every clause, and loosens it by one word or one bound at a time (see [`Clause::looser`]).
pub fn unnoticed(recordings: &[Recording], judged_by: &Judge) -> Unnoticed {
    let mut found = Unnoticed::default();
    for loaded in judged_by.scenarios() {
        let Some(first) = loaded.combinations.first() else { continue };
        for (nth, check) in first.checks.iter().enumerate() {
            for clause in 0..check.requires.len() + check.expect.len() {
                let (kind, at) = place(check, clause);
                let ways: Vec<String> = weaker(check, clause).map(|(lacks, _)| lacks).collect();
                found.tried += ways.len() - 1;
                // By position: a bound that the matrix fills in reads otherwise in each permutation.
                let mut unnoticed: BTreeSet<usize> = (0..ways.len()).collect();
                for (recording, (permutation, _, trace)) in
                    recordings.iter().flat_map(|r| r.traces.iter().map(move |t| (r, t)))
                {
                    if unnoticed.is_empty() {
                        break;
                    }
                    if permutation.scenario_id != loaded.id {
                        continue;
                    }
                    let check = &permutation.combination.checks[nth];
                    let context = Context {
                        scenario: permutation.scenario(),
                        surface: permutation.surface,
                        words: &recording.words,
                    };
                    let outcome = judge(check, trace, context).outcome;
                    for (way, (_, weaker)) in weaker(check, clause).enumerate() {
                        if unnoticed.contains(&way) && judge(&weaker, trace, context).outcome != outcome {
                            unnoticed.remove(&way);
                        }
                    }
                }
                for way in unnoticed {
                    let among = if way == 0 { &mut found.dropped } else { &mut found.loosened };
                    among.insert(format!("{} {} {kind} {at}", check.id, ways[way]));
                }
            }
        }
    }
    found
}

/// The check without this clause first, then with each that asks for less in its place.
fn weaker(check: &ResolvedCheck, clause: usize) -> impl Iterator<Item = (String, ResolvedCheck)> {
    let with = move |instead: Option<Clause>| {
        let mut weaker = check.clone();
        let (clauses, at) = match clause.checked_sub(check.requires.len()) {
            Some(at) => (&mut weaker.expect, at),
            None => (&mut weaker.requires, clause),
        };
        clauses.splice(at..=at, instead);
        weaker
    };
    let looser = check.clauses().nth(clause).into_iter().flat_map(Clause::looser);
    let looser = looser.map(move |(lacks, clause)| (format!("with {lacks} in"), with(Some(clause))));
    std::iter::once(("without".to_owned(), with(None))).chain(looser)
}

fn place(check: &ResolvedCheck, clause: usize) -> (&'static str, usize) {
    match clause.checked_sub(check.requires.len()) {
        Some(at) => ("expect", at + 1),
        None => ("requires", clause + 1),
    }
}
