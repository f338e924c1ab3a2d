//! From a bundle to a report: judges every permutation, applies the known-failures list, counts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bundle::{Bundle, BundleError, Calibration, Planned, Ran, SetInfo, SubjectInfo};
use crate::event::{Event, Vocabulary};
use crate::judge::{Context, judge};
use crate::known_failures;
use crate::load::{Combination, Loaded, ResolvedCheck, load_rules, load_scenario};
use crate::scenario::{Lane, Surface};
use crate::trace::Trace;
use crate::verdict::{CheckVerdict, Counts, ExitCode, ExitRules, Outcome, exit_code};

/// What a run came to. A function of the bundle alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Version of this form: 1.
    pub format: u32,
    /// Name and version of the program that recorded the run.
    pub tool: String,
    /// When the run was started, RFC 3339.
    pub started: String,
    /// What was under test.
    pub subject: SubjectInfo,
    /// What is known about the subject's refresh skew.
    pub calibration: Option<Calibration>,
    /// The requirement set.
    pub requirements: SetInfo,
    /// Seed of every random choice.
    pub seed: u64,
    /// What was selected, in words.
    pub selection: String,
    /// The run was cut short, or its record is not whole.
    pub partial: bool,
    /// How many checks were planned: the sum of `counts`.
    pub planned: u64,
    /// Checks by outcome.
    pub counts: Counts,
    /// Permutations by outcome.
    pub permutations: Counts,
    /// The process's answer.
    pub exit: ExitCode,
    /// Entries of the known-failures list that list no check any more.
    pub unmatched_entries: Vec<String>,
    /// Entries of the known-failures list whose last day is past.
    pub expired_entries: Vec<String>,
    /// How long all permutations took together, in microseconds; zero if that is not known.
    #[serde(default)]
    pub took_us: u64,
    /// One for each planned permutation, in the order of the plan.
    pub rows: Vec<Row>,
}

/// One permutation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// Its name.
    pub permutation: String,
    /// `family/name`.
    pub scenario: String,
    /// The scenario's title.
    pub title: String,
    /// Where `query` steps ran.
    pub surface: Surface,
    /// How it spends its time.
    pub lane: Lane,
    /// The worst of its checks.
    pub outcome: Outcome,
    /// Why it did not apply, or what went wrong on our side.
    pub note: Option<String>,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// How often it was run before, because the machine stalled.
    pub repeated: u32,
    /// The answers.
    pub checks: Vec<CheckVerdict>,
}

/// The scenarios and rules of a bundle, read again.
#[derive(Debug)]
pub struct Judge {
    scenarios: Vec<Loaded>,
    rules: Vec<ResolvedCheck>,
}

impl Judge {
    /// Reads the texts that a bundle carries.
    ///
    /// # Errors
    /// A text that this version cannot read.
    pub fn of(bundle: &Bundle) -> Result<Self, BundleError> {
        let words = Vocabulary::new();
        let header = &bundle.header;
        let read = |s: &crate::catalogue::Source| load_scenario(&s.id, &s.file, &s.text, &words);
        let scenarios =
            header.sources.iter().map(read).collect::<Result<_, _>>().map_err(BundleError::Scenario)?;
        let rules =
            load_rules(&header.rules.file, &header.rules.text, &words).map_err(BundleError::Scenario)?;
        Ok(Self { scenarios, rules })
    }

    /// From what was loaded already.
    pub fn with(scenarios: Vec<Loaded>, rules: Vec<ResolvedCheck>) -> Self {
        Self { scenarios, rules }
    }

    /// The scenarios.
    pub fn scenarios(&self) -> &[Loaded] {
        &self.scenarios
    }

    /// The rules for every scenario.
    pub fn rules(&self) -> &[ResolvedCheck] {
        &self.rules
    }

    /// The combination of a planned permutation.
    pub fn combination(&self, planned: &Planned) -> Option<&Combination> {
        let loaded = self.scenarios.iter().find(|s| s.id == planned.scenario)?;
        loaded.combinations.iter().find(|c| c.values == planned.values)
    }

    /// Judges a permutation's trace by its scenario's checks and the rules.
    pub fn verdicts(
        &self,
        combination: &Combination,
        surface: Surface,
        words: &std::collections::BTreeMap<String, Vec<String>>,
        trace: &Trace,
    ) -> Vec<CheckVerdict> {
        let context = Context { scenario: &combination.scenario, surface, words };
        let rules = self.rules.iter().filter(|rule| rule.subject == combination.scenario.subject);
        combination.checks.iter().chain(rules).map(|check| judge(check, trace, context)).collect()
    }

    /// Judges a whole bundle.
    ///
    /// # Errors
    /// A permutation that the bundle's own scenarios do not have.
    pub fn report(&self, file: &str, bundle: &Bundle) -> Result<Report, BundleError> {
        let header = &bundle.header;
        let mut listed = header.known_failures.as_ref().map_or(vec![], |k| vec![false; k.list.known.len()]);
        let known = header.known_failures.as_ref().map(|known| known.list.compiled());
        let mut rows = Vec::new();
        for planned in &header.planned {
            let combination = self.combination(planned).ok_or_else(|| BundleError::UnknownPermutation {
                file: file.to_owned(),
                id: planned.id.clone(),
            })?;
            let mut row = self.row(planned, combination, bundle);
            if let Some(known) = &known {
                for verdict in &mut row.checks {
                    let (scenario, values) = (&planned.scenario, &planned.values);
                    let listing = known.entry(&verdict.check, scenario, planned.surface, values);
                    if let Some(entry) = listing {
                        listed[entry] = true;
                        known_failures::apply(verdict);
                    }
                }
            }
            row.outcome = worst(&row.checks);
            rows.push(row);
        }
        Ok(assemble(bundle, rows, &listed))
    }

    fn row(&self, planned: &Planned, combination: &Combination, bundle: &Bundle) -> Row {
        let ran = bundle.events(&planned.id);
        let (outcome, note) = match (planned.not_applicable.as_ref(), ran) {
            (Some(reason), _) => (Some(Outcome::NotApplicable), Some(reason.clone())),
            (None, None) => (Some(Outcome::NotRun), Some("the run ended before it".to_owned())),
            (None, Some((ran, events))) => match whole(ran, events) {
                Ok(()) if ran.interrupted => (Some(Outcome::NotRun), Some("it was interrupted".to_owned())),
                Ok(()) => (None, None),
                Err(problem) => (Some(Outcome::Error), Some(problem)),
            },
        };
        let trace = Trace::new(ran.map(|(_, events)| events.clone()).unwrap_or_default());
        let mut checks = self.verdicts(combination, planned.surface, &bundle.header.words, &trace);
        if let Some(outcome) = outcome {
            for verdict in &mut checks {
                verdict.outcome = outcome;
                verdict.findings.clear();
            }
        }
        if combination.scenario.pending {
            checks.iter_mut().for_each(unscored);
        }
        Row {
            permutation: planned.id.clone(),
            scenario: planned.scenario.clone(),
            title: combination.scenario.title.clone(),
            surface: planned.surface,
            lane: combination.scenario.lane,
            outcome: worst(&checks),
            note,
            took_us: ran.map_or(0, |(ran, _)| ran.took_us),
            repeated: ran.map_or(0, |(ran, _)| ran.repeated),
            checks,
        }
    }
}

/// A pending scenario is shown and decides nothing.
fn unscored(verdict: &mut CheckVerdict) {
    if matches!(verdict.outcome, Outcome::Fail | Outcome::NotTestable | Outcome::Warn) {
        verdict.outcome = Outcome::Info;
    }
}

/// The worst outcome of some checks.
pub fn worst(checks: &[CheckVerdict]) -> Outcome {
    checks.iter().map(|c| c.outcome).max().unwrap_or(Outcome::NotRun)
}

/// The record of a permutation is whole: no event is missing.
fn whole(ran: &Ran, events: &[Event]) -> Result<(), String> {
    if let Some(error) = &ran.error {
        return Err(error.clone());
    }
    let gap = events.iter().enumerate().any(|(nth, e)| e.seq != nth as u64);
    if gap && ran.events == events.len() as u64 {
        return Err("the record is not whole: its events are out of order".to_owned());
    }
    if gap || ran.events != events.len() as u64 {
        return Err(format!(
            "the record is not whole: {} events were written, {} are here",
            ran.events,
            events.len()
        ));
    }
    Ok(())
}

fn assemble(bundle: &Bundle, rows: Vec<Row>, listed: &[bool]) -> Report {
    let header = &bundle.header;
    let unmatched: Vec<String> = match &header.known_failures {
        Some(known) => {
            let of_catalogue: Vec<bool> = listed
                .iter()
                .zip(&known.matches_catalogue)
                .map(|(here, anywhere)| *here || *anywhere)
                .collect();
            known.list.unmatched(&of_catalogue)
        }
        None => Vec::new(),
    };
    let day = header.started.get(..10).unwrap_or_default();
    let expired = header.known_failures.as_ref().map_or(Vec::new(), |known| known.list.expired(day));
    let counts = Counts::of(rows.iter().flat_map(|r| r.checks.iter().map(|c| c.outcome)));
    let stale_entries = unmatched.len() + expired.len();
    let partial = !bundle.is_whole();
    let rules = ExitRules { deny_should: header.deny_should, stale_entries, partial };
    Report {
        format: 1,
        tool: header.tool.clone(),
        started: header.started.clone(),
        subject: header.subject.clone(),
        calibration: header.calibration,
        requirements: header.requirements.clone(),
        seed: header.seed,
        selection: match header.shard {
            Some((index, count)) => format!("{}; shard {index}/{count}", header.selection),
            None => header.selection.clone(),
        },
        partial,
        planned: counts.planned(),
        permutations: Counts::of(rows.iter().map(|r| r.outcome)),
        exit: exit_code(&counts, rules),
        counts,
        took_us: bundle.footer.as_ref().map_or(0, |footer| footer.took_us),
        unmatched_entries: unmatched,
        expired_entries: expired,
        rows,
    }
}
