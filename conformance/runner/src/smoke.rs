//! `smoke`: is the adapter wrong or the client? `calibrate`: the subject's refresh skew.

use scenario_model::call::SubjectKind;
use scenario_model::event::Fact;
use scenario_model::load::Combination;
use scenario_model::manifest::Manifest;
use scenario_model::plan::Permutation;
use scenario_model::scenario::{
    Auth, Check, Lane, Need, Op, Scenario, Session, Step, Surface, World, WorldSet,
};
use scenario_model::timeline::timeline;

use crate::greet::greet;
use crate::operator::OperatorError;
use crate::output;
use crate::recorder::StallWatch;
use crate::run::calibrate::calibrate;
use crate::run::permutation::{Bench, run};
use crate::run::subject::Launch;
use crate::run::world::Shared;
use crate::target::Target;

fn bench(target: &Target, folder: &std::path::Path) -> Result<Bench, OperatorError> {
    let shared = Shared::new(&folder.join("ca.pem")).map_err(|e| OperatorError::Ours(e.to_string()))?;
    let launch = Launch::new(target, &shared.ca_file, &[]);
    Ok(Bench {
        shared,
        manifest: target.manifest.clone(),
        launch,
        skew_upper: 1.5,
        seed: rand::random(),
        stalls: StallWatch::start(),
    })
}

fn folder() -> Result<tempfile::TempDir, OperatorError> {
    tempfile::tempdir().map_err(|e| OperatorError::Ours(format!("cannot make a temporary folder: {e}")))
}

/// Greets the subject and makes one plain query with each method that it declares. Exit code 0 if all were served.
///
/// # Errors
/// A subject that cannot be started.
pub async fn smoke(name: &str) -> Result<u8, OperatorError> {
    let target = Target::find(name)?;
    let folder = folder()?;
    let bench = bench(&target, folder.path())?;
    let version = greet(&bench).await?;
    output::data(&format!(
        "{} {} starts and answers\n",
        target.manifest.name,
        version.as_deref().unwrap_or("(says no version)")
    ));
    let mut all = true;
    let kind = target.manifest.kind();
    let is_server = kind == SubjectKind::FlightServer;
    let ways = if is_server { Vec::new() } else { methods(&target.manifest) };
    let ways = ways.into_iter().map(|(auth, word)| (word, one_query(auth, kind)));
    let call = is_server.then(|| ("a good token", one_call()));
    for (word, permutation) in ways.chain(call) {
        let (ran, events) = run(&bench, &permutation, ()).await;
        let served = events.iter().any(|e| {
            matches!(&e.fact, Fact::ServerStreamEnd(end) if end.method == "DoGet" && end.code == "OK" && end.marker.is_some())
                || matches!(&e.fact, Fact::ResourceRequest(request) if request.status == 200 && request.marker.is_some())
                || matches!(&e.fact, Fact::ProbeAnswer(answer) if answer.code == "OK" && answer.rows > 0)
        });
        if served && ran.error.is_none() {
            output::data(&format!("{word}: a query was served\n"));
            continue;
        }
        all = false;
        output::data(&format!("{word}: no query was served\n"));
        if let Some(error) = ran.error {
            output::data(&format!("  {error}\n"));
        }
        for line in timeline(&events) {
            output::data(&format!(
                "  {:>8.3} s  {:<7}  {}\n",
                line.at_us as f64 / 1e6,
                line.party,
                crate::text::printable(&line.text)
            ));
        }
    }
    Ok(u8::from(!all))
}

/// Measures and prints the refresh skew.
///
/// # Errors
/// A subject without OAuth, or one that cannot make a plain query.
pub async fn calibrate_subject(name: &str) -> Result<(), OperatorError> {
    let target = Target::find(name)?;
    if !target.manifest.has(Need::Oauth) {
        return Err(OperatorError::Nothing(
            "the subject does not declare OAuth, so it has no refresh skew".into(),
        ));
    }
    let folder = folder()?;
    let bench = bench(&target, folder.path())?;
    greet(&bench).await?;
    let found = calibrate(&bench).await.map_err(|e| OperatorError::Ours(e.to_string()))?;
    output::data(&format!(
        "{} stops using a token between {} s and {} s before its expiry{}\n",
        target.manifest.name,
        found.lower,
        found.upper,
        if found.monotonic { "" } else { "; not monotonic: a shorter life was kept where a longer was not" }
    ));
    Ok(())
}

fn methods(manifest: &Manifest) -> Vec<(Auth, &'static str)> {
    [
        (Auth::None, "no authentication"),
        (Auth::Token, "static token"),
        (Auth::Basic, "username and password"),
        (Auth::Oauth, "OAuth client credentials"),
    ]
    .into_iter()
    .filter(|(auth, _)| manifest.has(Need::from(*auth)))
    .collect()
}

fn one_call() -> Permutation {
    let scenario = Scenario { step: vec![step(Op::Call)], ..Scenario::for_servers() };
    permutation(scenario)
}

fn step(op: Op) -> Step {
    Step {
        id: "smoke".into(),
        op,
        session: "a".into(),
        at: None,
        sql: None,
        user: None,
        parallel: 1,
        set: WorldSet::default(),
        deadline: None,
        wait: None,
        query_field: None,
        call: None,
        users: None,
        forwarded: false,
        request: None,
    }
}

fn one_query(auth: Auth, kind: SubjectKind) -> Permutation {
    let op = if kind == SubjectKind::HttpClient { Op::Export } else { Op::Query };
    let scenario = Scenario {
        title: "one plain query".into(),
        pending: false,
        since: None,
        profiles: Vec::new(),
        needs: Vec::new(),
        needs_if: Vec::new(),
        lane: Lane::Instant,
        surfaces: vec![Surface::Query],
        matrix: std::collections::BTreeMap::new(),
        world: World::default(),
        session: vec![Session { auth, ..Session::plain("a") }],
        step: vec![step(op)],
        check: Vec::<Check>::new(),
        subject: kind,
    };
    permutation(scenario)
}

fn permutation(scenario: Scenario) -> Permutation {
    Permutation {
        id: "smoke".into(),
        scenario_id: "smoke".into(),
        values: Vec::new(),
        surface: Surface::Query,
        combination: Combination { values: Vec::new(), scenario: scenario.into(), checks: Vec::new().into() },
        not_applicable: None,
    }
}
