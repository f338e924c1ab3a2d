//! From the text of a scenario file to its permutations, each resolved and linted, all mistakes at once.

mod faults;
mod matrix;

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
use crate::scenario::{Check, IssuerName, Level, Op, Scenario, Surface};
use faults::check_faults;
use matrix::{combine, fill};

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

impl ResolvedCheck {
    /// The clauses of `requires`, then of `expect`.
    pub fn clauses(&self) -> impl Iterator<Item = &Clause> {
        self.requires.iter().chain(&self.expect)
    }
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
        for (clause, place) in resolved.clauses().zip(&resolved.places) {
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
