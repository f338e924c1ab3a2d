//! `selftest`: every defect and variant of the reference client against the whole catalogue.
//!
//! The matrix that is found must be exactly the one that is checked in: which check has which outcome for which defect.
//! A defect that nobody sees, a check that nobody fails, a variant that does not pass: each is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use reference_client::{Behaviour, Defect, Variant};
use scenario_model::bundle::Ran;
use scenario_model::catalogue::Catalogue;
use scenario_model::diagnostic::word_help;
use scenario_model::event::Event;
use scenario_model::plan::Permutation;
use scenario_model::report::Judge;
use scenario_model::trace::Trace;
use scenario_model::verdict::Outcome;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::cli::{SelectionArgs, SelftestArgs};
use crate::embedded;
use crate::necessity::{self, Recording};
use crate::operator::OperatorError;
use crate::output;
use crate::recorder::StallWatch;
use crate::render::CaFile;
use crate::run::permutation::Bench;
use crate::run::schedule::{Places, run_all};
use crate::run::subject::Launch;
use crate::run::world::Shared;
use crate::select::select;
use crate::target::Target;

/// The matrix that is checked in.
const MATRIX: &str = include_str!("../../../fixtures/selftest/matrix.json");

/// Clauses that no defect shows to be needed yet: the list may only become shorter.
const UNPROVEN: &str = include_str!("../../../fixtures/selftest/unproven-clauses.json");

/// Defects that do nothing real: no check may pass for them.
const DO_NOTHING: [Defect; 5] =
    [Defect::Null, Defect::Liar, Defect::Silent, Defect::Crash, Defect::EarlyExit];

/// Defects of the process itself, which a task cannot have.
const OF_THE_PROCESS: [Defect; 6] =
    [Defect::Crash, Defect::EarlyExit, Defect::Segv, Defect::NonzeroExit, Defect::Lingers, Defect::Orphan];

/// Who to which check to the outcomes that are not a pass, with how many permutations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Matrix(pub BTreeMap<String, BTreeMap<String, BTreeMap<Outcome, u32>>>);

impl Matrix {
    /// What was found replaces what stood there for the same behaviours and scenarios.
    fn with(mut self, found: &Self, chosen: &[Who], part: &Part) -> Self {
        for who in chosen.iter().map(|who| who.name()) {
            let row = self.0.entry(who.clone()).or_default();
            row.retain(|check, _| !part.holds(check));
            let new = found.0.get(&who).into_iter().flatten().filter(|(check, _)| part.holds(check));
            row.extend(new.map(|(check, outcomes)| (check.clone(), outcomes.clone())));
        }
        self
    }
}

/// The matrix that is checked in.
///
/// # Errors
/// If it cannot be read.
pub fn checked_in() -> Result<Matrix, OperatorError> {
    serde_json::from_str(MATRIX)
        .map_err(|e| OperatorError::Ours(format!("the matrix that is checked in cannot be read: {e}")))
}

/// One way for the reference client to behave.
#[derive(Debug, Clone, Copy)]
enum Who {
    Clean,
    Defect(Defect),
    Variant(Variant),
}

impl Who {
    fn all() -> Vec<Self> {
        let defects = Defect::ALL.iter().copied().map(Self::Defect);
        let variants = Variant::ALL.iter().copied().map(Self::Variant);
        std::iter::once(Self::Clean).chain(variants).chain(defects).collect()
    }

    fn name(self) -> String {
        match self {
            Self::Clean => "clean".to_owned(),
            Self::Defect(defect) => defect.name().to_owned(),
            Self::Variant(variant) => variant.name().to_owned(),
        }
    }

    /// A process where the defect is one of the process, else a task of this one: that costs less.
    fn launch(self, target: &Target, ca: &CaFile) -> Launch {
        let behaviour = match self {
            Self::Clean => Behaviour::default(),
            Self::Defect(defect) if OF_THE_PROCESS.contains(&defect) => {
                let args = ["--defect".to_owned(), defect.name().to_owned()];
                return Launch::new(target, ca, &args);
            }
            Self::Defect(defect) => Behaviour::with_defect(defect),
            Self::Variant(variant) => Behaviour::with_variant(variant),
        };
        Launch::Inside(behaviour)
    }
}

/// The name is one of a defect or variant.
///
/// # Errors
/// If not, with the nearest.
pub fn known_behaviour(option: &str, name: &str) -> Result<(), OperatorError> {
    let known: Vec<&str> = match option {
        "--defect" => Defect::ALL.iter().map(|d| d.name()).collect(),
        _ => Variant::ALL.iter().map(|v| v.name()).collect(),
    };
    if known.contains(&name) {
        return Ok(());
    }
    let what = if option == "--defect" { "defect" } else { "variant" };
    Err(OperatorError::Unknown { what, name: name.to_owned(), help: word_help(name, known.iter().copied()) })
}

/// Runs the proof; 0 if everything is as it is checked in.
///
/// # Errors
/// What the operator must put right.
pub async fn selftest(args: &SelftestArgs) -> Result<u8, OperatorError> {
    let began = Instant::now();
    let everybody = Who::all();
    let names: Vec<String> = everybody.iter().map(|w| w.name()).collect();
    for name in &args.only {
        if !names.contains(name) {
            let help = word_help(name, names.iter().map(String::as_str));
            return Err(OperatorError::Unknown { what: "defect or variant", name: name.clone(), help });
        }
    }
    let chosen: Vec<Who> =
        everybody.into_iter().filter(|w| args.only.is_empty() || args.only.contains(&w.name())).collect();
    let catalogue = embedded::catalogue(args.selection.scenarios.as_deref())?;
    let target = Target::find("reference")?;
    let (permutations, selection) = select(&args.selection, &catalogue, &target.manifest)?;
    let part = Part::of(&args.selection, &permutations);
    let recordings = record(&chosen, &catalogue, &target, &permutations, usize::from(args.jobs)).await?;
    let ran = began.elapsed();

    let judging = Instant::now();
    let judge = Judge::with(catalogue.scenarios.clone(), catalogue.rules.clone());
    let (matrix, mut problems) = matrix_of(&recordings, &judge);
    problems.extend(withheld(&recordings, &judge));
    if args.only.is_empty() {
        problems.extend(unseen(&matrix, &catalogue, &part));
        let unnecessary = necessity::unnecessary(&recordings, &judge);
        let unnecessary = unnecessary.into_iter().filter(|clause| part.holds(clause)).collect();
        problems.extend(unproven(&unnecessary, &part, args.write_matrix.as_deref())?);
    }
    let judged = judging.elapsed();

    if let Some(path) = &args.write_matrix {
        let whole = part.0.is_none() && args.only.is_empty();
        let written = if whole { matrix.clone() } else { checked_in()?.with(&matrix, &chosen, &part) };
        let mut text = serde_json::to_string_pretty(&written).expect("plain data");
        text.push('\n');
        output::write(path, &text)?;
    } else {
        problems.extend(differences(&matrix, &chosen, &part)?);
    }
    let mut out = String::new();
    for problem in &problems {
        out.push_str(&format!("problem: {problem}\n"));
    }
    let permutations: usize = recordings.iter().map(|r| r.traces.len()).sum();
    let failed_by: BTreeSet<&String> = matrix.0.values().flat_map(|checks| checks.keys()).collect();
    out.push_str(&format!(
        "behaviours    {} ({} permutations over real sockets in {:.1} s, judged in {:.1} s)\n",
        recordings.len(),
        permutations,
        ran.as_secs_f64(),
        judged.as_secs_f64()
    ));
    out.push_str(&format!(
        "checks        {}, of which {} were failed by some defect\n",
        catalogue.checks().iter().filter(|check| part.holds(check)).count(),
        failed_by.iter().filter(|check| part.holds(check)).count()
    ));
    if part.0.is_some() {
        out.push_str(&format!("selection     {selection}: no proof of the whole\n"));
    }
    let verdict =
        if problems.is_empty() { "the suite can fail, and does where it must" } else { "not proven" };
    out.push_str(&format!("verdict       {verdict}: {} problems\n", problems.len()));
    output::data(&out);
    Ok(u8::from(!problems.is_empty()))
}

/// The scenarios that were selected, if not all: the rules that judge every scenario count for the whole only.
struct Part(Option<BTreeSet<String>>);

impl Part {
    fn of(args: &SelectionArgs, permutations: &[Permutation]) -> Self {
        let whole = args.run.is_empty()
            && args.skip.is_empty()
            && args.profile.is_empty()
            && args.shard.is_none()
            && args.scenarios.is_none();
        Self((!whole).then(|| permutations.iter().map(|p| p.scenario_id.clone()).collect()))
    }

    /// What begins with the id of a check belongs to a selected scenario.
    fn holds(&self, check: &str) -> bool {
        let scenario = check.split('#').next().unwrap_or_default();
        self.0.as_ref().is_none_or(|ids| ids.contains(scenario))
    }
}

async fn record(
    chosen: &[Who],
    catalogue: &Catalogue,
    target: &Target,
    permutations: &[Permutation],
    jobs: usize,
) -> Result<Vec<Recording>, OperatorError> {
    let folder = tempfile::tempdir().map_err(|e| OperatorError::Ours(e.to_string()))?;
    let applicable: Vec<&Permutation> = permutations.iter().filter(|p| p.not_applicable.is_none()).collect();
    output::talk(&format!("{} behaviours, {} permutations each", chosen.len(), applicable.len()));
    let places = Places::new(jobs);
    let (_keep, stop) = watch::channel(false);
    let mut running = FuturesUnordered::new();
    let stalls = StallWatch::start();
    for (nth, who) in chosen.iter().enumerate() {
        let ca = folder.path().join(format!("ca-{nth}.pem"));
        let shared = Shared::new(&ca).map_err(|e| OperatorError::Ours(e.to_string()))?;
        let bench = Bench {
            launch: who.launch(target, &shared.ca_file),
            shared,
            manifest: target.manifest.clone(),
            // What calibration finds for the reference client, whose skew is at most half of a token's life. Measured here,
            // beside so many others, it would differ from run to run, and the matrix with it.
            skew_upper: 1.5,
            seed: nth as u64,
            stalls: stalls.clone(),
        };
        let (places, stop, applicable) = (places.clone(), stop.clone(), &applicable);
        running.push(async move {
            let traces = Mutex::new(BTreeMap::new());
            let ended = |ran: Ran, events: Vec<Event>| {
                traces.lock().expect("not poisoned").insert(ran.id.clone(), (ran, events));
            };
            run_all(&bench, applicable, &catalogue.rules, &places, stop, ended, &|_| {}).await;
            (who.name(), traces.into_inner().expect("not poisoned"))
        });
    }
    let mut recordings = Vec::new();
    while let Some((name, traces)) = running.next().await {
        output::talk(&format!("{:>3} of {}: {name}", recordings.len() + 1, chosen.len()));
        let traces = permutations
            .iter()
            .filter_map(|p| {
                let (ran, events) = traces.get(&p.id)?;
                Some((p.clone(), ran.clone(), Trace::new(events.clone())))
            })
            .collect();
        recordings.push(Recording { who: name, words: target.manifest.words.clone(), traces });
    }
    recordings.sort_by(|a, b| a.who.cmp(&b.who));
    Ok(recordings)
}

fn matrix_of(recordings: &[Recording], judge: &Judge) -> (Matrix, Vec<String>) {
    let mut matrix = Matrix::default();
    let mut problems = Vec::new();
    for recording in recordings {
        let row = matrix.0.entry(recording.who.clone()).or_default();
        for (permutation, ran, trace) in &recording.traces {
            if let Some(error) = &ran.error {
                problems.push(format!("{}: {} did not run: {error}", recording.who, permutation.id));
                continue;
            }
            let verdicts =
                judge.verdicts(&permutation.combination, permutation.surface, &recording.words, trace);
            for verdict in verdicts.iter().filter(|v| v.outcome != Outcome::Pass) {
                if verdict.outcome == Outcome::Inconclusive {
                    problems.push(format!(
                        "{}: {} {} is inconclusive: the machine stalled",
                        recording.who, permutation.id, verdict.check
                    ));
                }
                *row.entry(verdict.check.clone()).or_default().entry(verdict.outcome).or_insert(0) += 1;
            }
        }
    }
    (matrix, problems)
}

/// The clean client and the variants pass everything; those that do nothing pass nothing.
fn withheld(recordings: &[Recording], judge: &Judge) -> Vec<String> {
    let mut found: BTreeMap<(&str, String, Outcome), Vec<String>> = BTreeMap::new();
    let benign: Vec<&str> =
        std::iter::once("clean").chain(Variant::ALL.iter().map(|variant| variant.name())).collect();
    let do_nothing: Vec<&str> = DO_NOTHING.iter().map(|d| d.name()).collect();
    for recording in recordings {
        let who = recording.who.as_str();
        let must_pass = benign.contains(&who);
        if !must_pass && !do_nothing.contains(&who) {
            continue;
        }
        for (permutation, _, trace) in &recording.traces {
            let verdicts =
                judge.verdicts(&permutation.combination, permutation.surface, &recording.words, trace);
            for verdict in verdicts.into_iter().filter(|v| (v.outcome == Outcome::Pass) != must_pass) {
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
fn unseen(matrix: &Matrix, catalogue: &Catalogue, part: &Part) -> Vec<String> {
    let do_nothing: Vec<&str> = DO_NOTHING.iter().map(|d| d.name()).collect();
    let real = matrix.0.iter().filter(|(who, _)| !do_nothing.contains(&who.as_str()));
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
    for defect in Defect::ALL.iter().filter(|_| part.0.is_none()) {
        if matrix.0.get(defect.name()).is_none_or(BTreeMap::is_empty) {
            problems.push(format!("no check sees the defect `{}`", defect.name()));
        }
    }
    problems
}

/// Clauses that no verdict depends on and that are not on the list, and entries of the list that are proven by now.
/// Beside a matrix that is written, the list is written, too.
fn unproven(
    found: &BTreeSet<String>,
    part: &Part,
    matrix: Option<&Path>,
) -> Result<Vec<String>, OperatorError> {
    let listed: BTreeSet<String> = serde_json::from_str(UNPROVEN)
        .map_err(|e| OperatorError::Ours(format!("the list of unproven clauses cannot be read: {e}")))?;
    let (listed, others): (BTreeSet<_>, BTreeSet<_>) =
        listed.into_iter().partition(|clause| part.holds(clause));
    if let Some(matrix) = matrix {
        let mut text = serde_json::to_string_pretty(&(found | &others)).expect("plain data");
        text.push('\n');
        output::write(&matrix.with_file_name("unproven-clauses.json"), &text)?;
        return Ok(Vec::new());
    }
    let new = found.difference(&listed).map(|c| format!("without {c} every verdict stays the same"));
    let gone = listed.difference(found).map(|c| format!("{c} is proven by now: take it off the list"));
    Ok(new.chain(gone).collect())
}

/// How the matrix differs from the one that is checked in, for those that were run.
fn differences(found: &Matrix, chosen: &[Who], part: &Part) -> Result<Vec<String>, OperatorError> {
    let wanted = checked_in()?;
    let mut problems = Vec::new();
    for who in chosen {
        let name = who.name();
        let (here, there) = (found.0.get(&name), wanted.0.get(&name));
        let checks: BTreeSet<&String> = here.into_iter().chain(there).flat_map(|c| c.keys()).collect();
        for check in checks.into_iter().filter(|check| part.holds(check)) {
            let (here, there) = (here.and_then(|c| c.get(check)), there.and_then(|c| c.get(check)));
            if here != there {
                let words = |o: Option<&BTreeMap<Outcome, u32>>| match o {
                    Some(outcomes) => {
                        outcomes.iter().map(|(o, n)| format!("{n} {o}")).collect::<Vec<_>>().join(", ")
                    }
                    None => "pass".to_owned(),
                };
                problems.push(format!(
                    "{name}: {check}: checked in is {}, found {}",
                    words(there),
                    words(here)
                ));
            }
        }
    }
    Ok(problems)
}
