//! In which order and how many at once: waiting costs nothing, working does, moments need room.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use scenario_model::bundle::Ran;
use scenario_model::clause::Clause;
use scenario_model::event::{Event, Fact, SubjectExit};
use scenario_model::judge::{Context, judge};
use scenario_model::load::ResolvedCheck;
use scenario_model::plan::Permutation;
use scenario_model::scenario::Lane;
use scenario_model::trace::Trace;
use scenario_model::verdict::Outcome;
use tokio::sync::{Semaphore, watch};

use crate::run::permutation::{Bench, END_LIMIT, run_with};
use crate::run::process::facts_of_end;
use crate::run::subject::Launch;

/// An instant permutation works for some 70 ms: one that still has its place after this long is waiting.
const WORKING: Duration = Duration::from_millis(700);
/// So often a permutation is run again alone when the machine stalled.
const REPEATS: u32 = 2;

/// What happens to permutations, for whoever shows it.
#[derive(Debug, Clone)]
pub enum Progress {
    /// It has begun.
    Begun(String),
    /// It is run once more.
    Again(String),
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
    /// run, only so many start at once: a crowd of starting worlds would be late for its own moments. More that wait for
    /// moments are late, too: with sixteen times as many the self-test had 23 verdicts that luck decided.
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
    let alone = bench.launch.alone();
    let mut again = Vec::new();
    let mut hosted = Vec::new();
    {
        let mut running: FuturesUnordered<_> =
            order.iter().map(|p| one(bench, &bench.launch, p, places, stop.clone(), progress)).collect();
        while let Some((permutation, (ran, events))) = running.next().await {
            if bench.launch.host().is_some() && !ran.interrupted {
                // How its process ends is not known yet; until then this stands.
                tell(bench, permutation, rules, &ran, &as_if_ended(&events), progress);
                ended(ran.clone(), events.clone());
                hosted.push((permutation, ran, events));
            } else if !ran.interrupted && is_inconclusive(bench, permutation, rules, &events) {
                again.push((permutation, ran, events));
            } else {
                tell(bench, permutation, rules, &ran, &events, progress);
                ended(ran, events);
            }
        }
    }
    for (permutation, ran, events) in hosted_to_their_end(bench, hosted, places, &stop, progress).await {
        if is_inconclusive(bench, permutation, rules, &events) {
            progress(Progress::Again(ran.id.clone()));
            again.push((permutation, ran, events));
        } else {
            ended(ran, events);
        }
    }
    for (permutation, mut ran, mut events) in again {
        for repeat in 1..=REPEATS {
            if *stop.borrow_and_update() || !is_inconclusive(bench, permutation, rules, &events) {
                break;
            }
            let one_place = Places::new(1);
            let (_, next) = one(bench, &alone, permutation, &one_place, stop.clone(), progress).await;
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

type Done<'p> = (&'p Permutation, Ran, Vec<Event>);

/// Ends the process that served them all, and adds how it ended to each of them. If a process died, nobody knows yet whose
/// fault that was: all run again, each in a process of its own. Who dies there, too, is guilty. If nobody does, they died of
/// being together: then those that were in the process when it died keep that.
async fn hosted_to_their_end<'p>(
    bench: &Bench,
    hosted: Vec<Done<'p>>,
    places: &Places,
    stop: &watch::Receiver<bool>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Vec<Done<'p>> {
    let Some(host) = bench.launch.host() else { return Vec::new() };
    let end = host.shut_down(END_LIMIT).await;
    let nobody_died = !hosted.iter().any(|(_, _, events)| died(events));
    if let Some((exit, left_over)) = end.filter(|_| nobody_died) {
        let facts: Vec<Fact> = facts_of_end(exit, left_over).collect();
        return hosted.into_iter().map(|(p, ran, events)| with_facts(p, ran, events, &facts)).collect();
    }
    let alone = bench.launch.alone();
    let again = hosted.iter().map(|(permutation, ran, _)| {
        progress(Progress::Again(ran.id.clone()));
        one(bench, &alone, permutation, places, stop.clone(), progress)
    });
    let again: Vec<_> = futures::future::join_all(again).await;
    let guilty_found = again.iter().any(|(_, (_, events))| died(events));
    let choose = |(first, (permutation, (ran, events))): (Done<'p>, (&'p Permutation, (Ran, Vec<Event>)))| {
        let keeps_the_first = ran.interrupted || (died(&first.2) && !guilty_found);
        let chosen = if keeps_the_first { first } else { (permutation, ran, events) };
        progress(Progress::Ended(chosen.1.id.clone(), Vec::new()));
        chosen
    };
    hosted.into_iter().zip(again).map(choose).collect()
}

/// The process ended before it was asked to.
fn died(events: &[Event]) -> bool {
    events.iter().any(|e| matches!(&e.fact, Fact::SubjectExit(exit) if !exit.asked))
}

fn with_facts<'p>(
    permutation: &'p Permutation,
    mut ran: Ran,
    mut events: Vec<Event>,
    facts: &[Fact],
) -> Done<'p> {
    let at_us = events.last().map_or(0, |e| e.at_us);
    for fact in facts {
        events.push(Event { seq: events.len() as u64, at_us, fact: fact.clone() });
    }
    ran.events = events.len() as u64;
    (permutation, ran, events)
}

/// For the progress line only: a process that lives on is taken to end well.
fn as_if_ended(events: &[Event]) -> Vec<Event> {
    let mut events = events.to_vec();
    if !events.iter().any(|e| matches!(e.fact, Fact::SubjectExit(_))) {
        let well = SubjectExit { code: Some(0), signal: None, asked: true, ended_by_us: false, clean: true };
        let (seq, at_us) = (events.len() as u64, events.last().map_or(0, |e| e.at_us));
        events.push(Event { seq, at_us, fact: Fact::SubjectExit(well) });
    }
    events
}

async fn one<'p>(
    bench: &Bench,
    launch: &Launch,
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
        let run = run_with(bench, launch, permutation, starting);
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
    let clauses = permutation.combination.checks.iter().flat_map(ResolvedCheck::clauses);
    let bounds = clauses.filter_map(|clause| match clause {
        Clause::Step { within, .. } => within.map(|w| w.micros()),
        Clause::Count { .. } | Clause::Every { .. } => None,
    });
    let moments = permutation
        .scenario()
        .step
        .iter()
        .filter_map(|s| s.at.as_ref())
        .map(|m| m.after.micros() + m.before.micros());
    bounds.chain(moments).max().unwrap_or(0)
}

fn outcomes(
    bench: &Bench,
    permutation: &Permutation,
    rules: &[ResolvedCheck],
    events: &[Event],
) -> Vec<(String, Outcome)> {
    let trace = Trace::new(events.to_vec());
    let context = Context {
        scenario: permutation.scenario(),
        surface: permutation.surface,
        words: &bench.manifest.words,
    };
    let rules = rules.iter().filter(|rule| rule.subject == permutation.scenario().subject);
    let checks = permutation.combination.checks.iter().chain(rules);
    checks.map(|check| (check.id.clone(), judge(check, &trace, context).outcome)).collect()
}

fn is_inconclusive(
    bench: &Bench,
    permutation: &Permutation,
    rules: &[ResolvedCheck],
    events: &[Event],
) -> bool {
    outcomes(bench, permutation, rules, events).iter().any(|(_, o)| *o == Outcome::Inconclusive)
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
        let outcomes = outcomes(bench, permutation, rules, events);
        progress(Progress::Ended(permutation.id.clone(), outcomes));
    }
}
