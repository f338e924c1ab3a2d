//! What an operator gets wrong, and a machine that lets the program down.

use std::process::Stdio;

use crate::rig::client;
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
