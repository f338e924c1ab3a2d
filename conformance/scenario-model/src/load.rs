//! From the text of a scenario file to its permutations, each resolved and linted, all mistakes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::call::SubjectKind;
use crate::clause::{Clause, RawClause};
use crate::diagnostic::{Diagnostic, FileErrors, Span, word_help};
use crate::document::Document;
use crate::event::Vocabulary;
use crate::lint;
use crate::manifest::NEUTRAL_KEYS;
use crate::plan::permutation_id;
use crate::saved::Saved;
use crate::scenario::{
    Check, IssuerFault, IssuerName, Level, Op, Scenario, Scheme, ServerFault, Surface, TlsTrouble,
};

/// A scenario file that was read without a mistake.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its path below `scenarios/`, without `.toml`.
    pub id: String,
    /// The text and places.
    pub document: Arc<Document>,
    /// One for each combination of the matrix, in the order of the file.
    pub combinations: Vec<Combination>,
}

/// One combination of the matrix.
#[derive(Debug, Clone)]
pub struct Combination {
    /// Name and value, in the order of the file.
    pub values: Vec<(String, Value)>,
    /// The scenario with these values filled in.
    pub scenario: Arc<Scenario>,
    /// Its checks, resolved.
    pub checks: Arc<Vec<ResolvedCheck>>,
}

/// A check whose clauses each say one thing.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedCheck {
    /// `<scenario>#<check>`.
    pub id: String,
    /// The level for these values of the matrix.
    pub level: Level,
    /// The rule, as a sentence.
    pub claim: String,
    /// Requirements that it tests.
    pub covers: Vec<String>,
    /// Evidence that the subject got far enough.
    pub requires: Vec<Clause>,
    /// What must hold.
    pub expect: Vec<Clause>,
    /// Where each clause of `requires`, then of `expect`, is written.
    pub places: Vec<Span>,
    /// The file in which it is written.
    pub file: String,
    /// The kind of subject that it is for.
    pub subject: SubjectKind,
}

/// Reads a scenario.
///
/// # Errors
/// Every mistake of the file, with its place.
pub fn load_scenario(id: &str, file: &str, text: &str, words: &Vocabulary) -> Result<Loaded, FileErrors> {
    let document = Document::parse(file, text)?;
    let mut wrong = Vec::new();
    let mut combinations = Vec::new();
    let mut names = BTreeSet::new();
    for values in combine(&document, &mut wrong) {
        let name = permutation_id(id, &values, Surface::Query);
        if !names.insert(name.clone()) {
            let message = format!("two permutations are named `{name}`");
            wrong.push(
                Diagnostic::new(document.span("/matrix"), message)
                    .with_help("`1` and `\"1\"` look the same in a name"),
            );
        }
        let mut value = document.value.clone();
        fill(&document, &mut value, "", &values, &mut wrong);
        match document.read::<Scenario>(&value) {
            Ok(mut scenario) => {
                let before = wrong.len();
                check_sessions(&document, &mut scenario, &mut wrong);
                check_steps(&document, &scenario, &mut wrong);
                let checks = resolve_checks(id, &document, &scenario, &values, words, &mut wrong);
                if wrong.len() == before {
                    wrong.extend(lint::silence(&scenario, &checks));
                }
                combinations.push(Combination {
                    values,
                    scenario: Arc::new(scenario),
                    checks: Arc::new(checks),
                });
            }
            Err(diagnostics) => wrong.extend(diagnostics),
        }
    }
    if wrong.is_empty() {
        Ok(Loaded { id: id.to_owned(), document: Arc::new(document), combinations })
    } else {
        Err(document.errors(wrong))
    }
}

/// Checks that every permutation of every scenario is judged by.
#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RulesFile {
    /// The checks.
    pub check: Vec<Check>,
}

/// Reads `rules.toml`.
///
/// # Errors
/// Every mistake of the file, with its place.
pub fn load_rules(file: &str, text: &str, words: &Vocabulary) -> Result<Vec<ResolvedCheck>, FileErrors> {
    let document = Document::parse(file, text)?;
    let rules: RulesFile = document.read_all()?;
    let mut wrong = Vec::new();
    let checks: Vec<ResolvedCheck> = rules
        .check
        .iter()
        .enumerate()
        .filter_map(|(nth, check)| resolve_check("rules", &document, nth, check, &[], words, &mut wrong))
        .collect();
    wrong.extend(checks.iter().flat_map(|c| lint::silent_check(c, &[])));
    if wrong.is_empty() { Ok(checks) } else { Err(document.errors(wrong)) }
}

fn combine(document: &Document, wrong: &mut Vec<Diagnostic>) -> Vec<Vec<(String, Value)>> {
    let mut combinations = vec![Vec::new()];
    let Some(matrix) = document.value.get("matrix").and_then(Value::as_object) else { return combinations };
    for (name, list) in matrix {
        let pointer = format!("/matrix/{name}");
        let Some(list) = list.as_array().filter(|l| !l.is_empty()) else {
            wrong.push(Diagnostic::new(
                document.span(&pointer),
                format!("matrix `{name}` needs a list of values"),
            ));
            continue;
        };
        combinations = combinations
            .into_iter()
            .flat_map(|before| {
                list.iter().map(move |value| {
                    let mut values = before.clone();
                    values.push((name.clone(), value.clone()));
                    values
                })
            })
            .collect();
    }
    combinations
}

/// Placeholders that are filled in when a scenario runs, not when it is read.
const LATER: [&str; 4] = ["marker", "n", "canary", "value"];

fn fill(
    document: &Document,
    value: &mut Value,
    at: &str,
    values: &[(String, Value)],
    wrong: &mut Vec<Diagnostic>,
) {
    match value {
        Value::String(text) => match fill_text(text, values) {
            Ok(Some(filled)) => *value = filled,
            Ok(None) => {}
            Err(name) => {
                let known: Vec<&str> = values.iter().map(|(n, _)| n.as_str()).chain(LATER).collect();
                wrong.push(
                    Diagnostic::new(document.span(at), format!("unknown placeholder `{{{name}}}`"))
                        .with_help(word_help(&name, known.iter().copied())),
                );
            }
        },
        Value::Array(items) => {
            for (nth, item) in items.iter_mut().enumerate() {
                fill(document, item, &format!("{at}/{nth}"), values, wrong);
            }
        }
        Value::Object(object) => {
            for (key, item) in object.iter_mut().filter(|(key, _)| !(at.is_empty() && *key == "matrix")) {
                match key.as_str() {
                    "body" | "patch" => fill_whole(item, values),
                    _ => fill(document, item, &format!("{at}/{key}"), values, wrong),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// In the issuer's own words braces are JSON: only a text that is one known placeholder is filled in.
fn fill_whole(value: &mut Value, values: &[(String, Value)]) {
    match value {
        Value::String(text) if is_placeholder(text) => {
            let name = &text[1..text.len() - 1];
            if let Some((_, filled)) = values.iter().find(|(known, _)| known == name) {
                *value = filled.clone();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill_whole(item, values)),
        Value::Object(object) => object.values_mut().for_each(|item| fill_whole(item, values)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_placeholder(text: &str) -> bool {
    text.strip_prefix('{')
        .and_then(|t| t.strip_suffix('}'))
        .is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
}

/// Replaces `{name}`; a text that is nothing else takes the value with its type.
fn fill_text(text: &str, values: &[(String, Value)]) -> Result<Option<Value>, String> {
    if is_placeholder(text)
        && let Some((_, value)) = values.iter().find(|(name, _)| *name == text[1..text.len() - 1])
    {
        return Ok(Some(value.clone()));
    }
    let mut filled = String::new();
    let mut rest = text;
    let mut changed = false;
    while let Some(open) = rest.find('{') {
        let Some(length) = rest[open..].find('}') else { break };
        let name = &rest[open + 1..open + length];
        filled.push_str(&rest[..open]);
        match values.iter().find(|(known, _)| known == name) {
            Some((_, value)) => {
                changed = true;
                filled.push_str(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
            None if LATER.contains(&name) => filled.push_str(&rest[open..=open + length]),
            None => return Err(name.to_owned()),
        }
        rest = &rest[open + length + 1..];
    }
    filled.push_str(rest);
    Ok(changed.then_some(Value::String(filled)))
}

fn check_steps(document: &Document, scenario: &Scenario, wrong: &mut Vec<Diagnostic>) {
    let sessions: BTreeSet<&str> =
        scenario.session.iter().map(|s| s.id.as_str()).chain(std::iter::once("a")).collect();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut said = |at: String, message: String, help: Option<String>| {
        let diagnostic = Diagnostic::new(document.span(&at), message);
        wrong.push(match help {
            Some(help) => diagnostic.with_help(help),
            None => diagnostic,
        });
    };
    for (nth, step) in scenario.step.iter().enumerate() {
        let at = |key: &str| format!("/step/{nth}/{key}");
        if let Some(moment) = &step.at
            && !seen.contains(moment.step.as_str())
        {
            let help = word_help(&moment.step, seen.iter().copied());
            said(at("at"), format!("`at` names `{}`, which is no earlier step", moment.step), Some(help));
        }
        if !sessions.contains(step.session.as_str()) {
            let help = word_help(&step.session, sessions.iter().copied());
            said(at("session"), format!("unknown session `{}`", step.session), Some(help));
        }
        if step.sql.as_ref().is_some_and(|sql| !sql.contains("{marker}")) {
            said(
                at("sql"),
                "the SQL must hold `{marker}`".into(),
                Some("the server finds the call by it".into()),
            );
        }
        if step.parallel == 0 || step.parallel > 10_000 {
            said(at("parallel"), "`parallel` must be from 1 to 10000".into(), None);
        }
        if step.op == Op::World && step.set == crate::scenario::WorldSet::default() {
            said(at("op"), "a `world` step needs `set`".into(), None);
        }
        if step.op != Op::World && step.set != crate::scenario::WorldSet::default() {
            said(at("set"), "`set` belongs to a `world` step".into(), None);
        }
        let asks_only_queries = step.op == Op::Query && scenario.surfaces == [Surface::Query];
        if step.deadline.is_some() && !asks_only_queries {
            said(
                at("deadline"),
                "only a query has a deadline".into(),
                Some("health checks and metadata calls cannot be given one".into()),
            );
        }
        if step.op == Op::World && step.wait.is_some() {
            said(at("wait"), "a `world` step is not waited for".into(), None);
        }
        if !seen.insert(&step.id) {
            said(at("id"), format!("two steps are named `{}`", step.id), None);
        }
    }
    check_profile(document, scenario, wrong);
    check_faults(document, scenario, wrong);
    crate::call::check(document, scenario, wrong);
    crate::request::check(document, scenario, wrong);
}

/// What a profile decides cannot be said again, and what needs one cannot be said without.
fn check_profile(document: &Document, scenario: &Scenario, wrong: &mut Vec<Diagnostic>) {
    use crate::provider::Provider;
    let issuer = &scenario.world.issuer;
    let mut said = |at: String, message: &str| wrong.push(Diagnostic::new(document.span(&at), message));
    let own = crate::provider::own_decisions(issuer);
    for (key, _) in own.into_iter().filter(|(_, written)| *written && issuer.profile.is_some()) {
        said(format!("/world/issuer/{key}"), "the `profile` decides this");
    }
    if !issuer.without.is_empty() && issuer.profile != Some(Provider::EntraV1) {
        said("/world/issuer/without".into(), "only the profile `entra-v1` has this quirk");
    }
    for (nth, session) in scenario.session.iter().enumerate().filter(|(_, s)| s.oauth.as_documented) {
        let at = format!("/session/{nth}/oauth/as_documented");
        if issuer.profile.is_none() || session.issuer != IssuerName::Main {
            said(at, "`as_documented` needs an issuer with a `profile`");
        } else if session.oauth.scope.is_some() || session.oauth.audience.is_some() {
            said(at, "`as_documented` decides `scope` and `audience`");
        }
    }
}

/// Checks the settings of sessions, and fills in what saved ones say of themselves.
fn check_sessions(document: &Document, scenario: &mut Scenario, wrong: &mut Vec<Diagnostic>) {
    for (nth, session) in scenario.session.iter_mut().enumerate() {
        let mut said = |key: &str, message: String, help: String| {
            let span = document.span(&format!("/session/{nth}/{key}"));
            wrong.push(Diagnostic::new(span, message).with_help(help));
        };
        for (at, setting) in session.settings.iter().enumerate() {
            if !NEUTRAL_KEYS.contains(&setting.key.as_str()) || setting.key == "headers" {
                let message = format!("unknown neutral key `{}`", setting.key);
                said(&format!("settings/{at}/key"), message, word_help(&setting.key, NEUTRAL_KEYS));
            }
        }
        if session.headers.iter().any(|header| header.name.is_empty()) {
            said(
                "headers",
                "a header needs a name".into(),
                "`{ name = \"x-flightcheck\", value = \"v\" }`".into(),
            );
        }
        const FIELDS: [&str; 2] = ["username", "password"];
        if let Some(other) = session.basic.keep.as_deref().filter(|kept| !FIELDS.contains(kept)) {
            said("basic/keep", format!("unknown field `{other}` in `keep`"), word_help(other, FIELDS));
        }
        if session.basic.password.as_ref().is_some_and(|p| !p.contains("{canary}")) {
            let help = "a fixed value could not be told from the same text elsewhere";
            said("basic/password", "`password` must hold `{canary}`".into(), help.into());
        }
        if let Some(name) = &session.saved {
            match Saved::named(name) {
                Some(saved) => {
                    session.auth = saved.method();
                    session.also = saved.methods().filter(|method| *method != session.auth).collect();
                    scenario.world.server.plaintext |= !saved.secure();
                }
                None => said(
                    "saved",
                    format!("there is no saved data source `{name}`"),
                    word_help(name, Saved::names()),
                ),
            }
        }
    }
    for (nth, step) in scenario.step.iter().enumerate() {
        if step.query_field.is_some() && step.op != Op::Query {
            let span = document.span(&format!("/step/{nth}/query_field"));
            wrong.push(Diagnostic::new(span, "only a `query` has a `query_field`"));
        }
    }
}

fn check_faults(document: &Document, scenario: &Scenario, wrong: &mut Vec<Diagnostic>) {
    check_issuer_faults(document, "/world/issuer/fault", &scenario.world.issuer.fault, wrong);
    check_server_faults(document, "/world/server/fault", scenario, &scenario.world.server.fault, wrong);
    for (nth, step) in scenario.step.iter().enumerate() {
        let faults = step.set.issuer_fault.as_deref().unwrap_or_default();
        check_issuer_faults(document, &format!("/step/{nth}/set/issuer_fault"), faults, wrong);
        let faults = step.set.server_fault.as_deref().unwrap_or_default();
        check_server_faults(document, &format!("/step/{nth}/set/server_fault"), scenario, faults, wrong);
    }
    let of_steps = scenario.step.iter().enumerate().flat_map(|(nth, step)| {
        let faults = step.set.resource_fault.iter().flatten();
        faults.enumerate().map(move |(at, fault)| (format!("/step/{nth}/set/resource_fault/{at}"), fault))
    });
    let of_world = scenario.world.resource.fault.iter().enumerate();
    let of_world = of_world.map(|(at, fault)| (format!("/world/resource/fault/{at}"), fault));
    for (at, _) in of_world.chain(of_steps).filter(|(_, fault)| !(400..600).contains(&fault.status)) {
        let span = document.span(&format!("{at}/status"));
        wrong.push(Diagnostic::new(span, "`status` of a fault is from 400 to 599"));
    }
    check_clients(document, scenario, wrong);
    check_tls(document, scenario, wrong);
    for (nth, session) in scenario.session.iter().enumerate() {
        for (key, value) in
            [("client_secret", &session.oauth.client_secret), ("client_id", &session.oauth.client_id)]
        {
            if value.as_ref().is_some_and(|v| !v.contains("{canary}")) {
                let span = document.span(&format!("/session/{nth}/oauth/{key}"));
                wrong.push(
                    Diagnostic::new(span, format!("`{key}` must hold `{{canary}}`"))
                        .with_help("a fixed value could not be told from the same text elsewhere"),
                );
            }
        }
        for part in session.oauth.keep.iter().flat_map(|k| k.split('+')) {
            const FIELDS: [&str; 3] = ["issuer", "client_id", "client_secret"];
            if !FIELDS.contains(&part) {
                let span = document.span(&format!("/session/{nth}/oauth/keep"));
                wrong.push(
                    Diagnostic::new(span, format!("unknown field `{part}` in `keep`"))
                        .with_help(word_help(part, FIELDS)),
                );
            }
        }
    }
}

fn check_tls(document: &Document, scenario: &Scenario, wrong: &mut Vec<Diagnostic>) {
    let server = &scenario.world.server;
    let mut said = |at: &str, message: &str, help: &str| {
        wrong.push(Diagnostic::new(document.span(at), message).with_help(help));
    };
    match server.tls {
        Some(TlsTrouble::Unexpected) if !server.plaintext => said(
            "/world/server/tls",
            "`tls = \"unexpected\"` needs `plaintext = true`",
            "clients are told that there is no TLS",
        ),
        Some(trouble) if trouble != TlsTrouble::Unexpected && server.plaintext => said(
            "/world/server/tls",
            "a server with `plaintext = true` has no TLS that something could be wrong with",
            "remove `plaintext`, or write `tls = \"unexpected\"`",
        ),
        _ => {}
    }
    if server.tls_version.is_some() && (server.plaintext || server.tls.is_some()) {
        said(
            "/world/server/tls_version",
            "`tls_version` is of a server whose TLS is there and well",
            "remove `plaintext` and `tls`",
        );
    }
    if scenario.world.issuer.tls_version.is_some() && scenario.world.issuer.scheme == Scheme::Http {
        said(
            "/world/issuer/tls_version",
            "an issuer with `scheme = \"http\"` has no TLS",
            "remove `scheme` or `tls_version`",
        );
    }
    for (name, value) in &server.headers {
        if !value.contains("{canary}") {
            said(
                &format!("/world/server/headers/{name}"),
                "a header must hold `{canary}`",
                "a fixed value could not be told from the same text elsewhere",
            );
        }
    }
    for (nth, step) in scenario.step.iter().enumerate() {
        if step.users == Some(0) {
            said(
                &format!("/step/{nth}/users"),
                "`users` must be at least 1",
                "leave it out for a user a call",
            );
        }
        if (step.users.is_some() || step.forwarded) && step.user.is_none() {
            let key = if step.forwarded { "forwarded" } else { "users" };
            said(&format!("/step/{nth}/{key}"), &format!("`{key}` needs `user`"), "whose would it be");
        }
    }
}

fn kinds_of(fault: &IssuerFault) -> [(&'static str, bool); 15] {
    [
        ("status", fault.status.is_some()),
        ("patch", fault.patch.is_some()),
        ("redirect", fault.redirect.is_some()),
        ("echo", fault.echo.is_some()),
        ("refused", fault.refused),
        ("reset", fault.reset),
        ("answer", fault.answer.is_some()),
        ("content_type", fault.content_type.is_some()),
        ("but_status", fault.but_status.is_some()),
        ("long_token", fault.long_token.is_some()),
        ("connection", fault.connection.is_some()),
        ("stall", fault.stall.is_some()),
        ("delay", fault.delay.is_some()),
        ("redirect_within", fault.redirect_within.is_some()),
        ("tls", fault.tls.is_some()),
    ]
}

/// The longest token that an issuer makes.
const LONGEST_TOKEN: u32 = 1 << 20;

fn check_issuer_faults(
    document: &Document,
    place: &str,
    faults: &[IssuerFault],
    wrong: &mut Vec<Diagnostic>,
) {
    for (nth, fault) in faults.iter().enumerate() {
        let at = format!("{place}/{nth}");
        let kinds = kinds_of(fault);
        if kinds.iter().filter(|(_, there)| *there).count() != 1 {
            let names: Vec<String> = kinds.iter().map(|(name, _)| format!("`{name}`")).collect();
            wrong.push(
                Diagnostic::new(document.span(&at), "a fault does one thing")
                    .with_help(format!("exactly one of {}", names.join(", "))),
            );
        }
        let statuses = [
            ("status", fault.status),
            ("but_status", fault.but_status),
            ("redirect", fault.redirect),
            ("redirect_within", fault.redirect_within),
            ("echo", fault.echo),
        ];
        for (key, _) in statuses.iter().filter(|(_, of)| of.is_some_and(|s| !(100..600).contains(&s))) {
            let span = document.span(&format!("{at}/{key}"));
            wrong.push(Diagnostic::new(span, format!("`{key}` must be from 100 to 599")));
        }
        if fault.tls == Some(TlsTrouble::Unexpected) {
            let span = document.span(&format!("{at}/tls"));
            wrong.push(
                Diagnostic::new(span, "an issuer's TLS is never `unexpected`")
                    .with_help("it is of a server with `plaintext = true`"),
            );
        }
        if fault.long_token.is_some_and(|bytes| bytes > LONGEST_TOKEN) {
            let span = document.span(&format!("{at}/long_token"));
            wrong.push(Diagnostic::new(span, format!("`long_token` must be at most {LONGEST_TOKEN}")));
        }
    }
}

/// A session that is the client of another, or takes its place, names one that stands before it.
fn check_clients(document: &Document, scenario: &Scenario, wrong: &mut Vec<Diagnostic>) {
    for (nth, session) in scenario.session.iter().enumerate() {
        let before: Vec<&str> = scenario.session[..nth].iter().map(|s| s.id.as_str()).collect();
        for (key, named) in [("client_of", &session.client_of), ("replaces", &session.replaces)] {
            if let Some(named) = named.as_ref().filter(|named| !before.contains(&named.as_str())) {
                let span = document.span(&format!("/session/{nth}/{key}"));
                wrong.push(
                    Diagnostic::new(span, format!("`{key}` names `{named}`, which is no earlier session"))
                        .with_help(word_help(named, before.iter().copied())),
                );
            }
        }
        let own = session.oauth.client_id.is_some() || session.oauth.client_secret.is_some();
        if session.client_of.is_some() && own {
            let span = document.span(&format!("/session/{nth}/client_of"));
            wrong.push(Diagnostic::new(span, "`client_of` goes with no `client_id` and no `client_secret`"));
        }
    }
}

fn check_server_faults(
    document: &Document,
    place: &str,
    scenario: &Scenario,
    faults: &[ServerFault],
    wrong: &mut Vec<Diagnostic>,
) {
    let sessions: Vec<&str> =
        scenario.session.iter().map(|s| s.id.as_str()).chain(std::iter::once("a")).collect();
    for (nth, fault) in faults.iter().enumerate() {
        let kinds =
            [fault.code.is_some(), fault.breaks.is_some(), fault.delay.is_some(), fault.slow.is_some()];
        if kinds.iter().filter(|k| **k).count() != 1 {
            wrong.push(
                Diagnostic::new(document.span(&format!("{place}/{nth}")), "a fault does one thing")
                    .with_help("exactly one of `code`, `breaks`, `delay`, `slow`"),
            );
        }
        if let Some(session) = fault.session.as_deref().filter(|s| !sessions.contains(s)) {
            let span = document.span(&format!("{place}/{nth}/session"));
            wrong.push(
                Diagnostic::new(span, format!("unknown session `{session}`"))
                    .with_help(word_help(session, sessions.iter().copied())),
            );
        }
    }
}

fn resolve_checks(
    id: &str,
    document: &Document,
    scenario: &Scenario,
    values: &[(String, Value)],
    words: &Vocabulary,
    wrong: &mut Vec<Diagnostic>,
) -> Vec<ResolvedCheck> {
    let steps: BTreeSet<&str> = scenario.step.iter().map(|s| s.id.as_str()).collect();
    let mut seen = BTreeSet::new();
    let mut checks = Vec::new();
    for (nth, check) in scenario.check.iter().enumerate() {
        if !seen.insert(&check.id) {
            let span = document.span(&format!("/check/{nth}/id"));
            wrong.push(Diagnostic::new(span, format!("two checks are named `{}`", check.id)));
        }
        if check.subject.is_some() {
            let span = document.span(&format!("/check/{nth}/subject"));
            wrong.push(
                Diagnostic::new(span, "`subject` of a check belongs into the rules")
                    .with_help("write it at the top of the scenario"),
            );
        }
        let Some(resolved) = resolve_check(id, document, nth, check, values, words, wrong) else { continue };
        let resolved = ResolvedCheck { subject: scenario.subject, ..resolved };
        for (clause, place) in resolved.requires.iter().chain(&resolved.expect).zip(&resolved.places) {
            for step in clause.steps().into_iter().filter(|s| !steps.contains(s)) {
                wrong.push(
                    Diagnostic::new(place.clone(), format!("unknown step `{step}`"))
                        .with_help(word_help(step, steps.iter().copied())),
                );
            }
        }
        checks.push(resolved);
    }
    checks
}

fn resolve_check(
    scenario: &str,
    document: &Document,
    nth: usize,
    check: &Check,
    values: &[(String, Value)],
    words: &Vocabulary,
    wrong: &mut Vec<Diagnostic>,
) -> Option<ResolvedCheck> {
    let mut places = Vec::new();
    let mut resolve = |list: &[RawClause], name: &str| {
        let mut clauses = Vec::new();
        for (clause_nth, raw) in list.iter().enumerate() {
            let at = format!("/check/{nth}/{name}/{clause_nth}");
            places.push(document.span(&at));
            match raw.resolve(words, |below| document.span(&format!("{at}{below}"))) {
                Ok(clause) => clauses.push(clause),
                Err(diagnostics) => wrong.extend(diagnostics),
            }
        }
        clauses
    };
    let requires = resolve(&check.requires, "requires");
    let expect = resolve(&check.expect, "expect");
    if check.expect.is_empty() {
        let span = document.span(&format!("/check/{nth}"));
        wrong.push(Diagnostic::new(span, format!("check `{}` expects nothing", check.id)));
    }
    let level = level_for(document, nth, check, values, wrong);
    let whole = requires.len() + expect.len() == places.len();
    whole.then(|| ResolvedCheck {
        id: format!("{scenario}#{}", check.id),
        level,
        claim: check.claim.clone(),
        covers: check.covers.clone(),
        requires,
        expect,
        places,
        file: document.file.clone(),
        subject: check.subject.unwrap_or_default(),
    })
}

fn level_for(
    document: &Document,
    nth: usize,
    check: &Check,
    values: &[(String, Value)],
    wrong: &mut Vec<Diagnostic>,
) -> Level {
    let mut level = check.level;
    for (rule_nth, rule) in check.level_if.iter().enumerate() {
        let at = format!("/check/{nth}/level_if/{rule_nth}");
        let other = rule.get("level").and_then(|l| serde_json::from_value::<Level>(l.clone()).ok());
        let Some(other) = other else {
            wrong.push(Diagnostic::new(document.span(&at), "`level_if` needs `level`: MUST, SHOULD or MAY"));
            continue;
        };
        let conditions: BTreeMap<&String, &Value> = rule.iter().filter(|(k, _)| *k != "level").collect();
        for name in conditions.keys() {
            if !values.iter().any(|(known, _)| known == *name) {
                let span = document.span(&format!("{at}/{name}"));
                wrong.push(
                    Diagnostic::new(span, format!("`{name}` is not in the matrix"))
                        .with_help(word_help(name, values.iter().map(|(n, _)| n.as_str()))),
                );
            }
        }
        if matches(values, conditions.iter().map(|(k, v)| (k.as_str(), *v))) {
            level = other;
        }
    }
    level
}

/// All of these values of the matrix are so.
pub fn matches<'a>(
    values: &[(String, Value)],
    mut wanted: impl Iterator<Item = (&'a str, &'a Value)>,
) -> bool {
    wanted.all(|(name, value)| values.iter().any(|(n, v)| n == name && v == value))
}

/// The values as one object.
pub fn as_object(values: &[(String, Value)]) -> Map<String, Value> {
    values.iter().cloned().collect()
}
