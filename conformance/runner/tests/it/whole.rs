//! Runs that belong together: the parts of one, the three of a certificate, and a run with the list that it wrote.

use serde_json::Value;

use crate::{flightcheck, folder, write};

const SELECTION: [&str; 3] = ["run", "--run", "token-request/*"];

fn json(folder: &std::path::Path, file: &str) -> Value {
    let text = std::fs::read_to_string(folder.join(file)).expect("it was written");
    serde_json::from_str(&text).expect("JSON")
}

/// What a report says of each permutation, without times.
fn rows(report: &Value) -> Vec<(Value, Vec<(Value, Value)>)> {
    let checks = |row: &Value| {
        let checks = row["checks"].as_array().into_iter().flatten();
        checks.map(|c| (c["check"].clone(), c["outcome"].clone())).collect()
    };
    let rows = report["rows"].as_array().into_iter().flatten();
    rows.map(|row| (row["permutation"].clone(), checks(row))).collect()
}

#[test]
fn the_merged_parts_are_the_unsplit_run() {
    let folder = folder();
    let run = |more: &[&str]| flightcheck(folder.path(), &[&SELECTION[..], more].concat());
    let defect = ["--defect", "never-basic"];
    run(&[&defect[..], &["--json", "unsplit.json"]].concat()).must_say(1, &["never-basic"]);
    for part in ["1/3", "2/3", "3/3"] {
        let file = format!("{}.jsonl", &part[..1]);
        run(&[&defect[..], &["--shard", part, "--bundle", &file]].concat());
    }
    let parts =
        ["merge", "3.jsonl", "1.jsonl", "2.jsonl", "--json", "merged.json", "--bundle", "whole.jsonl"];
    flightcheck(folder.path(), &parts).must_say(1, &["FAIL token-request/"]);
    let (unsplit, merged) = (json(folder.path(), "unsplit.json"), json(folder.path(), "merged.json"));
    assert_eq!(rows(&unsplit), rows(&merged));
    for key in ["counts", "permutations", "exit", "selection", "planned", "partial"] {
        assert_eq!(unsplit[key], merged[key], "{key}");
    }
    flightcheck(folder.path(), &["judge", "whole.jsonl"]).must_say(1, &["FAIL token-request/"]);
}

#[test]
fn what_is_no_whole_is_not_merged() {
    let folder = folder();
    let run = |more: &[&str]| flightcheck(folder.path(), &[&SELECTION[..], more].concat());
    run(&["--shard", "1/2", "--bundle", "one.jsonl"]).must_say(0, &[]);
    run(&["--shard", "2/2", "--bundle", "other.jsonl", "--deny", "should"]).must_say(0, &[]);
    run(&["--bundle", "unsplit.jsonl"]).must_say(0, &[]);
    let merge = |files: &[&str]| flightcheck(folder.path(), &[&["merge"], files].concat());
    merge(&["one.jsonl"]).must_say(2, &["part 2/2 is missing"]);
    merge(&["one.jsonl", "one.jsonl"]).must_say(2, &["one.jsonl: is part 1/2, like one.jsonl"]);
    merge(&["one.jsonl", "other.jsonl"]).must_say(2, &["other.jsonl: has another `--deny` than one.jsonl"]);
    merge(&["unsplit.jsonl"]).must_say(2, &["unsplit.jsonl: is no part of a split run"]);
    merge(&["gone.jsonl"]).must_say(2, &["cannot read `gone.jsonl`"]);
}

#[test]
fn the_list_that_a_run_writes_makes_the_next_one_conformant() {
    let folder = folder();
    let defect = ["run", "--run", "token-request/*", "--defect", "never-basic"];
    let run = |more: &[&str]| flightcheck(folder.path(), &[&defect[..], more].concat());
    run(&["--write-known-failures", "known.toml"]).must_say(1, &["FAIL"]);
    run(&["--known-failures", "known.toml"]).must_say(0, &["known-failure"]);
    let list = std::fs::read_to_string(folder.path().join("known.toml")).expect("it was written");
    write(folder.path(), "old.toml", &list.replace("date =", "expires = \"2020-01-01\"\ndate ="));
    run(&["--known-failures", "old.toml"]).must_say(4, &["has expired: look at it again"]);
    // Written again, explained entries stay as they are.
    write(folder.path(), "known.toml", &list.replace("not looked at yet", "looked at"));
    run(&["--known-failures", "known.toml", "--write-known-failures", "again.toml"]).must_say(0, &[]);
    let again = std::fs::read_to_string(folder.path().join("again.toml")).expect("it was written");
    assert!(again.contains("looked at") && !again.contains("not looked at yet"), "{again}");
}

#[test]
fn a_certificate_is_for_three_runs_that_agree() {
    let folder = folder();
    flightcheck(folder.path(), &["certify", "--profile", "attribution", "--out", "c", "--seed", "7"])
        .must_say(0, &["run 3 of 3", "verdict       certified"]);
    let certificate = json(folder.path(), "c/certificate.json");
    assert_eq!(
        (certificate["certified"].as_bool(), certificate["unsteady"].as_array()),
        (Some(true), Some(&vec![]))
    );
    let runs = certificate["runs"].as_array().expect("runs");
    let seeds: Vec<_> = runs.iter().filter_map(|r| r["seed"].as_u64()).collect();
    assert_eq!(seeds, [7, 8, 9]);
    flightcheck(folder.path(), &["judge", "c/run-2.jsonl"]).must_say(0, &["seed"; 0]);
    // No narrower selection, and no excuse.
    for option in ["--run", "--skip", "--shard", "--known-failures"] {
        flightcheck(folder.path(), &["certify", "--out", "d", option, "x"])
            .must_say(2, &["unexpected argument"]);
    }
}

#[test]
fn a_correct_client_is_served_by_issuers_like_any_provider_and_a_wrong_one_is_not() {
    let folder = folder();
    let run = |more: &[&str]| flightcheck(folder.path(), &[&["run", "--profile", "core"], more].concat());
    for provider in ["auth0", "cognito", "entra-v1", "entra-v2", "keycloak", "okta-custom", "ping"] {
        let args = ["--provider", provider, "--json", "r.json"];
        run(&args).must_say(0, &["verdict       conformant (exit 0)"]);
        let report = json(folder.path(), "r.json");
        let selection = report["selection"].as_str().expect("words");
        assert!(selection.contains(&format!("issuers like {provider}")), "{selection}");
        let passed = report["permutations"]["pass"].as_u64().expect("a count");
        assert!(passed > 50, "{provider}: {passed}");
    }
    // Entra insists on a scope.
    let wrong = ["--provider", "entra-v2", "--defect", "drops-scope", "--run", "failing-closed/*"];
    run(&wrong).must_say(1, &["--provider entra-v2 --run"]);
    run(&["--provider", "google"]).must_say(2, &["no token for client credentials"]);
    run(&["--provider", "okta"]).must_say(2, &["okta-custom"]);
    let server =
        ["run", "reference-server", "--provider", "auth0", "--run", "resource-server/hang-is-bounded"];
    flightcheck(folder.path(), &server).must_say(3, &["a server under test has the issuer of its scenario"]);
}

#[test]
fn an_http_client_is_judged_by_what_the_endpoint_took() {
    let folder = folder();
    let run = |more: &[&str]| flightcheck(folder.path(), &[&["run", "reference-http"], more].concat());
    run(&[]).must_say(0, &["verdict       conformant (exit 0)"]);
    run(&["--defect", "drops-batch-at-renewal"]).must_say(1, &["the endpoint saw no request of it"]);
    run(&["--run", "token-request/*"]).must_say(2, &["scenarios for clients", "another kind: HTTP client"]);
    flightcheck(folder.path(), &["smoke", "reference-http"])
        .must_say(0, &["OAuth client credentials: a query was served"]);
}
