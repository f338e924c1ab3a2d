//! The main job: the reference client passes everything, and a saved run is judged the same again.

use serde_json::Value;

use super::{flightcheck, folder};

#[test]
fn the_reference_client_is_certified_and_every_permutation_is_accounted_for() {
    let folder = folder();
    let files = ["--json", "a.json", "--junit", "a.xml", "--bundle", "run.jsonl"];
    let answer = flightcheck(folder.path(), &[&["run"], &files[..]].concat());
    answer.must_say(0, &["verdict       conformant (exit 0)"]);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("it was written");

    let report: Value = serde_json::from_str(&read("a.json")).expect("JSON");
    let counts = report["counts"].as_object().expect("counts");
    let sum: u64 = counts.values().filter_map(Value::as_u64).sum();
    assert_eq!(report["planned"], sum);
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["not-applicable", "pass"], "{counts:?}");
    let rows = report["rows"].as_array().expect("rows");
    // What applies to Grafana plugins only is proven by `reference-plugin`.
    let needs = ["plugin", "saved-settings"].map(|need| format!("the subject does not declare `{need}`"));
    let surfaces = ["columns", "sql-info"].map(|surface| format!("the subject has no surface `{surface}`"));
    let for_plugins = [needs, surfaces].concat();
    let (others, rows): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row["outcome"] == "not-applicable");
    assert!(others.iter().all(|row| for_plugins.iter().any(|why| row["note"] == why.as_str())), "{others:?}");
    assert!(rows.len() >= 500 && rows.iter().all(|row| row["outcome"] == "pass"));

    let again = flightcheck(folder.path(), &["judge", "run.jsonl", "--json", "b.json", "--junit", "b.xml"]);
    again.must_say(0, &["verdict       conformant (exit 0)"]);
    assert_eq!(read("a.json"), read("b.json"), "a saved run judged again is the same to the byte");
    assert_eq!(read("a.xml"), read("b.xml"));
}

#[test]
fn the_report_keeps_to_its_published_schema() {
    let folder = folder();
    flightcheck(folder.path(), &["run", "--run", "expiry/*", "--defect", "never-renews", "--json", "r.json"])
        .must_say(1, &["FAIL expiry/refresh-before-expiry#renews", "FC-EXP-2", "-->", "what happened:"]);
    let schema = flightcheck(folder.path(), &["schema", "report"]);
    let schema: Value = serde_json::from_str(&schema.out).expect("a schema");
    let report = std::fs::read_to_string(folder.path().join("r.json")).expect("it was written");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let errors: Vec<String> = jsonschema::validator_for(&schema)
        .expect("a good schema")
        .iter_errors(&report)
        .map(|e| e.to_string())
        .collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn list_explain_and_smoke_answer() {
    let folder = folder();
    let say = |args: &[&str], parts: &[&str]| flightcheck(folder.path(), args).must_say(0, parts);
    say(&["list"], &["expiry/refresh-before-expiry"]);
    say(&["explain", "expiry/refresh-before-expiry"], &["MUST", "FC-EXP-2"]);
    say(&["explain", "FC-CACHE-1"], &["OAuth plan"]);
    say(&["smoke"], &["OAuth client credentials: a query was served", "static token: a query was served"]);
    say(&["calibrate"], &["stops using a token between "]);
}
