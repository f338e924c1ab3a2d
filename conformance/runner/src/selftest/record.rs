//! Running everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use reference_client::Defect;
use scenario_model::bundle::Ran;
use scenario_model::catalogue::Catalogue;
use scenario_model::event::Event;
use scenario_model::plan::Permutation;
use scenario_model::trace::Trace;
use tokio::sync::watch;

use super::who::Who;
use crate::cli::SelectionArgs;
use crate::necessity::Recording;
use crate::operator::OperatorError;
use crate::output;
use crate::recorder::StallWatch;
use crate::run::permutation::Bench;
use crate::run::schedule::{Places, run_all};
use crate::run::world::Shared;
use crate::select::select;
use crate::target::{REFERENCE, REFERENCE_HTTP, REFERENCE_SERVER, Target};

/// The scenarios that were selected, if not all: the rules that judge every scenario count for the whole only.
pub struct Part(Option<BTreeSet<String>>);

impl Part {
    fn of<'p>(args: &SelectionArgs, permutations: impl Iterator<Item = &'p Permutation>) -> Self {
        let whole = args.run.is_empty()
            && args.skip.is_empty()
            && args.profile.is_empty()
            && args.shard.is_none()
            && args.scenarios.is_none();
        Self((!whole).then(|| permutations.map(|p| p.scenario_id.clone()).collect()))
    }

    /// Everything was selected.
    pub fn is_whole(&self) -> bool {
        self.0.is_none()
    }

    /// What begins with the id of a check belongs to a selected scenario.
    pub fn holds(&self, check: &str) -> bool {
        let scenario = check.split('#').next().unwrap_or_default();
        self.0.as_ref().is_none_or(|ids| ids.contains(scenario))
    }
}

/// Behaviours that are driven in the same way, and the permutations that apply to them.
pub struct Group {
    target: Target,
    permutations: Vec<Permutation>,
    chosen: Vec<Who>,
}

/// The chosen behaviours in their groups, the part of the catalogue that is selected, and that in words.
///
/// # Errors
/// If nothing is selected.
pub fn groups(
    args: &SelectionArgs,
    catalogue: &Catalogue,
    chosen: &[Who],
) -> Result<(Vec<Group>, Part, String), OperatorError> {
    if args.provider.is_some() {
        let why = "the matrix is of the issuers that scenarios describe: `--provider` belongs to `run`";
        return Err(OperatorError::Selection(why.to_owned()));
    }
    let (servers, clients): (Vec<Who>, Vec<Who>) = chosen.iter().copied().partition(|who| who.is_server());
    let (mut groups, mut words, mut nothing) = (Vec::new(), String::new(), None);
    for (name, chosen) in
        [(REFERENCE, clients.clone()), (REFERENCE_HTTP, clients), (REFERENCE_SERVER, servers)]
    {
        let target = Target::find(name)?;
        match select(args, catalogue, &target.manifest) {
            Ok((permutations, selection)) => {
                words = selection;
                groups.push(Group { target, permutations, chosen });
            }
            // A selection may be about one kind of subject alone.
            Err(error @ OperatorError::Nothing(_)) => nothing = Some(error),
            Err(error) => return Err(error),
        }
    }
    if let (true, Some(error)) = (groups.is_empty(), nothing) {
        return Err(error);
    }
    let part = Part::of(args, groups.iter().flat_map(|group| &group.permutations));
    // What applies to plugins only is proven on the client's other face.
    if let Some(clients) = groups.iter().find(|group| group.target.typed == REFERENCE) {
        let target = Target::find("reference-plugin")?;
        let (mut permutations, _) = select(args, catalogue, &target.manifest)?;
        let of_plugins = |p: &Permutation| {
            clients.permutations.iter().any(|other| other.id == p.id && other.not_applicable.is_some())
        };
        permutations.retain(of_plugins);
        // What one writes to the stdout of a process that all share belongs to whoever is open: never the same twice.
        let noisy = |who: &Who| matches!(who, Who::Defect(Defect::Noise));
        let chosen = clients.chosen.iter().copied().filter(|who| !noisy(who)).collect();
        groups.push(Group { target, permutations, chosen });
    }
    for group in &mut groups {
        group.permutations.retain(|p| p.not_applicable.is_none());
    }
    Ok((groups, part, words))
}

/// Runs what is wanted of each behaviour; sorted by behaviour.
///
/// # Errors
/// If the folder for the worlds cannot be made.
pub async fn record_all(
    groups: &[Group],
    catalogue: &Catalogue,
    wanted: &(dyn Fn(Who, &str) -> bool + Sync),
    jobs: usize,
) -> Result<Vec<Recording>, OperatorError> {
    let mut recordings = Vec::new();
    for group in groups {
        recordings.extend(record(group, catalogue, wanted, jobs).await?);
    }
    recordings.sort_by(|a, b| a.who.cmp(&b.who));
    Ok(recordings)
}

/// What was run again replaces what was recorded before.
pub fn replace(recordings: &mut [Recording], newer: Vec<Recording>) {
    let mut traces: BTreeMap<(String, String), (Ran, Trace)> = BTreeMap::new();
    for recording in newer {
        for (permutation, ran, trace) in recording.traces {
            traces.insert((recording.who.clone(), permutation.id), (ran, trace));
        }
    }
    for recording in recordings {
        for (permutation, ran, trace) in &mut recording.traces {
            if let Some(newer) = traces.remove(&(recording.who.clone(), permutation.id.clone())) {
                (*ran, *trace) = newer;
            }
        }
    }
}

async fn record(
    group: &Group,
    catalogue: &Catalogue,
    wanted: &(dyn Fn(Who, &str) -> bool + Sync),
    jobs: usize,
) -> Result<Vec<Recording>, OperatorError> {
    let folder = tempfile::tempdir().map_err(|e| OperatorError::Ours(e.to_string()))?;
    let Group { target, permutations, chosen } = group;
    let own = |who: Who| permutations.iter().filter(move |p| wanted(who, &p.scenario_id));
    let chosen: Vec<Who> = chosen.iter().copied().filter(|who| own(*who).next().is_some()).collect();
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    output::talk(&format!("{} behaviours, at most {} permutations each", chosen.len(), permutations.len()));
    let places = Places::new(jobs);
    let (_keep, stop) = watch::channel(false);
    let mut running = FuturesUnordered::new();
    let stalls = StallWatch::start();
    for (nth, who) in chosen.iter().enumerate() {
        let ca = folder.path().join(format!("ca-{nth}.pem"));
        let mut shared = Shared::new(&ca).map_err(|e| OperatorError::Ours(e.to_string()))?;
        shared.mutation = who.mutation();
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
        let own: Vec<&Permutation> = own(*who).collect();
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
    Ok(recordings)
}
