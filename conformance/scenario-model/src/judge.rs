//! From a trace to a verdict: no I/O, no clock. The only place that decides.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::clause::{Clause, Expectation, Outcome as CallOutcome, Selection};
use crate::event::{Event, Fact, Reply, Said, ServerStreamEnd};
use crate::load::ResolvedCheck;
use crate::moment::{Seconds, Window};
use crate::scenario::{Auth, Level, Op, PortForm, Scenario, Surface};
use crate::trace::Trace;
use crate::verdict::{CheckVerdict, Finding, Outcome};

/// What the judge knows beside the trace: the permutation's scenario, its surface, the subject's words.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The scenario with the matrix filled in.
    pub scenario: &'a Scenario,
    /// The surface on which `query` steps ran.
    pub surface: Surface,
    /// What the subject calls things in its messages.
    pub words: &'a BTreeMap<String, Vec<String>>,
}

/// What a trace says about a clause.
enum Answer {
    Holds,
    Broken(Finding),
    /// There is nothing to look at: never true.
    Vacuous(Finding),
}

/// Judges one check.
pub fn judge(check: &ResolvedCheck, trace: &Trace, context: Context<'_>) -> CheckVerdict {
    let mut verdict = CheckVerdict {
        check: check.id.clone(),
        level: check.level,
        claim: check.claim.clone(),
        covers: check.covers.clone(),
        outcome: Outcome::Pass,
        before_list: None,
        findings: Vec::new(),
    };
    let numbered = check.clauses().enumerate();
    for (nth, clause) in numbered {
        let required = nth < check.requires.len();
        if !required && verdict.outcome == Outcome::NotTestable {
            break;
        }
        let (outcome, mut finding) = match answer(clause, trace, context) {
            Answer::Holds => continue,
            Answer::Broken(finding) if !required => (broken(check.level), finding),
            Answer::Broken(finding) | Answer::Vacuous(finding) => (Outcome::NotTestable, finding),
        };
        finding.clause = nth;
        let outcome = match stalled(clause, trace) {
            Some(gap) => {
                finding.observed.push_str(&format!("; but the machine stalled for {gap} ms meanwhile"));
                Outcome::Inconclusive
            }
            None => outcome,
        };
        verdict.outcome = verdict.outcome.max(outcome);
        verdict.findings.push(finding);
    }
    verdict
}

fn broken(level: Level) -> Outcome {
    match level {
        Level::Must => Outcome::Fail,
        Level::Should => Outcome::Warn,
        Level::May => Outcome::Info,
    }
}

fn stalled(clause: &Clause, trace: &Trace) -> Option<u64> {
    if !clause.is_about_time() {
        return None;
    }
    match clause {
        Clause::Step { step, within, .. } => {
            let total = trace.stalled(Some(&Window { from: step.clone(), to: step.clone() }))?;
            let excused =
                trace.end(step).is_none_or(|(_, end)| end.replies.iter().all(|r| excuses(total, r, *within)));
            excused.then_some(total)
        }
        Clause::Count { events, .. } | Clause::Every { events, .. } => trace.stalled(events.window.as_ref()),
    }
}

/// A stall of so many milliseconds can be why a call ended as it did: not for a subject that is gone, not for a silence much
/// longer than it, not for a reply that was late by more than it.
fn excuses(stalled_ms: u64, reply: &Reply, within: Option<Seconds>) -> bool {
    let took_ms = reply.took_us / 1000;
    let late_ms = within.map_or(0, |within| took_ms.saturating_sub((within.0 * 1e3) as u64));
    match reply.said {
        Said::Gone => false,
        Said::Nothing => stalled_ms * 4 >= took_ms,
        Said::Ok | Said::Error => stalled_ms >= late_ms,
    }
}

fn answer(clause: &Clause, trace: &Trace, context: Context<'_>) -> Answer {
    let finding = |observed: String, events: &[&Event]| Finding {
        expected: clause.to_string(),
        observed,
        at_us: events.first().map(|e| e.at_us),
        clause: 0,
        events: events.iter().map(|e| e.seq).collect(),
    };
    match clause {
        Clause::Step { step, outcome, within, mentions, says } => {
            let Some((event, end)) = trace.end(step) else {
                return Answer::Vacuous(finding(format!("`{step}` did not come to its end"), &[]));
            };
            if end.replies.is_empty() {
                return Answer::Vacuous(finding(format!("`{step}` made no call"), &[event]));
            }
            let warned = *outcome == CallOutcome::Warned
                && mentions.as_deref().is_some_and(|word| logged(word, step, trace, context));
            let wrong =
                end.replies.iter().filter(|reply| !(warned && reply.said == Said::Ok)).find_map(|reply| {
                    ended(reply, *outcome, step, trace, context)
                        .or_else(|| in_time(reply, *within))
                        .or_else(|| mentioned(reply, mentions.as_deref(), step, context))
                        .or_else(|| said(reply, says.as_deref()))
                });
            match wrong {
                Some(observed) => Answer::Broken(finding(observed, &[event])),
                None => Answer::Holds,
            }
        }
        Clause::Count { events, count } => {
            let Some(chosen) = trace.select(events) else {
                return Answer::Vacuous(finding(never_opened(events), &[]));
            };
            let found = chosen.len() as u64;
            if found >= count.min && count.max.is_none_or(|max| found <= max) {
                return Answer::Holds;
            }
            let shown: Vec<&Event> = chosen.iter().map(|(event, _)| *event).collect();
            Answer::Broken(finding(format!("{found} of them{}", moments(&shown)), &shown))
        }
        Clause::Every { events, expect } => {
            let Some(chosen) = trace.select(events).filter(|c| !c.is_empty()) else {
                return Answer::Vacuous(finding(never_opened(events), &[]));
            };
            for (event, fields) in chosen {
                for (field, expectation) in expect {
                    if !meets(fields, field, expectation) {
                        let observed = match expectation {
                            Expectation::SameAs(other) => {
                                format!("`{field}` = {} and `{other}` = {}", fields[field], fields[other])
                            }
                            Expectation::Is(_) | Expectation::Between { .. } => {
                                format!("`{field}` = {}", fields[field])
                            }
                        };
                        let observed = format!("{observed}{}", moments(&[event]));
                        return Answer::Broken(finding(observed, &[event]));
                    }
                }
            }
            Answer::Holds
        }
    }
}

fn never_opened(events: &Selection) -> String {
    match &events.window {
        Some(window) => format!("there is none: nothing of the kind was recorded in `{window}`"),
        None => "there is none".to_owned(),
    }
}

fn meets(fields: &Value, field: &str, expectation: &Expectation) -> bool {
    let found = &fields[field];
    match expectation {
        Expectation::Is(value) => found == value,
        Expectation::SameAs(other) => !found.is_null() && found == &fields[other],
        Expectation::Between { min, max } => {
            found.as_f64().is_some_and(|n| min.is_none_or(|min| n >= min) && max.is_none_or(|max| n <= max))
        }
    }
}

/// What is wrong with how a call ended, in words.
fn ended(
    reply: &Reply,
    wanted: CallOutcome,
    step: &str,
    trace: &Trace,
    context: Context<'_>,
) -> Option<String> {
    let took = Seconds(reply.took_us as f64 / 1e6);
    let said = reply.message.as_deref().unwrap_or("no message");
    match (wanted, reply.said) {
        (_, Said::Nothing) => Some(format!("call `{}` was not answered in {took}", reply.marker)),
        (_, Said::Gone) => Some(format!("the subject was gone before it answered call `{}`", reply.marker)),
        (CallOutcome::Error | CallOutcome::Warned, Said::Error) => None,
        (CallOutcome::Error, Said::Ok) => {
            Some(format!("call `{}` was answered ok after {took}", reply.marker))
        }
        (CallOutcome::Warned, Said::Ok) => {
            Some(format!("call `{}` was answered ok, and the log does not say it either", reply.marker))
        }
        (CallOutcome::Served, Said::Error) => {
            Some(format!("call `{}` ended in an error after {took}: {said}", reply.marker))
        }
        (CallOutcome::Served, Said::Ok) => not_served(reply, step, trace, context),
    }
}

/// The subject says ok: what is missing at the server, in words.
fn not_served(reply: &Reply, step: &str, trace: &Trace, context: Context<'_>) -> Option<String> {
    let surface = match context.scenario.step.iter().find(|s| s.id == step).map(|s| s.op) {
        Some(Op::Call) => return not_answered(reply, trace),
        Some(Op::Export) => return not_taken(reply, trace),
        Some(Op::Health) => Surface::Health,
        Some(Op::Tables) => Surface::Tables,
        Some(Op::Query | Op::World | Op::Restart) | None => context.surface,
    };
    // Columns can be read off a schema, without a row.
    let reads = |method: &str| method == "DoGet" || (surface == Surface::Columns && method == "GetSchema");
    let ends = trace.events().iter().filter_map(|e| match &e.fact {
        Fact::ServerStreamEnd(end) if reads(&end.method) => Some((e, end)),
        _ => None,
    });
    if surface == Surface::Query {
        let own: Vec<&ServerStreamEnd> =
            ends.map(|(_, end)| end).filter(|end| end.marker.as_deref() == Some(&reply.marker)).collect();
        let Some(whole) = own.iter().rev().find(|end| end.code == "OK" && !end.aborted) else {
            let seen = own
                .last()
                .map_or("saw no DoGet of it".to_owned(), |end| format!("ended it with {}", end.code));
            return Some(format!(
                "the subject says that call `{}` went well, but the server {seen}",
                reply.marker
            ));
        };
        return reply.rows.filter(|rows| *rows != whole.rows).map(|rows| {
            format!(
                "the subject says {rows} rows for call `{}`, the server sent {}",
                reply.marker, whole.rows
            )
        });
    }
    let (_, end) = trace.end(step)?;
    let bounds = trace.bounds(&Window { from: step.to_owned(), to: step.to_owned() })?;
    let command = match surface {
        Surface::Tables => Some("GetTables"),
        Surface::SqlInfo => Some("GetSqlInfo"),
        Surface::Query | Surface::Health | Surface::Columns => None,
    };
    let served = ends
        .filter(|(e, _)| (bounds.0..=bounds.1).contains(&e.at_us))
        .filter(|(_, s)| s.session == end.session && s.code == "OK" && !s.aborted)
        .filter(|(_, s)| command.is_none() || s.command.as_deref() == command)
        .count();
    let claimed = end.replies.iter().filter(|r| r.said == Said::Ok).count();
    (served < claimed).then(|| {
        format!("the subject says that {claimed} calls of `{step}` went well, the server served {served}")
    })
}

/// The runner called a server: what is missing in its own record, in words.
fn not_answered(reply: &Reply, trace: &Trace) -> Option<String> {
    let answered = trace.events().iter().any(
        |e| matches!(&e.fact, Fact::ProbeAnswer(answer) if answer.marker == reply.marker && answer.code == "OK"),
    );
    (!answered).then(|| format!("there is no answer to call `{}` in the record", reply.marker))
}

/// An HTTP client says that it sent a batch: what is missing at the protected endpoint, in words.
fn not_taken(reply: &Reply, trace: &Trace) -> Option<String> {
    let own = trace.events().iter().filter_map(|e| match &e.fact {
        Fact::ResourceRequest(request) if request.marker.as_deref() == Some(&reply.marker) => Some(request),
        _ => None,
    });
    let statuses: Vec<u16> = own.map(|request| request.status).collect();
    match statuses.last() {
        _ if statuses.iter().any(|status| (200..300).contains(status)) => None,
        None => Some(format!(
            "the subject says that call `{}` went well, but the endpoint saw no request of it",
            reply.marker
        )),
        Some(status) => Some(format!(
            "the subject says that call `{}` went well, but the endpoint answered it with {status}",
            reply.marker
        )),
    }
}

fn in_time(reply: &Reply, within: Option<Seconds>) -> Option<String> {
    let took = Seconds(reply.took_us as f64 / 1e6);
    within
        .filter(|within| took.0 > within.0)
        .map(|within| format!("call `{}` took {took}, longer than {within}", reply.marker))
}

fn mentioned(reply: &Reply, word: Option<&str>, step: &str, context: Context<'_>) -> Option<String> {
    let word = word?;
    let wanted = wanted_words(word, step, context);
    let message = reply.message.as_deref().unwrap_or_default().to_lowercase();
    let found = wanted.iter().any(|w| message.contains(&w.to_lowercase()));
    (!found).then(|| format!("the error says `{message}`, with none of: {}", wanted.join(", ")))
}

fn said(reply: &Reply, text: Option<&str>) -> Option<String> {
    let text = text?;
    let message = reply.message.as_deref().unwrap_or_default();
    let found = message.to_lowercase().contains(&text.to_lowercase());
    (!found).then(|| format!("the error says `{message}`, without `{text}`"))
}

/// A line of the log mentions it.
fn logged(word: &str, step: &str, trace: &Trace, context: Context<'_>) -> bool {
    let wanted = wanted_words(word, step, context);
    trace.events().iter().any(|event| match &event.fact {
        Fact::SubjectStderr(line) => {
            let text = line.text.to_lowercase();
            wanted.iter().any(|w| text.contains(&w.to_lowercase()))
        }
        _ => false,
    })
}

fn wanted_words(word: &str, step: &str, context: Context<'_>) -> Vec<String> {
    let own = |name: &str, defaults: &[&str]| {
        let known = context.words.get(name).cloned();
        known.unwrap_or_else(|| defaults.iter().map(|d| (*d).to_owned()).collect())
    };
    let session = context.scenario.step.iter().find(|s| s.id == step).map(|s| s.session.as_str());
    let session = context.scenario.session.iter().find(|s| Some(s.id.as_str()) == session);
    match word {
        "missing-field" => {
            let basic = session.is_some_and(|s| s.auth == Auth::Basic);
            let kept =
                session.and_then(|s| if basic { s.basic.keep.as_deref() } else { s.oauth.keep.as_deref() });
            let kept = kept.unwrap_or_default();
            let fields: &[&str] =
                if basic { &["username", "password"] } else { &["issuer", "client_id", "client_secret"] };
            fields
                .iter()
                .filter(|field| !kept.split('+').any(|k| k == **field))
                .flat_map(|field| own(field, &[field]))
                .collect()
        }
        "setting" => {
            let keys = session.into_iter().flat_map(|s| &s.settings).map(|setting| setting.key.as_str());
            let names = keys.map(|key| match key {
                "auth.none" | "auth.token" | "auth.basic" | "oauth" => "auth",
                _ => key.rsplit('.').next().unwrap_or(key),
            });
            let port = session.filter(|s| s.port != PortForm::AsItIs).map(|_| "port");
            let headers = session.into_iter().flat_map(|s| &s.headers).map(|header| header.name.as_str());
            names.chain(port).chain(headers).flat_map(|name| own(name, &[name])).collect()
        }
        "tls" => own(word, &["tls", "plaintext", "insecure", "unencrypted"]),
        "discovery" => own(word, &["discovery", "well-known", "openid-configuration"]),
        "authentication" | "UNAUTHENTICATED" => {
            own(word, &["unauthenticated", "unauthorized", "authentication", "credential"])
        }
        "PERMISSION_DENIED" => own(word, &["permission", "denied", "forbidden", "not allowed"]),
        other => own(other, &[other]),
    }
}

fn moments(events: &[&Event]) -> String {
    if events.is_empty() {
        return String::new();
    }
    let shown: Vec<String> =
        events.iter().take(4).map(|e| format!("{}", Seconds(e.at_us as f64 / 1e6))).collect();
    let more = events.len().saturating_sub(4);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(" (at {}{tail})", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(said: Said, took_ms: u64, within: Option<f64>, stalled_ms: u64, expected: bool) {
        let reply = Reply {
            marker: "m".into(),
            said,
            message: None,
            rows: None,
            took_us: took_ms * 1000,
            leaks: Vec::new(),
        };
        assert_eq!(
            excuses(stalled_ms, &reply, within.map(Seconds)),
            expected,
            "{said:?} {took_ms} {stalled_ms}"
        );
    }

    #[test]
    fn a_stall_excuses_only_what_it_can_explain() {
        check(Said::Nothing, 16_000, None, 600, false);
        check(Said::Nothing, 16_000, None, 5_000, true);
        check(Said::Error, 12_400, Some(12.0), 300, false);
        check(Said::Error, 12_200, Some(12.0), 300, true);
        check(Said::Error, 100, None, 300, true);
        check(Said::Gone, 100, None, 9_000, false);
    }
}
