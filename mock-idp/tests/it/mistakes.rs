//! What an operator gets wrong, and a machine that lets the program down.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

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
    let mut running = Running::start(&[], &[]);
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
    let began = Instant::now();
    let mut sent = 0;
    let status = loop {
        if let Some(status) = running.child.try_wait().unwrap() {
            break status;
        }
        // Two that come at the same time count as one.
        if sent < 2 || began.elapsed() < Duration::from_secs(4) {
            send(&running, rustix::process::Signal::INT);
            sent += 1;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(status.code(), Some(1));
    assert!(asked.await.unwrap().is_err());
}

#[test]
fn a_hangup_without_a_file_is_answered_once() {
    let mut program = command(&[]);
    program.args(["--port", "0"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.find(|l| l.as_ref().is_ok_and(|l| l.contains("control"))).unwrap().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let mut log = log.lines().map(Result::unwrap);
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    let kill = |signal| rustix::process::kill_process(pid, signal).unwrap();
    kill(rustix::process::Signal::HUP);
    let first = log.find(|l| l.contains("no configuration file")).unwrap();
    assert!(first.contains("--config"), "{first}");
    kill(rustix::process::Signal::HUP);
    std::thread::sleep(Duration::from_millis(100));
    kill(rustix::process::Signal::TERM);
    let rest: Vec<String> = log.collect();
    assert!(!rest.iter().any(|l| l.contains("no configuration file") || l.contains("reloaded")), "{rest:?}");
    assert!(child.wait().unwrap().success());
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
