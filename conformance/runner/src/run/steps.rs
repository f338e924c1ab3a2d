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
use tokio::sync::{Mutex, RwLock, watch};
use tokio::time::Instant;

use crate::marker;
use crate::recorder::Recorder;
use crate::render::NativeOptions;
use crate::run::permutation::{CLOSE_LIMIT, END_LIMIT, READY_LIMIT};
use crate::run::process::StartError;
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
    /// Starts the subject.
    pub start: &'a (dyn Fn() -> Result<Subject, StartError> + Sync),
    /// Issuers and server.
    pub world: &'a World,
    /// The trace.
    pub recorder: &'a Arc<Recorder>,
    /// Native options of each session.
    pub options: BTreeMap<String, NativeOptions>,
    /// Where `query` steps run.
    pub surface: Surface,
    subject: RwLock<Option<Subject>>,
    /// By the name that the subject knows: the session whose settings are open.
    opened: BTreeMap<String, Mutex<Option<String>>>,
}

/// A moment that others wait for.
pub(super) type Mark = watch::Sender<Option<Instant>>;

impl<'a> Stage<'a> {
    /// A stage with no session opened.
    pub fn new(
        start: &'a (dyn Fn() -> Result<Subject, StartError> + Sync),
        subject: Subject,
        world: &'a World,
        recorder: &'a Arc<Recorder>,
        options: BTreeMap<String, NativeOptions>,
        surface: Surface,
    ) -> Self {
        let opened = options.keys().map(|id| (id.clone(), Mutex::new(None))).collect();
        Self { start, subject: RwLock::new(Some(subject)), world, recorder, options, surface, opened }
    }

    /// Carries out all steps.
    ///
    /// # Errors
    /// If the subject cannot be started once more.
    pub async fn play(&self, scenario: &Scenario, checks: &[ResolvedCheck]) -> Result<(), StartError> {
        let marks: BTreeMap<&str, (Mark, Mark)> = scenario
            .step
            .iter()
            .map(|s| (s.id.as_str(), (watch::channel(None).0, watch::channel(None).0)))
            .collect();
        let mut before = None;
        let steps = scenario.step.chunk_by(Step::shares_request).map(|group| {
            let before = before.replace(group[group.len() - 1].id.as_str());
            let marks = &marks;
            async move {
                wait_for_moment(&group[0], before, marks, self.world.awaited_lifetime()).await;
                let all: Vec<&(Mark, Mark)> = group.iter().map(|step| &marks[step.id.as_str()]).collect();
                for (begin, _) in &all {
                    begin.send_replace(Some(Instant::now()));
                }
                let limit = group.iter().map(|step| bound(step, checks)).max().unwrap_or_default();
                let done = match &group[0].request {
                    None => self.step(&group[0], limit).await,
                    Some(_) => {
                        self.request(group, limit).await;
                        Ok(())
                    }
                };
                for (_, end) in &all {
                    end.send_replace(Some(Instant::now()));
                }
                done
            }
        });
        join_all(steps).await.into_iter().collect()
    }

    async fn step(&self, step: &Step, limit: Duration) -> Result<(), StartError> {
        let op = match (step.op, self.surface) {
            (Op::World, _) => {
                self.world.change(&step.set);
                let set = serde_json::to_value(&step.set).expect("plain data");
                let change = WorldChange { step: step.id.clone(), set: said(set) };
                self.recorder.record(Fact::WorldChange(change));
                return Ok(());
            }
            (Op::Restart, _) => return self.restart().await,
            (Op::Health, _) | (Op::Query, Surface::Health) => "health",
            (Op::Export, _) => "export",
            (Op::Tables, _) | (Op::Query, Surface::Tables) => "tables",
            (Op::Query, Surface::Columns) => "columns",
            (Op::Query, Surface::SqlInfo) => "sql-info",
            (Op::Query, Surface::Query) | (Op::Call, _) => "query",
        };
        self.begin(step, op);
        let began = Instant::now();
        let calls = (0..step.parallel).map(|n| self.one_call(step, op, n, began, limit));
        let replies = join_all(calls).await;
        self.recorder.settle(&step.session, SETTLE).await;
        self.end(step, replies);
        Ok(())
    }

    /// All queries of some steps, in one request.
    async fn request(&self, steps: &[Step], limit: Duration) {
        steps.iter().for_each(|step| self.begin(step, "query"));
        let began = Instant::now();
        let user = self.user(&steps[0], 0);
        let named = steps.iter().flat_map(|step| (0..step.parallel).map(move |n| (step, n)));
        let (markers, queries): (Vec<String>, Vec<Value>) = named
            .map(|(step, n)| {
                let marker = marker::make(&step.id, n, user.as_deref());
                let query = query(step, n, &marker).map(|(key, value)| (key.to_owned(), value));
                let query = Value::Object(query.collect());
                (marker, query)
            })
            .unzip();
        let asking = async {
            let name = match self.open(&steps[0].session).await {
                Ok(name) => name,
                Err(reply) => return vec![reply; markers.len()],
            };
            let more = [("queries", Value::from(queries))].into_iter();
            let request = request("query", name, more.chain(self.on_behalf_of(&steps[0], user)));
            match &*self.subject.read().await {
                Some(subject) => subject.call_together(request, markers.len()).await,
                None => vec![GONE; markers.len()],
            }
        };
        let replies = tokio::time::timeout_at(began + limit, asking).await.ok();
        let mut replies = replies.map(Vec::into_iter);
        let mut events = markers.into_iter().map(|marker| {
            let reply = replies.as_mut().and_then(Iterator::next);
            reply_event(marker, reply, began)
        });
        let events: Vec<Vec<ReplyEvent>> =
            steps.iter().map(|step| events.by_ref().take(step.parallel as usize).collect()).collect();
        self.recorder.settle(&steps[0].session, SETTLE).await;
        for (step, replies) in steps.iter().zip(events) {
            self.end(step, replies);
        }
    }

    fn begin(&self, step: &Step, op: &str) {
        self.recorder.record(Fact::StepBegin(StepBegin {
            step: step.id.clone(),
            op: op.to_owned(),
            session: step.session.clone(),
            calls: step.parallel,
        }));
    }

    fn end(&self, step: &Step, replies: Vec<ReplyEvent>) {
        self.recorder.record(Fact::StepEnd(StepEnd {
            step: step.id.clone(),
            session: step.session.clone(),
            leak: replies.iter().any(|r| !r.leaks.is_empty()),
            replies,
        }));
    }

    /// Ends the subject once its calls have ended, and starts it anew with no session opened.
    async fn restart(&self) -> Result<(), StartError> {
        self.close(CLOSE_LIMIT).await;
        let mut subject = self.subject.write().await;
        if let Some(old) = subject.take() {
            old.finish(END_LIMIT).await;
        }
        let new = (self.start)()?;
        new.ready(READY_LIMIT).await;
        *subject = Some(new);
        Ok(())
    }

    async fn call(&self, request: Map<String, Value>) -> Reply {
        match &*self.subject.read().await {
            Some(subject) => subject.call(request).await,
            None => GONE,
        }
    }

    /// The name that the subject knows a session by: that of the first whose place it takes.
    fn known_as<'s>(&'s self, session: &'s str) -> &'s str {
        let mut name = session;
        while let Some(earlier) = self.world.sessions.get(name).and_then(|(s, _)| s.replaces.as_deref()) {
            name = earlier;
        }
        name
    }

    /// For whom a call is; the name is a canary from now on.
    fn user(&self, step: &Step, n: u32) -> Option<String> {
        let turn = step.users.map_or(n, |users| n % users);
        let user = step.user.as_ref().map(|u| u.replace("{n}", &turn.to_string()));
        if let Some(user) = &user {
            self.world.canaries.add_user(user);
        }
        user
    }

    async fn one_call(&self, step: &Step, op: &str, n: u32, began: Instant, limit: Duration) -> ReplyEvent {
        let user = self.user(step, n);
        let marker = marker::make(&step.id, n, user.as_deref());
        let asking = self.open_and_call(step, op, n, &marker, user);
        let reply = tokio::time::timeout_at(began + limit, asking).await;
        reply_event(marker, reply.ok(), began)
    }

    /// Opens a session if it is not open; its name, or the reply that says why not.
    async fn open(&self, session: &str) -> Result<&str, Reply> {
        let (name, options) = self.options.get_key_value(session).expect("each session has options");
        let (name, native) = (self.known_as(name), json!(options));
        let mut opened = self.opened[name].lock().await;
        if opened.as_ref().is_some_and(|open| open != session) {
            self.call(request("close", name, [])).await;
            *opened = None;
        }
        if opened.is_none() {
            let reply = self.call(request("open", name, [("native", native)])).await;
            match reply.answer {
                Answer::Ok(_) => *opened = Some(session.to_owned()),
                Answer::Error(_) | Answer::Gone => return Err(reply),
            }
        }
        Ok(name)
    }

    async fn open_and_call(
        &self,
        step: &Step,
        op: &str,
        n: u32,
        marker: &str,
        user: Option<String>,
    ) -> Reply {
        let name = match self.open(&step.session).await {
            Ok(name) => name,
            Err(reply) => return reply,
        };
        let mut more = Vec::new();
        if op == "query" {
            more.extend(query(step, n, marker));
        }
        if op == "export" {
            // In quotes, so that its end is seen among the bytes of any encoding.
            more.push(("batch", Value::from(format!("'{marker}'"))));
        }
        if let Some(deadline) = step.deadline {
            more.push(("timeout_ms", Value::from((deadline.0 * 1e3).round() as u64)));
        }
        more.extend(self.on_behalf_of(step, user));
        self.call(request(op, name, more)).await
    }

    fn on_behalf_of(&self, step: &Step, user: Option<String>) -> Option<(&'static str, Value)> {
        let id = user?;
        let mut user =
            json!({ "id": id, "email": marker::email(&id), "name": marker::name(&id), "org": "1" });
        if step.forwarded {
            user["headers"] = self.forwarded();
        }
        Some(("user", user))
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
        let closing = self.opened.iter().map(|(name, opened)| async move {
            if opened.lock().await.take().is_some() {
                self.call(request("close", name, [])).await;
            }
        });
        let _ = tokio::time::timeout(limit, join_all(closing)).await;
    }

    /// The subject, if it was not lost in a restart.
    pub fn into_subject(self) -> Option<Subject> {
        self.subject.into_inner()
    }
}

const GONE: Reply = Reply { answer: Answer::Gone, leaks: Vec::new() };

/// What a query of a step is made of.
fn query(step: &Step, n: u32, marker: &str) -> impl Iterator<Item = (&'static str, Value)> {
    let sql = step.sql.as_deref().unwrap_or("SELECT '{marker}' AS marker").replace("{n}", &n.to_string());
    let field = step.query_field.map(|field| ("query_field", json!(field)));
    std::iter::once(("sql", Value::from(sql.replace("{marker}", marker)))).chain(field)
}

/// How a call ended; no reply is none in time.
fn reply_event(marker: String, reply: Option<Reply>, began: Instant) -> ReplyEvent {
    let took_us = began.elapsed().as_micros() as u64;
    let (said, message, rows, leaks) = match reply {
        None => (Said::Nothing, None, None, Vec::new()),
        Some(Reply { answer: Answer::Gone, .. }) => (Said::Gone, None, None, Vec::new()),
        Some(Reply { answer: Answer::Error(message), leaks }) => (Said::Error, Some(message), None, leaks),
        Some(Reply { answer: Answer::Ok(ok), leaks }) => {
            (Said::Ok, None, ok.get("rows").and_then(Value::as_u64), leaks)
        }
    };
    ReplyEvent { marker, said, message, rows, took_us, leaks }
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

pub(super) async fn wait_for_moment(
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

/// A step lasts until just past the widest time that a check of it allows, unless it says how long.
pub(super) fn bound(step: &Step, checks: &[ResolvedCheck]) -> Duration {
    if let Some(wait) = step.wait {
        return Duration::from_secs_f64(wait.0);
    }
    let widest = checks
        .iter()
        .flat_map(ResolvedCheck::clauses)
        .filter_map(|clause| match clause {
            Clause::Step { step: named, within: Some(within), .. } if *named == step.id => Some(within.0),
            _ => None,
        })
        .fold(0.0, f64::max);
    let widest = if widest > 0.0 { Duration::from_secs_f64(widest) } else { PLAIN_BOUND };
    widest + PAST_BOUND
}

/// Only what was set.
pub(super) fn said(mut set: Value) -> Value {
    if let Some(object) = set.as_object_mut() {
        object.retain(|_, value| !value.is_null() && *value != Value::Bool(false));
    }
    set
}
