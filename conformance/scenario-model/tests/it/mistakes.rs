use scenario_model::event::Vocabulary;
use scenario_model::load::load_scenario;

const GOOD: &str = r#"title    = "t"
profiles = ["core"]
lane     = "instant"

[[step]]
id = "first"
op = "query"

[[check]]
id     = "c"
level  = "MUST"
claim  = "x"
covers = ["FC-CACHE-1"]
requires = [{ step = "first", outcome = "served" }]
expect = [{ events = "issuer.token", in = "first", where = { status = 200 }, count = { max = 1 } }]
"#;

fn errors_of(text: &str) -> String {
    load_scenario("a/b", "a/b.toml", text, &Vocabulary::new()).expect_err("a mistake").to_string()
}

#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(GOOD.contains(from), "the text to change is there");
    let errors = errors_of(&GOOD.replace(from, to));
    for part in expected {
        assert!(errors.contains(part), "`{part}` is not in:\n{errors}");
    }
}

#[test]
fn the_good_one_is_good() {
    load_scenario("a/b", "a/b.toml", GOOD, &Vocabulary::new()).expect("no mistake");
}

#[test]
fn a_typo_in_a_key_is_shown_with_line_caret_and_help() {
    insta::assert_snapshot!(errors_of(&GOOD.replace("lane     =", "lanne    =")), @r#"
    error: missing key `lane`
      --> a/b.toml:1:1
      |
    1 | title    = "t"
      | ^

    error: unknown key `lanne`
      --> a/b.toml:3:1
      |
    3 | lanne    = "instant"
      | ^^^^^
      = help: did you mean `lane`?
    "#);
}

#[test]
fn an_unknown_event_kind_field_or_step_is_named() {
    check(
        "issuer.token",
        "issuer.tokn",
        &["unknown event kind `issuer.tokn`", "did you mean `issuer.token`?"],
    );
    check("{ status =", "{ stats =", &["have no field `stats`", "did you mean `status`?"]);
    check("in = \"first\"", "in = \"frist\"", &["unknown step `frist`", "did you mean `first`?"]);
    check("\"served\"", "\"server\"", &["unknown value `server`", "did you mean `served`?"]);
    check("op = \"query\"", "op = \"query\"\nat = \"later + 1s\"", &["`later`, which is no earlier step"]);
    check("op = \"query\"", "op = \"query\"\nuser = \"{mark}\"", &["unknown placeholder `{mark}`"]);
}

#[test]
fn a_profile_decides_and_what_needs_one_says_so() {
    let world = |text: &str| format!("lane     = \"instant\"\n{text}");
    let lane = "lane     = \"instant\"";
    check(lane, &world("[world.issuer]\nprofile = \"auth00\""), &["did you mean `auth0`?"]);
    check(
        lane,
        &world("[world.issuer]\nprofile = \"auth0\"\ntrailing_slash = true"),
        &["a/b.toml:6:", "the `profile` decides this"],
    );
    check(lane, &world("[world.issuer]\nwithout = [\"issuer\"]"), &["only the profile `entra-v1`"]);
    check(
        lane,
        &world("[[session]]\nid = \"a\"\noauth = { as_documented = true }"),
        &["needs an issuer with a `profile`"],
    );
    check(
        lane,
        &world(
            "[world.issuer]\nprofile = \"auth0\"\n[[session]]\nid = \"a\"\noauth = { as_documented = true, scope = \"s\" }",
        ),
        &["decides `scope` and `audience`"],
    );
}

#[test]
fn words_of_an_error_are_asked_of_an_error_only() {
    let requires = "outcome = \"served\" }";
    check(requires, "outcome = \"served\", says = \"x\" }", &["`says` is about an error"]);
    check(requires, "outcome = \"error\", says = \" \" }", &["every text would hold it"]);
    check(
        "{ step = \"first\", outcome = \"served\" }",
        "{ events = \"issuer.token\", says = \"x\", count = 0 }",
        &["`says` belongs to a clause about a `step`"],
    );
}

#[test]
fn all_mistakes_of_a_file_come_at_once() {
    let text =
        GOOD.replace("\"served\"", "\"server\"").replace("claim ", "clam ").replace("\"MUST\"", "\"MUSST\"");
    let errors = errors_of(&text);
    for part in
        ["unknown value `server`", "unknown key `clam`", "missing key `claim`", "did you mean `MUST`?"]
    {
        assert!(errors.contains(part), "`{part}` is not in:\n{errors}");
    }
}

#[test]
fn a_check_that_silence_could_satisfy_is_refused() {
    check(
        "requires = [{ step = \"first\", outcome = \"served\" }]",
        "",
        &["passes a subject that does nothing"],
    );
    check(
        "requires = [{ step = \"first\", outcome = \"served\" }]\nexpect = [{ events = \"issuer.token\", in = \"first\", where = { status = 200 }, count = { max = 1 } }]",
        "expect = [{ step = \"first\", outcome = \"error\" }]",
        &["answers every call with an error"],
    );
}

#[test]
fn a_fault_does_one_thing_wherever_it_stands() {
    let with = |more: &str| format!("{more}\n\n[[check]]");
    let world = "[[world.server.fault]]\nrpc = \"DoGet\"\ncode = \"INTERNAL\"\ndelay = \"1s\"";
    check("[[check]]", &with(world), &["a fault does one thing", "exactly one of `code`, `breaks`"]);
    let step = "[[step]]\nid = \"w\"\nop = \"world\"\nset = { issuer_fault = [{ endpoint = \"token\" }] }";
    check("[[check]]", &with(step), &["a fault does one thing", "`connection`, `stall`, `delay`"]);
    let session = "[[world.server.fault]]\ncode = \"INTERNAL\"\nsession = \"aa\"";
    check("[[check]]", &with(session), &["unknown session `aa`", "did you mean `a`?"]);
}

#[test]
fn only_a_query_has_a_deadline_and_only_the_world_is_set() {
    check("op = \"query\"", "op = \"health\"\ndeadline = \"1s\"", &["only a query has a deadline"]);
    check("op = \"query\"", "op = \"query\"\nset = { hang_up = true }", &["`set` belongs to a `world` step"]);
}

#[test]
fn broken_toml_is_a_mistake_with_a_place() {
    check("level  = \"MUST\"", "level  = MUST\"", &["a/b.toml:11:"]);
}

#[test]
fn troubles_of_tls_that_cannot_be_are_refused() {
    let server = |lines: &str| format!("[world.server]\n{lines}\n\n[[step]]");
    check("[[step]]", &server("tls = \"unexpected\""), &["needs `plaintext = true`"]);
    check("[[step]]", &server("plaintext = true\ntls = \"expired\""), &["has no TLS"]);
    check("[[step]]", &server("tls = \"missing\"\ntls_version = \"1.2\""), &["whose TLS is there and well"]);
    check("[[step]]", &server("headers = { x = \"y\" }"), &["must hold `{canary}`"]);
    let fault = "[[world.issuer.fault]]\nendpoint = \"token\"\ntls = \"unexpected\"\n\n[[step]]";
    check("[[step]]", fault, &["never `unexpected`"]);
    check("op = \"query\"", "op = \"query\"\nusers = 2", &["`users` needs `user`"]);
    check("op = \"query\"", "op = \"query\"\nforwarded = true", &["`forwarded` needs `user`"]);
}

#[test]
fn a_fault_that_does_two_things_or_none_or_too_much_is_refused() {
    let fault = |members: &str| {
        format!("[[world.issuer.fault]]\nendpoint = \"token\"\n{members}\n\n[[step]]\nid = \"first\"")
    };
    let first = "[[step]]\nid = \"first\"";
    check(first, &fault(""), &["a fault does one thing", "`status`, `patch`"]);
    check(first, &fault("answer = \"html\"\ndelay = \"1s\""), &["a fault does one thing", "a/b.toml:5:"]);
    check(first, &fault("but_status = 42"), &["`but_status` must be from 100 to 599"]);
    check(first, &fault("long_token = 9999999"), &["`long_token` must be at most 1048576"]);
    let step = "op = \"query\"\n\n[[step]]\nid = \"change\"\nop = \"world\"\nset = { issuer_fault = [{ endpoint = \"token\" }] }";
    check("op = \"query\"", step, &["a fault does one thing", "a/b.toml:12:"]);
}

#[test]
fn a_session_that_is_the_client_of_another_names_an_earlier_one() {
    let first = "[[step]]\nid = \"first\"";
    let sessions = |more: &str| {
        format!("[[session]]\nid = \"a\"\n\n[[session]]\nid = \"b\"\n{more}\n\n[[step]]\nid = \"first\"")
    };
    check(first, &sessions("client_of = \"c\""), &["`client_of` names `c`, which is no earlier session"]);
    check(first, &sessions("replaces = \"b\""), &["`replaces` names `b`, which is no earlier session"]);
    let own = "client_of = \"a\"\noauth = { client_id = \"x{canary}\" }";
    check(first, &sessions(own), &["`client_of` goes with no `client_id`"]);
}

#[test]
fn two_permutations_of_one_name_are_refused() {
    check("[[step]]", "[matrix]\nn = [1, \"1\"]\n\n[[step]]", &["two permutations are named `a/b[n=1]`"]);
}

#[test]
fn a_session_that_cannot_be_is_named() {
    let session = |line: &str, expected: &[&str]| {
        check("[[step]]", &format!("[[session]]\nid = \"a\"\n{line}\n\n[[step]]"), expected);
    };
    session(
        "settings = [{ key = \"tokem\", value = 1 }]",
        &["unknown neutral key `tokem`", "did you mean `token`?"],
    );
    session("saved = \"tokens\"", &["there is no saved data source `tokens`", "did you mean `token`?"]);
    session("replaces = \"b\"", &["`replaces` names `b`, which is no earlier session"]);
    session("basic = { keep = \"name\" }", &["unknown field `name` in `keep`"]);
    session("basic = { password = \"x\" }", &["`password` must hold `{canary}`"]);
    session("headers = [{ name = \"\", value = \"x\" }]", &["a header needs a name"]);
}

#[test]
fn a_warning_must_be_of_something() {
    check(
        "outcome = \"served\" }",
        "outcome = \"warned\" }",
        &["`outcome = \"warned\"` needs `mentions`", "of what the user is to be warned"],
    );
}
const FOR_SERVERS: &str = r#"title    = "t"
subject  = "flight-server"
profiles = ["resource-server"]
lane     = "instant"

[[step]]
id = "control"
op = "call"

[[step]]
id = "bad"
op = "call"

[step.call.token]
expires_in = -60

[[check]]
id     = "c"
level  = "MUST"
claim  = "x"
covers = ["FC-RS-2"]
requires = [{ step = "control", outcome = "served" }]
expect = [{ events = "probe.answer", where = { step = "bad" }, every = { code = "UNAUTHENTICATED" } }]
"#;

#[track_caller]
fn check_server(from: &str, to: &str, expected: &[&str]) {
    assert!(FOR_SERVERS.contains(from), "the text to change is there");
    let errors = errors_of(&FOR_SERVERS.replace(from, to));
    for part in expected {
        assert!(errors.contains(part), "`{part}` is not in:\n{errors}");
    }
}

#[test]
fn a_scenario_for_servers_calls_and_does_not_drive() {
    load_scenario("a/b", "a/b.toml", FOR_SERVERS, &Vocabulary::new()).expect("no mistake");
    check_server("subject  = \"flight-server\"\n", "", &["`call` asks a server under test"]);
    check_server(
        "id = \"control\"\nop = \"call\"",
        "id = \"control\"\nop = \"query\"",
        &["can only be called"],
    );
    check_server(
        "requires = [{ step = \"control\", outcome = \"served\" }]\n",
        "subject = \"flight-server\"\n",
        &["belongs into the rules"],
    );
}

#[test]
fn a_token_is_one_thing_that_can_be_sent() {
    let token = "expires_in = -60";
    check_server(token, "expires_in = -60\nraw = \"x\"", &["a token is one thing"]);
    check_server(token, "raw = \"\\u00e9\"", &["cannot be sent"]);
    check_server(token, "of = \"later\"", &["`later` is no earlier call"]);
    check_server(token, "beyond_leeway = true", &["there is nothing to move"]);
    check_server(token, "fault = \"alg-non\"", &["unknown value `alg-non`", "did you mean `alg-none`?"]);
}

#[test]
fn queries_that_cannot_share_a_request_are_named() {
    let step = |id: &str, more: &str| format!("[[step]]\nid = \"{id}\"\nop = \"query\"\n{more}\n");
    let panel = "request = \"panel\"";
    let good = format!("{}{}", step("first", panel), step("second", &format!("{panel}\nparallel = 3")));
    let old = "[[step]]\nid = \"first\"\nop = \"query\"\n";
    load_scenario("a/b", "a/b.toml", &GOOD.replace(old, &good), &Vocabulary::new()).expect("no mistake");
    let with =
        |more: &str| format!("{}{}", step("first", panel), step("second", &format!("{panel}\n{more}")));
    check(old, &with("at = \"first + 1s\""), &["a/b.toml:13:", "its request was sent already"]);
    check(old, &with("session = \"b\""), &["a request is of one session"]);
    check(old, &with("user = \"ann\""), &["a request is for one user"]);
    check(old, &with("deadline = \"1s\""), &["a request has no deadline"]);
    check(old, &with("wait = \"1s\""), &["a request is waited for as a whole"]);
    check(old, &with("parallel = 26"), &["request `panel` has more than 26 queries"]);
    check(old, &good.replacen("op = \"query\"", "op = \"tables\"", 1), &["only queries share a request"]);
    let users = step("first", &format!("{panel}\nuser = \"u{{n}}\""));
    check(old, &users, &["a request is for one user", "leave `{n}` out"]);
    let apart = format!("{}{}{}", step("first", panel), step("between", ""), step("last", panel));
    check(old, &apart, &["request `panel` was sent already", "side by side"]);
    let surfaces = format!("surfaces = [\"health\"]\n{}", step("first", panel));
    check(old, &surfaces, &["only queries share a request", "leave `surfaces` out"]);
}

#[test]
fn what_only_http_clients_do_is_named_elsewhere() {
    let http = GOOD.replacen("profiles", "subject = \"http-client\"\nprofiles", 1);
    let export = http.replace("op = \"query\"", "op = \"export\"");
    load_scenario("a/b", "a/b.toml", &export, &Vocabulary::new()).expect("no mistake");
    assert!(errors_of(&http).contains("an HTTP client has no queries"));
    check(
        "op = \"query\"",
        "op = \"export\"",
        &["`export` asks an HTTP client", "subject = \"http-client\""],
    );
    let fault = "lane     = \"instant\"\n[[world.resource.fault]]\nstatus = 200";
    check("lane     = \"instant\"", fault, &["`resource` is what HTTP clients meet", "from 400 to 599"]);
    let later = "op = \"query\"\n\n[[step]]\nid = \"w\"\nop = \"world\"\nset = { resource_fault = [{ status = 302 }] }";
    check("op = \"query\"", later, &["a/b.toml:12:", "from 400 to 599"]);
}
