//! What the operator does wrong: a clear text that names file and line, and exit code 2.

use super::{ONE, flightcheck, folder, write};

const SCENARIO: &str = r#"title    = "t"
profiles = ["core"]
lane     = "instant"

[[session]]
id   = "a"
auth = "token"

[[step]]
id = "first"
op = "query"

[[check]]
id     = "works"
level  = "MUST"
claim  = "x"
covers = ["FC-BACK-2"]
expect = [{ step = "first", outcome = "served" }]
"#;

fn check(from: &str, to: &str, parts: &[&str]) {
    let folder = folder();
    write(folder.path(), "mine/own/one.toml", &SCENARIO.replace(from, to));
    flightcheck(folder.path(), &["run", "--scenarios", "mine", "--run", "own/one"]).must_say(2, parts);
}

#[test]
fn a_typo_in_a_scenario_is_shown_with_file_line_caret_and_the_nearest_word() {
    check(
        "lane  ",
        "lanne ",
        &["mine/own/one.toml:3:1", "unknown key `lanne`", "^^^^^", "did you mean `lane`?"],
    );
    check(
        "{ step = \"first\", outcome = \"served\" }",
        "{ events = \"server.rcp\", count = 0 }",
        &["unknown event kind `server.rcp`", "did you mean `server.rpc`?"],
    );
    check("FC-BACK-2", "FC-BACK-222", &["which no requirement is"]);
}

#[test]
fn a_scenario_of_ones_own_is_run_beside_those_that_ship() {
    let folder = folder();
    write(folder.path(), "mine/own/one.toml", SCENARIO);
    flightcheck(folder.path(), &["run", "--scenarios", "mine", "--run", "own/one"])
        .must_say(0, &["permutations  1 pass"]);
}

#[test]
fn a_selection_that_matches_nothing_is_an_error() {
    let folder = folder();
    let say = |args: &[&str], parts: &[&str]| flightcheck(folder.path(), args).must_say(2, parts);
    say(&["run", "--run", "expiry/nothing-of-the-kind"], &["matches no scenario"]);
    say(&["run", "--skip", "nothing/at-all"], &["matches no scenario"]);
    say(&["run", "--shard", "3/2"], &["3/2"]);
    say(&["run", "--profile", "corr"], &["corr"]);
    say(&["explain", "FC-CACHE-11111"], &["unknown"]);
    say(&["run", "--defect", "never-renew"], &["did you mean `never-renews`?"]);
    say(&["run", "no-such-subject"], &["no subject `no-such-subject`", "subject.toml"]);
}

#[test]
fn a_manifest_is_read_like_a_scenario() {
    let folder = folder();
    let manifest = r#"schema = 1
name = "x"
drive = "stdio"
command = []
[options]
"server.uri" = { native = "uri" }
"oauth.isuer" = { native = "issuer" }
[declares]
tls = "required"
"#;
    write(folder.path(), "subject.toml", manifest);
    flightcheck(folder.path(), &["run", "."])
        .must_say(2, &["subject.toml:4:11", "`command` is empty", "did you mean `oauth.issuer`?"]);
    write(folder.path(), "subject.toml", &manifest.replace("command = []\n", ""));
    flightcheck(folder.path(), &["run", "."]).must_say(2, &["missing key `command`"]);
}

#[test]
fn an_output_that_cannot_be_written_is_found_out_before_the_run() {
    let folder = folder();
    let args = |path| [&["run"], &ONE[..], &["--json", path]].concat();
    flightcheck(folder.path(), &args("no/such/folder/report.json"))
        .must_say(2, &["cannot write `no/such/folder/report.json`"]);
    flightcheck(folder.path(), &args("/dev/full"))
        .must_say(2, &["cannot write `/dev/full`", "No space left"]);
}

#[test]
fn a_known_failures_list_is_checked_and_a_stale_entry_is_exit_code_4() {
    let folder = folder();
    let list = "[[known]]\ncheck = \"backward-compatibility/static-token#on-every-rpc\"\nreason = \"r\"\ndate = \"2026-11-24\"\n";
    let run = |name| flightcheck(folder.path(), &[&["run"], &ONE[..], &["--known-failures", name]].concat());
    write(folder.path(), "passes.toml", list);
    run("passes.toml").must_say(4, &["take it off the list"]);
    write(folder.path(), "gone.toml", &list.replace("static-token#", "no-such-scenario#"));
    run("gone.toml").must_say(4, &["lists no check of the catalogue"]);
    write(folder.path(), "typo.toml", &list.replace("reason", "raeson"));
    run("typo.toml").must_say(2, &["typo.toml:3:1", "did you mean `reason`?"]);
    run("absent.toml").must_say(2, &["cannot read `absent.toml`"]);
}

#[test]
fn a_file_that_is_no_bundle_or_only_half_of_one_is_told_apart() {
    let folder = folder();
    write(folder.path(), "not.jsonl", "hello\n");
    flightcheck(folder.path(), &["judge", "not.jsonl"]).must_say(2, &["does not start with a header line"]);
    flightcheck(folder.path(), &[&["run"], &ONE[..], &["--bundle", "whole.jsonl"]].concat()).must_say(0, &[]);
    let whole = std::fs::read_to_string(folder.path().join("whole.jsonl")).expect("it was written");
    write(folder.path(), "half.jsonl", &whole[..whole.len() * 2 / 3]);
    let half = flightcheck(folder.path(), &["judge", "half.jsonl"]);
    half.must_say(3, &["partial"]);
    assert!(!half.out.contains("verdict       conformant"), "{}", half.out);
}

#[test]
fn nothing_is_lost_where_two_outputs_meet_or_a_disk_is_full() {
    let folder = folder();
    let run = |more: &[&str]| flightcheck(folder.path(), &[&["run"], &ONE[..], more].concat());
    run(&["--json", "same", "--junit", "same"]).must_say(2, &["`same` is named for two outputs"]);
    run(&["--shard", "1/1", "--bundle", "part.jsonl"]).must_say(0, &[]);
    flightcheck(folder.path(), &["merge", "part.jsonl", "--bundle", "part.jsonl"])
        .must_say(2, &["`part.jsonl` is a part and an output"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux");
    let mut list = std::process::Command::new(assert_cmd::cargo::cargo_bin!("flightcheck"));
    let output =
        list.arg("list").stdout(full).stderr(std::process::Stdio::piped()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("cannot write to stdout"), "{said}");
}

#[test]
fn a_run_judged_again_is_told_in_the_same_words() {
    let folder = folder();
    let defect = ["run", "--run", "token-request/audience*", "--defect", "drops-audience"];
    let ran = flightcheck(folder.path(), &[&defect[..], &["--bundle", "b.jsonl"]].concat());
    ran.must_say(1, &["repeat    flightcheck run reference --defect drops-audience --run"]);
    assert_eq!(flightcheck(folder.path(), &["judge", "b.jsonl"]).out, ran.out);
}
