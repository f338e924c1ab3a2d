//! `hello`: can this subject be driven at all? Asked once, before anything is run.

use std::time::Duration;

use scenario_model::event::Fact;
use scenario_model::manifest::Drive;
use serde_json::{Map, Value};

use crate::canary::Canaries;
use crate::operator::OperatorError;
use crate::recorder::Recorder;
use crate::run::permutation::Bench;
use crate::run::probe;
use crate::run::subject::{Answer, Launch, Subject};
use crate::text::printable;

/// How long a subject may take to start and answer.
const LIMIT: Duration = Duration::from_secs(20);
const END_LIMIT: Duration = Duration::from_secs(5);

/// Starts the subject, asks for its version and ends it.
///
/// # Errors
/// If it cannot be started, or answers nothing, or something else than a reply.
pub async fn greet(bench: &Bench) -> Result<Option<String>, OperatorError> {
    let name = bench.manifest.name.clone();
    if let Launch::Server(server) = &bench.launch {
        let greeted = probe::greet(bench, server).await;
        return greeted.map(|()| None).map_err(|problem| OperatorError::NotUp { name, problem });
    }
    let is_plugin = bench.manifest.drive == Drive::GrafanaPlugin;
    let recorder = Recorder::new();
    let subject = Subject::start(&bench.launch, &recorder, &std::sync::Arc::new(Canaries::default()))
        .map_err(|source| OperatorError::Start { name: name.clone(), source })?;
    let mut request = Map::new();
    request.insert("op".into(), "hello".into());
    let answer = tokio::time::timeout(LIMIT, subject.call(request)).await.map(|reply| reply.answer);
    let finish = if answer.is_ok() { END_LIMIT } else { Duration::ZERO };
    subject.finish(finish).await;
    match answer {
        Ok(Answer::Ok(ok)) => Ok(ok.get("version").and_then(Value::as_str).map(str::to_owned)),
        Ok(Answer::Error(problem)) if is_plugin => Err(OperatorError::NotReady { name, problem }),
        Ok(Answer::Error(message)) => {
            Err(OperatorError::Hello { name, problem: format!("it says: {message}") })
        }
        Ok(Answer::Gone) if is_plugin => {
            let problem = format!("it ended{}", last_words(&recorder));
            Err(OperatorError::NotReady { name, problem })
        }
        Ok(Answer::Gone) => {
            Err(OperatorError::Hello { name, problem: format!("it ended{}", last_words(&recorder)) })
        }
        Err(_) if is_plugin => {
            let problem = format!("no handshake within {} s{}", LIMIT.as_secs(), last_words(&recorder));
            Err(OperatorError::NotReady { name, problem })
        }
        Err(_) => {
            let words = last_words(&recorder);
            let then = if words.starts_with(' ') { "; when its input was closed it ended" } else { "" };
            let problem = format!("no reply within {} s{then}{words}", LIMIT.as_secs());
            Err(OperatorError::Hello { name, problem })
        }
    }
}

/// Fit for a terminal, and no longer than a few lines of it.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(300).collect();
    let cut = if short.len() < text.len() { "…" } else { "" };
    format!("{}{cut}", printable(&short))
}

/// How it ended and what it printed.
fn last_words(recorder: &Recorder) -> String {
    let mut words = String::new();
    let mut lines = Vec::new();
    for event in recorder.finish() {
        match event.fact {
            Fact::SubjectExit(exit) if !exit.ended_by_us => match (exit.code, exit.signal) {
                (Some(code), _) => words = format!(" with code {code}"),
                (None, Some(signal)) => words = format!(" by signal {signal}"),
                (None, None) => {}
            },
            Fact::SubjectStderr(line) => lines.push(format!("  stderr: {}", shown(&line.text))),
            Fact::SubjectNoise(line) => {
                lines.push(format!("  stdout ({}): {}", line.reason, shown(&line.text)))
            }
            _ => {}
        }
    }
    let tail = lines.len().saturating_sub(10);
    for line in lines.into_iter().skip(tail) {
        words.push('\n');
        words.push_str(&line);
    }
    words
}
