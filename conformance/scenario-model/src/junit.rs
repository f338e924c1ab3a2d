//! A report as JUnit XML: a suite for each scenario, a test case for each check of each permutation.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as JunitReport, TestCase, TestCaseStatus, TestSuite};

use crate::report::{Report, Row};
use crate::verdict::{CheckVerdict, Outcome};

/// The XML. A function of the report: no time stamp of its own.
///
/// # Errors
/// If a text cannot be written as XML.
pub fn to_junit(report: &Report) -> Result<String, quick_junit::SerializeError> {
    let mut junit = JunitReport::new(format!("flightcheck {}", report.subject.name));
    let mut suites: Vec<TestSuite> = Vec::new();
    for row in &report.rows {
        if suites.last().is_none_or(|suite| suite.name.as_str() != row.scenario) {
            suites.push(TestSuite::new(row.scenario.clone()));
        }
        let suite = suites.last_mut().expect("one was just made");
        for (nth, verdict) in row.checks.iter().enumerate() {
            suite.add_test_case(test_case(row, verdict, nth == 0));
        }
    }
    junit.add_test_suites(suites);
    junit.to_string()
}

fn test_case(row: &Row, verdict: &CheckVerdict, first: bool) -> TestCase {
    let name = format!("{} {}", row.permutation, verdict.check.rsplit('#').next().unwrap_or_default());
    let mut case = TestCase::new(name, status(row, verdict));
    case.set_classname(row.scenario.clone());
    // The permutation's time is counted once, with its first check.
    case.set_time(Duration::from_micros(if first { row.took_us } else { 0 }));
    case
}

fn status(row: &Row, verdict: &CheckVerdict) -> TestCaseStatus {
    let text = || {
        let findings =
            verdict.findings.iter().map(|f| format!("expected: {}\nobserved: {}", f.expected, f.observed));
        let lines: Vec<String> =
            std::iter::once(verdict.claim.clone()).chain(row.note.clone()).chain(findings).collect();
        lines.join("\n")
    };
    let with = |mut status: TestCaseStatus| {
        status
            .set_type(verdict.outcome.as_str())
            .set_message(verdict.outcome.as_str())
            .set_description(text());
        status
    };
    match verdict.outcome {
        Outcome::Pass => TestCaseStatus::success(),
        Outcome::Fail | Outcome::NotTestable | Outcome::UnexpectedPass => {
            with(TestCaseStatus::non_success(NonSuccessKind::Failure))
        }
        Outcome::Error | Outcome::Inconclusive | Outcome::NotRun => {
            with(TestCaseStatus::non_success(NonSuccessKind::Error))
        }
        Outcome::NotApplicable | Outcome::KnownFailure | Outcome::Warn | Outcome::Info => {
            with(TestCaseStatus::skipped())
        }
    }
}
