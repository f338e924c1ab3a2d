//! The truth table of the judge: what was recorded, what a clause says, what comes out. No client, no socket, no clock.

use std::collections::BTreeMap;

use scenario_model::call::SubjectKind;
use scenario_model::clause::{Clause, RawClause};
use scenario_model::event::Vocabulary;
use scenario_model::judge::{Context, judge};
use scenario_model::load::{Loaded, ResolvedCheck, load_scenario};
use scenario_model::scenario::{Level, Surface};
use scenario_model::trace::Trace;
use scenario_model::verdict::{CheckVerdict, Outcome};
use serde_json::{Value, json};

use crate::facts::{begin, end, events, keys, reply, stall, streamed};

const SCENARIO: &str = r#"title    = "t"
profiles = ["core"]
lane     = "instant"

[[session]]
id    = "a"
auth  = "oauth"
oauth = { keep = "issuer+client_id" }

[[session]]
id    = "b"
auth  = "basic"
basic = { keep = "username" }

[[step]]
id = "first"
op = "query"

[[step]]
id = "look"
op = "health"

[[step]]
id = "list"
op = "tables"

[[step]]
id = "change"
op = "world"
set = { rotate_keys = true }

[[step]]
id = "other"
op = "query"
session = "b"

[[check]]
id     = "c"
level  = "MUST"
claim  = "x"
covers = ["FC-CACHE-1"]
expect = [{ step = "first", outcome = "served" }]
"#;

const SERVER_SCENARIO: &str = r#"title    = "t"
subject  = "flight-server"
profiles = ["resource-server"]
lane     = "instant"

[[step]]
id = "first"
op = "call"

[[check]]
id     = "c"
level  = "MUST"
claim  = "x"
covers = ["FC-RS-1"]
expect = [{ step = "first", outcome = "served" }]
"#;

const HTTP_SCENARIO: &str = r#"title    = "t"
subject  = "http-client"
profiles = ["http-resource"]
lane     = "instant"

[[step]]
id = "first"
op = "export"

[[check]]
id     = "c"
level  = "MUST"
claim  = "x"
covers = ["FC-HTTP-1"]
expect = [{ step = "first", outcome = "served" }]
"#;

const SERVED: &str = r#"step = "first", outcome = "served""#;
const REFUSED: &str = r#"step = "first", outcome = "error""#;

pub fn clause(text: &str) -> Clause {
    let raw: BTreeMap<String, RawClause> = toml::from_str(&format!("c = {{ {text} }}")).expect("a clause");
    raw["c"].resolve(&Vocabulary::new(), |_| 0..0).expect("it says one thing")
}

/// Moments in milliseconds, and facts.
fn trace(facts: &[(u64, Value)]) -> Trace {
    Trace::new(events(facts))
}

fn refusal(message: &str) -> Value {
    json!({ "marker": "m", "said": "error", "message": message, "took_us": 100_000 })
}

fn rows(rows: u64) -> Value {
    json!({ "marker": "m", "said": "ok", "rows": rows, "took_us": 100_000 })
}

fn line(text: &str) -> Value {
    json!({ "kind": "subject.stderr", "text": text, "reason": "log", "leak": false })
}

fn answered(marker: &str, code: &str) -> Value {
    json!({
        "kind": "probe.answer", "step": "first", "marker": marker, "sent": "x", "method": "DoGet", "code": code,
        "message": null, "rows": 1, "took_ms": 5,
    })
}

fn read(text: &str) -> Loaded {
    load_scenario("a/b", "a/b.toml", text, &Vocabulary::new()).expect("no mistake")
}

struct Table {
    scenario: Loaded,
    level: Level,
    surface: Surface,
    words: BTreeMap<String, Vec<String>>,
}

impl Table {
    fn of(scenario: &str) -> Self {
        let scenario = read(scenario);
        Self { scenario, level: Level::Must, surface: Surface::Query, words: BTreeMap::new() }
    }

    fn judge(&self, requires: &[&str], expect: &[&str], facts: &[(u64, Value)]) -> CheckVerdict {
        let check = ResolvedCheck {
            id: "a/b#c".into(),
            level: self.level,
            claim: "x".into(),
            covers: Vec::new(),
            requires: requires.iter().copied().map(clause).collect(),
            expect: expect.iter().copied().map(clause).collect(),
            places: Vec::new(),
            file: "a/b.toml".into(),
            subject: SubjectKind::default(),
        };
        let scenario = &self.scenario.combinations[0].scenario;
        judge(&check, &trace(facts), Context { scenario, surface: self.surface, words: &self.words })
    }

    #[track_caller]
    fn is(&self, expect: &str, facts: &[(u64, Value)], outcome: Outcome) {
        let verdict = self.judge(&[], &[expect], facts);
        assert_eq!(verdict.outcome, outcome, "{expect}\n{facts:#?}\n{:#?}", verdict.findings);
        assert_eq!(verdict.findings.is_empty(), outcome == Outcome::Pass, "what is no pass has a reason");
    }
}

/// A step `first` that ends so, and one event between.
fn once(between: Value, replies: &[Value]) -> Vec<(u64, Value)> {
    vec![(0, begin("first")), (50, between), (100, end("first", replies))]
}

#[test]
fn nothing_is_never_a_pass() {
    let table = Table::of(SCENARIO);
    for expect in [SERVED, REFUSED] {
        table.is(expect, &[], Outcome::NotTestable);
        table.is(expect, &[(0, begin("first"))], Outcome::NotTestable);
        table.is(expect, &[(0, begin("first")), (9, end("first", &[]))], Outcome::NotTestable);
        table.is(expect, &once(stall(0), &[reply("nothing", 9000)]), Outcome::Fail);
        table.is(expect, &once(stall(0), &[reply("gone", 9)]), Outcome::Fail);
    }
    table.is(r#"events = "issuer.jwks", in = "first", count = { max = 1 }"#, &[], Outcome::NotTestable);
    table.is(r#"events = "issuer.jwks", every = { method = "GET" }"#, &[], Outcome::NotTestable);
}

#[test]
fn an_ok_is_believed_only_if_the_server_says_so_too() {
    let table = Table::of(SCENARIO);
    let is = |server: Value, outcome| table.is(SERVED, &once(server, &[reply("ok", 100)]), outcome);
    is(streamed(json!({})), Outcome::Pass);
    is(keys(Some(200)), Outcome::Fail);
    is(streamed(json!({ "marker": "of another call" })), Outcome::Fail);
    is(streamed(json!({ "marker": null })), Outcome::Fail);
    is(streamed(json!({ "method": "GetFlightInfo" })), Outcome::Fail);
    is(streamed(json!({ "code": "UNAVAILABLE" })), Outcome::Fail);
    is(streamed(json!({ "aborted": true })), Outcome::Fail);
    table.is(SERVED, &once(streamed(json!({})), &[rows(2)]), Outcome::Pass);
    table.is(SERVED, &once(streamed(json!({})), &[rows(1)]), Outcome::Fail);
    table.is(SERVED, &once(streamed(json!({})), &[refusal("no")]), Outcome::Fail);
    table.is(SERVED, &once(streamed(json!({})), &[reply("ok", 100), refusal("no")]), Outcome::Fail);
    let again = [
        (0, begin("first")),
        (20, streamed(json!({ "code": "UNAUTHENTICATED", "rows": 0 }))),
        (50, streamed(json!({}))),
        (100, end("first", &[rows(2)])),
    ];
    table.is(SERVED, &again, Outcome::Pass);
    // The whole result counts, also when an aborted try followed.
    let before = [
        (0, begin("first")),
        (20, streamed(json!({}))),
        (50, streamed(json!({ "aborted": true, "rows": 1 }))),
        (100, end("first", &[rows(2)])),
    ];
    table.is(SERVED, &before, Outcome::Pass);
}

#[test]
fn an_error_is_an_error_in_the_words_that_are_asked_for() {
    let mut table = Table::of(SCENARIO);
    let fact = |message: &str| once(stall(0), &[refusal(message)]);
    table.is(REFUSED, &fact("no"), Outcome::Pass);
    table.is(REFUSED, &once(streamed(json!({})), &[reply("ok", 100)]), Outcome::Fail);
    table.is(REFUSED, &once(stall(0), &[refusal("no"), reply("ok", 1)]), Outcome::Fail);
    let says = r#"step = "first", outcome = "error", says = "Try Later""#;
    table.is(says, &fact("please try later."), Outcome::Pass);
    table.is(says, &fact("please try"), Outcome::Fail);
    let mentions = |word: &str| format!(r#"step = "first", outcome = "error", mentions = "{word}""#);
    for (word, message) in [
        ("token", "no TOKEN came"),
        ("tls", "the server speaks plaintext"),
        ("discovery", "/.well-known/openid-configuration: 404"),
        ("authentication", "Unauthorized"),
        ("UNAUTHENTICATED", "bad credential"),
        ("PERMISSION_DENIED", "forbidden"),
        ("UNAVAILABLE", "unavailable: down"),
        ("missing-field", "client_secret is not there"),
    ] {
        table.is(&mentions(word), &fact(message), Outcome::Pass);
        table.is(&mentions(word), &fact("it did not work"), Outcome::Fail);
    }
    // What is there is not missing.
    table.is(&mentions("missing-field"), &fact("issuer and client_id"), Outcome::Fail);
    let basic = r#"step = "other", outcome = "error", mentions = "missing-field""#;
    let other = |message: &str| [(0, begin("other")), (9, end("other", &[refusal(message)]))];
    table.is(basic, &other("password?"), Outcome::Pass);
    table.is(basic, &other("username?"), Outcome::Fail);
    table.is(basic, &other("client_secret?"), Outcome::Fail);
    // The words of a manifest replace ours.
    table.words.insert("token".into(), vec!["jeton".into()]);
    table.is(&mentions("token"), &fact("no token"), Outcome::Fail);
    table.is(&mentions("token"), &fact("pas de Jeton"), Outcome::Pass);
    table.words.insert("client_secret".into(), vec!["mot de passe".into()]);
    table.is(&mentions("missing-field"), &fact("il manque le Mot de passe"), Outcome::Pass);
    table.is(&mentions("missing-field"), &fact("client_secret"), Outcome::Fail);
}

#[test]
fn an_error_about_a_setting_names_it_by_its_own_word() {
    let session = |settings: &str| {
        let written = format!("auth = \"token\"\n{settings}\n\n[[session]]\nid    = \"b\"");
        Table::of(&SCENARIO.replace(
            "auth  = \"oauth\"\noauth = { keep = \"issuer+client_id\" }\n\n[[session]]\nid    = \"b\"",
            &written,
        ))
    };
    let names = r#"step = "first", outcome = "error", mentions = "setting""#;
    for (settings, message, outcome) in [
        (r#"settings = [{ key = "oauth.token_url", value = "u" }]"#, "what is that token_url", Outcome::Pass),
        (r#"settings = [{ key = "oauth.token_url", value = "u" }]"#, "what is that oauth", Outcome::Fail),
        (r#"settings = [{ key = "token", value = "u" }]"#, "bad Token", Outcome::Pass),
        // All of these choose how to log in.
        (r#"settings = [{ key = "auth.basic", value = "u" }]"#, "authentication", Outcome::Pass),
        (r#"settings = [{ key = "auth.basic", value = "u" }]"#, "basic", Outcome::Fail),
        (r#"settings = [{ key = "oauth", value = "u" }]"#, "auth?", Outcome::Pass),
        (r#"port = "word""#, "no such port", Outcome::Pass),
        (r#"port = "as-it-is""#, "no such port", Outcome::Fail),
        (r#"headers = [{ name = "x-tenant", value = "v" }]"#, "the header X-Tenant", Outcome::Pass),
    ] {
        session(settings).is(names, &once(stall(0), &[refusal(message)]), outcome);
    }
}

#[test]
fn a_warning_is_an_error_or_a_line_of_the_log() {
    let table = Table::of(SCENARIO);
    let warned = r#"step = "first", outcome = "warned", mentions = "tls""#;
    table.is(warned, &once(line("warning: Plaintext"), &[reply("ok", 100)]), Outcome::Pass);
    table.is(warned, &once(line("started"), &[reply("ok", 100)]), Outcome::Fail);
    table.is(warned, &once(stall(0), &[refusal("no TLS")]), Outcome::Pass);
    table.is(warned, &once(stall(0), &[refusal("no")]), Outcome::Fail);
    table.is(warned, &once(line("Plaintext"), &[reply("nothing", 100)]), Outcome::Fail);
    // The log does not make up for an error that says something else.
    table.is(warned, &once(line("Plaintext"), &[refusal("no")]), Outcome::Fail);
    table.is(REFUSED, &once(line("Plaintext"), &[reply("ok", 100)]), Outcome::Fail);
}

#[test]
fn a_bound_of_time_holds_at_the_bound_and_not_past_it() {
    let table = Table::of(SCENARIO);
    let within = r#"step = "first", outcome = "error", within = "1s""#;
    table.is(within, &once(stall(0), &[reply("error", 1000)]), Outcome::Pass);
    table.is(within, &once(stall(0), &[reply("error", 1001)]), Outcome::Fail);
    table.is(within, &once(stall(0), &[reply("error", 1), reply("error", 1001)]), Outcome::Fail);
}

#[test]
fn a_stall_leaves_open_what_depends_on_time_and_nothing_else() {
    let table = Table::of(SCENARIO);
    let within = r#"step = "first", outcome = "error", within = "1s""#;
    table.is(within, &once(stall(200), &[reply("error", 1100)]), Outcome::Inconclusive);
    table.is(within, &once(stall(50), &[reply("error", 1100)]), Outcome::Fail);
    table.is(REFUSED, &once(stall(200), &[reply("ok", 1)]), Outcome::Fail);
    table.is(SERVED, &once(stall(200), &[refusal("late")]), Outcome::Inconclusive);
    table.is(SERVED, &once(stall(200), &[reply("gone", 1)]), Outcome::Fail);
    table.is(SERVED, &once(stall(200), &[reply("gone", 1), refusal("late")]), Outcome::Fail);
    let elsewhere =
        [(0, stall(200)), (1, begin("first")), (2, end("first", &[refusal("late")])), (9, stall(200))];
    table.is(SERVED, &elsewhere, Outcome::Fail);
    let facts = [(0, begin("first")), (1, keys(None)), (2, stall(200)), (3, end("first", &[refusal("x")]))];
    table.is(r#"events = "issuer.jwks", in = "first", count = 0"#, &facts, Outcome::Inconclusive);
    table.is(r#"events = "issuer.jwks", in = "first", count = { min = 2 }"#, &facts, Outcome::Fail);
    table.is(r#"events = "issuer.jwks", every = { method = "POST" }"#, &facts, Outcome::Fail);
    table.is(r#"events = "host.stall", every = { gap_ms = 5 }"#, &facts, Outcome::Inconclusive);
    // Two that add up.
    let two =
        [(0, begin("first")), (1, stall(60)), (2, stall(60)), (3, end("first", &[reply("error", 1100)]))];
    table.is(within, &two, Outcome::Inconclusive);
}

#[test]
fn a_count_holds_at_both_its_bounds() {
    let table = Table::of(SCENARIO);
    let of = |n: u64| (0..n).map(|at| (at, keys(Some(200)))).collect::<Vec<_>>();
    let count = r#"events = "issuer.jwks", count = { min = 1, max = 2 }"#;
    for (n, outcome) in [(0, Outcome::Fail), (1, Outcome::Pass), (2, Outcome::Pass), (3, Outcome::Fail)] {
        table.is(count, &of(n), outcome);
    }
    let open = r#"events = "issuer.jwks", count = { min = 1 }"#;
    table.is(open, &of(9), Outcome::Pass);
    let filtered = r#"events = "issuer.jwks", where = { status = 200, method = "GET" }, count = 1"#;
    table.is(filtered, &[(0, keys(Some(200))), (1, keys(Some(503))), (2, keys(None))], Outcome::Pass);
    table.is(filtered, &[(0, keys(Some(503)))], Outcome::Fail);
    table.is(filtered, &[(0, streamed(json!({})))], Outcome::Fail);
}

#[test]
fn a_window_reaches_from_begin_to_end_and_holds_both() {
    let table = Table::of(SCENARIO);
    let facts = |at: u64| {
        vec![
            (5, json!({ "kind": "world.change", "step": "earlier", "set": {} })),
            (10, begin("first")),
            (20, end("first", &[refusal("x")])),
            (30, json!({ "kind": "world.change", "step": "change", "set": {} })),
            (40, begin("other")),
            (50, end("other", &[refusal("x")])),
            (at, keys(Some(200))),
        ]
    };
    let is = |window: &str, at: u64, inside: bool| {
        let expect = format!(r#"events = "issuer.jwks", in = "{window}", count = 1"#);
        table.is(&expect, &facts(at), if inside { Outcome::Pass } else { Outcome::Fail });
    };
    for (window, from, to) in
        [("first", 10, 20), ("first..other", 10, 50), ("change..other", 30, 50), ("first..change", 10, 30)]
    {
        is(window, from - 1, false);
        is(window, from, true);
        is(window, to, true);
        is(window, to + 1, false);
    }
    // A step that never ended lasts to the end; one that never began opens no window.
    let endless = [(0, begin("first")), (9, keys(Some(200)))];
    table.is(r#"events = "issuer.jwks", in = "first", count = 1"#, &endless, Outcome::Pass);
    table.is(r#"events = "issuer.jwks", in = "other", count = 1"#, &endless, Outcome::NotTestable);
    table.is(r#"events = "issuer.jwks", in = "first..other", count = 1"#, &endless, Outcome::NotTestable);
    table.is(r#"events = "issuer.jwks", in = "first", every = { method = "GET" }"#, &endless, Outcome::Pass);
}

#[test]
fn what_holds_for_every_event_holds_for_each() {
    let table = Table::of(SCENARIO);
    let facts = [(0, streamed(json!({}))), (1, streamed(json!({ "rows": 4, "marker": "n" })))];
    let is = |expect: &str, outcome| {
        table.is(&format!(r#"events = "server.stream-end", every = {{ {expect} }}"#), &facts, outcome);
    };
    is(r#"code = "OK""#, Outcome::Pass);
    is("rows = 2", Outcome::Fail);
    is("rows = { min = 2, max = 4 }", Outcome::Pass);
    is("rows = { min = 3 }", Outcome::Fail);
    is("rows = { max = 3 }", Outcome::Fail);
    is("code = { max = 3 }", Outcome::Fail);
    is(r#"code = "OK", rows = 2"#, Outcome::Fail);
    is(r#"marker = { same_as = "command" }"#, Outcome::Fail);
    is(r#"marker = { same_as = "marker" }"#, Outcome::Pass);
    let nobody = [(0, streamed(json!({ "marker": null, "command": null })))];
    let same = r#"events = "server.stream-end", every = { marker = { same_as = "command" } }"#;
    table.is(same, &nobody, Outcome::Fail);
}

#[test]
fn other_surfaces_count_what_the_server_served_meanwhile() {
    let mut table = Table::of(SCENARIO);
    let look = r#"step = "look", outcome = "served""#;
    let list = r#"step = "list", outcome = "served""#;
    let at = |step: &str, at: u64, server: Value, calls: usize| {
        vec![(10, begin(step)), (at, server), (20, end(step, &vec![reply("ok", 9); calls]))]
    };
    let unmarked = |changes: Value| {
        let mut all = json!({ "marker": null });
        all.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        streamed(all)
    };
    table.is(look, &at("look", 15, unmarked(json!({})), 1), Outcome::Pass);
    table.is(look, &at("look", 15, unmarked(json!({})), 2), Outcome::Fail);
    table.is(look, &at("look", 10, unmarked(json!({})), 1), Outcome::Pass);
    table.is(look, &at("look", 20, unmarked(json!({})), 1), Outcome::Pass);
    table.is(look, &at("look", 9, unmarked(json!({})), 1), Outcome::Fail);
    table.is(look, &at("look", 21, unmarked(json!({})), 1), Outcome::Fail);
    for wrong in [
        json!({ "session": "b" }),
        json!({ "code": "INTERNAL" }),
        json!({ "aborted": true }),
        json!({ "method": "GetSchema" }),
    ] {
        table.is(look, &at("look", 15, unmarked(wrong.clone()), 1), Outcome::Fail);
        let mut of_tables = wrong;
        of_tables["command"] = "GetTables".into();
        table.is(list, &at("list", 15, unmarked(of_tables), 1), Outcome::Fail);
    }
    table.is(list, &at("list", 15, unmarked(json!({ "command": "GetTables" })), 1), Outcome::Pass);
    table.is(list, &at("list", 15, unmarked(json!({})), 1), Outcome::Fail);
    // A query step that is run on another surface is judged by that surface.
    table.surface = Surface::Health;
    table.is(SERVED, &once(unmarked(json!({})), &[reply("ok", 9)]), Outcome::Pass);
    table.surface = Surface::Tables;
    table.is(SERVED, &once(unmarked(json!({})), &[reply("ok", 9)]), Outcome::Fail);
    table.surface = Surface::SqlInfo;
    table.is(SERVED, &once(unmarked(json!({})), &[reply("ok", 9)]), Outcome::Fail);
    let facts = unmarked(json!({ "command": "GetSqlInfo" }));
    table.is(SERVED, &once(facts, &[reply("ok", 9)]), Outcome::Pass);
    // Columns may come from rows or from a schema alone.
    table.surface = Surface::Columns;
    table.is(SERVED, &once(unmarked(json!({})), &[reply("ok", 9)]), Outcome::Pass);
    let schema = unmarked(json!({ "method": "GetSchema" }));
    table.is(SERVED, &once(schema, &[reply("ok", 9)]), Outcome::Pass);
    table.is(SERVED, &once(unmarked(json!({ "method": "DoAction" })), &[reply("ok", 9)]), Outcome::Fail);
}

#[test]
fn a_server_under_test_is_believed_by_the_answer_on_the_wire() {
    let table = Table::of(SERVER_SCENARIO);
    table.is(SERVED, &once(answered("m", "OK"), &[reply("ok", 9)]), Outcome::Pass);
    table.is(SERVED, &once(answered("m", "UNAVAILABLE"), &[reply("ok", 9)]), Outcome::Fail);
    table.is(SERVED, &once(answered("n", "OK"), &[reply("ok", 9)]), Outcome::Fail);
    table.is(SERVED, &once(streamed(json!({})), &[reply("ok", 9)]), Outcome::Fail);
}

#[test]
fn an_http_client_is_believed_by_what_the_endpoint_took() {
    let table = Table::of(HTTP_SCENARIO);
    let request = |marker: &str, status: u16| {
        json!({
            "kind": "resource.request", "session": "a", "method": "POST", "path": "/v1/traces", "marker": marker,
            "authorization_values": 1, "scheme": "Bearer", "token_state": "valid", "token": "t1", "foreign": false,
            "remaining_ms": 1000, "status": status,
        })
    };
    let said_ok = [reply("ok", 9)];
    table.is(SERVED, &once(request("m", 200), &said_ok), Outcome::Pass);
    table.is(SERVED, &once(request("m", 401), &said_ok), Outcome::Fail);
    table.is(SERVED, &once(request("other", 200), &said_ok), Outcome::Fail);
    table.is(SERVED, &once(streamed(json!({})), &said_ok), Outcome::Fail);
    table.is(REFUSED, &once(request("m", 401), &[refusal("no")]), Outcome::Pass);
}

#[test]
fn the_level_says_how_bad_it_is_and_missing_evidence_is_no_failure_of_a_rule() {
    let mut table = Table::of(SCENARIO);
    let facts = once(keys(Some(200)), &[refusal("no")]);
    let none = r#"events = "issuer.jwks", count = 0"#;
    for (level, outcome) in
        [(Level::Must, Outcome::Fail), (Level::Should, Outcome::Warn), (Level::May, Outcome::Info)]
    {
        table.level = level;
        table.is(none, &facts, outcome);
        // Evidence that is missing is as bad at each level, and the rule is not looked at.
        let verdict = table.judge(&[SERVED], &[none], &facts);
        assert_eq!(verdict.outcome, Outcome::NotTestable);
        assert_eq!(verdict.findings.iter().map(|f| f.clause).collect::<Vec<_>>(), [0]);
        let verdict = table.judge(&[REFUSED], &[REFUSED, none], &facts);
        assert_eq!(verdict.outcome, outcome);
        assert_eq!(verdict.findings.iter().map(|f| f.clause).collect::<Vec<_>>(), [2]);
    }
    // Both pieces of evidence are named, and the worst of two findings counts.
    let verdict = table.judge(&[SERVED, r#"step = "other", outcome = "served""#], &[none], &facts);
    assert_eq!(verdict.findings.iter().map(|f| f.clause).collect::<Vec<_>>(), [0, 1]);
    table.level = Level::Must;
    let late = once(stall(200), &[reply("error", 1100)]);
    let within = r#"step = "first", outcome = "error", within = "1s""#;
    let broken = r#"events = "host.stall", count = { min = 2 }"#;
    assert_eq!(table.judge(&[], &[within, broken], &late).outcome, Outcome::Fail);
    assert_eq!(table.judge(&[], &[broken, within], &late).outcome, Outcome::Fail);
}

#[test]
fn a_finding_shows_the_events_and_the_moment() {
    let table = Table::of(SCENARIO);
    let facts: Vec<(u64, Value)> = (1..=6).map(|s| (s * 1000, keys(Some(200)))).collect();
    let verdict = table.judge(&[], &[r#"events = "issuer.jwks", count = 0"#], &facts);
    let finding = &verdict.findings[0];
    assert_eq!(finding.observed, "6 of them (at 1s, 2s, 3s, 4s and 2 more)");
    assert_eq!((finding.at_us, finding.events.len()), (Some(1_000_000), 6));
    let four = table.judge(&[], &[r#"events = "issuer.jwks", count = 0"#], &facts[..4]);
    assert_eq!(four.findings[0].observed, "4 of them (at 1s, 2s, 3s, 4s)");
}

#[test]
fn a_clause_is_written_and_read_in_one_way() {
    for (text, words) in [
        (SERVED, "every call of `first` is served"),
        (
            r#"step = "first", outcome = "error", within = "2s", mentions = "missing-field""#,
            "every call of `first` ends in an error within 2s that mentions the missing field",
        ),
        (r#"events = "issuer.jwks", count = 0"#, "no `issuer.jwks`"),
        (r#"events = "issuer.jwks", count = 1"#, "exactly 1 `issuer.jwks`"),
        (r#"events = "issuer.jwks", count = { max = 2 }"#, "at most 2 `issuer.jwks`"),
        (r#"events = "issuer.jwks", count = { min = 2 }"#, "at least 2 `issuer.jwks`"),
        (r#"events = "issuer.jwks", count = { min = 1, max = 2 }"#, "1 to 2 `issuer.jwks`"),
        (
            r#"events = "issuer.jwks", in = "first..other", where = { method = "GET", status = 200 }, count = 1"#,
            "exactly 1 `issuer.jwks` with method = \"GET\", status = 200 in `first..other`",
        ),
        (
            r#"events = "server.stream-end", every = { bytes = { min = 1 }, code = "OK" }"#,
            "every `server.stream-end` has `bytes` >= 1 and `code` = \"OK\"",
        ),
    ] {
        assert_eq!(clause(text).to_string(), words);
    }
    let raw = |text: &str| {
        toml::from_str::<BTreeMap<String, RawClause>>(&format!("c = {{ events = \"issuer.jwks\", {text} }}"))
    };
    for (text, written) in [
        ("count = 1", json!(1)),
        ("count = { max = 2 }", json!({ "max": 2 })),
        ("count = { min = 1 }", json!({ "min": 1 })),
        ("count = { min = 1, max = 2 }", json!({ "min": 1, "max": 2 })),
    ] {
        let read = raw(text).expect("a count");
        let plain = serde_json::to_value(&read).expect("plain data");
        assert_eq!(plain["c"]["count"], written);
        assert_eq!(serde_json::from_value::<BTreeMap<String, RawClause>>(plain).expect("the same"), read);
    }
    raw("count = { min = 2, max = 2 }").expect("both bounds may be the same");
    for wrong in ["count = { min = 2, max = 1 }", "count = { min = 0 }", "count = {}", "count = -1"] {
        raw(wrong).expect_err(wrong);
    }
}

#[test]
fn a_finding_says_what_was_seen_with_its_time() {
    let table = Table::of(SCENARIO);
    let observed = |expect: &str, facts: &[(u64, Value)]| {
        table.judge(&[], &[expect], facts).findings[0].observed.clone()
    };
    let within = r#"step = "first", outcome = "error", within = "1s""#;
    assert_eq!(
        observed(within, &once(stall(0), &[reply("error", 1500)])),
        "call `m` took 1.5s, longer than 1s"
    );
    assert_eq!(
        observed(REFUSED, &once(stall(0), &[reply("ok", 1500)])),
        "call `m` was answered ok after 1.5s"
    );
    assert_eq!(
        observed(REFUSED, &once(stall(0), &[reply("nothing", 1500)])),
        "call `m` was not answered in 1.5s"
    );
    assert_eq!(observed(r#"events = "issuer.jwks", every = { method = "GET" }"#, &[]), "there is none");
    assert_eq!(
        observed(r#"events = "issuer.jwks", in = "first", count = 1"#, &[]),
        "there is none: nothing of the kind was recorded in `first`"
    );
}
