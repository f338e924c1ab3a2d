//! What must hold whatever the matrix says.

use std::collections::{BTreeMap, BTreeSet};

use flightsql_server::Defect as ServerDefect;
use reference_client::{Defect, Variant};
use scenario_model::catalogue::Catalogue;
use scenario_model::report::Judge;
use scenario_model::verdict::Outcome;

use super::matrix::Matrix;
use super::record::Part;
use super::who::do_nothing;
use crate::necessity::Recording;
use crate::server_defects;

/// The clean client and the variants pass everything; those that do nothing pass nothing.
pub fn withheld(recordings: &[Recording], judge: &Judge) -> Vec<String> {
    let mut found: BTreeMap<(&str, String, Outcome), Vec<String>> = BTreeMap::new();
    let benign: Vec<&str> =
        std::iter::once("clean").chain(Variant::ALL.iter().map(|variant| variant.name())).collect();
    let do_nothing = do_nothing();
    let correct_server = server_defects::name(None);
    for recording in recordings {
        let who = recording.who.as_str();
        let must_pass = benign.contains(&who) || who == correct_server;
        if !must_pass && !do_nothing.iter().any(|name| name == who) {
            continue;
        }
        for (permutation, _, trace) in &recording.traces {
            let verdicts =
                judge.verdicts(&permutation.combination, permutation.surface, &recording.words, trace);
            // What a stalled machine left undecided is told by the comparison with the matrix.
            let decided = verdicts.into_iter().filter(|v| v.outcome != Outcome::Inconclusive);
            for verdict in decided.filter(|v| (v.outcome == Outcome::Pass) != must_pass) {
                let why = verdict.findings.first().map(|f| format!(": {}, but {}", f.expected, f.observed));
                let place = format!("{}{}", permutation.id, why.unwrap_or_default());
                found.entry((who, verdict.check, verdict.outcome)).or_default().push(place);
            }
        }
    }
    found
        .into_iter()
        .map(|((who, check, outcome), places)| {
            format!("{check} is {outcome} for `{who}`, {} times: {}", places.len(), places[0])
        })
        .collect()
}

/// Checks that no defect fails, other than those that do nothing at all; defects that no check sees.
pub fn unseen(matrix: &Matrix, catalogue: &Catalogue, part: &Part) -> Vec<String> {
    let do_nothing = do_nothing();
    let real = matrix.0.iter().filter(|(who, _)| !do_nothing.contains(*who));
    let broken = |o: &Outcome| matches!(o, Outcome::Fail | Outcome::Warn | Outcome::Info);
    let failed: BTreeSet<&String> = real
        .flat_map(|(_, checks)| {
            checks.iter().filter(|(_, outcomes)| outcomes.keys().any(broken)).map(|(check, _)| check)
        })
        .collect();
    let mut problems: Vec<String> = catalogue
        .checks()
        .iter()
        .filter(|check| part.holds(check) && !failed.contains(check))
        .map(|check| format!("no defect fails {check}"))
        .collect();
    let clients = Defect::ALL.iter().map(|defect| defect.name().to_owned());
    let servers = ServerDefect::ALL.iter().map(|defect| server_defects::name(Some(*defect)));
    for defect in clients.chain(servers).filter(|_| part.is_whole()) {
        if matrix.0.get(&defect).is_none_or(BTreeMap::is_empty) {
            problems.push(format!("no check sees the defect `{defect}`"));
        }
    }
    problems
}
