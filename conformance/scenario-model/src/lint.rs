//! Refuses a check that silence could satisfy: judged over subjects that do nothing, it must not pass.

use std::collections::BTreeMap;

use crate::clause::Clause;
use crate::diagnostic::Diagnostic;
use crate::event::{Event, Fact, Reply, Said, StepBegin, StepEnd, SubjectExit};
use crate::judge::{Context, judge};
use crate::load::ResolvedCheck;
use crate::scenario::{Scenario, Step, Surface};
use crate::trace::Trace;
use crate::verdict::Outcome;

/// The checks of a scenario that a subject without any traffic would pass.
pub fn silence(scenario: &Scenario, checks: &[ResolvedCheck]) -> Vec<Diagnostic> {
    checks.iter().flat_map(|check| silent(check, scenario)).collect()
}

/// A rule that a subject without any traffic would pass.
pub fn silent_check(check: &ResolvedCheck, steps: &[Step]) -> Vec<Diagnostic> {
    let subject = crate::call::SubjectKind::default();
    let scenario = Scenario { step: steps.to_vec(), subject, ..Scenario::for_servers() };
    silent(check, &scenario)
}

fn silent(check: &ResolvedCheck, scenario: &Scenario) -> Vec<Diagnostic> {
    let words = BTreeMap::new();
    let doers = [
        ("never answers", Some(Said::Nothing)),
        ("answers every call with an error", Some(Said::Error)),
        ("answers every call with ok", Some(Said::Ok)),
        ("is not even started", None),
    ];
    for (name, said) in doers {
        let trace = Trace::new(said.map_or_else(Vec::new, |said| idle(scenario, check, said)));
        let context = Context { scenario, surface: Surface::Query, words: &words };
        if judge(check, &trace, context).outcome == Outcome::Pass {
            let place = check.places.first().cloned().unwrap_or(0..0);
            let message = format!("check `{}` passes a subject that does nothing and {name}", check.id);
            return vec![Diagnostic::new(place, message).with_help(
                "add a `requires` clause that only real traffic can meet, such as a served step",
            )];
        }
    }
    Vec::new()
}

/// The trace of a subject that answers so and never touches the network.
fn idle(scenario: &Scenario, check: &ResolvedCheck, said: Said) -> Vec<Event> {
    let literal = check.clauses().filter_map(|clause| match clause {
        Clause::Step { says, .. } => says.as_deref(),
        Clause::Count { .. } | Clause::Every { .. } => None,
    });
    let literal = literal.collect::<Vec<_>>().join(" ");
    let mut events = Vec::new();
    let mut push =
        |fact| events.push(Event { seq: events.len() as u64, at_us: events.len() as u64 * 1000, fact });
    for step in scenario.step.iter().filter(|s| s.op.is_call()) {
        push(Fact::StepBegin(StepBegin {
            step: step.id.clone(),
            op: "query".into(),
            session: step.session.clone(),
            calls: step.parallel,
        }));
        // The best that a subject without traffic could say: every word that a check might ask for.
        let everything = format!(
            "issuer client_id client_secret username password audience server auth port discovery token authentication \
             tls {literal}"
        );
        let reply = |n| Reply {
            marker: format!("{}.{n}", step.id),
            said,
            message: (said == Said::Error).then(|| everything.clone()),
            rows: None,
            took_us: 1000,
            leaks: Vec::new(),
        };
        push(Fact::StepEnd(StepEnd {
            step: step.id.clone(),
            session: step.session.clone(),
            leak: false,
            replies: (0..step.parallel).map(reply).collect(),
        }));
    }
    push(Fact::SubjectExit(SubjectExit {
        code: Some(0),
        signal: None,
        asked: true,
        ended_by_us: false,
        clean: true,
    }));
    events
}
