//! `run`: plan, greet, calibrate, run, write, judge, report.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use scenario_model::baseline::known_failures;
use scenario_model::bundle::{
    Bundle, Calibration, FORMAT, Footer, Header, KnownFile, Line, Planned, Ran, SetInfo, SubjectInfo,
};
use scenario_model::call::SubjectKind;
use scenario_model::catalogue::{Catalogue, Source};
use scenario_model::event::Event;
use scenario_model::known_failures::KnownFailures;
use scenario_model::plan::Permutation;
use scenario_model::report::{Judge, Report};
use scenario_model::scenario::{Lane, Need};
use tokio::sync::watch;

use crate::cli::RunArgs;
use crate::embedded;
use crate::greet::greet;
use crate::interrupt::interrupted;
use crate::operator::OperatorError;
use crate::output;
use crate::progress::Shown;
use crate::recorder::StallWatch;
use crate::run::calibrate::calibrate;
use crate::run::permutation::Bench;
use crate::run::schedule::{Places, run_all};
use crate::run::subject::Launch;
use crate::run::world::Shared;
use crate::select::{select, shard};
use crate::target::Target;
use crate::text::{Style, render};

/// Drives a subject through scenarios; returns the report.
///
/// # Errors
/// What the operator must put right. A subject that misbehaves is no error.
pub async fn run(args: &RunArgs) -> Result<Report, OperatorError> {
    let Conducted { report, bundle, judge } = conduct(args, Order::Catalogue).await?;
    if let Some(path) = &args.write_known_failures {
        write_known_failures(path, &report, &bundle)?;
    }
    let style = Style { colour: output::colour(), subject: repeat_words(args) };
    output::data(&render(&report, &bundle, &judge, &style));
    Ok(report)
}

/// A run that came to its end.
pub struct Conducted {
    /// What it came to.
    pub report: Report,
    /// What was recorded.
    pub bundle: Bundle,
    /// What it was judged by.
    pub judge: Judge,
}

/// The order in which permutations of a lane are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// That of the catalogue.
    Catalogue,
    /// Shuffled by the seed.
    Shuffled,
}

/// Everything but the talk at the end.
///
/// # Errors
/// What the operator must put right.
pub async fn conduct(args: &RunArgs, order: Order) -> Result<Conducted, OperatorError> {
    let target = Target::find(&args.subject)?;
    let catalogue = embedded::catalogue(args.selection.scenarios.as_deref())?;
    let (permutations, selection) = select(&args.selection, &catalogue, &target.manifest)?;
    let known_failures = args.known_failures.as_deref().map(|file| known(file, &catalogue)).transpose()?;
    let outputs: Vec<&Path> = [&args.json, &args.junit, &args.bundle, &args.write_known_failures]
        .into_iter()
        .flatten()
        .map(|p| p.as_path())
        .collect();
    output::must_be_writable(&outputs)?;

    let folder = tempfile::tempdir()
        .map_err(|e| OperatorError::Ours(format!("cannot make a temporary folder: {e}")))?;
    let mut bench = bench(&target, folder.path(), args)?;
    let prepare = async {
        let version = greet(&bench).await?;
        let shown = Shown::start(&permutations);
        let calibration = calibration(&mut bench, &permutations, &shown).await;
        bench.launch = bench.launch.shared();
        Ok::<_, OperatorError>((version, shown, calibration))
    };
    let (version, shown, calibration) = tokio::select! {
        // First, so that we listen before there is a process to leave behind.
        biased;
        () = interrupted() => return Err(OperatorError::Interrupted),
        prepared = prepare => prepared?,
    };

    let header = Header {
        format: FORMAT,
        tool: concat!("flightcheck ", env!("CARGO_PKG_VERSION")).to_owned(),
        started: output::now(),
        subject: SubjectInfo {
            name: subject_name(&target, args),
            vendor: target.manifest.vendor.clone(),
            version: version.or_else(|| target.manifest.version.clone()),
        },
        typed: repeat_words(args),
        words: target.manifest.words.clone(),
        calibration,
        requirements: SetInfo {
            set: catalogue.requirements.set.clone(),
            hash: catalogue.requirements.hash(),
        },
        seed: bench.seed,
        selection,
        shard: args.selection.shard.as_deref().map(shard).transpose()?,
        deny_should: args.deny.is_some(),
        known_failures,
        planned: permutations.iter().map(planned).collect(),
        sources: sources(&catalogue, &permutations),
        rules: catalogue.rules_source.clone(),
    };
    let bundle = record(&bench, &permutations, &catalogue, header, args, order, &shown).await;
    shown.finish();
    if let Some(path) = &args.bundle {
        write_bundle(path, &bundle)?;
    }
    let judge = Judge::with(catalogue.scenarios, catalogue.rules);
    let report = judge.report("the run", &bundle)?;
    output::write_reports(&report, args.json.as_deref(), args.junit.as_deref())?;
    Ok(Conducted { report, bundle, judge })
}

/// Writes what fails as a known-failures list, each entry with a reason that somebody must look at.
///
/// # Errors
/// A file that cannot be written.
pub fn write_known_failures(path: &Path, report: &Report, bundle: &Bundle) -> Result<(), OperatorError> {
    let day = report.started.get(..10).unwrap_or_default();
    let list = known_failures(report, bundle, day);
    let entries = toml::to_string_pretty(&list).map_err(|e| OperatorError::Ours(e.to_string()))?;
    let head = format!(
        "# What {} fails, on {day}. Look at each in its trace, then write the reason; `expires` is the last day on which an\n\
         # entry counts. An entry that passes, lists nothing or has expired makes the exit code 4.\n\n",
        report.subject.name
    );
    output::write(path, &(head + &entries))
}

fn subject_name(target: &Target, args: &RunArgs) -> String {
    match args.defect.as_ref().or(args.variant.as_ref()) {
        Some(behaviour) => format!("{} ({behaviour})", target.manifest.name),
        None => target.manifest.name.clone(),
    }
}

fn repeat_words(args: &RunArgs) -> String {
    let mut words = args.subject.clone();
    for (option, value) in [("--defect", &args.defect), ("--variant", &args.variant)] {
        if let Some(value) = value {
            words.push_str(&format!(" {option} {value}"));
        }
    }
    if let Some(provider) = args.selection.provider {
        words.push_str(&format!(" --provider {}", provider.as_str()));
    }
    words
}

fn bench(target: &Target, folder: &Path, args: &RunArgs) -> Result<Bench, OperatorError> {
    let shared = Shared::new(&folder.join("ca.pem")).map_err(|e| OperatorError::Ours(e.to_string()))?;
    let mut more_args = Vec::new();
    for (option, value) in [("--defect", &args.defect), ("--variant", &args.variant)] {
        if let Some(name) = value {
            if target.is_reference_server() && option == "--defect" {
                crate::selftest::known_server_defect(name)?;
            } else if target.is_reference() {
                crate::selftest::known_behaviour(option, name)?;
            } else {
                return Err(OperatorError::Selection(format!(
                    "`{option}` belongs to the subjects `reference`, `reference-plugin` and `reference-http`"
                )));
            }
            more_args.extend([option.to_owned(), name.clone()]);
        }
    }
    let launch = Launch::new(target, &shared.ca_file, &more_args);
    Ok(Bench {
        shared,
        manifest: target.manifest.clone(),
        launch,
        skew_upper: 0.0,
        seed: args.seed.unwrap_or_else(rand::random),
        stalls: StallWatch::start(),
    })
}

/// Measures the skew if some scenario's moments hang on it. Without an answer the least skew is taken: a subject that
/// cannot make a plain query fails those scenarios in its own right.
async fn calibration(bench: &mut Bench, permutations: &[Permutation], shown: &Shown) -> Option<Calibration> {
    let wanted = permutations.iter().any(|p| p.lane() == Lane::Clock && p.not_applicable.is_none());
    let is_http = bench.manifest.kind() == SubjectKind::HttpClient;
    if !wanted || is_http || !bench.manifest.has(Need::Oauth) {
        return None;
    }
    shown.say("measuring the refresh skew");
    match calibrate(bench).await {
        Ok(calibration) => {
            bench.skew_upper = calibration.upper.min(600.0);
            Some(calibration)
        }
        Err(error) => {
            shown.say(&format!("no refresh skew: {error}"));
            bench.skew_upper = 1.5;
            None
        }
    }
}

fn planned(permutation: &Permutation) -> Planned {
    Planned {
        id: permutation.id.clone(),
        scenario: permutation.scenario_id.clone(),
        values: permutation.values.clone(),
        surface: permutation.surface,
        not_applicable: permutation.not_applicable.clone(),
    }
}

fn sources(catalogue: &Catalogue, permutations: &[Permutation]) -> Vec<Source> {
    catalogue
        .scenarios
        .iter()
        .filter(|s| permutations.iter().any(|p| p.scenario_id == s.id))
        .map(|s| Source { id: s.id.clone(), file: s.document.file.clone(), text: s.document.text.clone() })
        .collect()
}

fn known(file: &Path, catalogue: &Catalogue) -> Result<KnownFile, OperatorError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| OperatorError::Read { path: file.to_owned(), source })?;
    let name = file.display().to_string();
    let list = KnownFailures::parse(&name, &text).map_err(|e| OperatorError::Files(vec![e]))?;
    let combinations =
        catalogue.scenarios.iter().flat_map(|s| s.combinations.iter().map(move |c| (&s.id, c)));
    let compiled = list.compiled();
    let mut matches_catalogue = vec![false; list.known.len()];
    for (scenario, combination) in combinations {
        for check in combination.checks.iter().chain(&catalogue.rules) {
            for surface in &combination.scenario.surfaces {
                if let Some(entry) = compiled.entry(&check.id, scenario, *surface, &combination.values) {
                    matches_catalogue[entry] = true;
                }
            }
        }
    }
    Ok(KnownFile { file: name, list, matches_catalogue })
}

/// Permutations that have come to their end.
type Traces = BTreeMap<String, (Ran, Vec<Event>)>;

async fn record(
    bench: &Bench,
    permutations: &[Permutation],
    catalogue: &Catalogue,
    header: Header,
    args: &RunArgs,
    order: Order,
    shown: &Shown,
) -> Bundle {
    let mut applicable: Vec<&Permutation> =
        permutations.iter().filter(|p| p.not_applicable.is_none()).collect();
    if order == Order::Shuffled {
        applicable.shuffle(&mut StdRng::seed_from_u64(bench.seed));
    }
    let (stop, stopped) = watch::channel(false);
    let interrupt = tokio::spawn(async move {
        interrupted().await;
        stop.send_replace(true);
        // Kept alive: a closed channel would look like a stop.
        std::future::pending::<()>().await;
    });
    let done: Arc<Mutex<Traces>> = Arc::default();
    let keep = done.clone();
    let places = Places::new(usize::from(args.jobs));
    let ended = move |ran: Ran, events| {
        keep.lock().unwrap_or_else(PoisonError::into_inner).insert(ran.id.clone(), (ran, events));
    };
    let progress = |progress| shown.show(progress);
    let began = Instant::now();
    run_all(bench, &applicable, &catalogue.rules, &places, stopped.clone(), ended, &progress).await;
    interrupt.abort();
    // The processes of interrupted permutations were ended when they were dropped; give the system a moment to reap.
    if *stopped.borrow() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut done = std::mem::take(&mut *done.lock().unwrap_or_else(PoisonError::into_inner));
    let ran: Vec<(Ran, Vec<Event>)> = permutations.iter().filter_map(|p| done.remove(&p.id)).collect();
    let complete = ran.len() == applicable.len() && ran.iter().all(|(r, _)| !r.interrupted);
    let footer = Footer {
        complete,
        permutations: ran.len() as u64,
        events: ran.iter().map(|(_, events)| events.len() as u64).sum(),
        took_us: began.elapsed().as_micros() as u64,
    };
    Bundle { header, ran, footer: Some(footer) }
}

/// Writes a bundle, line by line.
///
/// # Errors
/// A file that cannot be written.
pub fn write_bundle(path: &Path, bundle: &Bundle) -> Result<(), OperatorError> {
    let failed = |source| OperatorError::Write { path: path.to_owned(), source };
    let file = std::fs::File::create(path).map_err(failed)?;
    let mut out = std::io::BufWriter::new(file);
    let mut line = |line: &Line| {
        let text = serde_json::to_string(line).expect("plain data");
        writeln!(out, "{text}")
    };
    let mut all = || {
        line(&Line::Header(Box::new(bundle.header.clone())))?;
        for (ran, events) in &bundle.ran {
            line(&Line::Permutation(ran.clone()))?;
            for event in events {
                line(&Line::Event(event.clone()))?;
            }
        }
        bundle.footer.clone().map_or(Ok(()), |footer| line(&Line::Footer(footer)))
    };
    all().map_err(failed)?;
    out.flush().map_err(failed)
}
