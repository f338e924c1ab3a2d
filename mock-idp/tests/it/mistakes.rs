//! What an operator gets wrong, and a machine that lets the program down.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::rig::{client, part, text};
use crate::running::{Running, command, ended};

/// Runs the program to its end: exit code and what it said on stderr.
fn told(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = ended(arguments, environment);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// It is refused as a mistake of usage, in these words.
fn refused(arguments: &[&str], environment: &[(&str, &str)], expected: &[&str]) {
    let (code, said) = told(arguments, environment);
    assert_eq!(code, Some(2), "{arguments:?} {said}");
    for part in expected {
        assert!(said.contains(part), "{said}\nlacks {part}");
    }
}

/// A file in a folder that is gone with the first.
fn file(name: &str, text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path.display().to_string())
}

#[test]
fn an_empty_admin_token_is_none() {
    let everywhere = ["--port", "0", "--host", "0.0.0.0"];
    let flag = [everywhere.as_slice(), &["--admin-token", ""]].concat();
    refused(&flag, &[], &["give an admin token"]);
    let blank = [everywhere.as_slice(), &["--admin-token", " "]].concat();
    refused(&blank, &[], &["give an admin token"]);
    refused(&everywhere, &[("MOCK_IDP_ADMIN_TOKEN", "")], &["give an admin token"]);
    let (_folder, path) = file("idp.toml", "admin_token = \"\"\n");
    refused(&[everywhere.as_slice(), &["--config", &path]].concat(), &[], &["give an admin token"]);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_drops_no_request() {
    for broken in [full(), closed_pipe()] {
        let running = Running::start_with_stderr(&[], broken);
        for _ in 0..3 {
            let url = format!("{}/demo/jwks", running.origin);
            assert_eq!(client().get(url).send().await.unwrap().status(), 200);
        }
    }
    let exit = command(&[]).args(["--host", "0.0.0.0"]).stderr(full()).status().unwrap();
    assert_eq!(exit.code(), Some(2));
}

#[test]
fn output_that_cannot_be_written_is_a_failure_and_told() {
    for what in ["faults", "openapi", "profiles", "check"] {
        for broken in [full(), closed_pipe()] {
            let output = command(&[]).arg(what).stdout(broken).stderr(Stdio::piped()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{what}: {said}");
            assert!(said.contains("the output could not be written"), "{what}: {said}");
        }
    }
}

#[tokio::test]
async fn the_addresses_that_are_said_at_the_start_work_for_every_profile() {
    for profile in mock_idp::profile::names() {
        let mut child = command(&[])
            .args(["--port", "0", "--profile", profile])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let said: Vec<String> = lines.take(4).collect();
        let url = |nth: usize| said[nth].split_whitespace().find(|w| w.contains("://")).unwrap();
        for url in [format!("{}/.well-known/openid-configuration", url(1)), url(2).to_owned()] {
            assert_eq!(client().get(&url).send().await.unwrap().status(), 200, "{profile} {url}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[tokio::test]
async fn an_access_token_lives_exactly_as_long_as_is_said() {
    let rig = crate::rig::Rig::plain().await;
    for _ in 0..5 {
        let answer = rig.token().await.json();
        let claims = part(text(&answer, "access_token"), 1);
        let lives = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
        assert_eq!(Some(lives), answer["expires_in"].as_u64());
    }
}

fn send(running: &Running, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(running.child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[tokio::test]
async fn a_second_interrupt_ends_it_at_once() {
    let (log, writer) = std::io::pipe().unwrap();
    let mut running = Running::start_with_stderr(&[], writer.into());
    let mut log = BufReader::new(log).lines().map(Result::unwrap);
    let control = |path: &str| format!("{}/_mock/{path}", running.origin);
    client().post(control("faults")).body(r#"{"fault":"hang"}"#).send().await.unwrap();
    let form = [("grant_type", "client_credentials")];
    let asked = tokio::spawn(client().post(format!("{}/oauth2/token", running.origin)).form(&form).send());
    let hit = async || -> serde_json::Value {
        client().get(control("faults")).send().await.unwrap().json().await.unwrap()
    };
    while hit().await[0]["hits"] == 0 {
        tokio::task::yield_now().await;
    }
    send(&running, rustix::process::Signal::INT);
    // Two that come at the same time count as one.
    log.find(|line| line.contains("once more ends it at once")).unwrap();
    send(&running, rustix::process::Signal::INT);
    // Had it waited for the answer that hangs, or for as long as it waits at all, it would have ended well.
    assert_eq!(running.child.wait().unwrap().code(), Some(1));
    log.find(|line| line.contains("ended before all answers were out")).unwrap();
    assert!(asked.await.unwrap().is_err());
}

#[test]
fn a_hangup_without_a_file_is_answered_once() {
    let (log, writer) = std::io::pipe().unwrap();
    let mut running = Running::start_with_stderr(&["--log", "debug"], writer.into());
    let mut log = BufReader::new(log).lines().map(Result::unwrap);
    send(&running, rustix::process::Signal::HUP);
    let first = log.find(|l| l.contains("no configuration file")).unwrap();
    assert!(first.contains("WARN") && first.contains("--config"), "{first}");
    send(&running, rustix::process::Signal::HUP);
    let second = log.find(|l| l.contains("no configuration file") || l.contains("reloaded")).unwrap();
    assert!(second.contains("DEBUG") && !second.contains("reloaded"), "{second}");
    send(&running, rustix::process::Signal::TERM);
    assert!(running.child.wait().unwrap().success());
}

/// `check` says so, and a start does not get further.
fn refused_by_both(text: &str, expected: &[&str]) {
    let (_folder, path) = file("idp.toml", text);
    refused(&["check", "--config", &path], &[], expected);
    refused(&["--port", "0", "--config", &path], &[], expected);
}

#[test]
fn check_finds_what_a_start_refuses_or_what_cannot_work() {
    refused_by_both("host = \"0.0.0.0\"\n", &["give an admin token"]);
    refused_by_both(
        "tls = { certificate = \"/no/a.pem\", key = \"/no/b.pem\" }\n",
        &["cannot use `/no/a.pem`"],
    );
    refused_by_both("port = 1\nbase_url = \"idp\"\n", &["idp.toml, line 2", "`base_url`: `idp` is no URL"]);
    refused_by_both("base_url = \"ftp://idp\"\n", &["line 1", "`http://` or `https://`"]);
    refused_by_both("[issuer.paths]\ntoken = \"token\"\n", &["line 2", "`token` has to begin with a slash"]);
    refused_by_both(
        "[issuer.paths]\ntoken = \"/jwks\"\n",
        &["line 2", "`/jwks` is there twice", "path of jwks and of token"],
    );
    refused_by_both("static_files = \"/no/such/folder\"\n", &["`/no/such/folder` is no folder"]);
    refused_by_both(
        "[[issuer.clients]]\nid = \"web\"\n[[issuer.clients]]\nid = \"web\"\n",
        &["line 4", "`web` is there twice"],
    );
    refused_by_both(
        "[[issuer.token.rules]]\nparam = \"scope\"\nmatches = \"(\"\n",
        &["line 3", "`(` is no regular expression"],
    );
    refused_by_both("\n[issuers.other]\nstrict = true\n", &["line 2", "write `[issuers.\"/other\"]`"]);
    refused_by_both("[issuers.\"/_mock/a\"]\n", &["plain path"]);
}

#[test]
fn a_typo_in_a_mapping_of_navikt_is_found() {
    let config = "{\"tokenCallbacks\": [\n{\"issuerId\": \"a\", \"requestMapings\": []}]}";
    refused(&["check"], &[("JSON_CONFIG", config)], &["line 2", "did you mean `requestMappings`"]);
    let config = r#"{"tokenCallbacks": [{"issuerId": "a", "requestMappings": [{"requestParm": "x"}]}]}"#;
    refused(&["check"], &[("JSON_CONFIG", config)], &["did you mean `requestParam`"]);
    let config = r#"{"tokenCallbacks": [{"issuerId": "a", "requestMappings": [{"requestParam": "x", "match": "("}]}]}"#;
    refused(&["check"], &[("JSON_CONFIG", config)], &["JSON_CONFIG, line 1", "no regular expression"]);
}

#[test]
fn a_word_that_means_nothing_is_shown_with_file_and_line() {
    let fault = "port = 1\n\n[[faults]]\nfault = \"expird-token\"\n";
    refused_by_both(fault, &["idp.toml, line 4", "did you mean `expired-token`"]);
    refused_by_both("[issuer]\nprofile = \"auth00\"\n", &["line 2", "did you mean `auth0`"]);
    refused_by_both(
        "[issuer]\nprofile = \"auth0\"\nwithout = [\"trailing-slsh\"]\n",
        &["line 3", "did you mean `trailing-slash`"],
    );
    refused_by_both("[[faults]]\nfault = \"T01\"\ntimes = 0\n", &["line 3", "`times` has to be"]);
    let (_folder, path) = file("idp.toml", "port = 1\n");
    let (_, said) = told(&["--config", &path, "--profile", "auth00", "check"], &[]);
    assert!(said.contains("no profile `auth00`") && !said.contains("line"), "{said}");
}

#[tokio::test]
async fn server_port_and_hostname_are_taken_without_json_config() {
    refused(&["check"], &[("SERVER_PORT", "many")], &["SERVER_PORT: `many` is no port"]);
    refused(&["check"], &[("SERVER_HOSTNAME", "0.0.0.0")], &["give an admin token"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    refused(&[], &[("SERVER_PORT", &port)], &[&format!("cannot listen on 127.0.0.1:{port}")]);
    let ours = Running::start(&[], &[("SERVER_PORT", &port)]);
    assert_ne!(ours.port(), port, "the flag comes first");
}

#[test]
fn a_word_of_a_flag_or_variable_that_means_nothing_is_told() {
    refused(&["--log", "inof"], &[], &["`inof` is no level", "did you mean `info`"]);
    refused(&["--log", "nope", "check"], &[], &["`nope` is no level"]);
    refused(&["--without", "trailing-slsh"], &[], &["did you mean `trailing-slash`", "say `profile`"]);
    refused(&["--without", "nope", "check"], &[], &["`nope`", "say `profile`"]);
    refused(&["--profile", "auth0", "--without", "nope", "check"], &[], &["no quirk `nope`"]);
    let (code, said) = told(&["check"], &[("MOCK_IDP_PROFIL", "auth0")]);
    assert_eq!(code, Some(0));
    assert!(said.contains("`MOCK_IDP_PROFIL`") && said.contains("did you mean `MOCK_IDP_PROFILE`"), "{said}");
    let (code, said) = told(&["--log", "mock_idp=debug,warn", "check"], &[]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
}

#[test]
fn a_message_about_a_file_does_not_show_its_secrets() {
    for (name, text) in [
        ("a.toml", "admin_token = \"hunter2\n"),
        ("a.toml", "[[issuer.clients]]\nid = \"web\"\nsecret = 8675309\n"),
        ("a.toml", "[issuer]\nclients = [{ id = \"web\", secret = \"hunter2\", oops = 1 }]\n"),
        ("a.yaml", "issuer:\n  clients:\n    - {id: web, secret: hunter2, oops: 1}\n"),
        ("a.yaml", "admin_token: [hunter2]\n"),
        ("a.json", "{\"issuer\": {\"clients\": [{\"secret\": 8675309}]}}"),
    ] {
        let (_folder, path) = file(name, text);
        let (code, said) = told(&["check", "--config", &path], &[]);
        assert!(code == Some(2) && !said.contains("hunter2") && !said.contains("8675309"), "{text}\n{said}");
    }
}

/// A disk without room.
fn full() -> Stdio {
    std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

/// A pipe whose reader went away.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}
