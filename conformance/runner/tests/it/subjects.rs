//! Subjects that misbehave as processes: no verdict in their favour, nothing left running, nothing hangs.

use std::path::Path;

use super::{ONE, flightcheck, folder, write};

/// A manifest for a shell script, with an option for a static token so that some scenario applies.
fn subject(folder: &Path, script: &str) {
    write(folder, "subject.sh", script);
    let manifest = r#"schema = 1
name = "script"
drive = "stdio"
command = ["sh", "subject.sh"]
[options]
"server.uri" = { native = "uri", value = "grpc+tls://{host}:{port}" }
"token" = { native = "token", secret = true }
[declares]
tls = "required"
"#;
    write(folder, "subject.toml", manifest);
}

/// Reads requests; `$id` is the id of the one that was read.
const LOOP: &str = r#"while read -r line; do id=${line#*\"id\":}; id=${id%%,*}; "#;

#[track_caller]
fn check(script: &str, code: i32, parts: &[&str]) {
    let folder = folder();
    subject(folder.path(), script);
    flightcheck(folder.path(), &[&["run", "."], &ONE[..]].concat()).must_say(code, parts);
}

#[test]
fn a_subject_that_never_says_hello_is_named_with_what_it_printed() {
    check("exit 0", 2, &["subject `script` does not answer `hello`", "ended with code 0"]);
    check("echo 'no such module' >&2; exit 3", 2, &["ended with code 3", "stderr: no such module"]);
    check("kill -SEGV $$", 2, &["ended by signal 11"]);
    check("yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 2, &["stdout (not-json): aaaa"]);
}

#[test]
fn a_subject_that_prints_garbage_or_nothing_is_not_waited_for_without_end() {
    check(
        "while read -r line; do echo garbage; done",
        2,
        &["no reply within 20 s", "stdout (not-json): garbage"],
    );
    check("exec sleep 1000", 2, &["no reply within 20 s"]);
}

#[test]
fn a_command_that_does_not_exist_is_named() {
    let folder = folder();
    subject(folder.path(), "");
    let path = folder.path().join("subject.toml");
    let manifest = std::fs::read_to_string(&path).expect("it was written");
    write(folder.path(), "subject.toml", &manifest.replace("[\"sh\", \"subject.sh\"]", "[\"./nowhere\"]"));
    flightcheck(folder.path(), &["run", "."]).must_say(2, &["cannot start", "nowhere", "set-up script"]);
}

#[test]
fn ok_without_a_query_at_the_server_is_not_believed() {
    let liar = format!("{LOOP} echo \"{{\\\"id\\\":$id,\\\"ok\\\":{{\\\"rows\\\":1}}}}\"; done");
    check(&liar, 1, &["verdict       not conformant (exit 1)", "not-testable"]);
}

#[test]
fn a_flood_on_stdout_ends_the_subject_and_not_us() {
    let flood = format!(
        "{LOOP} echo \"{{\\\"id\\\":$id,\\\"ok\\\":{{}}}}\"; case $line in *hello*) ;; *) exec yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ;; esac; done"
    );
    check(&flood, 1, &["not conformant"]);
}

/// The reference client with a defect of its process, in a few scenarios.
fn defect(name: &str, parts: &[&str]) {
    let folder = folder();
    let args = [&["run"], &ONE[..], &["--defect", name]].concat();
    flightcheck(folder.path(), &args).must_say(1, parts);
}

#[test]
fn a_subject_that_dies_in_mid_run_is_reported_with_its_signal() {
    defect("segv", &["the subject was gone before it answered", "signal 11"]);
    defect("crash", &["signal 6"]);
}

#[test]
fn a_subject_that_exits_early_with_code_0_passes_nothing() {
    let folder = folder();
    let answer = flightcheck(folder.path(), &["run", "--run", "token-request/*", "--defect", "early-exit"]);
    answer.must_say(1, &["not conformant"]);
    assert!(!answer.out.contains(" pass"), "{}", answer.out);
}

#[test]
fn a_child_that_outlives_its_subject_is_reported_and_ended() {
    defect("orphan", &["rules#ends-cleanly", "subject.leftover"]);
}
