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
