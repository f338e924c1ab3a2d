//! The parts of a split run, put together again.

use scenario_model::bundle::{Bundle, Calibration};
use scenario_model::merge::{MergeError, merge};
use scenario_model::verdict::{ExitCode, Outcome};

use crate::facts::keys;
use crate::recorded::{Change, listing, part, refused, report, row, run, served_and, sign};

/// Parts as files: `1.jsonl` and so on.
fn files(parts: impl IntoIterator<Item = Bundle>) -> Vec<(String, Bundle)> {
    parts.into_iter().enumerate().map(|(nth, part)| (format!("{}.jsonl", nth + 1), part)).collect()
}

fn parts(count: usize) -> Vec<Bundle> {
    (1..=count).map(|index| part(index, count)).collect()
}

fn merged(parts: impl IntoIterator<Item = Bundle>) -> Bundle {
    merge(files(parts)).expect("the parts of one run")
}

/// Nothing is different, line by line.
fn same(one: &Bundle, other: &Bundle) {
    assert_eq!(one.header, other.header);
    assert_eq!(one.ran, other.ran);
    assert_eq!(one.footer, other.footer);
}

#[test]
fn the_merged_parts_are_the_unsplit_run() {
    // With more parts than permutations, some are empty.
    for count in [1, 2, 3, 8, 9] {
        let whole = merged(parts(count));
        same(&whole, &run());
        assert_eq!(report(&whole), report(&run()), "{count} parts");
    }
}

#[test]
fn what_became_of_each_permutation_stays() {
    let damage = |bundle: &mut Bundle| {
        for (ran, events) in &mut bundle.ran {
            match ran.id.as_str() {
                "a/matrix[k=y]" => *events = refused(),
                "a/matrix[k=z]" => *events = served_and(keys(Some(200))),
                "a/surfaces" => ran.interrupted = true,
                "c/last" => ran.error = Some("no port was free".into()),
                _ => {}
            }
            ran.events = events.len() as u64;
        }
        sign(bundle);
    };
    let (mut unsplit, mut split) = (run(), parts(3));
    damage(&mut unsplit);
    split.iter_mut().for_each(damage);
    let merged = report(&merged(split));
    assert_eq!(merged, report(&unsplit));
    assert_eq!((merged.exit, merged.partial), (ExitCode::Ours, false));
}

#[test]
fn neither_the_order_of_the_files_nor_that_in_which_permutations_ended_matters() {
    let mut split = parts(3);
    for (nth, part) in split.iter_mut().enumerate() {
        part.header.seed = nth as u64;
        part.header.typed = format!("typed {nth}");
        part.header.started = format!("2026-12-01T10:00:0{}Z", 3 - nth);
    }
    let in_order = merged(split.clone());
    assert_eq!((in_order.header.seed, in_order.header.typed.as_str()), (0, "typed 0"));
    assert_eq!(in_order.header.started, "2026-12-01T10:00:01Z");
    split.iter_mut().for_each(|part| part.ran.reverse());
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        same(&merged(order.map(|nth| split[nth].clone())), &in_order);
    }
}

#[test]
fn what_a_part_lacks_the_merged_run_lacks_too() {
    let cases: [(Change, usize); 4] = [
        (|part| part.footer.as_mut().expect("signed").complete = false, 0),
        (|part| part.footer = None, 0),
        (|part| drop(part.ran.pop()), 1),
        (
            |part| {
                part.ran.clear();
                part.footer = None;
            },
            4,
        ),
    ];
    for (damage, not_run) in cases {
        let mut split = parts(2);
        damage(&mut split[1]);
        let damaged = report(&split[1]);
        let report = report(&merged(split));
        assert_eq!((damaged.partial, report.partial), (true, true), "the record of part 2 is not whole");
        assert_eq!((report.exit, report.planned), (ExitCode::Ours, 24));
        assert_eq!(report.permutations.get(Outcome::NotRun), not_run as u64);
        assert_eq!(row(&report, "a/matrix[k=x]").outcome, Outcome::Pass);
    }
}

#[test]
fn parts_are_run_beside_each_other() {
    let mut split = parts(3);
    for (part, took_us) in split.iter_mut().zip([5, 9, 7]) {
        part.footer.as_mut().expect("signed").took_us = took_us;
    }
    assert_eq!(report(&merged(split.clone())).took_us, 9);
    split[1].footer = None;
    assert_eq!(report(&merged(split)).took_us, 7);
}

#[test]
fn the_refresh_skew_spans_that_of_all_parts() {
    let known = |lower: f64, upper: f64, monotonic: bool| Some(Calibration { lower, upper, monotonic });
    for (of_parts, expected) in [
        ([None, None], None),
        ([known(1.0, 2.0, true), None], known(1.0, 2.0, true)),
        ([None, known(1.0, 2.0, false)], known(1.0, 2.0, false)),
        ([known(1.0, 4.0, true), known(2.0, 3.0, true)], known(1.0, 4.0, true)),
        ([known(2.0, 3.0, true), known(1.0, 4.0, false)], known(1.0, 4.0, false)),
        ([known(1.0, 2.0, false), known(3.0, 4.0, true)], known(1.0, 4.0, false)),
    ] {
        let mut split = parts(2);
        for (part, calibration) in split.iter_mut().zip(of_parts) {
            part.header.calibration = calibration;
        }
        assert_eq!(report(&merged(split)).calibration, expected, "{of_parts:?}");
    }
}

#[test]
fn what_is_not_the_parts_of_one_run_is_refused() {
    let cases = [
        (vec![], "part 1/1 is missing"),
        (
            vec![run()],
            "1.jsonl: is no part of a split run; parts are made by `flightcheck run --shard I/N --bundle FILE`",
        ),
        (vec![part(1, 2), run()], "2.jsonl: is no part of a split run"),
        (vec![part(1, 2)], "part 2/2 is missing"),
        (vec![part(2, 2)], "part 1/2 is missing"),
        (vec![part(3, 3), part(1, 3)], "part 2/3 is missing"),
        (vec![part(1, 2), part(2, 2), part(1, 2)], "3.jsonl: is part 1/2, like 1.jsonl"),
        (vec![part(2, 3), part(1, 3), part(1, 3)], "3.jsonl: is part 1/3, like 2.jsonl"),
        (vec![part(1, 2), part(2, 3)], "2.jsonl: has another number of parts than 1.jsonl"),
    ];
    for (bundles, problem) in cases {
        let said = merge(files(bundles)).expect_err(problem).to_string();
        assert!(said.starts_with(problem), "{said}\n{problem}");
    }
}

#[test]
fn parts_share_what_decides_their_verdicts() {
    let cases: [(&str, Change); 10] = [
        ("tool", |b| b.header.tool = "flightcheck 1.2.4".into()),
        ("subject", |b| b.header.subject.version = Some("8".into())),
        ("subject", |b| drop(b.header.words.insert("token".into(), vec!["jeton".into()]))),
        ("requirement set", |b| b.header.requirements.hash = "1".into()),
        ("selection", |b| b.header.selection = "something".into()),
        ("`--deny`", |b| b.header.deny_should = true),
        ("known-failures list", |b| b.header.known_failures = None),
        ("known-failures list", |b| b.header.known_failures = Some(listing(&[("a/b#d", "")]))),
        ("set of rules", |b| b.header.rules.text.push('\n')),
        ("number of parts", |b| b.header.shard = Some((3, 4))),
    ];
    for (what, change) in cases {
        let mut split = parts(3);
        for part in &mut split {
            part.header.known_failures = Some(listing(&[("a/b#c", "")]));
        }
        assert_eq!(report(&merged(split.clone())).unmatched_entries, ["a/b#c"]);
        change(&mut split[2]);
        let (first, file) = ("1.jsonl".to_owned(), "3.jsonl".to_owned());
        let problem = merge(files(split)).expect_err(what);
        assert_eq!(problem, MergeError::Different { first, file, what });
        assert_eq!(problem.to_string(), format!("3.jsonl: has another {what} than 1.jsonl"));
    }
}
