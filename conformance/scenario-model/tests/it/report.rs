//! What a record comes to: a row for each permutation, counts, the exit code.

use scenario_model::bundle::{Bundle, BundleError, Calibration, Line, Ran};
use scenario_model::event::{Event, Vocabulary};
use scenario_model::load::{load_rules, load_scenario};
use scenario_model::report::Judge;
use scenario_model::scenario::{Lane, Level, Surface};
use scenario_model::verdict::{Counts, ExitCode, Outcome};
use serde_json::{Value, json};

use crate::facts::{events, keys, stall, streamed};
use crate::recorded::{
    Change, good, listing, of, part, refused, report, row, run, run_of_server, run_with, served_and,
    served_with, sign,
};

const X: &str = "a/matrix[k=x]";

/// The outcomes of the checks of a permutation.
fn outcomes(bundle: &Bundle, id: &str) -> Vec<Outcome> {
    row(&report(bundle), id).checks.iter().map(|c| c.outcome).collect()
}

#[test]
fn a_good_run_is_conformant_and_each_permutation_has_a_row() {
    use Outcome::{NotApplicable, Pass};
    let report = report(&run());
    let rows: Vec<_> = report.rows.iter().map(|r| (r.permutation.as_str(), r.outcome)).collect();
    let expected = [
        (X, Pass),
        ("a/matrix[k=y]", Pass),
        ("a/matrix[k=z]", Pass),
        ("a/surfaces", Pass),
        ("a/surfaces@health", Pass),
        ("b/pending", Pass),
        ("b/users", NotApplicable),
        ("c/last", Pass),
    ];
    assert_eq!(rows, expected);
    assert_eq!((report.exit, report.partial), (ExitCode::Conformant, false));
    // Each has two checks of its own and one rule.
    assert_eq!(report.counts, Counts([(Pass, 21), (NotApplicable, 3)].into()));
    assert_eq!((report.permutations, report.planned), (Counts([(Pass, 7), (NotApplicable, 1)].into()), 24));
    assert_eq!(report.took_us, 700_000);
    let users = &report.rows[6];
    assert_eq!(users.note.as_deref(), Some("the subject does not declare `users`"));
    assert!(users.checks.iter().all(|c| c.outcome == NotApplicable && c.findings.is_empty()));
    assert_eq!(users.took_us, 0);
}

#[test]
fn a_row_says_what_it_is_about() {
    let mut bundle = run();
    of(&mut bundle, "a/surfaces@health").0 =
        Ran { took_us: 1234, repeated: 2, ..of(&mut bundle, "a/surfaces@health").0.clone() };
    let report = report(&bundle);
    let health = row(&report, "a/surfaces@health");
    assert_eq!((health.scenario.as_str(), health.title.as_str()), ("a/surfaces", "On two surfaces"));
    assert_eq!((health.surface, health.lane), (Surface::Health, Lane::Instant));
    assert_eq!((health.took_us, health.repeated, &health.note), (1234, 2, &None));
    let checks: Vec<_> = health.checks.iter().map(|c| c.check.as_str()).collect();
    assert_eq!(checks, ["a/surfaces#serves", "a/surfaces#asks-nobody", "rules#quiet"]);
}

#[test]
fn a_report_says_what_was_run() {
    let mut bundle = part(2, 3);
    bundle.header.calibration = Some(Calibration { lower: 1.0, upper: 2.0, monotonic: true });
    let (report, header) = (report(&bundle), &bundle.header);
    assert_eq!((report.format, &report.tool, &report.started), (1, &header.tool, &header.started));
    assert_eq!((&report.subject, &report.calibration), (&header.subject, &header.calibration));
    assert_eq!((&report.requirements, report.seed), (&header.requirements, header.seed));
    assert_eq!(report.selection, "everything; shard 2/3");
    assert_eq!(self::report(&run()).selection, "everything");
}

#[test]
fn each_kind_of_subject_is_judged_by_its_own_rules() {
    let report = report(&run_of_server());
    let checks: Vec<_> = report.rows[0].checks.iter().map(|c| (c.check.as_str(), c.outcome)).collect();
    assert_eq!(checks, [("s/server#serves", Outcome::Pass), ("rules#answers", Outcome::Pass)]);
    assert_eq!(report.rows.len(), 1);
}

/// Something on stdout that is no reply.
fn noise() -> Value {
    json!({ "kind": "subject.noise", "text": "hello", "reason": "noise", "leak": false })
}

#[test]
fn the_worst_check_is_the_outcome_of_its_permutation() {
    use Outcome::{Fail, Inconclusive, NotTestable, Pass, Warn};
    let mut doubtful = served_and(keys(Some(200)));
    doubtful.extend(events(&[(70, stall(200))]));
    doubtful[4].seq = 4;
    for (events, expected, worst, exit) in [
        (served_and(keys(Some(200))), [Pass, Warn, Pass], Warn, 0),
        (doubtful, [Pass, Inconclusive, Pass], Inconclusive, 3),
        (served_and(noise()), [Pass, Pass, Fail], Fail, 1),
        (served_with(noise()), [Fail, NotTestable, NotTestable], Fail, 1),
        (refused(), [Fail, NotTestable, NotTestable], Fail, 1),
        (Vec::new(), [NotTestable; 3], NotTestable, 1),
    ] {
        let report = report(&run_with(X, events));
        let found: Vec<_> = row(&report, X).checks.iter().map(|c| c.outcome).collect();
        assert_eq!((&found[..], row(&report, X).outcome), (&expected[..], worst));
        assert_eq!(report.exit.code(), exit, "{expected:?}");
        assert_eq!((report.permutations.get(worst), report.permutations.get(Pass)), (1, 6));
        assert!(row(&report, X).checks.iter().all(|c| c.findings.is_empty() == (c.outcome == Pass)));
    }
}

#[test]
fn the_level_is_that_of_the_permutations_own_values() {
    for (id, level, outcome) in
        [(X, Level::Must, Outcome::Fail), ("a/matrix[k=y]", Level::Should, Outcome::Warn)]
    {
        let report = report(&run_with(id, refused()));
        let serves = &row(&report, id).checks[0];
        assert_eq!((serves.level, serves.outcome), (level, outcome), "{id}");
    }
}

#[test]
fn warnings_can_be_denied() {
    let mut bundle = run_with(X, served_and(keys(Some(200))));
    bundle.header.deny_should = true;
    assert_eq!(report(&bundle).exit, ExitCode::NotConformant);
}

#[test]
fn a_query_is_judged_by_the_surface_on_which_it_was_made() {
    let unnamed = || served_with(streamed(json!({ "marker": null })));
    assert_eq!(outcomes(&run_with("a/surfaces@health", unnamed()), "a/surfaces@health")[0], Outcome::Pass);
    assert_eq!(outcomes(&run_with("a/surfaces", unnamed()), "a/surfaces")[0], Outcome::Fail);
}

type Damage = fn(&mut Ran, &mut Vec<Event>);

#[test]
fn what_was_not_recorded_whole_is_not_judged() {
    use Outcome::{Error, NotRun};
    let lost = "the record is not whole: 3 events were written, 2 are here";
    let disorder = "the record is not whole: its events are out of order";
    let cases: [(Damage, Outcome, &str); 9] = [
        (|ran, _| ran.interrupted = true, NotRun, "it was interrupted"),
        (|ran, _| ran.error = Some("no port was free".into()), Error, "no port was free"),
        (|_, events| drop(events.pop()), Error, lost),
        (|_, events| drop(events.remove(0)), Error, lost),
        (|_, events| events.clear(), Error, "the record is not whole: 3 events were written, 0 are here"),
        (|ran, _| ran.events = 2, Error, "the record is not whole: 2 events were written, 3 are here"),
        (|_, events| events.swap(0, 1), Error, disorder),
        (|_, events| events[2] = events[1].clone(), Error, disorder),
        (
            |ran, events| {
                ran.interrupted = true;
                events.pop();
            },
            Error,
            lost,
        ),
    ];
    // Whatever the rest of the record would have shown.
    for all in [good("a/matrix", Surface::Query), served_with(noise())] {
        for (damage, outcome, note) in &cases {
            let mut bundle = run_with(X, all.clone());
            let (ran, events) = of(&mut bundle, X);
            damage(ran, events);
            sign(&mut bundle);
            let report = report(&bundle);
            let row = row(&report, X);
            assert_eq!((row.outcome, row.note.as_deref()), (*outcome, Some(*note)));
            assert!(row.checks.iter().all(|c| c.outcome == *outcome && c.findings.is_empty()));
            assert_eq!((report.exit, report.planned, report.rows.len()), (ExitCode::Ours, 24, 8));
        }
    }
}

#[test]
fn what_a_run_did_not_reach_is_named() {
    let mut bundle = run();
    bundle.ran.truncate(2);
    sign(&mut bundle);
    let report = report(&bundle);
    assert_eq!(report.permutations.get(Outcome::NotRun), 5);
    let last = row(&report, "c/last");
    assert_eq!((last.outcome, last.note.as_deref()), (Outcome::NotRun, Some("the run ended before it")));
    assert_eq!((last.took_us, report.exit), (0, ExitCode::Ours));
}

#[test]
fn a_run_that_does_not_end_as_it_says_is_partial() {
    let cases: [Change; 5] = [
        |bundle| bundle.footer = None,
        |bundle| bundle.footer.as_mut().expect("signed").complete = false,
        |bundle| bundle.footer.as_mut().expect("signed").permutations += 1,
        |bundle| bundle.footer.as_mut().expect("signed").events += 1,
        |bundle| bundle.footer.as_mut().expect("signed").events -= 1,
    ];
    for damage in cases {
        let mut bundle = run();
        damage(&mut bundle);
        let report = report(&bundle);
        assert_eq!((report.partial, report.exit), (true, ExitCode::Ours), "{:?}", bundle.footer);
        // What is there is judged all the same.
        assert_eq!(report.counts.get(Outcome::Pass), 21);
        assert_eq!(report.took_us, bundle.footer.map_or(0, |footer| footer.took_us));
    }
}

#[test]
fn a_pending_scenario_is_shown_and_decides_nothing() {
    use Outcome::{Error, Info, NotRun, Pass};
    let check = |bundle: &Bundle, expected: [Outcome; 3], exit: ExitCode| {
        assert_eq!(outcomes(bundle, "b/pending"), expected);
        assert_eq!(report(bundle).exit, exit);
    };
    let with = |events| run_with("b/pending", events);
    check(&run(), [Pass; 3], ExitCode::Conformant);
    check(&with(refused()), [Info; 3], ExitCode::Conformant);
    check(&with(served_and(keys(Some(200)))), [Pass, Info, Pass], ExitCode::Conformant);
    let shown = report(&with(refused()));
    assert!(row(&shown, "b/pending").checks.iter().all(|c| !c.findings.is_empty()));
    // Our own trouble is trouble.
    let mut broken = run();
    of(&mut broken, "b/pending").0.error = Some("x".into());
    check(&broken, [Error; 3], ExitCode::Ours);
    of(&mut broken, "b/pending").0 =
        Ran { error: None, interrupted: true, ..of(&mut broken, "b/pending").0.clone() };
    check(&broken, [NotRun; 3], ExitCode::Ours);
}

#[test]
fn a_listed_failure_is_known_and_a_listed_pass_is_not_expected() {
    use Outcome::{Fail, KnownFailure, NotRun, Pass, UnexpectedPass};
    let list = listing(&[("a/matrix#*", "when = { k = \"x\" }"), ("rules#quiet", "scenario = \"a/matrix\"")]);
    let listed = |mut bundle: Bundle| {
        bundle.header.known_failures = Some(list.clone());
        bundle
    };
    let failing = listed(run_with(X, refused()));
    assert_eq!(outcomes(&failing, X), [KnownFailure; 3]);
    assert_eq!(outcomes(&failing, "a/matrix[k=y]"), [Pass, Pass, UnexpectedPass]);
    let known = report(&failing);
    assert_eq!(row(&known, X).checks[0].before_list, Some(Fail));
    assert_eq!((row(&known, X).outcome, known.permutations.get(KnownFailure)), (KnownFailure, 1));
    assert_eq!(known.exit, ExitCode::StaleList);
    // What was not judged is neither.
    let mut interrupted = listed(run());
    of(&mut interrupted, X).0.interrupted = true;
    assert_eq!(outcomes(&interrupted, X), [NotRun; 3]);
}

#[test]
fn a_list_that_does_not_fit_any_more_is_named() {
    let fails = ("a/matrix#*", "when = { k = \"x\" }");
    let rule = ("rules#quiet", "scenario = \"a/matrix\"\nwhen = { k = \"x\" }");
    let expires = |day: &str| format!("when = {{ k = \"x\" }}\nexpires = \"{day}\"");
    let (today, yesterday) = (expires("2026-12-01"), expires("2026-11-30"));
    let gone = ("a/gone#serves", "");
    let check = |entries: &[(&str, &str)], anywhere: &[bool], unmatched: &[&str], expired: &[&str]| {
        let mut bundle = run_with(X, refused());
        let mut list = listing(entries);
        list.matches_catalogue = anywhere.to_vec();
        bundle.header.known_failures = Some(list);
        let report = report(&bundle);
        assert_eq!(report.unmatched_entries, unmatched);
        assert_eq!(report.expired_entries, expired);
        let stale = !unmatched.is_empty() || !expired.is_empty();
        assert_eq!(report.exit, if stale { ExitCode::StaleList } else { ExitCode::Conformant });
    };
    check(&[fails, rule], &[false, false], &[], &[]);
    check(&[fails, rule, gone], &[true, true, false], &["a/gone#serves"], &[]);
    // The list of a run of some scenarios may list others.
    check(&[fails, rule, gone], &[true; 3], &[], &[]);
    check(&[("a/matrix#*", &today), rule], &[true; 2], &[], &[]);
    check(&[("a/matrix#*", &yesterday), rule], &[true; 2], &[], &["a/matrix#*"]);
    check(&[("a/matrix#*", &yesterday), rule, gone], &[false; 3], &["a/gone#serves"], &["a/matrix#*"]);
}

/// A bundle as lines.
fn written(bundle: &Bundle) -> String {
    let mut lines = vec![Line::Header(Box::new(bundle.header.clone()))];
    for (ran, events) in &bundle.ran {
        lines.push(Line::Permutation(ran.clone()));
        lines.extend(events.iter().cloned().map(Line::Event));
    }
    lines.extend(bundle.footer.clone().map(Line::Footer));
    lines.iter().map(|line| serde_json::to_string(line).expect("plain data") + "\n").collect()
}

#[test]
fn a_file_that_is_no_bundle_is_refused_at_its_line() {
    let text = written(&run());
    let lines: Vec<&str> = text.lines().collect();
    let (header, permutation, event) = (lines[0], lines[1], lines[2]);
    let cut = &event[..event.len() / 2];
    for (lines, problem) in [
        (&[][..], "run.jsonl: does not start with a header line"),
        (&["hello"], "run.jsonl: does not start with a header line"),
        (&[permutation], "run.jsonl: does not start with a header line"),
        (&[header, "hello"], "run.jsonl:2: not a line of a bundle"),
        (&[header, permutation, cut, event], "run.jsonl:3: not a line of a bundle: EOF"),
        (&[header, event], "run.jsonl:2: not a line of a bundle: an event before any permutation"),
        (&[header, permutation, header], "run.jsonl:3: not a line of a bundle: a second header"),
    ] {
        let said = Bundle::read("run.jsonl", lines.join("\n").as_bytes()).expect_err(problem).to_string();
        assert!(said.starts_with(problem), "{said}\n{problem}");
    }
}

#[test]
fn a_bundle_that_was_written_and_read_says_the_same() {
    let mut bundle = run_with(X, served_and(keys(None)));
    bundle.header.known_failures = Some(listing(&[("a/matrix#*", "")]));
    let text = written(&bundle);
    let again = Bundle::read("run.jsonl", text.as_bytes()).expect("a bundle");
    assert_eq!(report(&again), report(&bundle));
    // Cut anywhere after its first line, it is partial, and every permutation still has its row.
    let header = text.find('\n').expect("a first line") + 1;
    for end in (header..text.len() - 1).step_by(503) {
        let cut = Bundle::read("run.jsonl", &text.as_bytes()[..end]).expect("a bundle");
        let report = report(&cut);
        assert_eq!((report.partial, report.exit, report.planned), (true, ExitCode::Ours, 24), "cut at {end}");
    }
}

#[test]
fn a_judge_of_what_was_loaded_already_judges_the_same() {
    let (bundle, words) = (run_with(X, refused()), Vocabulary::new());
    let header = &bundle.header;
    let scenarios = header.sources.iter().map(|s| load_scenario(&s.id, &s.file, &s.text, &words));
    let scenarios: Vec<_> = scenarios.collect::<Result<_, _>>().expect("good scenarios");
    let rules = load_rules("rules.toml", &header.rules.text, &words).expect("good rules");
    let judge = Judge::with(scenarios, rules);
    assert_eq!(judge.report("run.jsonl", &bundle).expect("what it planned"), report(&bundle));
    let ids: Vec<_> = judge.scenarios().iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["a/matrix", "a/surfaces", "b/pending", "b/users", "c/last"]);
    let ids: Vec<_> = judge.rules().iter().map(|r| r.id.as_str()).collect();
    assert_eq!(ids, ["rules#quiet", "rules#answers"]);
}

#[test]
fn a_bundle_that_does_not_fit_together_is_refused() {
    let cases: [(Change, &str); 5] = [
        (|b| b.header.sources[0].text.push_str("\n[nonsense]\n"), "unknown key `nonsense`"),
        (|b| b.header.rules.text.push_str("\n[nonsense]\n"), "unknown key `nonsense`"),
        (|b| b.header.planned[7].scenario = "c/other".into(), "run.jsonl: permutation `c/last` is not in"),
        (
            |b| b.header.planned[0].values[0].1 = "w".into(),
            "run.jsonl: permutation `a/matrix[k=x]` is not in",
        ),
        (|b| b.header.planned[7].values = vec![("k".into(), "x".into())], "permutation `c/last` is not in"),
    ];
    for (damage, part) in cases {
        let mut bundle = run();
        damage(&mut bundle);
        let answer: Result<_, BundleError> =
            Judge::of(&bundle).and_then(|judge| judge.report("run.jsonl", &bundle));
        let problem = answer.expect_err("it does not fit").to_string();
        assert!(problem.contains(part), "{problem}");
    }
}
