//! What a permutation costs of our own, how long sixty worlds take to start, how long judging takes, how much memory an idle
//! runner holds.
//!
//! `cargo bench -p flightcheck` (the release profile builds DataFusion anew; `--profile dev` uses the debug build).

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flightcheck::canary::CanaryMaker;
use flightcheck::embedded;
use flightcheck::recorder::{Recorder, StallWatch};
use flightcheck::run::permutation::{Bench, run};
use flightcheck::run::subject::Launch;
use flightcheck::run::world::{Shared, World, WorldSpec};
use flightcheck::target::Target;
use futures::future::join_all;
use reference_client::Behaviour;
use scenario_model::plan::{Choice, Permutation, plan};
use scenario_model::report::Judge;
use scenario_model::scenario::Lane;
use scenario_model::trace::Trace;
use tokio::runtime::Runtime;

const WORLDS: u64 = 60;

fn permutations(target: &Target) -> Vec<Permutation> {
    let catalogue = embedded::catalogue(None).expect("what ships can be read");
    plan(&catalogue.scenarios, &target.manifest, &Choice::default())
}

fn measure(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = Target::find("reference").expect("it ships");
    let all = permutations(&target);
    let plain = all.iter().find(|p| p.id == "discovery/issuer-with-a-path").expect("it ships");
    let shared = Shared::new(&folder.path().join("ca.pem")).expect("it can be written");
    let inside = Bench {
        shared,
        manifest: target.manifest.clone(),
        launch: Launch::Inside(Behaviour::default()),
        skew_upper: 1.5,
        seed: 1,
        stalls: StallWatch::start(),
    };
    talk(&format!("idle runner, catalogue and tables loaded: {} MiB resident", resident_mib()));

    let mut group = criterion.benchmark_group("runner");
    group.sample_size(20).measurement_time(Duration::from_secs(8));
    group.bench_function("an instant permutation, world, client and teardown", |b| {
        b.to_async(&runtime).iter(|| run(&inside, plain, ()));
    });
    let spec = WorldSpec::of(plain.scenario(), 1.5);
    group.bench_function("sixty worlds start and stop at once", |b| {
        b.to_async(&runtime).iter(|| async {
            let worlds = join_all((0..WORLDS).map(|seed| world(&inside.shared, &spec, seed))).await;
            join_all(worlds.into_iter().map(World::stop)).await;
        });
    });
    group.finish();

    // The family with most permutations, run once and judged by its checks and by the rules.
    let of_family = all.iter().filter(|p| p.scenario_id.starts_with("token-re"));
    let traces: Vec<(&Permutation, Trace)> = of_family
        .filter(|p| p.not_applicable.is_none() && p.lane() == Lane::Instant)
        .map(|p| (p, Trace::new(runtime.block_on(run(&inside, p, ())).1)))
        .collect();
    let catalogue = embedded::catalogue(None).expect("what ships can be read");
    let judge = Judge::with(catalogue.scenarios, catalogue.rules);
    let words = &target.manifest.words;
    let mut group = criterion.benchmark_group("judge");
    group.throughput(Throughput::Elements(traces.len() as u64));
    group.bench_function("so many traces of token requests and answers", |b| {
        b.iter(|| {
            for (permutation, trace) in &traces {
                black_box(judge.verdicts(&permutation.combination, permutation.surface, words, trace));
            }
        });
    });
    group.finish();
    talk(&format!("after the benchmark: {} MiB resident", resident_mib()));
}

async fn world(shared: &Shared, spec: &WorldSpec, seed: u64) -> World {
    let recorder: Arc<Recorder> = Recorder::new();
    World::start(shared, spec, &recorder, &mut CanaryMaker::new(seed)).await.expect("it starts")
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

#[expect(clippy::print_stdout, reason = "a benchmark talks to its reader")]
fn talk(text: &str) {
    println!("{text}");
}

criterion_group!(benches, measure);
criterion_main!(benches);
