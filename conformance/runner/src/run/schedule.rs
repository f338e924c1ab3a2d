//! In which order and how many at once: waiting costs nothing, working does, moments need room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use scenario_model::bundle::Ran;
use scenario_model::clause::Clause;
use scenario_model::event::Event;
use scenario_model::judge::{Context, judge};
use scenario_model::load::ResolvedCheck;
use scenario_model::plan::Permutation;
use scenario_model::scenario::Lane;
use scenario_model::trace::Trace;
use scenario_model::verdict::Outcome;
use tokio::sync::{Semaphore, watch};

use crate::run::permutation::{Bench, run};

/// An instant permutation works for some 70 ms: one that still has its place after this long is waiting.
const WORKING: Duration = Duration::from_millis(700);
/// So often a permutation is run again alone when the machine stalled.
const REPEATS: u32 = 2;

/// What happens to permutations, for whoever shows it.
#[derive(Debug, Clone)]
pub enum Progress {
    /// It has begun.
    Begun(String),
    /// It has come to its end.
    Ended(String, Vec<(String, Outcome)>),
}

/// How many at once.
#[derive(Debug, Clone)]
pub struct Places {
    working: Arc<Semaphore>,
    clock: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    starting: Arc<Semaphore>,
}

impl Places {
    /// So many that work, four times as many that wait for moments, sixteen times as many that only wait. However many
    /// run, only so many start at once: a crowd of starting worlds would be late for its own moments.
    pub fn new(jobs: usize) -> Self {
        let places = |n| Arc::new(Semaphore::new(n));
        Self {
            working: places(jobs),
            clock: places(jobs * 4),
            waiting: places(jobs * 16),
            starting: places(jobs.min(4)),
        }
    }
}

/// Runs permutations, longest lane first, and hands each over as it ends. Stops early when `stop` becomes true: what
/// runs then is marked interrupted.
pub async fn run_all(
    bench: &Bench,
    permutations: &[&Permutation],
    rules: &[ResolvedCheck],
    places: &Places,
    mut stop: watch::Receiver<bool>,
    mut ended: impl FnMut(Ran, Vec<Event>),
    progress: &(dyn Fn(Progress) + Sync),
) {
    let mut order: Vec<&Permutation> = permutations.to_vec();
    order.sort_by_key(|p| (p.lane(), std::cmp::Reverse(longest(p))));
    let mut again = Vec::new();
    {
        let mut running: FuturesUnordered<_> =
            order.iter().map(|p| one(bench, p, places, stop.clone(), progress)).collect();
        while let Some((permutation, (ran, events))) = running.next().await {
            if !ran.interrupted && is_inconclusive(bench, permutation, rules, &events) {
                again.push((permutation, ran, events));
            } else {
                tell(bench, permutation, rules, &ran, &events, progress);
                ended(ran, events);
            }
        }
    }
    for (permutation, mut ran, mut events) in again {
        for repeat in 1..=REPEATS {
            if *stop.borrow_and_update() || !is_inconclusive(bench, permutation, rules, &events) {
                break;
            }
            let alone = Places::new(1);
            let (_, next) = one(bench, permutation, &alone, stop.clone(), progress).await;
            if next.0.interrupted {
                break;
            }
            (ran, events) = next;
            ran.repeated = repeat;
        }
        tell(bench, permutation, rules, &ran, &events, progress);
        ended(ran, events);
    }
}

async fn one<'p>(
    bench: &Bench,
    permutation: &'p Permutation,
    places: &Places,
    mut stop: watch::Receiver<bool>,
    progress: &(dyn Fn(Progress) + Sync),
) -> (&'p Permutation, (Ran, Vec<Event>)) {
    let interrupted = |begun: bool| {
        let ran = Ran {
            id: permutation.id.clone(),
            error: None,
            interrupted: true,
            repeated: 0,
            took_us: u64::from(begun),
            events: 0,
        };
        (permutation, (ran, Vec::new()))
    };
    let place = match permutation.lane() {
        Lane::Hang => places.waiting.clone(),
        Lane::Clock => places.clock.clone(),
        Lane::Instant => places.working.clone(),
    };
    let work = async {
        let permit = place.acquire_owned().await.expect("places are never closed");
        progress(Progress::Begun(permutation.id.clone()));
        let starting = places.starting.clone().acquire_owned().await.expect("places are never closed");
        let run = run(bench, permutation, starting);
        tokio::pin!(run);
        if let Ok(done) = tokio::time::timeout(WORKING, &mut run).await {
            return done;
        }
        if permutation.lane() == Lane::Instant {
            drop(permit);
            return run.await;
        }
        let done = run.await;
        drop(permit);
        done
    };
    tokio::select! {
        done = work => (permutation, done),
        _ = stop.wait_for(|stop| *stop) => interrupted(true),
    }
}

/// The widest time that a check of the permutation names, in microseconds: a first guess of how long it takes.
fn longest(permutation: &Permutation) -> i64 {
    let clauses = permutation.combination.checks.iter().flat_map(|c| c.requires.iter().chain(&c.expect));
    let bounds = clauses.filter_map(|clause| match clause {
        Clause::Step { within, .. } => within.map(|w| w.micros()),
        Clause::Count { .. } | Clause::Every { .. } => None,
    });
    let moments = permutation.scenario().step.iter().filter_map(|s| s.at.as_ref()).map(|m| m.after.micros());
    bounds.chain(moments).max().unwrap_or(0)
}

fn outcomes(
    bench: &Bench,
    permutation: &Permutation,
    rules: &[ResolvedCheck],
    events: &[Event],
) -> BTreeMap<String, Outcome> {
    let trace = Trace::new(events.to_vec());
    let context = Context {
        scenario: permutation.scenario(),
        surface: permutation.surface,
        words: &bench.manifest.words,
    };
    let checks = permutation.combination.checks.iter().chain(rules);
    checks.map(|check| (check.id.clone(), judge(check, &trace, context).outcome)).collect()
}

fn is_inconclusive(
    bench: &Bench,
    permutation: &Permutation,
    rules: &[ResolvedCheck],
    events: &[Event],
) -> bool {
    outcomes(bench, permutation, rules, events).values().any(|o| *o == Outcome::Inconclusive)
}

fn tell(
    bench: &Bench,
    permutation: &Permutation,
    rules: &[ResolvedCheck],
    ran: &Ran,
    events: &[Event],
    progress: &(dyn Fn(Progress) + Sync),
) {
    if !ran.interrupted {
        let outcomes = outcomes(bench, permutation, rules, events).into_iter().collect();
        progress(Progress::Ended(permutation.id.clone(), outcomes));
    }
}
