//! A whole run of a small catalogue, recorded by hand: every permutation that applies was served what it asked for.

use scenario_model::bundle::{Bundle, Footer, Header, KnownFile, Planned, Ran, SetInfo, SubjectInfo};
use scenario_model::catalogue::Source;
use scenario_model::event::{Event, Vocabulary};
use scenario_model::known_failures::KnownFailures;
use scenario_model::load::{Loaded, load_scenario};
use scenario_model::manifest::Manifest;
use scenario_model::plan::{Choice, plan};
use scenario_model::report::{Judge, Report, Row};
use scenario_model::scenario::Surface;
use serde_json::{Value, json};

use crate::facts::{begin, end, events, reply, streamed};

const MATRIX: &str = r#"title    = "One query"
profiles = ["core"]
lane     = "instant"

[matrix]
k = ["x", "y", "z"]

[[step]]
id = "first"
op = "query"

[[check]]
id       = "serves"
level    = "MUST"
level_if = [{ k = "y", level = "SHOULD" }]
claim    = "It is served."
covers   = ["FC-CACHE-1"]
expect   = [{ step = "first", outcome = "served" }]

[[check]]
id       = "asks-nobody"
level    = "SHOULD"
claim    = "It asks for no keys."
covers   = ["FC-CACHE-2"]
requires = [{ step = "first", outcome = "served" }]
expect   = [{ events = "issuer.jwks", count = 0 }]
"#;

/// A scenario of one query.
fn plain(title: &str, more: &str) -> String {
    MATRIX
        .replace("One query", title)
        .replace("[matrix]\nk = [\"x\", \"y\", \"z\"]\n", more)
        .replace("level_if = [{ k = \"y\", level = \"SHOULD\" }]\n", "")
}

const SERVER: &str = r#"title    = "A call"
subject  = "flight-server"
profiles = ["resource-server"]
lane     = "clock"

[[step]]
id = "first"
op = "call"

[[check]]
id     = "serves"
level  = "MUST"
claim  = "It answers."
covers = ["FC-RS-1"]
expect = [{ step = "first", outcome = "served" }]
"#;

const RULES: &str = r#"[[check]]
id     = "quiet"
level  = "MUST"
claim  = "Nothing else is on stdout."
covers = ["FC-LIFE-1"]
requires = [{ events = "server.stream-end", where = { method = "DoGet", code = "OK" }, count = { min = 1 } }]
expect = [{ events = "subject.noise", count = 0 }]

[[check]]
id      = "answers"
subject = "flight-server"
level   = "MUST"
claim   = "Every call is answered."
covers  = ["FC-RS-1"]
expect  = [{ events = "probe.answer", every = { code = "OK" } }]
"#;

const CLIENT: &str = r#"
schema  = 1
name    = "client"
drive   = "stdio"
command = ["./client"]

[options]
"server.uri" = { native = "uri" }
"oauth.issuer" = { native = "issuer" }
"oauth.client_id" = { native = "client_id" }
"oauth.client_secret" = { native = "client_secret" }

[declares]
oauth = { discovery = true }
tls   = "required"

[surfaces]
health = true
"#;

/// A server that can be reached.
pub const OF_A_SERVER: &str = r#"
schema  = 1
name    = "server"
drive   = "server"
command = ["./server", "{port}"]

[server]
address = "grpc://127.0.0.1:{port}"
"#;

/// Something that is done to a bundle.
pub type Change = fn(&mut Bundle);

/// A scenario that can be read.
pub fn loaded(id: &str, file: &str, text: &str) -> Loaded {
    match load_scenario(id, file, text, &Vocabulary::new()) {
        Ok(loaded) => loaded,
        Err(errors) => panic!("{errors}"),
    }
}

fn source(id: &str, text: String) -> Source {
    Source { id: id.to_owned(), file: format!("scenarios/{id}.toml"), text }
}

fn sources() -> Vec<Source> {
    vec![
        source("a/matrix", MATRIX.to_owned()),
        source(
            "a/surfaces",
            plain("On two surfaces", "").replace("core\"]", "core\"]\nsurfaces = [\"query\", \"health\"]"),
        ),
        source("b/pending", plain("Not sure yet", "").replace("lane ", "pending = true\nlane ")),
        source(
            "b/users",
            plain("For a user", "").replace("op = \"query\"", "op = \"query\"\nuser = \"alice\""),
        ),
        source("c/last", plain("The last", "")),
        source("s/server", SERVER.to_owned()),
    ]
}

/// What a subject did that is all right.
pub fn good(scenario: &str, surface: Surface) -> Vec<Event> {
    let done = match (scenario, surface) {
        ("s/server", _) => json!({
            "kind": "probe.answer", "step": "first", "marker": "m", "sent": "x", "method": "DoGet", "code": "OK",
            "message": null, "rows": 1, "took_ms": 5,
        }),
        (_, Surface::Health) => streamed(json!({ "marker": null })),
        _ => streamed(json!({})),
    };
    served_with(done)
}

/// A query that the subject says was answered, and one event meanwhile.
pub fn served_with(meanwhile: Value) -> Vec<Event> {
    events(&[(0, begin("first")), (50, meanwhile), (100, end("first", &[reply("ok", 100)]))])
}

/// A query that was served, and one more event.
pub fn served_and(more: Value) -> Vec<Event> {
    let done = streamed(json!({}));
    events(&[(0, begin("first")), (50, done), (60, more), (100, end("first", &[reply("ok", 100)]))])
}

/// A query that was refused.
pub fn refused() -> Vec<Event> {
    events(&[(0, begin("first")), (100, end("first", &[reply("error", 100)]))])
}

/// The run of a client.
pub fn run() -> Bundle {
    run_of(CLIENT, &Choice::default())
}

/// A part of the run of a client.
pub fn part(index: usize, count: usize) -> Bundle {
    run_of(CLIENT, &Choice { shard: Some((index, count)), ..Choice::default() })
}

/// The run of a server.
pub fn run_of_server() -> Bundle {
    run_of(OF_A_SERVER, &Choice::default())
}

fn run_of(manifest: &str, choice: &Choice) -> Bundle {
    let manifest = Manifest::parse("subject.toml", manifest).expect("a good manifest");
    let catalogue: Vec<_> = sources().iter().map(|s| loaded(&s.id, &s.file, &s.text)).collect();
    let permutations = plan(&catalogue, &manifest, choice);
    let ran = permutations.iter().filter(|p| p.not_applicable.is_none()).map(|p| {
        let events = good(&p.scenario_id, p.surface);
        (ran(&p.id, events.len()), events)
    });
    let ran: Vec<_> = ran.collect();
    let planned = permutations.iter().map(|p| Planned {
        id: p.id.clone(),
        scenario: p.scenario_id.clone(),
        values: p.values.clone(),
        surface: p.surface,
        not_applicable: p.not_applicable.clone(),
    });
    let planned: Vec<_> = planned.collect();
    let mut bundle = Bundle {
        header: Header {
            format: 1,
            tool: "flightcheck 1.2.3".into(),
            started: "2026-12-01T10:00:00Z".into(),
            subject: SubjectInfo { name: manifest.name, vendor: None, version: Some("7".into()) },
            typed: "subject.toml".into(),
            words: manifest.words,
            calibration: None,
            requirements: SetInfo { set: "2026.1".into(), hash: "0".into() },
            seed: 42,
            selection: "everything".into(),
            shard: choice.shard,
            deny_should: false,
            known_failures: None,
            sources: sources().into_iter().filter(|s| planned.iter().any(|p| p.scenario == s.id)).collect(),
            planned,
            rules: source("rules", RULES.to_owned()),
        },
        ran,
        footer: None,
    };
    sign(&mut bundle);
    bundle
}

fn ran(id: &str, events: usize) -> Ran {
    let events = events as u64;
    Ran { id: id.to_owned(), error: None, interrupted: false, repeated: 0, took_us: 100_000, events }
}

/// Writes the footer that fits.
pub fn sign(bundle: &mut Bundle) {
    bundle.footer = Some(Footer {
        complete: true,
        permutations: bundle.ran.len() as u64,
        events: bundle.ran.iter().map(|(_, events)| events.len() as u64).sum(),
        took_us: 700_000,
    });
}

/// The run, in which something else became of one permutation.
pub fn run_with(id: &str, events: Vec<Event>) -> Bundle {
    let mut bundle = run();
    *of(&mut bundle, id) = (ran(id, events.len()), events);
    sign(&mut bundle);
    bundle
}

/// What was recorded of a permutation.
pub fn of<'b>(bundle: &'b mut Bundle, id: &str) -> &'b mut (Ran, Vec<Event>) {
    bundle.ran.iter_mut().find(|(ran, _)| ran.id == id).expect("it ran")
}

/// A known-failures list; each entry is of a check and what else it says. No entry lists anything elsewhere.
pub fn listing(entries: &[(&str, &str)]) -> KnownFile {
    let entry = |(check, more): &(&str, &str)| {
        format!("[[known]]\ncheck = \"{check}\"\nreason = \"r\"\ndate = \"2026-11-24\"\n{more}\n")
    };
    let text: String = entries.iter().map(entry).collect();
    let list = KnownFailures::parse("known.toml", &text).expect("a good list");
    KnownFile { file: "known.toml".into(), list, matches_catalogue: vec![false; entries.len()] }
}

/// What a bundle comes to.
pub fn report(bundle: &Bundle) -> Report {
    let judge = Judge::of(bundle).expect("its own texts can be read");
    judge.report("run.jsonl", bundle).expect("its own scenarios have what it planned")
}

pub fn row<'r>(report: &'r Report, id: &str) -> &'r Row {
    report.rows.iter().find(|row| row.permutation == id).expect("it was planned")
}
