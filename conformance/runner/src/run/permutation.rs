//! One permutation from its plan to its trace: world up, subject driven, subject ended, world down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use scenario_model::bundle::Ran;
use scenario_model::event::Event;
use scenario_model::manifest::Manifest;
use scenario_model::plan::Permutation;
use scenario_model::scenario::Op;

use crate::canary::CanaryMaker;
use crate::recorder::{Recorder, StallWatch};
use crate::render::native_options;
use crate::run::steps::Stage;
use crate::run::subject::{Launch, Subject};
use crate::run::world::{Shared, World, WorldSpec};

/// How long a subject may take to end after its stdin was closed.
pub const END_LIMIT: Duration = Duration::from_secs(5);
/// A subject that has not answered `hello` by then does not keep others from starting.
const START_LIMIT: Duration = Duration::from_millis(500);
/// How long a subject may take until it answers `hello`; after that its steps begin all the same.
pub const READY_LIMIT: Duration = Duration::from_secs(3);
/// How long closing all sessions may take.
pub const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// What every permutation of a run has in common.
pub struct Bench {
    /// What all worlds share.
    pub shared: Shared,
    /// The subject's manifest.
    pub manifest: Manifest,
    /// How the subject is started.
    pub launch: Launch,
    /// Upper bound of the subject's refresh skew in seconds.
    pub skew_upper: f64,
    /// Seed of every random choice.
    pub seed: u64,
    /// Tells traces of stalls.
    pub stalls: StallWatch,
}

/// Runs one permutation. Our own trouble is part of the answer, never a panic. `starting` is dropped when world and
/// subject are up.
pub async fn run<S>(bench: &Bench, permutation: &Permutation, starting: S) -> (Ran, Vec<Event>) {
    run_with(bench, &bench.launch, permutation, starting).await
}

/// Runs one permutation on a subject that is started in another way than the bench's.
pub async fn run_with<S>(
    bench: &Bench,
    launch: &Launch,
    permutation: &Permutation,
    starting: S,
) -> (Ran, Vec<Event>) {
    let began = Instant::now();
    let recorder = Recorder::new();
    bench.stalls.watch(&recorder);
    let error = drive(bench, launch, permutation, &recorder, starting).await.err();
    let events = recorder.finish();
    let ran = Ran {
        id: permutation.id.clone(),
        error,
        interrupted: false,
        repeated: 0,
        took_us: began.elapsed().as_micros() as u64,
        events: events.len() as u64,
    };
    (ran, events)
}

async fn drive<S>(
    bench: &Bench,
    launch: &Launch,
    permutation: &Permutation,
    recorder: &Arc<Recorder>,
    starting: S,
) -> Result<(), String> {
    let scenario = permutation.scenario();
    let spec = WorldSpec::of(scenario, bench.skew_upper);
    let mut maker = CanaryMaker::new(bench.seed ^ fingerprint(&permutation.id));
    let world = World::start(&bench.shared, &spec, recorder, &mut maker).await.map_err(|e| e.to_string())?;
    let options = world
        .sessions
        .iter()
        .map(|(id, (session, facts))| {
            (id.clone(), native_options(&bench.manifest, session, facts, &bench.shared.ca_file))
        })
        .collect();
    let restarts = scenario.step.iter().any(|step| step.op == Op::Restart);
    let launch = if restarts { launch.alone() } else { launch.clone() };
    let start = || Subject::start(&launch, recorder, &world.canaries);
    let subject = start().map_err(|e| e.to_string())?;
    let ready = subject.ready(START_LIMIT).await;
    drop(starting);
    if !ready {
        subject.ready(READY_LIMIT).await;
    }
    let stage = Stage::new(&start, subject, &world, recorder, options, permutation.surface);
    let played = stage.play(scenario, &permutation.combination.checks).await;
    stage.close(CLOSE_LIMIT).await;
    if let Some(subject) = stage.into_subject() {
        subject.finish(END_LIMIT).await;
    }
    world.stop().await;
    played.map_err(|e| e.to_string())
}

/// A number from a name, the same on every machine.
fn fingerprint(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
