//! What must hold whatever the matrix says.

use std::collections::{BTreeMap, BTreeSet};

use flightsql_server::Defect as ServerDefect;
use reference_client::{Defect, Variant};
use scenario_model::call::SubjectKind;
use scenario_model::catalogue::Catalogue;
use scenario_model::clause::{Clause, Outcome as Ending, Selection};
use scenario_model::load::ResolvedCheck;
use scenario_model::plan::Permutation;
use scenario_model::report::Judge;
use scenario_model::scenario::WorldSet;
use scenario_model::verdict::Outcome;

use super::matrix::Matrix;
use super::record::Part;
use super::who::{do_nothing, world_name};
use crate::necessity::Recording;
use crate::run::world::Mutation;
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

/// Permutations of a world that is not as the scenario says, and of which all checks passed nevertheless.
pub fn believed(recordings: &[Recording], judge: &Judge) -> Vec<String> {
    let mut found: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for mutation in Mutation::ALL {
        let name = world_name(mutation);
        for recording in recordings.iter().filter(|recording| recording.who == name) {
            for (permutation, ran, trace) in &recording.traces {
                if ran.error.is_some() || !matters(mutation, permutation) {
                    continue;
                }
                let (combination, surface) = (&permutation.combination, permutation.surface);
                let verdicts = judge.verdicts(combination, surface, &recording.words, trace);
                let mut own = verdicts.iter().filter(|verdict| !verdict.check.starts_with("rules#"));
                if own.all(|verdict| verdict.outcome == Outcome::Pass) {
                    let scenario = permutation.scenario_id.clone();
                    found.entry((name.clone(), scenario)).or_default().push(permutation.id.clone());
                }
            }
        }
    }
    let line = |((world, scenario), places): ((String, String), Vec<String>)| {
        format!("{scenario} believes `{world}`: all its checks pass, {} times: {}", places.len(), places[0])
    };
    found.into_iter().map(line).collect()
}

/// A client that needs no new token yet does not meet the trouble, and is right.
const MAY_PASS_IT_BY: [&str; 2] =
    ["expiry/issuer-down-while-token-still-valid", "expiry/issuer-hangs-while-token-still-valid"];

/// What is wrong with the world is something that the scenario is about.
fn matters(mutation: Mutation, permutation: &Permutation) -> bool {
    let scenario = permutation.scenario();
    let (issuer, server) = (&scenario.world.issuer, &scenario.world.server);
    let clauses = || permutation.combination.checks.iter().flat_map(ResolvedCheck::clauses);
    let names =
        |prefix: &str| clauses().any(|clause| clause.events().is_some_and(|s| s.kind.starts_with(prefix)));
    match mutation {
        Mutation::Untroubled => {
            let begins = !issuer.fault.is_empty() || issuer.stall.is_some();
            let begins = begins || !server.fault.is_empty() || server.tls.is_some();
            let begins = begins || !scenario.world.resource.fault.is_empty();
            !MAY_PASS_IT_BY.contains(&permutation.scenario_id.as_str())
                && (begins || scenario.step.iter().any(|step| brings_trouble(&step.set)))
        }
        Mutation::NeverExpires => issuer.expires_in.is_some(),
        // What a fault refuses is refused in any world.
        Mutation::ServesEverybody => {
            let refused =
                |events: &Selection| events.filter.get("code").is_some_and(|code| code == "UNAUTHENTICATED");
            let by_fault = |set: &WorldSet| set.server_fault.is_some();
            server.fault.is_empty()
                && !scenario.step.iter().any(|step| by_fault(&step.set))
                && clauses().filter_map(Clause::events).any(refused)
        }
        Mutation::ServerUnheard => {
            let served = |clause| matches!(clause, &Clause::Step { outcome: Ending::Served, .. });
            scenario.subject == SubjectKind::FlightClient && (names("server.") || clauses().any(served))
        }
        // That an issuer is left alone has no other evidence than that nothing is heard of it.
        Mutation::IssuerUnheard => clauses().any(|clause| match clause {
            Clause::Count { events, count } => events.kind.starts_with("issuer.") && count.max != Some(0),
            Clause::Every { events, .. } => events.kind.starts_with("issuer."),
            Clause::Step { .. } => false,
        }),
    }
}

fn brings_trouble(set: &WorldSet) -> bool {
    let faults = [
        set.issuer_fault.as_ref().is_some_and(|faults| !faults.is_empty()),
        set.server_fault.as_ref().is_some_and(|faults| !faults.is_empty()),
        set.resource_fault.as_ref().is_some_and(|faults| !faults.is_empty()),
    ];
    faults.contains(&true) || set.refuse_tokens || set.withdraw_keys
}

/// Checks that some defect fails, other than those that do nothing at all.
pub fn failed(matrix: &Matrix) -> BTreeSet<&String> {
    let do_nothing = do_nothing();
    let worlds = Mutation::ALL.map(world_name);
    let real = matrix.0.iter().filter(|(who, _)| !do_nothing.contains(*who) && !worlds.contains(who));
    let broken = |o: &Outcome| matches!(o, Outcome::Fail | Outcome::Warn | Outcome::Info);
    real.flat_map(|(_, checks)| checks.iter().filter(|(_, outcomes)| outcomes.keys().any(broken)))
        .map(|(check, _)| check)
        .collect()
}

/// Checks that no defect fails; defects that no check sees.
pub fn unseen(matrix: &Matrix, catalogue: &Catalogue, part: &Part) -> Vec<String> {
    let failed = failed(matrix);
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
