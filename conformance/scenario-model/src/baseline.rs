//! From a report to a known-failures list: what fails today, each with the fewest words that say where.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::bundle::{Bundle, Planned};
use crate::known_failures::{Entry, KnownFailures};
use crate::report::Report;
use crate::scenario::Surface;
use crate::verdict::{CheckVerdict, Outcome};

/// Where a check was judged, and how.
struct Judged<'r> {
    planned: &'r Planned,
    verdict: &'r CheckVerdict,
    failed: bool,
}

/// What of a permutation tells it from others.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    surface: Option<Surface>,
    when: BTreeMap<String, Value>,
}

/// A list under which the run would have been conformant: entries of its own list that still fail, and a new one for
/// each other failure, dated `day` (`2026-11-24`).
pub fn known_failures(report: &Report, bundle: &Bundle, day: &str) -> KnownFailures {
    let mut judged: BTreeMap<(&str, &str), Vec<Judged<'_>>> = BTreeMap::new();
    for (row, planned) in report.rows.iter().zip(&bundle.header.planned) {
        for verdict in &row.checks {
            let counts = match verdict.outcome {
                Outcome::Fail | Outcome::NotTestable => Some(true),
                Outcome::Warn => Some(bundle.header.deny_should),
                Outcome::Pass | Outcome::Info => Some(false),
                Outcome::NotApplicable
                | Outcome::KnownFailure
                | Outcome::NotRun
                | Outcome::Inconclusive
                | Outcome::UnexpectedPass
                | Outcome::Error => None,
            };
            if let Some(failed) = counts {
                let key = (verdict.check.as_str(), planned.scenario.as_str());
                judged.entry(key).or_default().push(Judged { planned, verdict, failed });
            }
        }
    }
    let mut known = still_failing(report, bundle);
    for ((check, scenario), places) in judged {
        let Some(first) = places.iter().find(|p| p.failed) else { continue };
        let of_its_own = check.split('#').next() == Some(scenario);
        known.extend(where_it_fails(&places).into_iter().map(|place| Entry {
            check: check.to_owned(),
            scenario: (!of_its_own).then(|| scenario.to_owned()),
            surface: place.surface,
            when: place.when,
            reason: reason(first.verdict),
            link: None,
            date: day.to_owned(),
            expires: None,
        }));
    }
    KnownFailures { known }
}

/// Entries of the run's own list that list a failure.
fn still_failing(report: &Report, bundle: &Bundle) -> Vec<Entry> {
    let Some(own) = &bundle.header.known_failures else { return Vec::new() };
    let list = own.list.compiled();
    let mut used = BTreeSet::new();
    for (row, planned) in report.rows.iter().zip(&bundle.header.planned) {
        let known = row.checks.iter().filter(|c| c.outcome == Outcome::KnownFailure);
        used.extend(
            known.filter_map(|c| list.entry(&c.check, &planned.scenario, planned.surface, &planned.values)),
        );
    }
    used.into_iter().map(|nth| own.list.known[nth].clone()).collect()
}

fn reason(verdict: &CheckVerdict) -> String {
    match verdict.findings.first() {
        Some(f) => format!("not looked at yet: expected {}, observed {}", f.expected, f.observed),
        None => "not looked at yet".to_owned(),
    }
}

/// Everywhere; or for the values of one name that make the difference; or each permutation by itself.
fn where_it_fails(places: &[Judged<'_>]) -> Vec<Place> {
    if places.iter().all(|p| p.failed) {
        return vec![Place { surface: None, when: BTreeMap::new() }];
    }
    let failed: Vec<&Planned> = places.iter().filter(|p| p.failed).map(|p| p.planned).collect();
    let passed: Vec<&Planned> = places.iter().filter(|p| !p.failed).map(|p| p.planned).collect();
    if failed.iter().all(|f| passed.iter().all(|p| p.surface != f.surface)) {
        let surfaces: BTreeSet<Surface> = failed.iter().map(|p| p.surface).collect();
        return surfaces.into_iter().map(|s| Place { surface: Some(s), when: BTreeMap::new() }).collect();
    }
    for (name, _) in &failed[0].values {
        let value = |of: &Planned| of.values.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let decides = failed.iter().all(|f| passed.iter().all(|p| value(p) != value(f)));
        if decides {
            let mut found: Vec<Place> = Vec::new();
            for when in failed.iter().filter_map(|f| Some(BTreeMap::from([(name.clone(), value(f)?)]))) {
                let place = Place { surface: None, when };
                if !found.contains(&place) {
                    found.push(place);
                }
            }
            return found;
        }
    }
    let surface = |p: &Planned| places.iter().any(|o| o.planned.surface != p.surface).then_some(p.surface);
    failed
        .into_iter()
        .map(|p| Place { surface: surface(p), when: p.values.iter().cloned().collect() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(values: &[(&str, &str)], surface: Surface) -> Planned {
        Planned {
            id: String::new(),
            scenario: "a/b".into(),
            values: values.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect(),
            surface,
            not_applicable: None,
        }
    }

    type Values<'v> = &'v [(&'v str, &'v str)];
    type Where<'v> = (Option<Surface>, Values<'v>);

    fn check(places: &[(Values<'_>, Surface, bool)], expected: &[Where<'_>]) {
        let verdict = CheckVerdict {
            check: "a/b#c".into(),
            level: crate::scenario::Level::Must,
            claim: String::new(),
            covers: Vec::new(),
            outcome: Outcome::Fail,
            before_list: None,
            findings: Vec::new(),
        };
        let planned: Vec<Planned> =
            places.iter().map(|(values, surface, _)| planned(values, *surface)).collect();
        let judged: Vec<Judged<'_>> = planned
            .iter()
            .zip(places)
            .map(|(planned, (_, _, failed))| Judged { planned, verdict: &verdict, failed: *failed })
            .collect();
        let expected: Vec<Place> = expected
            .iter()
            .map(|(surface, when)| Place {
                surface: *surface,
                when: when.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect(),
            })
            .collect();
        assert_eq!(where_it_fails(&judged), expected);
    }

    #[test]
    fn an_entry_has_the_fewest_words_that_say_where() {
        use Surface::{Health, Query};
        check(&[(&[("k", "1")], Query, true), (&[("k", "2")], Query, true)], &[(None, &[])]);
        check(&[(&[("k", "1")], Query, true), (&[("k", "1")], Health, false)], &[(Some(Query), &[])]);
        check(
            &[
                (&[("k", "1"), ("l", "1")], Query, true),
                (&[("k", "1"), ("l", "2")], Query, false),
                (&[("k", "2"), ("l", "1")], Query, true),
            ],
            &[(None, &[("l", "1")])],
        );
        check(
            &[
                (&[("k", "1"), ("l", "1")], Query, true),
                (&[("k", "1"), ("l", "2")], Query, false),
                (&[("k", "2"), ("l", "1")], Query, false),
            ],
            &[(None, &[("k", "1"), ("l", "1")])],
        );
    }
}
