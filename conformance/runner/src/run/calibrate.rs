//! How long before its expiry a subject stops using a token: issuers with different lifetimes, two calls each.

use std::collections::BTreeMap;
use std::time::Duration;

use scenario_model::bundle::Calibration;
use scenario_model::event::Fact;
use scenario_model::scenario::{Issuer, Server, Session};
use serde_json::{Map, Value, json};

use crate::canary::CanaryMaker;
use crate::marker;
use crate::recorder::Recorder;
use crate::render::native_options;
use crate::run::permutation::{Bench, CLOSE_LIMIT, END_LIMIT};
use crate::run::subject::{Answer, Subject};
use crate::run::world::{World, WorldSpec};

/// Time between the two calls.
const BETWEEN: Duration = Duration::from_millis(500);
/// Lifetimes of the first round, in seconds: close together where known clients have their skew.
const LIFETIMES: [u64; 16] = [2, 4, 6, 9, 11, 16, 21, 31, 46, 61, 91, 121, 181, 301, 601, 3600];
/// How long all calls of one round may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Why calibration gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// Our own trouble.
    #[error("{0}")]
    Ours(String),
    /// The subject could not do the plainest query.
    #[error("the subject could not make a plain query with OAuth: {0}")]
    Query(String),
}

/// Measures the refresh skew, in one round of sixteen lifetimes and one between the two that differ.
///
/// # Errors
/// If the subject cannot make a plain query, or the world does not start.
pub async fn calibrate(bench: &Bench) -> Result<Calibration, CalibrateError> {
    let first = round(bench, &LIFETIMES).await?;
    let rough = evaluate(&first);
    let (short, long) = (rough.lower.ceil() as u64 + 1, rough.upper.floor() as u64);
    if rough.upper - rough.lower <= 1.5 || long <= short {
        return Ok(rough);
    }
    let step = ((long - short) / 16).max(1);
    let finer: Vec<u64> = (short..=long).step_by(step as usize).take(16).collect();
    let second = round(bench, &finer).await?;
    Ok(evaluate(&first.into_iter().chain(second).collect()))
}

/// What the second call did with its token.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    /// It asked for a new one.
    again: bool,
    /// Seconds of life that the token had left: no more than this when it was kept, no less when it was not. Measured, since
    /// on a busy machine the second call is late.
    left: f64,
}

fn evaluate(seen: &BTreeMap<u64, Seen>) -> Calibration {
    let left = |again: bool| seen.values().filter(move |s| s.again == again).map(|s| s.left);
    let most_again = left(true).fold(f64::NEG_INFINITY, f64::max);
    let least_kept = left(false).fold(f64::INFINITY, f64::min);
    let kept_above = left(false).filter(|left| *left > most_again).fold(f64::from(u16::MAX), f64::min);
    // To a tenth of a second, outwards; a thousandth is noise.
    let tenths = |seconds: f64, side: fn(f64) -> f64| side((seconds * 1000.0).round() / 100.0) / 10.0;
    Calibration {
        lower: tenths(most_again.max(0.0), f64::floor),
        upper: tenths(kept_above, f64::ceil),
        monotonic: most_again < least_kept,
    }
}

async fn round(bench: &Bench, lifetimes: &[u64]) -> Result<BTreeMap<u64, Seen>, CalibrateError> {
    let recorder = Recorder::new();
    let id = |life: u64| format!("life-{life}");
    let spec = WorldSpec {
        issuers: lifetimes.iter().map(|life| (id(*life), (Issuer::default(), *life))).collect(),
        sessions: lifetimes.iter().map(|life| (Session::plain(&id(*life)), id(*life))).collect(),
        server: Server::default(),
        resource: None,
    };
    let mut maker = CanaryMaker::new(bench.seed);
    let world = World::start(&bench.shared, &spec, &recorder, &mut maker)
        .await
        .map_err(|e| CalibrateError::Ours(e.to_string()))?;
    let subject = Subject::start(&bench.launch, &recorder, &world.canaries)
        .map_err(|e| CalibrateError::Ours(e.to_string()))?;
    let calls = lifetimes.iter().map(|life| two_calls(bench, &world, &subject, &recorder, id(*life)));
    let all = tokio::time::timeout(LIMIT, futures::future::join_all(calls)).await;
    subject.finish(END_LIMIT.max(CLOSE_LIMIT)).await;
    world.stop().await;
    let events = recorder.finish();
    let granted_at = |life: u64| -> Vec<Duration> {
        let name = id(life);
        let granted = |f: &Fact| matches!(f, Fact::IssuerToken(t) if t.issuer == name && t.token.is_some());
        events.iter().filter(|e| granted(&e.fact)).map(|e| Duration::from_micros(e.at_us)).collect()
    };
    match all {
        Err(_) => Err(CalibrateError::Query(format!("no answer within {} s", LIMIT.as_secs()))),
        Ok(results) if results.iter().all(Result::is_err) => {
            Err(results.into_iter().find_map(Result::err).expect("there are lifetimes"))
        }
        Ok(results) => {
            let seen = lifetimes
                .iter()
                .zip(results)
                .map(|(life, result)| (*life, seen(*life, result, &granted_at(*life))));
            Ok(seen.collect())
        }
    }
}

/// From when the second call was sent, or why there was none, and the moments at which tokens were granted.
fn seen(life: u64, second_sent: Result<Duration, CalibrateError>, granted: &[Duration]) -> Seen {
    let left = |first: Duration, then: Duration| life as f64 - then.saturating_sub(first).as_secs_f64();
    match (granted, second_sent) {
        ([first, second, ..], _) => Seen { again: true, left: left(*first, *second) },
        ([first], Ok(sent)) => Seen { again: false, left: left(*first, sent) },
        // A subject that cannot work with so short a life does not use the token either.
        ([_], Err(_)) => Seen { again: true, left: left(Duration::ZERO, BETWEEN) },
        ([], _) => Seen { again: true, left: 0.0 },
    }
}

async fn two_calls(
    bench: &Bench,
    world: &World,
    subject: &Subject,
    recorder: &Recorder,
    session: String,
) -> Result<Duration, CalibrateError> {
    let (settings, facts) = &world.sessions[&session];
    let native = native_options(&bench.manifest, settings, facts, &bench.shared.ca_file);
    said(subject, "open", &session, [("native", json!(native))]).await?;
    let sql = |n| format!("SELECT '{}' AS marker", marker::make(&session, n, None));
    said(subject, "query", &session, [("sql", Value::from(sql(0)))]).await?;
    tokio::time::sleep(BETWEEN).await;
    let sent = recorder.elapsed();
    said(subject, "query", &session, [("sql", Value::from(sql(1)))]).await?;
    Ok(sent)
}

async fn said<'k>(
    subject: &Subject,
    op: &str,
    session: &str,
    more: impl IntoIterator<Item = (&'k str, Value)>,
) -> Result<(), CalibrateError> {
    let mut request = Map::new();
    request.insert("op".into(), op.into());
    request.insert("session".into(), session.into());
    request.extend(more.into_iter().map(|(k, v)| (k.to_owned(), v)));
    match subject.call(request).await.answer {
        Answer::Ok(_) => Ok(()),
        Answer::Error(message) => Err(CalibrateError::Query(format!("`{op}` says: {message}"))),
        Answer::Gone => Err(CalibrateError::Query(format!("it was gone before it answered `{op}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(again: &[u64], kept: &[u64], lower: f64, upper: f64, monotonic: bool) {
        let point = |again| move |life: &u64| (*life, Seen { again, left: *life as f64 - 0.5 });
        let seen = again.iter().map(point(true)).chain(kept.iter().map(point(false))).collect();
        assert_eq!(evaluate(&seen), Calibration { lower, upper, monotonic });
    }

    #[test]
    fn the_skew_lies_between_the_lives_that_differ() {
        check(&[2, 4, 6, 9], &[11, 16], 8.5, 10.5, true);
        check(&[], &[2, 4, 6], 0.0, 1.5, true);
        check(&[2, 9], &[4, 11], 8.5, 10.5, false);
    }

    #[test]
    fn a_late_second_call_is_no_skew() {
        let at = Duration::from_millis;
        let late = seen(2, Ok(at(2300)), &[at(0), at(2310)]);
        let kept = seen(4, Ok(at(2300)), &[at(0)]);
        let found = evaluate(&BTreeMap::from([(2, late), (4, kept)]));
        assert_eq!(found, Calibration { lower: 0.0, upper: 1.7, monotonic: true });
    }
}
