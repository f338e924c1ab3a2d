//! The list of failures that somebody has looked at. They still run, and must still fail.

use std::collections::BTreeMap;

use globset::{GlobBuilder, GlobMatcher};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diagnostic::{Diagnostic, FileErrors};
use crate::document::Document;
use crate::load::matches;
use crate::scenario::Surface;
use crate::verdict::{CheckVerdict, Outcome};

/// The form of `known-failures.toml`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownFailures {
    /// The entries.
    #[serde(default)]
    pub known: Vec<Entry>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `<scenario>#<check>`, with `*`, `**` and `?`.
    pub check: String,
    /// Only in these scenarios, `<family>/<name>` with `*`, `**` and `?`: for the rules, which judge every scenario.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// Only on this surface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surface: Option<Surface>,
    /// Why it fails.
    pub reason: String,
    /// Where that is discussed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Since when it is listed: `2026-11-24`.
    pub date: String,
    /// The last day on which it counts: `2027-03-31`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Only for these values of the matrix.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub when: BTreeMap<String, Value>,
}

impl KnownFailures {
    /// Reads a list.
    ///
    /// # Errors
    /// Every mistake of the file, with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, FileErrors> {
        let document = Document::parse(file, text)?;
        let list: Self = document.read_all()?;
        let mut wrong = Vec::new();
        for (nth, entry) in list.known.iter().enumerate() {
            let at = |key: &str| document.span(&format!("/known/{nth}/{key}"));
            if let Err(problem) = glob(&entry.check) {
                wrong.push(Diagnostic::new(at("check"), problem));
            }
            if let Some(Err(problem)) = entry.scenario.as_deref().map(glob) {
                wrong.push(Diagnostic::new(at("scenario"), problem));
            }
            if !entry.check.contains('#') {
                wrong.push(
                    Diagnostic::new(at("check"), "a check is named `<scenario>#<check>`")
                        .with_help("for instance `expiry/renewed-when-expired#renews`, or `timeouts/**#*`"),
                );
            }
            if entry.reason.trim().is_empty() {
                wrong.push(Diagnostic::new(at("reason"), "`reason` is empty"));
            }
            for (key, day) in [("date", Some(&entry.date)), ("expires", entry.expires.as_ref())] {
                if day.is_some_and(|day| !is_day(day)) {
                    wrong.push(
                        Diagnostic::new(at(key), format!("`{key}` is no day"))
                            .with_help("write it as `2026-11-24`"),
                    );
                }
            }
        }
        if wrong.is_empty() { Ok(list) } else { Err(document.errors(wrong)) }
    }

    /// The list with its patterns made ready: that takes longer than a thousand comparisons.
    pub fn compiled(&self) -> Compiled<'_> {
        // What is no pattern was refused when the list was read.
        let compiled = self.known.iter().map(|entry| CompiledEntry {
            entry,
            check: glob(&entry.check).ok(),
            scenario: entry.scenario.as_deref().map(glob),
        });
        Compiled(compiled.collect())
    }

    /// Entries whose last day was before this one (`2026-11-24`), as texts.
    pub fn expired(&self, today: &str) -> Vec<String> {
        // Days in this form are ordered like their texts.
        let over = |entry: &&Entry| entry.expires.as_deref().is_some_and(|last| last < today);
        self.known.iter().filter(over).map(|entry| entry.check.clone()).collect()
    }

    /// Entries that list no check of the catalogue, as texts.
    pub fn unmatched(&self, used: &[bool]) -> Vec<String> {
        let unused = self.known.iter().zip(used).filter(|(_, used)| !**used);
        unused.map(|(entry, _)| entry.check.clone()).collect()
    }
}

/// A list whose patterns are made ready.
#[derive(Debug)]
pub struct Compiled<'l>(Vec<CompiledEntry<'l>>);

#[derive(Debug)]
struct CompiledEntry<'l> {
    entry: &'l Entry,
    check: Option<GlobMatcher>,
    scenario: Option<Result<GlobMatcher, String>>,
}

impl Compiled<'_> {
    /// The first entry that lists a check of a permutation of a scenario.
    pub fn entry(
        &self,
        check: &str,
        scenario: &str,
        surface: Surface,
        values: &[(String, Value)],
    ) -> Option<usize> {
        self.0.iter().position(|compiled| {
            let entry = compiled.entry;
            let in_scenario = |pattern: &Result<GlobMatcher, String>| {
                pattern.as_ref().is_ok_and(|pattern| pattern.is_match(scenario))
            };
            compiled.check.as_ref().is_some_and(|pattern| pattern.is_match(check))
                && entry.surface.is_none_or(|only| only == surface)
                && compiled.scenario.as_ref().is_none_or(in_scenario)
                && matches(values, entry.when.iter().map(|(k, v)| (k.as_str(), v)))
        })
    }
}

fn is_day(text: &str) -> bool {
    text.parse::<toml::value::Datetime>()
        .is_ok_and(|d| d.date.is_some() && d.time.is_none() && d.offset.is_none())
}

/// A glob over a path with slashes: `*` stays within a part.
///
/// # Errors
/// What is wrong with the pattern.
pub fn glob(pattern: &str) -> Result<GlobMatcher, String> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .map(|g| g.compile_matcher())
        .map_err(|e| format!("`{pattern}` is not a pattern: {}", e.kind()))
}

/// Changes a listed verdict: a failure is known, a pass is unexpected.
pub fn apply(verdict: &mut CheckVerdict) {
    let listed = match verdict.outcome {
        Outcome::Fail | Outcome::NotTestable | Outcome::Warn | Outcome::Info => Outcome::KnownFailure,
        Outcome::Pass => Outcome::UnexpectedPass,
        same @ (Outcome::NotApplicable
        | Outcome::KnownFailure
        | Outcome::NotRun
        | Outcome::Inconclusive
        | Outcome::UnexpectedPass
        | Outcome::Error) => same,
    };
    if listed != verdict.outcome {
        verdict.before_list = Some(verdict.outcome);
        verdict.outcome = listed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_lists_checks_by_pattern_and_values() {
        let list = KnownFailures::parse(
            "k.toml",
            "[[known]]\ncheck = \"timeouts/*#gives-up\"\nwhen = { endpoint = \"token\" }\nreason = \"r\"\ndate = \"2026-11-24\"\n",
        )
        .expect("a good list");
        let token = [("endpoint".to_owned(), Value::from("token"))];
        let other = [("endpoint".to_owned(), Value::from("discovery"))];
        assert_eq!(
            list.compiled().entry("timeouts/hang#gives-up", "timeouts/hang", Surface::Query, &token),
            Some(0)
        );
        assert_eq!(
            list.compiled().entry("timeouts/hang#gives-up", "timeouts/hang", Surface::Query, &other),
            None
        );
        assert_eq!(
            list.compiled().entry("timeouts/hang#recovers", "timeouts/hang", Surface::Query, &token),
            None
        );
        assert_eq!(
            list.compiled().entry("timeouts/a/hang#gives-up", "timeouts/a/hang", Surface::Query, &token),
            None
        );
    }

    #[test]
    fn a_rule_is_listed_for_some_scenarios() {
        let list = KnownFailures::parse(
            "k.toml",
            "[[known]]\ncheck = \"rules#*\"\nscenario = \"expiry/*\"\nreason = \"r\"\ndate = \"2026-11-24\"\n",
        )
        .expect("a good list");
        assert_eq!(list.compiled().entry("rules#ends-cleanly", "expiry/x", Surface::Query, &[]), Some(0));
        assert_eq!(list.compiled().entry("rules#ends-cleanly", "timeouts/hang", Surface::Query, &[]), None);
    }

    #[test]
    fn an_entry_can_be_for_one_surface_and_for_a_time() {
        let list = KnownFailures::parse(
            "k.toml",
            "[[known]]\ncheck = \"a/b#c\"\nsurface = \"health\"\nreason = \"r\"\ndate = \"2026-11-24\"\nexpires = \"2026-12-31\"\n",
        )
        .expect("a good list");
        assert_eq!(list.compiled().entry("a/b#c", "a/b", Surface::Health, &[]), Some(0));
        assert_eq!(list.compiled().entry("a/b#c", "a/b", Surface::Query, &[]), None);
        assert_eq!(list.expired("2026-12-31"), Vec::<String>::new());
        assert_eq!(list.expired("2027-01-01"), ["a/b#c"]);
    }

    #[test]
    fn a_day_is_a_day() {
        let text = "[[known]]\ncheck = \"a#b\"\nreason = \"r\"\ndate = \"2026-02-30\"\n";
        let errors = KnownFailures::parse("k.toml", text).expect_err("no such day").to_string();
        assert!(errors.contains("k.toml:4:8") && errors.contains("`date` is no day"), "{errors}");
    }

    #[test]
    fn a_reason_is_needed() {
        let text = "[[known]]\ncheck = \"a#b\"\nreason = \" \"\ndate = \"2026-11-24\"\n";
        let errors = KnownFailures::parse("k.toml", text).expect_err("an empty reason").to_string();
        assert!(errors.contains("k.toml:3:10"), "{errors}");
    }

    #[test]
    fn an_entry_that_lists_nothing_is_named() {
        let entry =
            |check: &str| format!("[[known]]\ncheck = \"{check}\"\nreason = \"r\"\ndate = \"2026-11-24\"\n");
        let text = format!("{}{}", entry("a/b#c"), entry("d/e#f"));
        let list = KnownFailures::parse("k.toml", &text).expect("a good list");
        assert_eq!(list.unmatched(&[true, true]), Vec::<String>::new());
        assert_eq!(list.unmatched(&[true, false]), ["d/e#f"]);
    }

    #[test]
    fn a_moment_is_no_day() {
        for date in ["2026-11-24", "2026-11-24T10:00:00", "2026-11-24T10:00:00Z", "10:00:00", "soon"] {
            assert_eq!(is_day(date), date == "2026-11-24", "{date}");
        }
    }

    #[test]
    fn what_is_listed_is_known_or_unexpected_and_what_was_not_judged_stays() {
        use Outcome::*;
        for outcome in Outcome::ALL {
            let mut verdict = CheckVerdict {
                check: "a/b#c".into(),
                level: crate::scenario::Level::Must,
                claim: String::new(),
                covers: Vec::new(),
                outcome,
                before_list: None,
                findings: Vec::new(),
            };
            apply(&mut verdict);
            let expected = match outcome {
                Fail | NotTestable | Warn | Info => (KnownFailure, Some(outcome)),
                Pass => (UnexpectedPass, Some(Pass)),
                NotApplicable | KnownFailure | NotRun | Inconclusive | UnexpectedPass | Error => {
                    (outcome, None)
                }
            };
            assert_eq!((verdict.outcome, verdict.before_list), expected, "{outcome}");
        }
    }
}
