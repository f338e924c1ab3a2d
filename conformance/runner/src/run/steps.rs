//! Carries out the steps of a scenario at their moments, and records what the subject said.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use scenario_model::clause::Clause;
use scenario_model::event::{Fact, Reply as ReplyEvent, Said, StepBegin, StepEnd, WorldChange};
use scenario_model::load::ResolvedCheck;
use scenario_model::moment::{Edge, Moment};
use scenario_model::scenario::{Op, Scenario, Step, Surface};
use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::marker;
use crate::recorder::Recorder;
use crate::render::NativeOptions;
use crate::run::subject::{Answer, Reply, Subject};
use crate::run::world::World;

/// A step whose checks name no time gets this one.
const PLAIN_BOUND: Duration = Duration::from_secs(15);
/// How much longer than its widest bound a step may last.
const PAST_BOUND: Duration = Duration::from_secs(1);
/// How long the server's record may lag behind a reply.
const SETTLE: Duration = Duration::from_millis(250);

/// What all steps of a permutation share.
pub struct Stage<'a> {
    /// The subject.
    pub subject: &'a Subject,
    /// Issuers and server.
    pub world: &'a World,
    /// The trace.
    pub recorder: &'a Arc<Recorder>,
    /// Native options of each session.
    pub options: BTreeMap<String, NativeOptions>,
    /// Where `query` steps run.
    pub surface: Surface,
    sessions: BTreeMap<String, Mutex<bool>>,
}

type Mark = watch::Sender<Option<Instant>>;

impl<'a> Stage<'a> {
    /// A stage with no session opened.
    pub fn new(
        subject: &'a Subject,
        world: &'a World,
        recorder: &'a Arc<Recorder>,
        options: BTreeMap<String, NativeOptions>,
        surface: Surface,
    ) -> Self {
        let sessions = options.keys().map(|id| (id.clone(), Mutex::new(false))).collect();
        Self { subject, world, recorder, options, surface, sessions }
    }

    /// Carries out all steps.
    pub async fn play(&self, scenario: &Scenario, checks: &[ResolvedCheck]) {
        let marks: BTreeMap<&str, (Mark, Mark)> = scenario
            .step
            .iter()
            .map(|s| (s.id.as_str(), (watch::channel(None).0, watch::channel(None).0)))
            .collect();
        let steps = scenario.step.iter().enumerate().map(|(nth, step)| {
            let before = nth.checked_sub(1).map(|n| scenario.step[n].id.as_str());
            let marks = &marks;
            async move {
                wait_for_moment(step, before, marks, self.world.awaited_lifetime()).await;
                let (begin, end) = &marks[step.id.as_str()];
                begin.send_replace(Some(Instant::now()));
                self.step(step, bound(&step.id, checks)).await;
                end.send_replace(Some(Instant::now()));
            }
        });
        join_all(steps).await;
    }

    async fn step(&self, step: &Step, limit: Duration) {
        if step.op == Op::World {
            self.world.change(&step.set);
            let set = serde_json::to_value(&step.set).expect("plain data");
            self.recorder.record(Fact::WorldChange(WorldChange { step: step.id.clone(), set: said(set) }));
            return;
        }
        let op = match (step.op, self.surface) {
            (Op::Health, _) | (Op::Query, Surface::Health) => "health",
            (Op::Tables, _) | (Op::Query, Surface::Tables) => "tables",
            (Op::Query, Surface::Query) | (Op::World, _) => "query",
        };
        self.recorder.record(Fact::StepBegin(StepBegin {
            step: step.id.clone(),
            op: op.to_owned(),
            session: step.session.clone(),
            calls: step.parallel,
        }));
        let began = Instant::now();
        let calls = (0..step.parallel).map(|n| self.one_call(step, op, n, began, limit));
        let replies = join_all(calls).await;
        self.recorder.settle(&step.session, SETTLE).await;
        self.recorder.record(Fact::StepEnd(StepEnd {
            step: step.id.clone(),
            session: step.session.clone(),
            leak: replies.iter().any(|r| !r.leaks.is_empty()),
            replies,
        }));
    }

    async fn one_call(&self, step: &Step, op: &str, n: u32, began: Instant, limit: Duration) -> ReplyEvent {
        let turn = step.users.map_or(n, |users| n % users);
        let user = step.user.as_ref().map(|u| u.replace("{n}", &turn.to_string()));
        if let Some(user) = &user {
            self.world.canaries.add_user(user);
        }
        let marker = marker::make(&step.id, n, user.as_deref());
        let reply = tokio::time::timeout_at(began + limit, self.open_and_call(step, op, &marker, user)).await;
        let took_us = began.elapsed().as_micros() as u64;
        let (said, message, rows, leaks) = match reply {
            Err(_) => (Said::Nothing, None, None, Vec::new()),
            Ok(Reply { answer: Answer::Gone, .. }) => (Said::Gone, None, None, Vec::new()),
            Ok(Reply { answer: Answer::Error(message), leaks }) => (Said::Error, Some(message), None, leaks),
            Ok(Reply { answer: Answer::Ok(ok), leaks }) => {
                (Said::Ok, None, ok.get("rows").and_then(Value::as_u64), leaks)
            }
        };
        ReplyEvent { marker, said, message, rows, took_us, leaks }
    }

    async fn open_and_call(&self, step: &Step, op: &str, marker: &str, user: Option<String>) -> Reply {
        let opened = &self.sessions[&step.session];
        {
            let mut opened = opened.lock().await;
            if !*opened {
                let native = json!(self.options[&step.session]);
                let reply = self.subject.call(request("open", &step.session, [("native", native)])).await;
                match reply.answer {
                    Answer::Ok(_) => *opened = true,
                    Answer::Error(_) | Answer::Gone => return reply,
                }
            }
        }
        let mut more = Vec::new();
        if op == "query" {
            let sql = step.sql.as_deref().unwrap_or("SELECT '{marker}' AS marker");
            more.push(("sql", Value::from(sql.replace("{marker}", marker))));
        }
        if let Some(id) = user {
            let mut user =
                json!({ "id": id, "email": marker::email(&id), "name": marker::name(&id), "org": "1" });
            if step.forwarded {
                user["headers"] = self.forwarded();
            }
            more.push(("user", user));
        }
        self.subject.call(request(op, &step.session, more)).await
    }

    /// What of the user's own credentials comes with a request, under the names that Grafana uses.
    fn forwarded(&self) -> Value {
        let given = &self.world.forwarded;
        json!({
            "Authorization": format!("Bearer {}", given.token),
            "X-ID-Token": given.token,
            "Cookie": format!("grafana_session={}", given.cookie),
        })
    }

    /// Closes the sessions that were opened, for at most `limit`.
    pub async fn close(&self, limit: Duration) {
        let closing = self.sessions.iter().map(|(id, opened)| async move {
            if *opened.lock().await {
                self.subject.call(request("close", id, [])).await;
            }
        });
        let _ = tokio::time::timeout(limit, join_all(closing)).await;
    }
}

fn request<'k>(
    op: &str,
    session: &str,
    more: impl IntoIterator<Item = (&'k str, Value)>,
) -> Map<String, Value> {
    let mut request = Map::new();
    request.insert("op".into(), op.into());
    request.insert("session".into(), session.into());
    request.extend(more.into_iter().map(|(key, value)| (key.to_owned(), value)));
    request
}

async fn wait_for_moment(
    step: &Step,
    before: Option<&str>,
    marks: &BTreeMap<&str, (Mark, Mark)>,
    lifetime: Duration,
) {
    let of = |moment: &Moment| {
        let offset = moment.after.0 - moment.before.0;
        match moment.edge {
            Edge::Begin => (marks[moment.step.as_str()].0.subscribe(), offset),
            Edge::End => (marks[moment.step.as_str()].1.subscribe(), offset),
            Edge::Expiry => (marks[moment.step.as_str()].0.subscribe(), lifetime.as_secs_f64() + offset),
        }
    };
    let (mut mark, after) = match (&step.at, before) {
        (Some(moment), _) => of(moment),
        (None, Some(before)) => (marks[before].1.subscribe(), 0.0),
        (None, None) => return,
    };
    let moment = mark.wait_for(Option::is_some).await.ok().and_then(|m| *m);
    if let Some(moment) = moment {
        tokio::time::sleep_until(moment + Duration::from_secs_f64(after.max(0.0))).await;
    }
}

/// A step lasts until just past the widest time that a check of it allows.
fn bound(step: &str, checks: &[ResolvedCheck]) -> Duration {
    let widest = checks
        .iter()
        .flat_map(|c| c.requires.iter().chain(&c.expect))
        .filter_map(|clause| match clause {
            Clause::Step { step: named, within: Some(within), .. } if named == step => Some(within.0),
            _ => None,
        })
        .fold(0.0, f64::max);
    let widest = if widest > 0.0 { Duration::from_secs_f64(widest) } else { PLAIN_BOUND };
    widest + PAST_BOUND
}

/// Only what was set.
fn said(mut set: Value) -> Value {
    if let Some(object) = set.as_object_mut() {
        object.retain(|_, value| !value.is_null() && *value != Value::Bool(false));
    }
    set
}
