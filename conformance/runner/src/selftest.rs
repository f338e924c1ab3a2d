//! `selftest`: every defect and variant of the reference client against the whole catalogue.
//!
//! The matrix that is found must be exactly the one that is checked in: which check has which outcome for which defect.
//! A defect that nobody sees, a check that nobody fails, a variant that does not pass: each is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use flightsql_server::Defect as ServerDefect;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use reference_client::{Behaviour, Defect, Variant};
use scenario_model::bundle::Ran;
use scenario_model::catalogue::Catalogue;
use scenario_model::diagnostic::word_help;
use scenario_model::event::Event;
use scenario_model::manifest::Drive;
use scenario_model::plan::Permutation;
use scenario_model::report::Judge;
use scenario_model::trace::Trace;
use scenario_model::verdict::Outcome;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
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
use crate::server_defects;
use crate::target::{REFERENCE_SERVER, Target};

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
    /// The reference server, as it should be or with a defect.
    Server(Option<ServerDefect>),
}

impl Who {
    fn all() -> Vec<Self> {
        let defects = Defect::ALL.iter().copied().map(Self::Defect);
        let variants = Variant::ALL.iter().copied().map(Self::Variant);
        let servers =
            std::iter::once(None).chain(ServerDefect::ALL.iter().copied().map(Some)).map(Self::Server);
        std::iter::once(Self::Clean).chain(variants).chain(defects).chain(servers).collect()
    }

    fn name(self) -> String {
        match self {
            Self::Clean => "clean".to_owned(),
            Self::Defect(defect) => defect.name().to_owned(),
            Self::Variant(variant) => variant.name().to_owned(),
            Self::Server(defect) => server_defects::name(defect),
        }
    }

    /// Everything is run of it, also in a sample: whoever must pass everything, or nothing.
    fn is_run_whole(self) -> bool {
        match self {
            Self::Clean | Self::Variant(_) | Self::Server(None) => true,
            Self::Defect(defect) => DO_NOTHING.contains(&defect),
            Self::Server(Some(defect)) => server_defects::DO_NOTHING.contains(&defect),
        }
    }

    fn is_server(self) -> bool {
        matches!(self, Self::Server(_))
    }

    /// A process where the defect is one of the process, else a task of this one: that costs less. A plugin is always a
    /// process, one for all permutations.
    fn launch(self, target: &Target, ca: &CaFile) -> Launch {
        if target.manifest.drive == Drive::GrafanaPlugin {
            let args = match self {
                Self::Clean => Vec::new(),
                Self::Defect(defect) => vec!["--defect".to_owned(), defect.name().to_owned()],
                Self::Variant(variant) => vec!["--variant".to_owned(), variant.name().to_owned()],
                Self::Server(_) => unreachable!("servers are not driven as plugins"),
            };
            return Launch::new(target, ca, &args).shared();
        }
        let behaviour = match self {
            Self::Clean => Behaviour::default(),
            Self::Defect(defect) if OF_THE_PROCESS.contains(&defect) => {
                let args = ["--defect".to_owned(), defect.name().to_owned()];
                return Launch::new(target, ca, &args);
            }
            Self::Defect(defect) => Behaviour::with_defect(defect),
            Self::Variant(variant) => Behaviour::with_variant(variant),
            Self::Server(defect) => return server_defects::launch(defect, target, ca),
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

/// The name is one of a defect of the reference server.
///
/// # Errors
/// If not, with the nearest.
pub fn known_server_defect(name: &str) -> Result<(), OperatorError> {
    let known: Vec<&str> = ServerDefect::ALL.iter().map(|d| d.name()).collect();
    if known.contains(&name) {
        return Ok(());
    }
    let help = word_help(name, known.iter().copied());
    Err(OperatorError::Unknown { what: "defect", name: name.to_owned(), help })
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
    let jobs = usize::from(args.jobs);
    let targets = [Target::find("reference")?, Target::find(REFERENCE_SERVER)?];
    let (mut parts, mut selection, mut nothing) = (Vec::new(), String::new(), None);
    for target in targets {
        match select(&args.selection, &catalogue, &target.manifest) {
            Ok((permutations, words)) => {
                selection = words;
                parts.push((target, permutations));
            }
            // A selection may be about clients alone, or servers.
            Err(error @ OperatorError::Nothing(_)) => nothing = Some(error),
            Err(error) => return Err(error),
        }
    }
    if let (true, Some(error)) = (parts.is_empty(), nothing) {
        return Err(error);
    }
    let part = Part::of(&args.selection, parts.iter().flat_map(|(_, permutations)| permutations));
    let sample = args.sample.map(|of| Sample::new(of, checked_in().unwrap_or_default()));
    let sample = sample.as_ref();
    let clients: Vec<Who> = chosen.iter().copied().filter(|who| !who.is_server()).collect();
    let servers: Vec<Who> = chosen.iter().copied().filter(|who| who.is_server()).collect();
    let mut recordings = Vec::new();
    for (target, permutations) in &parts {
        let chosen = if target.is_reference_server() { &servers } else { &clients };
        recordings.extend(record(chosen, &catalogue, target, permutations, sample, jobs).await?);
    }
    // What applies to plugins only is proven on the client's other face.
    if let Some((_, permutations)) = parts.iter().find(|(target, _)| !target.is_reference_server()) {
        let plugin = Target::find("reference-plugin")?;
        let (mut of_plugins, _) = select(&args.selection, &catalogue, &plugin.manifest)?;
        of_plugins
            .retain(|p| permutations.iter().any(|other| other.id == p.id && other.not_applicable.is_some()));
        if of_plugins.iter().any(|p| p.not_applicable.is_none()) {
            // What one writes to the stdout of a process that all share belongs to whoever is open: never the same twice.
            let noisy = |who: &Who| matches!(who, Who::Defect(Defect::Noise));
            let clients: Vec<Who> = clients.iter().copied().filter(|who| !noisy(who)).collect();
            recordings.extend(record(&clients, &catalogue, &plugin, &of_plugins, sample, jobs).await?);
        }
    }
    recordings.sort_by(|a, b| a.who.cmp(&b.who));
    let ran = began.elapsed();

    let judging = Instant::now();
    let judge = Judge::with(catalogue.scenarios.clone(), catalogue.rules.clone());
    let (matrix, mut problems) = matrix_of(&recordings, &judge);
    let mut undecided = Vec::new();
    problems.extend(withheld(&recordings, &judge));
    if args.only.is_empty() {
        problems.extend(unseen(&matrix, &catalogue, &part));
        let unnecessary = necessity::unnecessary(&recordings, &judge);
        let unnecessary = unnecessary.into_iter().filter(|clause| part.holds(clause)).collect();
        problems.extend(unproven(&unnecessary, &part, args.write_matrix.as_deref())?);
    }
    let judged = judging.elapsed();

    if let Some(path) = &args.write_matrix {
        problems.extend(left_open(&matrix));
        let whole = part.0.is_none() && args.only.is_empty();
        let written = if whole { matrix.clone() } else { checked_in()?.with(&matrix, &chosen, &part) };
        let mut text = serde_json::to_string_pretty(&written).expect("plain data");
        text.push('\n');
        output::write(path, &text)?;
    } else {
        let (different, in_doubt) = differences(&matrix, &chosen, &part, &recordings, sample, &judge)?;
        problems.extend(different);
        undecided.extend(in_doubt);
    }
    if undecided.len() > MOST_UNDECIDED {
        problems.push(format!("{} verdicts are undecided: the machine has too much to do", undecided.len()));
    }
    let mut out = String::new();
    for line in &undecided {
        out.push_str(&format!("undecided: {line}\n"));
    }
    for problem in &problems {
        out.push_str(&format!("problem: {problem}\n"));
    }
    let permutations: usize = recordings.iter().map(|r| r.traces.len()).sum();
    let failed_by: BTreeSet<&String> = matrix.0.values().flat_map(|checks| checks.keys()).collect();
    out.push_str(&format!(
        "behaviours    {} ({} permutations over real sockets in {:.1} s, judged in {:.1} s)\n",
        chosen.len(),
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
    if let Some(Sample { part, of, .. }) = sample {
        let others = format!("part {} of {of} of what the matrix says they pass", part + 1);
        out.push_str(&format!("sample        defects: everything that they do not pass, and {others}\n"));
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
    fn of<'p>(args: &SelectionArgs, permutations: impl Iterator<Item = &'p Permutation>) -> Self {
        let whole = args.run.is_empty()
            && args.skip.is_empty()
            && args.profile.is_empty()
            && args.shard.is_none()
            && args.scenarios.is_none();
        Self((!whole).then(|| permutations.map(|p| p.scenario_id.clone()).collect()))
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
    sample: Option<&Sample>,
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
        let own: Vec<&Permutation> = applicable
            .iter()
            .copied()
            .filter(|p| sample.is_none_or(|sample| sample.has(*who, &p.scenario_id)))
            .collect();
        let (places, stop) = (places.clone(), stop.clone());
        running.push(async move {
            let traces = Mutex::new(BTreeMap::new());
            let ended = |ran: Ran, events: Vec<Event>| {
                traces.lock().expect("not poisoned").insert(ran.id.clone(), (ran, events));
            };
            run_all(&bench, &own, &catalogue.rules, &places, stop, ended, &|_| {}).await;
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
                *row.entry(verdict.check.clone()).or_default().entry(verdict.outcome).or_insert(0) += 1;
            }
        }
    }
    (matrix, problems)
}

/// Behaviours that do nothing real, by name.
fn do_nothing() -> BTreeSet<String> {
    let clients = DO_NOTHING.iter().map(|defect| defect.name().to_owned());
    clients.chain(server_defects::DO_NOTHING.map(|defect| server_defects::name(Some(defect)))).collect()
}

/// The clean client and the variants pass everything; those that do nothing pass nothing.
fn withheld(recordings: &[Recording], judge: &Judge) -> Vec<String> {
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
fn unseen(matrix: &Matrix, catalogue: &Catalogue, part: &Part) -> Vec<String> {
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
    for defect in clients.chain(servers).filter(|_| part.0.is_none()) {
        if matrix.0.get(&defect).is_none_or(BTreeMap::is_empty) {
            problems.push(format!("no check sees the defect `{defect}`"));
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

/// How the matrix differs from the one that is checked in, for those that were run; and where a machine that stalled leaves
/// it open whether it does.
fn differences(
    found: &Matrix,
    chosen: &[Who],
    part: &Part,
    recordings: &[Recording],
    sample: Option<&Sample>,
    judge: &Judge,
) -> Result<(Vec<String>, Vec<String>), OperatorError> {
    let wanted = checked_in()?;
    let (mut problems, mut undecided) = (Vec::new(), Vec::new());
    for who in chosen {
        let name = who.name();
        let (here, there) = (found.0.get(&name), wanted.0.get(&name));
        let checks: BTreeSet<&String> = here.into_iter().chain(there).flat_map(|c| c.keys()).collect();
        let steady = |check: &&String| !by_luck(&name, check);
        for check in checks.into_iter().filter(|check| part.holds(check)).filter(steady) {
            let nothing = Outcomes::new();
            let (here, there) = (
                here.and_then(|c| c.get(check)).unwrap_or(&nothing),
                there.and_then(|c| c.get(check)).unwrap_or(&nothing),
            );
            let difference = match sample.filter(|_| !who.is_run_whole()) {
                None => compare(here, there),
                Some(_) if check.starts_with("rules#") => known_kinds(here, there),
                Some(sample) if sample.has(*who, scenario_of(check)) => compare(here, there),
                Some(_) => Difference::None,
            };
            let line = || {
                let places = places(recordings, &name, check, judge);
                format!(
                    "{name}: {check}: checked in is {}, found {}{places}",
                    in_words(there),
                    in_words(here)
                )
            };
            match difference {
                Difference::None => {}
                Difference::Undecided => undecided.push(line()),
                Difference::Real => problems.push(line()),
            }
        }
    }
    Ok((problems, undecided))
}

/// A matrix with open verdicts is none: who has them is to be run again.
fn left_open(matrix: &Matrix) -> Vec<String> {
    let open = |(who, checks): (&String, &BTreeMap<String, Outcomes>)| {
        checks.values().any(|o| o.contains_key(&Outcome::Inconclusive)).then(|| who.clone())
    };
    let again = |who| format!("{who}: the machine stalled; write its rows again with `--only {who}`");
    matrix.0.iter().filter_map(open).map(again).collect()
}

/// Outcomes that are not a pass, with how many permutations.
type Outcomes = BTreeMap<Outcome, u32>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Difference {
    None,
    /// What is missing may be behind verdicts that the machine left open.
    Undecided,
    Real,
}

fn compare(here: &Outcomes, there: &Outcomes) -> Difference {
    let open = here.get(&Outcome::Inconclusive).copied().unwrap_or(0);
    let of = |outcomes: &Outcomes, outcome| outcomes.get(&outcome).copied().unwrap_or(0);
    let kinds: BTreeSet<Outcome> =
        here.keys().chain(there.keys()).copied().filter(|o| *o != Outcome::Inconclusive).collect();
    let too_many = kinds.iter().any(|o| of(here, *o) > of(there, *o));
    let missing: u32 = kinds.iter().map(|o| of(there, *o).saturating_sub(of(here, *o))).sum();
    match (too_many || missing > open, open) {
        (true, _) => Difference::Real,
        (false, 0) => Difference::None,
        (false, _) => Difference::Undecided,
    }
}

/// Of rules a sample has fewer permutations than the whole: only what is not known at all is different.
fn known_kinds(here: &Outcomes, there: &Outcomes) -> Difference {
    let known = here.keys().all(|o| *o == Outcome::Inconclusive || there.contains_key(o));
    if known { Difference::None } else { Difference::Real }
}

fn in_words(outcomes: &Outcomes) -> String {
    match outcomes.is_empty() {
        true => "pass".to_owned(),
        false => outcomes.iter().map(|(o, n)| format!("{n} {o}")).collect::<Vec<_>>().join(", "),
    }
}

/// The first permutations in which a check was not passed, and why.
fn places(recordings: &[Recording], who: &str, check: &str, judge: &Judge) -> String {
    let mut found = String::new();
    for recording in recordings.iter().filter(|r| r.who == who) {
        for (permutation, _, trace) in &recording.traces {
            let verdicts =
                judge.verdicts(&permutation.combination, permutation.surface, &recording.words, trace);
            let broken = verdicts.iter().find(|v| v.check == check && v.outcome != Outcome::Pass);
            if let Some(verdict) = broken.filter(|_| found.len() < 600) {
                let why = verdict.findings.first().map(|f| format!(": {}, but {}", f.expected, f.observed));
                let why = why.unwrap_or_default();
                found.push_str(&format!("\n    {} {}{why}", verdict.outcome, permutation.id));
            }
        }
    }
    found
}

fn scenario_of(check: &str) -> &str {
    check.split('#').next().unwrap_or_default()
}

/// Luck decides this cell of the matrix: moments of the defect lie too close to those of the check. It is not compared. What
/// renews in the background does so in every scenario, so only the check that is made for it counts.
fn by_luck(who: &str, check: &str) -> bool {
    match who {
        "renews-in-background" => check != "token-caching/idle-client-is-silent#silent",
        "wrong-style-twice" => check == "discovery/slow-answer-is-waited-for#waits",
        _ => false,
    }
}

/// More open verdicts than this are no proof any more.
const MOST_UNDECIDED: usize = 25;

/// What is run of a defect when not everything is: each scenario that the matrix says it does not pass, and one part of the
/// others, which the matrix itself chooses.
struct Sample {
    matrix: Matrix,
    part: u64,
    of: u64,
}

impl Sample {
    fn new(of: u16, matrix: Matrix) -> Self {
        Self { part: drawn(MATRIX) % u64::from(of), of: u64::from(of), matrix }
    }

    fn has(&self, who: Who, scenario: &str) -> bool {
        let listed = self.matrix.0.get(&who.name());
        who.is_run_whole()
            || listed.is_some_and(|checks| checks.keys().any(|check| scenario_of(check) == scenario))
            || drawn(&format!("{} {scenario}", who.name())) % self.of == self.part
    }
}

/// A number that looks drawn and is the same each time.
fn drawn(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(list: &[(Outcome, u32)]) -> Outcomes {
        list.iter().copied().collect()
    }

    #[track_caller]
    fn check(here: &[(Outcome, u32)], there: &[(Outcome, u32)], expected: Difference) {
        assert_eq!(compare(&outcomes(here), &outcomes(there)), expected);
    }

    #[test]
    fn an_open_verdict_excuses_what_it_may_hide_and_nothing_else() {
        use Outcome::{Fail, Inconclusive, NotTestable};
        check(&[], &[], Difference::None);
        check(&[(Fail, 2)], &[(Fail, 2)], Difference::None);
        check(&[(Fail, 1)], &[(Fail, 2)], Difference::Real);
        check(&[(Fail, 1), (Inconclusive, 1)], &[(Fail, 2)], Difference::Undecided);
        check(&[(Inconclusive, 1)], &[], Difference::Undecided);
        check(&[(Inconclusive, 1)], &[(Fail, 2)], Difference::Real);
        check(&[(NotTestable, 1), (Inconclusive, 5)], &[(Fail, 2)], Difference::Real);
    }

    #[test]
    fn the_parts_of_a_sample_are_the_whole_and_what_is_listed_is_in_each() {
        let matrix = checked_in().expect("it can be read");
        let who = Who::Defect(Defect::NeverRenews);
        let parts: Vec<Sample> = (0..4).map(|part| Sample { matrix: matrix.clone(), part, of: 4 }).collect();
        let catalogue = embedded::catalogue(None).expect("it can be read");
        for scenario in &catalogue.scenarios {
            let having = parts.iter().filter(|sample| sample.has(who, &scenario.id)).count();
            assert!(having == 1 || having == 4, "{}: {having} parts", scenario.id);
            assert!(parts.iter().all(|sample| sample.has(Who::Clean, &scenario.id)));
        }
        let listed = "expiry/refresh-before-expiry";
        assert!(parts.iter().all(|sample| sample.has(who, listed)), "it fails there");
    }
}
