//! Several queries in one request: what can and what cannot share one.

use crate::diagnostic::Diagnostic;
use crate::document::Document;
use crate::scenario::{Op, Scenario, Step, Surface};

/// So many queries fit into a request.
const MOST: u32 = 26;

/// Checks that the steps of a request can be sent as one.
pub fn check(document: &Document, scenario: &Scenario, wrong: &mut Vec<Diagnostic>) {
    let mut said = |nth: usize, key: &str, message: String, help: &str| {
        let diagnostic = Diagnostic::new(document.span(&format!("/step/{nth}/{key}")), message);
        wrong.push(diagnostic.with_help(help.to_owned()));
    };
    let mut ended: Vec<&str> = Vec::new();
    let mut first = 0;
    for group in scenario.step.chunk_by(Step::shares_request) {
        let Some(name) = group[0].request.as_deref() else {
            first += group.len();
            continue;
        };
        if ended.contains(&name) {
            let message = format!("request `{name}` was sent already");
            said(first, "request", message, "its steps stand side by side");
        }
        ended.push(name);
        if group.iter().map(|step| step.parallel).sum::<u32>() > MOST {
            let message = format!("request `{name}` has more than {MOST} queries");
            said(first, "request", message, "they are named by a letter each");
        }
        if scenario.surfaces != [Surface::Query] {
            let message = "only queries share a request".to_owned();
            said(first, "request", message, "leave `surfaces` out");
        }
        for (nth, step) in (first..).zip(group) {
            let other = |a: &Option<String>, b: &Option<String>| a != b;
            let trouble = [
                ("op", step.op != Op::Query, "only queries share a request", "`op = \"query\"`"),
                ("session", step.session != group[0].session, "a request is of one session", "name the same"),
                ("user", other(&step.user, &group[0].user), "a request is for one user", "name the same"),
                (
                    "user",
                    step.user.as_ref().is_some_and(|user| user.contains("{n}")),
                    "a request is for one user",
                    "leave `{n}` out",
                ),
                (
                    "at",
                    nth > first && step.at.is_some(),
                    "its request was sent already",
                    "give the time at the request's first step",
                ),
                ("deadline", step.deadline.is_some(), "a request has no deadline", "leave it out"),
                ("wait", step.wait.is_some(), "a request is waited for as a whole", "leave it out"),
            ];
            for (key, _, message, help) in trouble.into_iter().filter(|(_, is_so, _, _)| *is_so) {
                said(nth, key, message.to_owned(), help);
            }
        }
        first += group.len();
    }
}
