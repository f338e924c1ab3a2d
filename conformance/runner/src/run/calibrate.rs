//! How long before its expiry a subject stops using a token: issuers with different lifetimes, two calls each.

use std::collections::BTreeMap;
use std::time::Duration;

use scenario_model::bundle::Calibration;
use scenario_model::event::Fact;
use scenario_model::scenario::{Issuer, Server};
use serde_json::{Map, Value, json};

use crate::canary::CanaryMaker;
use crate::marker;
use crate::recorder::Recorder;
use crate::render::native_options;
use crate::run::permutation::{Bench, CLOSE_LIMIT, END_LIMIT};
use crate::run::subject::{Answer, Subject};
use crate::run::world::{World, WorldSpec, plain_session};

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

/// Lifetime to whether the second call made a new token request.
fn evaluate(asked_again: &BTreeMap<u64, bool>) -> Calibration {
    let between = BETWEEN.as_secs_f64();
    let longest_again = asked_again.iter().filter(|(_, again)| **again).map(|(life, _)| *life).max();
    let shortest_kept = asked_again.iter().filter(|(_, again)| !**again).map(|(life, _)| *life).min();
    let monotonic = match (longest_again, shortest_kept) {
        (Some(again), Some(kept)) => again < kept,
        _ => true,
    };
    let kept_above = asked_again
        .iter()
        .filter(|(life, again)| !**again && longest_again.is_none_or(|longest| **life > longest))
        .map(|(life, _)| *life)
        .min();
    Calibration {
        lower: longest_again.map_or(0.0, |life| life as f64 - between),
        upper: kept_above.map_or(f64::from(u16::MAX), |life| life as f64 - between),
        monotonic,
    }
}

async fn round(bench: &Bench, lifetimes: &[u64]) -> Result<BTreeMap<u64, bool>, CalibrateError> {
    let recorder = Recorder::new();
    let id = |life: u64| format!("life-{life}");
    let spec = WorldSpec {
        issuers: lifetimes.iter().map(|life| (id(*life), (Issuer::default(), *life))).collect(),
        sessions: lifetimes.iter().map(|life| (plain_session(&id(*life)), id(*life))).collect(),
        server: Server::default(),
    };
    let mut maker = CanaryMaker::new(bench.seed);
    let world = World::start(&bench.shared, &spec, &recorder, &mut maker)
        .await
        .map_err(|e| CalibrateError::Ours(e.to_string()))?;
    let subject = Subject::start(&bench.launch, &recorder, &world.canaries)
        .map_err(|e| CalibrateError::Ours(e.to_string()))?;
    let calls = lifetimes.iter().map(|life| two_calls(bench, &world, &subject, id(*life)));
    let all = tokio::time::timeout(LIMIT, futures::future::join_all(calls)).await;
    let requests = |life: u64| {
        let name = id(life);
        recorder.count(|f| matches!(f, Fact::IssuerToken(t) if t.issuer == name && t.token.is_some()))
    };
    let answer = match all {
        Err(_) => Err(CalibrateError::Query(format!("no answer within {} s", LIMIT.as_secs()))),
        Ok(results) if results.iter().all(Result::is_err) => {
            Err(results.into_iter().find_map(Result::err).expect("there are lifetimes"))
        }
        // A subject that cannot work with so short a life does not use the token either.
        Ok(results) => Ok(lifetimes
            .iter()
            .zip(results)
            .map(|(life, result)| (*life, result.is_err() || requests(*life) > 1))
            .collect()),
    };
    subject.finish(END_LIMIT.max(CLOSE_LIMIT)).await;
    world.stop().await;
    answer
}

async fn two_calls(
    bench: &Bench,
    world: &World,
    subject: &Subject,
    session: String,
) -> Result<(), CalibrateError> {
    let (settings, facts) = &world.sessions[&session];
    let native = native_options(&bench.manifest, settings, facts, &bench.shared.ca_file);
    said(subject, "open", &session, [("native", json!(native))]).await?;
    for n in 0..2 {
        let sql = format!("SELECT '{}' AS marker", marker::make(&session, n, None));
        said(subject, "query", &session, [("sql", Value::from(sql))]).await?;
        if n == 0 {
            tokio::time::sleep(BETWEEN).await;
        }
    }
    Ok(())
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
        let asked = again.iter().map(|l| (*l, true)).chain(kept.iter().map(|l| (*l, false))).collect();
        assert_eq!(evaluate(&asked), Calibration { lower, upper, monotonic });
    }

    #[test]
    fn the_skew_lies_between_the_lives_that_differ() {
        check(&[2, 4, 6, 9], &[11, 16], 8.5, 10.5, true);
        check(&[], &[2, 4, 6], 0.0, 1.5, true);
        check(&[2, 9], &[4, 11], 8.5, 10.5, false);
    }
}
